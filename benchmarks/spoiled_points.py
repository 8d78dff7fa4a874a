"""Points with errors of a worse detection: missing, merged and split."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from benchmarks.spoiled_masks import ERRORS, NEAR, ErrorShares
from benchmarks.true_movies import TrueMovie, with_nearest_ancestors
from trackastra_engine.detection.detections import Detections, split_frames
from trackastra_engine.detection.points import detections_of_points

HALF = {2: 2 / (3 * np.pi), 3: 3 / 16}  # center of a ball to that of its half, in diameters


def spoiled_points(movie: TrueMovie, seed: int, shares: ErrorShares = ERRORS) -> TrueMovie:
    """Return the movie with errors, and the remaining truth.

    A merged pair matches the larger of its points, one half of a split point matches it, and the
    other half matches none. Parents are as those of `spoiled`.
    """
    rng = np.random.default_rng(seed)
    frames = split_frames(movie.detections, movie.n_frames)
    first_rows = np.cumsum([0, *map(len, frames)])
    places, true_rows, index = [], [], []
    for t, (frame, first_row) in enumerate(zip(frames, first_rows, strict=False)):
        balls, stands_for = _spoil(frame, rng, shares)
        order = rng.permutation(len(balls))  # of the labels
        places.append(balls[order])
        true_rows.append(np.where(stands_for >= 0, stands_for + first_row, -1)[order])
        index.append(np.full(len(balls), t))
    balls, true_row = np.concatenate(places), np.concatenate(true_rows)
    points = detections_of_points(np.concatenate(index), balls[:, :-1], diameter=balls[:, -1])
    row_of = np.full(len(movie.detections) + 1, -1)  # the last entry is for -1
    row_of[true_row[true_row >= 0]] = np.flatnonzero(true_row >= 0)
    true_parent = np.append(with_nearest_ancestors(movie.parent, row_of[:-1] >= 0), -1)
    parent = row_of[true_parent[true_row]]
    return TrueMovie(None, None, points, parent, movie.z_step)


def _spoil(
    frame: Detections, rng: np.random.Generator, shares: ErrorShares
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return M points of a frame, (M, D + 1) with their diameters, and the points that they match.

    The latter are (M,) rows of the frame, or -1. No point has two errors.
    """
    ndim = frame.ndim
    balls = np.column_stack([frame.centroid, frame.features[:, 0]])
    fate = np.digitize(rng.random(len(frame)), np.cumsum(shares))
    is_left, is_free = fate > 0, (fate != 0) & (fate != 2)
    distance, neighbour = cKDTree(frame.centroid).query(frame.centroid, k=min(2, len(frame)))
    for row in np.flatnonzero(fate == 1).tolist() if len(frame) > 1 else []:
        other = int(neighbour[row, 1])
        is_near = distance[row, 1] < NEAR * (balls[row, -1] + balls[other, -1]) / 2
        if is_near and is_free[row] and is_free[other]:
            is_free[[row, other]] = False
            small, large = sorted((row, other), key=lambda one: balls[one, -1])
            is_left[small] = False
            volume = balls[[small, large], -1] ** ndim
            balls[large, :-1] = np.average(balls[[small, large], :-1], axis=0, weights=volume)
            balls[large, -1] = volume.sum() ** (1 / ndim)
    split = np.flatnonzero(fate == 2)
    axis = rng.normal(size=(len(split), ndim))
    axis *= HALF[ndim] * balls[split, -1:] / np.linalg.norm(axis, axis=1, keepdims=True)
    balls[split, -1] *= 0.5 ** (1 / ndim)
    second = balls[split]
    balls[split, :-1] += axis
    second[:, :-1] -= axis
    left = np.flatnonzero(is_left)
    return np.concatenate([balls[left], second]), np.append(left, np.full(len(split), -1))
