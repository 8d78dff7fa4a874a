"""Windows of 3D movies as a 2D model sees them: optical sections, and views from one side.

They teach a 2D model real lineages, with cells that enter and leave the plane.
"""

from dataclasses import replace

import numpy as np

from trackastra_engine.detection.detections import FloatArray
from trackastra_engine.detection.points import detections_of_points
from trackastra_engine.simulation import KnownMovie
from trackastra_training.segmentation_errors import keep_rows

SECTION_SHARE = 0.5  # of the windows; the others are views
SECTION_REACH = 0.6  # diameters from the plane to the farthest cells that are seen
SMALLEST_SECTION = 0.4  # diameters of a cell
HIDDEN = (0.5, 0.8)  # least and largest share of the cells that a view does not show


def flat_view(window: KnownMovie, rng: np.random.Generator) -> KnownMovie:
    """Return the visible cells of a 3D window in 2D, in a section or a view."""
    return (section if rng.random() < SECTION_SHARE else side_view)(window, rng)


def section(movie: KnownMovie, rng: np.random.Generator) -> KnownMovie:
    """Return the cells of a 3D movie around a plane in a random direction, through one of them.

    The parent of a cell is its nearest visible ancestor, also in views.
    """
    place, diameter = _turned(movie, rng), movie.detections.features[:, 0]
    distance = np.abs(place[:, 0] - place[rng.integers(len(place)), 0])
    seen = _in_plane(movie, place, section_diameter(diameter, distance))
    return keep_rows(seen, np.flatnonzero(distance < SECTION_REACH * diameter))


def side_view(movie: KnownMovie, rng: np.random.Generator) -> KnownMovie:
    """Return the nearest cells of a 3D movie, seen from a random direction."""
    place = _turned(movie, rng)
    is_near = place[:, 0] >= np.quantile(place[:, 0], rng.uniform(*HIDDEN))
    seen = _in_plane(movie, place, movie.detections.features[:, 0])
    return keep_rows(seen, np.flatnonzero(is_near))


def section_diameter(diameter: FloatArray, distance: FloatArray) -> FloatArray:
    """Return the diameter (N,) of balls in a plane at a distance (N,) from their centers."""
    squared = diameter**2 - (2 * distance) ** 2
    section: FloatArray = np.sqrt(np.maximum(squared, (SMALLEST_SECTION * diameter) ** 2))
    return section


def _turned(movie: KnownMovie, rng: np.random.Generator) -> FloatArray:
    """Return the positions (N, 3) along three random axes, the first of which is depth."""
    axes = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    turned: FloatArray = movie.detections.centroid @ axes
    return turned


def _in_plane(movie: KnownMovie, place: FloatArray, diameter: FloatArray) -> KnownMovie:
    """Return the movie with discs (N,) at places (N, 3) without their depth."""
    found = movie.detections
    intensity = found.features[:, 1]
    discs = detections_of_points(
        found.frame,
        place[:, 1:],
        label=found.label,
        diameter=diameter,
        intensity=intensity if np.isfinite(intensity).all() else None,
    )
    return replace(movie, detections=discs)
