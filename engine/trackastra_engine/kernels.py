"""Every Numba loop of the engine: arrays in, filled arrays out; slow twins are in the tests.

No fastmath, so that results match the twins. `nogil`, so that stages can overlap in threads.
"""

import heapq
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
    is_end = np.zeros(8 * (labels.shape[2] // 8 + 1), np.uint8)
    ends = np.empty(labels.shape[2], np.int64)
    n_objects = 0
    for z in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            end = 0
            for run in range(find_ends(labels[z, y], is_end, ends)):
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
                    total = 0.0
                    for i in range(start, end):
                        total += image[z, y, i]
                    intensity[row] += total
    return n_objects


@kernel
def find_ends(line, is_end, ends):
    """Fill `ends` with where runs of equal values in `line` (X,) end; returns their number.

    is_end: scratch for 8 k > X bytes, 0 behind X. Eight are looked at together, as nearly all
    pixels lie within a run; the comparisons before are vectorised.
    """
    for x in range(1, len(line)):
        is_end[x] = line[x] != line[x - 1]
    is_end[len(line)] = 1
    n_runs = 0
    for eight, together in enumerate(is_end.view(np.uint64)):
        if together != 0:
            for x in range(8 * eight, 8 * eight + 8):
                if is_end[x]:
                    ends[n_runs] = x
                    n_runs += 1
    return n_runs


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

    An edge fits if its target has no parent yet and its source fewer children than the edge's
    `max_children` (E,); n_children (N,) and has_parent (N,) start at zero and count what was
    accepted.
    """
    for edge in order:
        parent, child = source[edge], target[edge]
        if not has_parent[child] and n_children[parent] < max_children[edge]:
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


@kernel
def match_targets(first, source, target, gain, bonus, slot_edge):
    """Give targets their sources so that the gains have the largest sum.

    Edges (E,) are sorted by target, those of target j are first[j] to first[j + 1]; each source
    has S slots, and an edge in slot k gains bonus[k] (S,) on top. slot_edge (N * S,) starts at -1
    and gets the edge in each slot. By shortest augmenting paths, one target after another, as in
    Jonker and Volgenant (1987, doi 10.1007/BF02278710); what a search touches is undone, so its
    cost does not depend on the size of the movie.
    """
    n_slots = len(slot_edge)
    price, distance = np.zeros(n_slots), np.full(n_slots, np.inf)
    via, reached = np.empty(n_slots, np.int64), np.empty(n_slots, np.int64)
    is_settled = np.zeros(n_slots, np.bool_)
    target_slot = np.full(len(first) - 1, -1, np.int64)
    for row in range(len(first) - 1):
        end, is_dropped, length, n_reached = search_slot(
            row, first, source, target, gain, bonus, slot_edge,
            price, distance, via, reached, is_settled,
        )  # fmt: skip
        for slot in reached[:n_reached]:
            if is_settled[slot]:
                price[slot] += distance[slot] - length
                is_settled[slot] = False
            distance[slot] = np.inf
        if is_dropped and end >= 0:
            target_slot[target[slot_edge[end]]] = -1
        while end >= 0:
            slot_edge[end] = via[end]
            child = target[via[end]]
            end, target_slot[child] = target_slot[child], end


@kernel
def search_slot(
    row, first, source, target, gain, bonus, slot_edge, price, distance, via, reached, is_settled
):  # fmt: skip
    """Return the cheapest way to serve target `row`: (slot, is_dropped, length, n_reached).

    It ends in a free slot, or in one whose target is dropped; slot -1 drops `row` itself. Arrays
    as in match_targets, filled for the `n_reached` taken slots in `reached`.
    """
    end, is_dropped, length, n_reached = -1, True, np.inf, 0
    queue = [(0.0, -1)]
    while queue:
        at, slot = heapq.heappop(queue)
        if at >= length:
            break
        child, base = row, 0.0
        if slot >= 0:
            if is_settled[slot]:
                continue
            is_settled[slot] = True
            edge = slot_edge[slot]
            child = target[edge]
            base = at + gain[edge] + bonus[slot % len(bonus)] + price[slot]
        if base < length:
            end, is_dropped, length = slot, True, base
        for edge in range(first[child], first[child + 1]):
            for k in range(len(bonus)):
                other = source[edge] * len(bonus) + k
                new = base - gain[edge] - bonus[k] - price[other]
                if is_settled[other] or new >= min(length, distance[other]):
                    continue
                via[other] = edge
                if slot_edge[other] < 0:
                    end, is_dropped, length = other, False, new
                    continue
                if distance[other] == np.inf:
                    reached[n_reached] = other
                    n_reached += 1
                distance[other] = new
                heapq.heappush(queue, (new, other))
    return end, is_dropped, length, n_reached


@kernel
def squared_gap(boxes, i, others, j):
    """Return the squared distance between two boxes of (N, 2, D) lowest and highest corners."""
    total = 0.0
    for axis in range(boxes.shape[2]):
        gap = max(boxes[i, 0, axis] - others[j, 1, axis], others[j, 0, axis] - boxes[i, 1, axis])
        if gap > 0:
            total += gap * gap
    return total


@kernel
def find_keys(starts, queries, blocks, token_starts, tokens, token_blocks, reach, keys, n_keys):
    """Fill `keys` (B, K) with the tokens within `reach` of any query of each block.

    Queries and tokens are points, as boxes (N, 2, D), sorted by block; block b has the rows
    starts[b] to starts[b + 1] and the bounding box blocks[b]. n_keys (B,) counts also what K has
    no room for. Returns the largest count.
    """
    for block in range(len(n_keys)):
        n_found = 0
        for other in range(len(token_blocks)):
            if squared_gap(blocks, block, token_blocks, other) > reach**2:
                continue
            for token in range(token_starts[other], token_starts[other + 1]):
                if squared_gap(blocks, block, tokens, token) > reach**2:
                    continue
                for query in range(starts[block], starts[block + 1]):
                    if squared_gap(queries, query, tokens, token) <= reach**2:
                        if n_found < keys.shape[1]:
                            keys[block, n_found] = token
                        n_found += 1
                        break
        n_keys[block] = n_found
    return n_keys.max()


@kernel
def find_candidates(starts, queries, latest, tokens, frame, keys, n_keys, reach, candidates):
    """Fill `candidates` (B, G, W, S) with the columns of `keys` that hold possible sources.

    The sources of query w of block b at gap g are tokens of frame latest[row] - g within `reach`;
    the rest as in find_keys. Returns the largest number of sources, also if above S.
    """
    most = 0
    for block in range(len(n_keys)):
        for query in range(starts[block], starts[block + 1]):
            for gap in range(candidates.shape[1]):
                n_found = 0
                for column in range(n_keys[block]):
                    token = keys[block, column]
                    if (
                        frame[token] == latest[query] - gap
                        and squared_gap(queries, query, tokens, token) <= reach**2
                    ):
                        if n_found < candidates.shape[3]:
                            candidates[block, gap, query - starts[block], n_found] = column
                        n_found += 1
                most = max(most, n_found)
    return most
