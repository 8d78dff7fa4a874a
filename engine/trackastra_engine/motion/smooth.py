"""Extend the known moves of some cells to all cells of a frame, smoothly in space."""

from collections.abc import Callable

import numpy as np

from trackastra_engine.detection.detections import FloatArray
from trackastra_engine.motion.counterparts import Counterparts

NEIGHBOURS = 15  # nearest counterparts of a cell, whose median move is used


def smooth_move(place: FloatArray, spacing: float, found: Counterparts) -> FloatArray:
    """Return the moves (N, D) at places (N, D), from the counterparts of some cells."""
    from scipy.spatial import cKDTree

    predict = linear_motion(found, spacing)
    move = predict(place)
    if len(found.place) >= NEIGHBOURS:
        rest = found.move - predict(found.place)
        nearest = cKDTree(found.place).query(place, k=NEIGHBOURS)[1]
        middle = NEIGHBOURS // 2  # several times faster than np.median
        move += np.partition(rest[nearest], middle, axis=1)[:, middle]
    return move


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
    rest = found.move - np.median(found.move, axis=0)
    coefficients = np.zeros((known.shape[1], found.move.shape[1]))
    for _ in range(6):
        length = np.sqrt((rest**2).sum(axis=1))
        scale = max(1.5 * float(np.median(length)), 0.05 * spacing)
        weight = found.likeness**0.25 / (1 + (length / scale) ** 2) ** 2
        weighted = known * weight[:, None]
        coefficients = np.linalg.solve(weighted.T @ known + prior, weighted.T @ found.move)
        rest = found.move - known @ coefficients

    def predict(place: FloatArray) -> FloatArray:
        return np.asarray(terms(place) @ coefficients)

    return predict
