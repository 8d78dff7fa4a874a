"""Extend the known moves of some cells to all cells of a frame, smoothly in space."""

from collections.abc import Callable

import numpy as np

from trackastra_engine.detection.detections import FloatArray
from trackastra_engine.motion.counterparts import Counterparts

NEIGHBOURS = 15  # nearest counterparts of a cell, whose median move is used


def smooth_move(place: FloatArray, spacing: float, found: Counterparts) -> FloatArray:
    """Return the moves (N, D) at places (N, D), from the counterparts of some cells."""
    predict = linear_motion(found, spacing)
    move = predict(place)
    if len(found.place) >= NEIGHBOURS:
        move += _move_nearby(place, found.place, found.move - predict(found.place))
    return move


def quick_move(place: FloatArray, spacing: float, found: Counterparts) -> FloatArray:
    """Return about the same moves (N, D) as `smooth_move`, in two thirds of the time."""
    if len(found.place) < NEIGHBOURS:
        return smooth_move(place, spacing, found)
    return _move_nearby(place, found.place, found.move)


def _move_nearby(place: FloatArray, known: FloatArray, move: FloatArray) -> FloatArray:
    """Return the median (N, D) along each axis of the moves (K, D) of the nearest known places."""
    from scipy.spatial import cKDTree

    nearest = cKDTree(known).query(place, k=NEIGHBOURS)[1]
    middle = NEIGHBOURS // 2  # several times faster than np.median
    return np.column_stack(
        [np.partition(along[nearest], middle, axis=1)[:, middle] for along in move.T]
    )


def linear_motion(found: Counterparts, spacing: float) -> Callable[[FloatArray], FloatArray]:
    """Return shift, turn, stretch and shear of the field, as moves (P, D) at places (P, D).

    Least squares with weights after Geman and McClure, so that outliers do not count.
    """
    middle = found.place.mean(axis=0)

    def terms(place: FloatArray) -> FloatArray:
        return np.column_stack([np.ones(len(place)), (place - middle) / spacing])

    known = terms(found.place)
    # Few cells determine little except their shift: as if two cells a spacing apart did not move.
    prior = np.diag([0.0] + [2.0] * (known.shape[1] - 1))
    prior[0, 0] = 1e-9
    rest = found.move - _median(found.move)
    coefficients = np.zeros((known.shape[1], found.move.shape[1]))
    likely = found.likeness**0.25
    for _ in range(6):
        squared = np.einsum("kd,kd->k", rest, rest)
        scale = max(1.5 * float(np.sqrt(_median(squared))), 0.05 * spacing)
        weighted = known * (likely / (1 + squared / scale**2) ** 2)[:, None]
        coefficients = np.linalg.solve(weighted.T @ known + prior, weighted.T @ found.move)
        rest = found.move - known @ coefficients

    def predict(place: FloatArray) -> FloatArray:
        return np.asarray(terms(place) @ coefficients)

    return predict


def _median(values: FloatArray) -> FloatArray:
    """Return the median along the first axis, several times faster than np.median."""
    low, high = (len(values) - 1) // 2, len(values) // 2
    ranked = np.partition(values, [low, high], axis=0)
    return np.asarray((ranked[low] + ranked[high]) / 2)
