"""Windows of 2D movies as a 3D model sees them: cells that wander in all directions of space.

They teach a 3D model real steps and divisions of cells that crawl; its 3D movies show embryos.
"""

from collections.abc import Sequence

import numpy as np

from trackastra_engine.detection.detections import FloatArray
from trackastra_engine.detection.spacing import typical_spacing
from trackastra_engine.simulation import KnownMovie
from trackastra_training.joined_windows import joined
from trackastra_training.sparse_windows import first_ancestors

MOST_LAYERS = 6  # windows of one movie in a view
THICKNESS = (0.4, 1.6)  # least and largest of a layer, in typical spacings


def deep_view(windows: Sequence[KnownMovie], rng: np.random.Generator) -> KnownMovie:
    """Return the cells of 2D windows of one movie as balls in 3D, window upon window.

    Each window is turned at random, and so is the plane in which a lineage moves: its steps keep
    their lengths. The detections of the first window are at least one.
    """
    thickness = typical_spacing(windows[0].detections) * rng.uniform(*THICKNESS)
    places = [
        _tilted(window, layer * thickness, thickness, rng) for layer, window in enumerate(windows)
    ]
    return joined(windows, places)


def _tilted(
    window: KnownMovie, least: float, thickness: float, rng: np.random.Generator
) -> FloatArray:
    """Return positions (N, 3); each lineage begins in a layer, and moves in a plane of its own."""
    place = window.detections.centroid
    place = (place - place.mean(axis=0)) @ np.linalg.qr(rng.normal(size=(2, 2)))[0]
    first = first_ancestors(window.parent)
    depth = least + thickness * rng.random(len(place))
    axes = np.linalg.qr(rng.normal(size=(len(place), 3, 2)))[0]
    steps = np.einsum("nij,nj->ni", axes[first], place - place[first])
    return np.asarray(np.column_stack([depth, place])[first] + steps)
