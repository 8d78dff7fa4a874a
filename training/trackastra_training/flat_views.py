"""Windows of 3D movies as a 2D model sees them: optical sections, and views from one side.

They teach a 2D model real lineages, with cells that enter and leave the plane.
"""

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
    """Return the visible cells of a 3D window in 2D, seen from a random direction.

    The parent of a cell is its nearest visible ancestor. At least one cell is visible.
    """
    found = window.detections
    axes = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    place, diameter = found.centroid @ axes, found.features[:, 0].copy()
    depth = place[:, 0]
    if rng.random() < SECTION_SHARE:
        distance = np.abs(depth - depth[rng.integers(len(depth))])
        is_seen = distance < SECTION_REACH * diameter
        diameter = section_diameter(diameter, distance)
    else:
        is_seen = depth >= np.quantile(depth, rng.uniform(*HIDDEN))
    flat = detections_of_points(found.frame, place[:, 1:], label=found.label, diameter=diameter)
    seen = KnownMovie(flat, window.parent, window.n_children)
    return keep_rows(seen, np.flatnonzero(is_seen))


def section_diameter(diameter: FloatArray, distance: FloatArray) -> FloatArray:
    """Return the diameter (N,) of balls in a plane at a distance (N,) from their centers."""
    squared = diameter**2 - (2 * distance) ** 2
    section: FloatArray = np.sqrt(np.maximum(squared, (SMALLEST_SECTION * diameter) ** 2))
    return section
