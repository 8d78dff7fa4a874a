"""Outlines of the objects of a frame, exact to the pixel and two bits for each side of a pixel."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.detections import IntArray
from trackastra_engine.kernels import kernel

STEPS_PER_BYTE = 4
STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))  # x and y of a step: right, down, left, up


@dataclass(frozen=True, slots=True, eq=False)
class Outlines:
    """L closed ways along the sides of pixels, the object to their right."""

    owner: IntArray  # (L,) the object's number; one in pieces or with holes has several ways
    corner: IntArray  # (L, 2) x and y where a way begins
    length: IntArray  # (L,) steps
    steps: IntArray  # (sum of length,) rows of STEPS


def outlines(objects: IntArray) -> Outlines:
    """Return the outlines of objects (Y, X), 0 for the background; corners do not connect."""
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


@kernel
def trace_outlines(
    objects: IntArray,
    is_seen: NDArray[np.bool_],
    directions: IntArray,
    ways: IntArray,
    steps: IntArray,
) -> int:
    """Walk around the objects of (Y, X), whose margin is background; returns the number of ways.

    Fills `ways` (L, 4) with object, x, y and length, and `steps` (sides of pixels,); marks pixels
    whose upper side was walked along in `is_seen` (Y, X). Every way has such a side.
    """
    n_ways = n_steps = 0
    for row in range(1, objects.shape[0]):
        for column in range(1, objects.shape[1]):
            own = objects[row, column]
            if own == 0 or is_seen[row, column] or objects[row - 1, column] == own:
                continue
            x, y, step, first = column, row, 0, n_steps
            while n_steps == first or x != column or y != row or step != 0:
                if step == 0:
                    is_seen[y, x] = True
                steps[n_steps] = step
                n_steps += 1
                x += directions[step, 0]
                y += directions[step, 1]
                # The pixels ahead: to the right of the way, and to the left.
                right_y, right_x = y - (step > 1), x - (step == 1 or step == 2)
                left_y, left_x = y - (step == 0 or step == 3), x - (step > 1)
                if objects[right_y, right_x] != own:
                    step = (step + 1) % 4
                elif objects[left_y, left_x] == own:
                    step = (step + 3) % 4
            ways[n_ways, 0] = own
            ways[n_ways, 1] = column
            ways[n_ways, 2] = row
            ways[n_ways, 3] = n_steps - first
            n_ways += 1
    return n_ways
