"""Every Numba loop of the engine: arrays in, filled arrays out; slow twins are in the tests.

No fastmath, so that results match the twins. `nogil`, so that stages can overlap in threads.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a loop once for each combination of types, and keep it on disk."""
    compiled: Callable[..., Any] = numba.njit(cache=True, nogil=True)(function)
    return compiled


HASH_MULTIPLIER = 0x4F1BBCDCBFA53E0B  # 2^63 / golden ratio, made odd: Fibonacci hashing

# Columns of `sums` in measure_runs, all relative to the object's first pixel.
N_SUMS = 10  # count, z, y, x, zz, yy, xx, zy, zx, yx


@kernel
def find_slot(label, keys, slots):
    """Return the position of `label` in the open hash table `keys`, or where it would stand."""
    mask = keys.shape[0] - 1
    position = ((label * HASH_MULTIPLIER) >> 20) & mask
    while slots[position] >= 0 and keys[position] != label:
        position = (position + 1) & mask
    return position


@kernel
def measure_runs(labels, image, has_image, keys, slots, found, first, sums, intensity, box):
    """Measure the objects of `labels` (Z, Y, X) from their runs of equal pixels along x.

    keys, slots: (2^k,) hash table from label to object, slots -1 where free, at least twice as
    long as the arrays by object, which have room for C objects: found (C,) labels, first (C, 3)
    first pixel, sums (C, N_SUMS) exact integer moments, intensity (C,) summed over pixels,
    box (C, 4) first and last y and x. Returns the number of objects, or -1 if there are
    more than C.
    """
    n_objects = 0
    for z in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            x = 0
            while x < labels.shape[2]:
                label = np.int64(labels[z, y, x])
                start = x
                x += 1
                while x < labels.shape[2] and labels[z, y, x] == label:
                    x += 1
                if label == 0:
                    continue
                position = find_slot(label, keys, slots)
                row = slots[position]
                if row < 0:
                    if n_objects == found.shape[0]:
                        return -1
                    row = n_objects
                    n_objects += 1
                    keys[position] = label
                    slots[position] = row
                    found[row] = label
                    first[row, 0], first[row, 1], first[row, 2] = z, y, start
                    box[row, 0], box[row, 1], box[row, 2], box[row, 3] = y, y, start, x - 1
                add_run(
                    sums[row],
                    z - first[row, 0],
                    y - first[row, 1],
                    start - first[row, 2],
                    x - start,
                )
                box[row, 0] = min(box[row, 0], y)
                box[row, 1] = max(box[row, 1], y)
                box[row, 2] = min(box[row, 2], start)
                box[row, 3] = max(box[row, 3], x - 1)
                if has_image:
                    total = 0.0
                    for i in range(start, x):
                        total += image[z, y, i]
                    intensity[row] += total
    return n_objects


@kernel
def add_run(sums, z, y, x, length):
    """Add the moments of the pixels (z, y, x) to (z, y, x + length - 1) to `sums` (N_SUMS,)."""
    last = length - 1
    sum_x = length * x + length * last // 2
    sums[0] += length
    sums[1] += length * z
    sums[2] += length * y
    sums[3] += sum_x
    sums[4] += length * z * z
    sums[5] += length * y * y
    sums[6] += length * x * x + x * length * last + last * length * (2 * last + 1) // 6
    sums[7] += length * z * y
    sums[8] += z * sum_x
    sums[9] += y * sum_x


@kernel
def accept_greedily(order, source, target, n_children, has_parent, max_children, accepted):
    """Mark in `accepted` (E,) the edges that fit when taken in `order` (E,).

    An edge fits if its target has no parent yet and its source fewer than `max_children`
    children; n_children (N,) and has_parent (N,) start at zero and count what was accepted.
    """
    for edge in order:
        parent, child = source[edge], target[edge]
        if not has_parent[child] and n_children[parent] < max_children:
            has_parent[child] = True
            n_children[parent] += 1
            accepted[edge] = True


@kernel
def number_tracklets(parent, continues, tracklet_id):
    """Fill `tracklet_id` (N,) from 1 in the order of the rows, parents before children.

    A detection that `continues` (N,) its `parent` (N,) takes the parent's number; every other one
    starts a tracklet. Returns the number of tracklets.
    """
    n_tracklets = 0
    for row in range(len(parent)):
        if continues[row]:
            tracklet_id[row] = tracklet_id[parent[row]]
        else:
            n_tracklets += 1
            tracklet_id[row] = n_tracklets
    return n_tracklets
