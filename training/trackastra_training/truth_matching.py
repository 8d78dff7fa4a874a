"""Matches the detections of a frame with the objects of the truth: the paper's eq. (1)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from trackastra_engine.detection.detections import Detections, FloatArray, IntArray
from trackastra_engine.linking.bipartite import best_matching

MIN_MATCH = 0.5  # of eq. (1)


@dataclass(frozen=True, slots=True, eq=False)
class MeasuredMask:
    """The mask of one frame and its detections, sorted by label."""

    labels: NDArray[np.integer[Any]]  # ([Z,] Y, X)
    detections: Detections


def match_frame(seen: MeasuredMask, truth: MeasuredMask, max_distance: float | None) -> IntArray:
    """Return (N,), the index of the true object that each of the N detections matches; -1: none.

    Pairs with max(IoU, 1 - distance / max_distance) > 0.5 may match, each object once; the matches
    have the largest sum of these values. max_distance: δ_max in pixels; None: the median diameter
    of the detections or of the true objects, whichever is larger (truths are often drawn as small
    markers), so that centroids within half a diameter match.
    """
    result = np.full(len(seen.detections), -1)
    if not len(seen.detections) or not len(truth.detections):
        return result
    if max_distance is None:
        diameters = [np.median(mask.detections.features[:, 0]) for mask in (seen, truth)]
        max_distance = float(max(diameters))
    row, column, overlap = _overlaps(seen, truth)
    near_row, near_column = _near(seen.detections, truth.detections, max_distance * (1 - MIN_MATCH))
    # Overlapping pairs are first, so that the first of two equal pairs has the overlap.
    n_true = len(truth.detections)
    pairs, first = np.unique(
        np.concatenate([row, near_row]) * n_true + np.concatenate([column, near_column]),
        return_index=True,
    )
    row, column = np.divmod(pairs, n_true)
    overlap = np.append(overlap, np.zeros(len(near_row)))[first]
    step = seen.detections.centroid[row] - truth.detections.centroid[column]
    match = np.maximum(overlap, 1 - np.linalg.norm(step, axis=1) / max_distance)
    is_match = match > MIN_MATCH
    row, column, match = row[is_match], column[is_match], match[is_match]
    chosen = best_matching(row, column, match, slots=(0.0,))
    result[row[chosen]] = column[chosen]
    return result


def _overlaps(seen: MeasuredMask, truth: MeasuredMask) -> tuple[IntArray, IntArray, FloatArray]:
    """Return the pairs of objects that share pixels, and their intersection over union."""
    sizes = [
        np.bincount(np.searchsorted(mask.detections.label, mask.labels[mask.labels > 0]))
        for mask in (seen, truth)
    ]
    is_both = (seen.labels > 0) & (truth.labels > 0)
    row = np.searchsorted(seen.detections.label, seen.labels[is_both])
    column = np.searchsorted(truth.detections.label, truth.labels[is_both])
    pairs, shared = np.unique(row * len(truth.detections) + column, return_counts=True)
    row, column = np.divmod(pairs, len(truth.detections))
    return row, column, shared / (sizes[0][row] + sizes[1][column] - shared)


def _near(seen: Detections, truth: Detections, radius: float) -> tuple[IntArray, IntArray]:
    """Return the pairs of objects whose centroids are within a radius, in pixels."""
    neighbours = cKDTree(truth.centroid).query_ball_point(seen.centroid, radius)
    row = np.repeat(np.arange(len(seen)), [len(found) for found in neighbours])
    return row, np.fromiter((column for found in neighbours for column in found), np.int64)
