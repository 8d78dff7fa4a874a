"""Loops over the pixels of a frame."""

import numpy as np

from trackastra_engine.kernels import kernel

HASH_MULTIPLIER = 0x4F1BBCDCBFA53E0B  # 2^63 / golden ratio, made odd: Fibonacci hashing

# Shifted left by 8 k bits, the highest byte of the numbers is k (on little-endian processors).
ONE, BYTE_NUMBERS, LAST_BYTE = np.uint64(1), np.uint64(0x0001020304050607), np.uint64(56)
EIGHT = np.uint64(8)

# Columns of `sums` in measure_runs, all relative to the object's first pixel.
N_SUMS = 10  # count, z, y, x, zz, yy, xx, zy, zx, yx


@kernel
def find_slot(label, keys, slots):
    """Return the position of `label` in the open hash table `keys`, or the free one for it."""
    mask = keys.shape[0] - 1
    position = ((label * HASH_MULTIPLIER) >> 20) & mask
    while slots[position] >= 0 and keys[position] != label:
        position = (position + 1) & mask
    return position


@kernel
def measure_runs(labels, image, has_image, keys, slots, found, first, sums, intensity, box):
    """Measure the objects of `labels` (Z, Y, X) from their runs of equal pixels along x.

    keys, slots: (2^k,) hash table from label to object, slots -1 where free, at least twice as
    long as the arrays by object, which have C rows: found (C,) labels, first (C, 3) first pixel,
    sums (C, N_SUMS) exact integer moments, intensity (C,) summed over pixels, of integers if the
    pixels are (which is faster), box (C, 4) first and last y and x. Returns the
    number of objects, or -1 if there are more than C.
    """
    is_end = np.zeros(8 * (labels.shape[2] // 8 + 1), np.uint8)
    ends, eights = np.empty((2, labels.shape[2]), np.int64)
    seen = np.zeros(1, intensity.dtype)
    n_objects = 0
    if labels.size == 0:
        return n_objects
    for z in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            end, n_runs = 0, find_ends(labels[z, y], is_end, eights, ends)
            line = image[z, y]
            if has_image and n_runs > 1:
                seen[0] = fetch(line)
            for run in range(n_runs):
                start, end = end, ends[run]
                label = np.int64(labels[z, y, start])
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
                    box[row, 0], box[row, 1], box[row, 2], box[row, 3] = y, y, start, end - 1
                add_run(
                    sums[row],
                    z - first[row, 0],
                    y - first[row, 1],
                    start - first[row, 2],
                    end - start,
                )
                box[row, 0] = min(box[row, 0], y)
                box[row, 1] = max(box[row, 1], y)
                box[row, 2] = min(box[row, 2], start)
                box[row, 3] = max(box[row, 3], end - 1)
                if has_image:
                    zero = intensity.dtype.type(0)
                    intensity[row] += sum_pixels(line, np.uint64(start), np.uint64(end), zero)
    return n_objects


@kernel
def find_ends(line, is_end, eights, ends):
    """Fill `ends` with the ends of runs of equal values in `line` (X,); returns their number.

    is_end: scratch for 8 k > X bytes, 0 behind X; eights: (X,) scratch. Nearly all pixels are
    inside a run, so eight are tested together, and then only the set ones. The comparisons are
    vectorised, and no branch depends on the ends of runs, which processors would mispredict.
    """
    for x in range(1, len(line)):
        is_end[x] = line[x] != line[x - 1]
    is_end[len(line)] = 1
    together = is_end.view(np.uint64)
    n_eights = 0
    for eight in range(len(together)):
        eights[n_eights] = eight
        n_eights += together[eight] != 0
    n_runs = 0
    for eight in eights[:n_eights]:
        left = together[eight]
        while left != 0:
            lowest = left & (~left + ONE)  # its one bit is at 8 times its byte's number
            ends[n_runs] = 8 * eight + np.int64((lowest * BYTE_NUMBERS) >> LAST_BYTE)
            n_runs += 1
            left ^= lowest
    return n_runs


@kernel
def fetch(line):
    """Return the sum of one pixel of `line` (X,) per 64 bytes, so that all are in the cache.

    Without this, pixels of objects are fetched from memory one by one, in twice the time.
    """
    total = 0 * line[0]
    for x in range(0, len(line), 64 // line.itemsize):
        total += line[x]
    return total


@kernel
def sum_pixels(line, start, end, zero):
    """Return the sum of the pixels `start` to `end` - 1 of `line` (X,), in the type of `zero`.

    Eight at a time; pixels from `end` on count as 0: processors would mispredict how many are left.
    start, end: uint64, for which Numba omits the test for negative indices.
    """
    total = zero
    if end + EIGHT > len(line):
        for x in range(start, end):
            total += line[x]
        return total
    while start < end:
        left = end - start
        for i in range(EIGHT):
            total += line[start + i] if i < left else zero
        start += EIGHT
    return total


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
def count_values(values, counts):
    """Add to `counts`, by value, the number of each of `values` (N,); none is negative."""
    for value in values:
        counts[np.int64(value)] += 1


@kernel
def look_up(labels, table, ids):
    """Fill `ids` (P,) with the entries of `table` at `labels` (P,); entry 0 is 0.

    Returns the number of labels other than 0 with the entry 0.
    """
    n_without = 0
    for pixel in range(len(labels)):
        label = np.uint64(labels[pixel])
        ids[pixel] = table[label]
        n_without += (label != 0) & (ids[pixel] == 0)
    return n_without
