"""Masks with errors of a worse segmentation: objects missing, merged and split."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from benchmarks.true_movies import TrueMovie, renumbered, true_movie, with_nearest_ancestors
from trackastra_engine.detection.detections import Detections, detect
from trackastra_engine.movie.frames import Frame
from trackastra_training.truth_matching import MeasuredMask, match_frame


class ErrorShares(NamedTuple):
    """The probability of each error, per object and frame."""

    missing: float
    merged: float
    split: float


ERRORS = ErrorShares(missing=0.02, merged=0.02, split=0.01)
NEAR = 1.25  # objects closer than this many mean diameters may be merged

Mask = NDArray[np.integer[Any]]


def spoiled(movie: TrueMovie, seed: int, shares: ErrorShares = ERRORS) -> TrueMovie:
    """Return the movie with errors in its masks, and the remaining truth.

    Each object matches at most one true object, by eq. (1) of the paper, and each true object at
    most one. The true parent of an object matches its parent in the truth, or the nearest ancestor
    that is left. Links between neighbouring frames are true where that is the parent. A division
    with a missing daughter is therefore not a division, and all links to the second half of an
    object, or to the second cell of a merged pair, are wrong.
    """
    rng = np.random.default_rng(seed)
    ndim = movie.detections.ndim
    offsets = np.searchsorted(movie.detections.frame, np.arange(len(movie.masks) + 1))
    masks, stands_for = [], []
    for t, mask in enumerate(movie.masks):
        known = movie.detections.rows(slice(offsets[t], offsets[t + 1]))
        worse, _ = renumbered(_spoil(mask, known, rng, shares), rng)
        seen = detect(Frame(t, None, worse), ndim)
        match = match_frame(MeasuredMask(worse, seen), MeasuredMask(mask, known), None)
        masks.append(worse)
        stands_for.append(np.where(match >= 0, match + offsets[t], -1))
    true_row = np.concatenate(stands_for)
    row_of = np.full(len(movie.detections) + 1, -1)  # the last entry is for -1
    row_of[true_row[true_row >= 0]] = np.flatnonzero(true_row >= 0)
    true_parent = np.append(with_nearest_ancestors(movie.parent, row_of[:-1] >= 0), -1)
    return true_movie(np.stack(masks), movie.images, row_of[true_parent[true_row]], movie.z_step)


def _spoil(mask: Mask, known: Detections, rng: np.random.Generator, shares: ErrorShares) -> Mask:
    """Return a mask with errors; no object has two of them."""
    result = mask.astype(np.int64)
    fate = rng.random(len(known))
    missing, merged, split = np.split(
        np.argsort(fate), np.searchsorted(np.sort(fate), np.cumsum(shares))
    )[:3]
    result[np.isin(result, known.label[missing])] = 0
    used = set(np.concatenate([missing, split]).tolist())
    diameter = known.features[:, 0]
    distance, neighbour = cKDTree(known.centroid).query(known.centroid, min(6, len(known)))
    for row in merged.tolist():
        for reach, other in zip(distance[row, 1:], neighbour[row, 1:].tolist(), strict=True):
            is_near = reach < NEAR * (diameter[row] + diameter[other]) / 2
            if is_near and not {row, other} & used:
                result[result == known.label[row]] = known.label[other]
                used |= {row, other}
    for number, row in enumerate(split.tolist(), int(known.label.max()) + 1):
        inside = np.nonzero(result == known.label[row])
        points = np.stack(inside, 1) - known.centroid[row]
        long_axis = np.linalg.eigh(points.T @ points)[1][:, -1]
        half = points @ long_axis > 0
        result[tuple(axis[half] for axis in inside)] = number
    return result
