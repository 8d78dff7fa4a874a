"""Objects that are not cells: debris and noise that a segmentation takes for some."""

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from trackastra_engine.detection.detections import (
    Detections,
    FloatArray,
    IntArray,
    concatenate,
)
from trackastra_engine.detection.spacing import typical_spacing
from trackastra_engine.simulation import KnownMovie
from trackastra_training.segmentation_errors import in_order
from trackastra_training.sizes import flat_axes

DISTANCES = (0.4, 6.0)  # from a random cell, in typical spacings
SIZES = 0.5  # deviation of the logarithm of the diameters, against those of cells
SMALLEST = 0.2  # diameter where there is no room, in diameters of the nearest cell
MOST_LASTING = 0.95  # largest probability that an object is still there a frame later
DRIFT, UNREST = 0.2, 0.03  # of lasting objects from frame to frame, in typical spacings
SIZE_NOISE = 0.05  # of lasting objects: deviation of the logarithm of the diameter


def with_clutter(window: KnownMovie, share: float, rng: np.random.Generator) -> KnownMovie:
    """Return a window with objects that are not cells, beside the cells and between them.

    In half of all windows each is seen in one frame. In the others some last and drift slowly; an
    earlier detection of the same object is then the parent, and no object has another parent.

    share: expected number per frame, as a share of the detections.
    """
    found = window.detections
    n_frames = int(found.frame.max(initial=-1)) + 1
    lasting = MOST_LASTING * max(0.0, rng.uniform(-1, 1))
    expected = share * np.bincount(found.frame, minlength=n_frames)
    expected[1:] *= 1 - lasting  # the others were there before
    n_new = rng.poisson(expected)
    if not n_new.any():
        return window
    first = np.repeat(np.arange(n_frames), n_new)
    n_seen = np.minimum(rng.geometric(1 - lasting, len(first)), n_frames - first)
    bounds = np.searchsorted(found.frame, [first, first + 1])
    cell = rng.integers(*bounds)  # of the same frame, for each object
    spacing = typical_spacing(found)
    is_free = ~flat_axes(found)
    direction = rng.normal(size=(len(first), found.ndim)) * is_free
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    distance = spacing * np.exp(rng.uniform(*np.log(DISTANCES), len(first)))
    place = found.centroid[cell] + distance[:, None] * direction
    wanted = found.features[cell, 0] * np.exp(rng.normal(size=len(first)) * SIZES)
    size = np.minimum(wanted, room(found, first, place)) / found.features[cell, 0]

    number = np.repeat(np.arange(len(first)), n_seen)  # of the object of each detection
    age = np.arange(len(number)) - np.searchsorted(number, number)
    step = rng.normal(size=found.ndim) * DRIFT * rng.random() ** 2 * age[:, None]
    step = step + rng.normal(size=(len(number), found.ndim)) * UNREST
    factor = size[number] * np.exp(rng.normal(size=len(number)) * SIZE_NOISE)
    features = found.features[cell[number]]
    features[:, 0] *= factor
    features[:, 2:-1] *= (factor**2)[:, None]
    others = Detections(
        first[number] + age,
        np.arange(len(number)),
        place[number] + step * spacing * is_free,
        features,
    )
    parent = np.where(age > 0, np.arange(len(number)) - 1, -1)
    return together(window, KnownMovie(others, parent, (age + 1 < n_seen[number]).astype(int)))


def together(movie: KnownMovie, others: KnownMovie) -> KnownMovie:
    """Return the detections and lineages of two movies as one; those of `others` get new labels."""
    found, more = movie.detections, others.detections
    label = found.label.max() + 1 + np.arange(len(more))
    parts = (found, replace(more, label=label))
    parent = np.where(others.parent >= 0, others.parent + len(found), others.parent)
    return in_order(
        KnownMovie(
            concatenate(parts, found.ndim),
            np.concatenate([movie.parent, parent]),
            np.concatenate([movie.n_children, others.n_children]),
        )
    )


def room(found: Detections, frame: IntArray, place: FloatArray) -> FloatArray:
    """Return the largest diameters (K,) at places (K, D) beside the cells of frames (K,)."""
    largest = np.empty(len(place))
    for one in np.unique(frame):
        cells, here = found.rows(np.flatnonzero(found.frame == one)), frame == one
        distance, nearest = cKDTree(cells.centroid).query(place[here])
        diameter = cells.features[nearest, 0]
        largest[here] = np.maximum(2 * distance - diameter, SMALLEST * diameter)
    return largest
