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
from trackastra_engine.detection.transform import transform
from trackastra_engine.simulation import KnownMovie
from trackastra_training.invented_measurements import is_round
from trackastra_training.segmentation_errors import in_order
from trackastra_training.sizes import flat_axes

DISTANCES = (0.4, 6.0)  # from a random cell, in typical spacings
SIZES = 0.5  # deviation of the logarithm of the diameters, against those of cells
SMALLEST = 0.2  # diameter where there is no room, in diameters of the nearest cell
MOST_LASTING = 0.95  # largest probability that an object is still there a frame later
DRIFT, UNREST = 0.2, 0.03  # of lasting objects from frame to frame, in typical spacings
# Deviations of an object against a random cell, and from frame to frame.
STRAIN, CHANGING_STRAIN = 0.2, 0.04
BRIGHTNESS, CHANGING_BRIGHTNESS = 0.7, 0.15  # in standard deviations of the window


def with_clutter(window: KnownMovie, share: float, rng: np.random.Generator) -> KnownMovie:
    """Return a window with objects that are not cells, next to the cells and between them.

    In half of all windows each is seen in one frame. In the others some last and drift slowly; an
    earlier detection of the same object is then the parent, and no object has another parent.

    share: expected number per frame, as a share of the detections.
    """
    found, ndim = window.detections, window.detections.ndim
    n_frames = int(found.frame.max(initial=-1)) + 1
    lasting = MOST_LASTING * max(0.0, rng.uniform(-1, 1))
    expected = share * np.bincount(found.frame, minlength=n_frames)
    expected[1:] *= 1 - lasting  # the others were there before
    n_new = rng.poisson(expected)
    if not n_new.any():
        return window
    first = np.repeat(np.arange(n_frames), n_new)
    cell = rng.integers(*np.searchsorted(found.frame, [first, first + 1]))  # of the same frame
    place = _places(found, cell, rng)
    size = np.exp(rng.normal(size=len(first)) * SIZES) * found.features[cell, 0]
    smallest = SMALLEST * np.median(found.features[:, 0])
    size = np.minimum(size, np.maximum(room(found, first, place), smallest))

    n_seen = np.minimum(rng.geometric(1 - lasting, len(first)), n_frames - first)
    number = np.repeat(np.arange(len(first)), n_seen)  # of the object of each detection
    age = np.arange(len(number)) - np.searchsorted(number, number)
    frame, is_free = first[number] + age, ~flat_axes(found)
    step = rng.normal(size=ndim) * DRIFT * rng.random() ** 2 * age[:, None]
    step = step + rng.normal(size=(len(number), ndim)) * UNREST
    place = place[number] + step * typical_spacing(found) * is_free
    strain = rng.normal(size=(len(first), ndim, ndim)) * STRAIN
    strain = strain[number] + rng.normal(size=(len(number), ndim, ndim)) * CHANGING_STRAIN
    factor = (size / found.features[cell, 0])[number, None, None]
    strain *= is_free[:, None] & is_free & (not is_round(found))
    others = transform(found.rows(cell[number]), factor * (np.eye(ndim) + strain))
    light = rng.normal(size=len(first))[number] * BRIGHTNESS
    light += rng.normal(size=len(number)) * CHANGING_BRIGHTNESS
    others.features[:, 1] += light * found.features[:, 1].std()
    others.features[:, -1] = margins(found, frame, place) - others.features[:, 0] / 2
    others.features[:, -1] = np.maximum(others.features[:, -1], 0)
    others = replace(others, frame=frame, centroid=place)
    parent = np.where(age > 0, np.arange(len(number)) - 1, -1)
    return together(window, KnownMovie(others, parent, (age + 1 < n_seen[number]).astype(int)))


def _places(found: Detections, cell: IntArray, rng: np.random.Generator) -> FloatArray:
    """Return places (K, D) near some cells (K,), within the box of all cells."""
    low, high = found.centroid.min(axis=0), found.centroid.max(axis=0)
    direction = rng.normal(size=(len(cell), found.ndim)) * (high > low)
    direction /= np.linalg.norm(direction, axis=1, keepdims=True) + 1e-12
    distance = typical_spacing(found) * np.exp(rng.uniform(*np.log(DISTANCES), len(cell)))
    place = found.centroid[cell] + distance[:, None] * direction
    is_outside = ((place < low) | (place > high)).any(axis=1)
    return np.where(is_outside[:, None], rng.uniform(low, high, place.shape), place)


def margins(found: Detections, frame: IntArray, place: FloatArray) -> FloatArray:
    """Return the distances (K,) of places (K, D) in frames (K,) from the y or x border.

    Those of the cells limit them from both sides, and the middle is taken.
    """
    margin = np.full(len(place), np.inf)
    for one in np.unique(frame):
        cells, here = found.rows(np.flatnonzero(found.frame == one)), frame == one
        if len(cells):
            distance = np.linalg.norm(place[here, None, -2:] - cells.centroid[:, -2:], axis=-1)
            of_cell = cells.features[:, -1] + cells.features[:, 0] / 2
            margin[here] = 0.5 * (
                (of_cell - distance).max(axis=1) + (of_cell + distance).min(axis=1)
            )
    return margin


def together(movie: KnownMovie, others: KnownMovie) -> KnownMovie:
    """Return the detections and lineages of two movies as one; those of `others` get new labels."""
    found, more = movie.detections, others.detections
    label = found.label.max() + 1 + np.arange(len(more))
    more = replace(more, frame=more.frame.astype(found.frame.dtype), label=label)
    parent = np.where(others.parent >= 0, others.parent + len(found), others.parent)
    return in_order(
        KnownMovie(
            concatenate((found, more), found.ndim),
            np.concatenate([movie.parent, parent]),
            np.concatenate([movie.n_children, others.n_children]),
        )
    )


def room(found: Detections, frame: IntArray, place: FloatArray) -> FloatArray:
    """Return the largest diameters (K,) at places (K, D) next to the cells of frames (K,).

    They are negative inside cells, and infinite in frames without cells.
    """
    largest = np.full(len(place), np.inf)
    for one in np.unique(frame):
        cells, here = found.rows(np.flatnonzero(found.frame == one)), frame == one
        if len(cells):
            distance, nearest = cKDTree(cells.centroid).query(place[here])
            largest[here] = 2 * distance - cells.features[nearest, 0]
    return largest
