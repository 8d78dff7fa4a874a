"""Outlines of the objects of a frame, exact to the pixel, with two bits per side of a pixel."""

from dataclasses import dataclass

import numpy as np

from trackastra_engine.detection.detections import IntArray
from trackastra_engine.kernels.outlines import trace_outlines

STEPS_PER_BYTE = 4
STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))  # x and y of a step: right, down, left, up


@dataclass(frozen=True, slots=True, eq=False)
class Outlines:
    """L closed paths along the sides of pixels, with the object to their right."""

    owner: IntArray  # (L,) the object's number; an object in pieces or with holes has several paths
    corner: IntArray  # (L, 2) x and y where a path begins
    length: IntArray  # (L,) steps
    steps: IntArray  # (sum of length,) rows of STEPS


def outlines(objects: IntArray) -> Outlines:
    """Return the outlines of objects (Y, X), 0 is background; corners do not connect."""
    padded = np.pad(objects, 1)
    inside = padded != 0
    n_sides = sum(
        int(np.count_nonzero(inside & (padded != np.roll(padded, shift, axis))))
        for axis in (0, 1)
        for shift in (1, -1)
    )
    ways = np.empty((n_sides // 4 + 1, 4), np.int64)
    steps = np.empty(n_sides, np.uint8)
    n_ways = trace_outlines(padded, np.zeros(padded.shape, np.bool_), np.array(STEPS), ways, steps)
    ways = ways[:n_ways]
    return Outlines(ways[:, 0], ways[:, 1:3] - 1, ways[:, 3], steps)


def pack_steps(steps: IntArray) -> IntArray:
    """Return the steps as bytes, the first in the lowest two bits."""
    filled = np.zeros(-(-len(steps) // STEPS_PER_BYTE) * STEPS_PER_BYTE, np.uint8)
    filled[: len(steps)] = steps
    quads = filled.reshape(-1, STEPS_PER_BYTE)
    packed: IntArray = quads[:, 0] | quads[:, 1] << 2 | quads[:, 2] << 4 | quads[:, 3] << 6
    return packed
