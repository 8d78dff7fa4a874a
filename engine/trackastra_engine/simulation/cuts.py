"""The two parts of a cell that a segmentation splits."""

from dataclasses import dataclass

import numpy as np

from trackastra_engine.detection.detections import FloatArray

CUT_SPREAD = 0.15  # standard deviation of a cut's distance from the middle, in half axes


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """One part of each of K ellipses that are cut across an axis."""

    volume: FloatArray  # (K,) as a share of the whole
    shift: FloatArray  # (K,) of the centroid along the axis, in standard deviations of the whole
    variance: FloatArray  # (K,) along the axis, as a share of the whole's


def random_cuts(count: int, rng: np.random.Generator) -> FloatArray:
    """Return random places (K,) for `cut`."""
    return np.minimum(np.abs(rng.normal(size=count)) * CUT_SPREAD, 0.9)


def cut(place: FloatArray) -> tuple[Parts, Parts]:
    """Return the larger and the smaller parts of ellipses; the larger parts represent the cells.

    This follows the paper's eq. (1): the larger part has the larger overlap and the nearer
    centroid. place: (K,) from 0 to 1, distance of the cut from the middle, in half axes.
    """
    angle, lever = np.arccos(place), place * np.sqrt(1 - place**2)
    small = (angle - lever) / np.pi
    moment = 4 / (3 * np.pi) * (1 - place**2) ** 1.5
    square = (angle + lever * (1 - 2 * place**2)) / np.pi
    larger, smaller = (
        Parts(volume, first / volume, second / volume - (first / volume) ** 2)
        for volume, first, second in ((1 - small, -moment, 1 - square), (small, moment, square))
    )
    return larger, smaller
