"""Loops over blocks of tokens: those that see each other, and those that may be linked."""

import numpy as np

from trackastra_engine.kernels import kernel


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
def squared_distance(points, i, others, j):
    """Return the squared distance between two points of boxes (N, 2, D), by their first corners."""
    total = 0.0
    for axis in range(points.shape[2]):
        gap = points[i, 0, axis] - others[j, 0, axis]
        total += gap * gap
    return total


@kernel
def find_keys(starts, queries, blocks, token_starts, tokens, token_blocks, reach, keys, n_keys):
    """Fill `keys` (B, K) with the tokens within `reach` of any query of each block.

    Queries and tokens are points, as boxes (N, 2, D), sorted by block; block b has the rows
    starts[b] to starts[b + 1] and the bounding box blocks[b]. n_keys (B,) also counts keys
    beyond K. Returns the largest count.
    """
    most = 0
    for block in range(len(n_keys)):
        n_found = 0
        for other in range(len(token_blocks)):
            if squared_gap(blocks, block, token_blocks, other) > reach**2:
                continue
            for token in range(token_starts[other], token_starts[other + 1]):
                if squared_gap(blocks, block, tokens, token) > reach**2:
                    continue
                for query in range(starts[block], starts[block + 1]):
                    if squared_distance(queries, query, tokens, token) <= reach**2:
                        if n_found < keys.shape[1]:
                            keys[block, n_found] = token
                        n_found += 1
                        break
        n_keys[block] = n_found
        most = max(most, n_found)
    return most


@kernel
def kth_smallest(values, n_values, k):
    """Return the k-th smallest of the first `n_values` values; np.partition compiles for 10 s."""
    smallest = np.full(k, np.inf)
    for place in range(n_values):
        value, row = values[place], k - 1
        if value >= smallest[row]:
            continue
        while row > 0 and smallest[row - 1] > value:
            smallest[row] = smallest[row - 1]
            row -= 1
        smallest[row] = value
    return smallest[k - 1]


@kernel
def find_candidates(
    starts, queries, latest, tokens, frame, keys, n_keys, reach, most_sources, candidates
):  # fmt: skip
    """Fill `candidates` (B, G, W, S) with the columns of `keys` that are possible sources.

    The sources of query w of block b at gap g are the `most_sources` nearest tokens of frame
    latest[row] - g within `reach`, and those as near as the last of them; the rest as in find_keys.
    Returns the largest number of sources, even if it exceeds S.
    """
    most = 0
    columns, lengths = np.empty(keys.shape[1], np.int32), np.empty(keys.shape[1])
    for block in range(len(n_keys)):
        for query in range(starts[block], starts[block + 1]):
            for gap in range(candidates.shape[1]):
                n_found = 0
                for column in range(n_keys[block]):
                    token = keys[block, column]
                    if frame[token] != latest[query] - gap:
                        continue
                    length = squared_distance(queries, query, tokens, token)
                    if length <= reach**2:
                        columns[n_found], lengths[n_found] = column, length
                        n_found += 1
                limit = np.inf
                if n_found > most_sources:
                    limit = kth_smallest(lengths, n_found, most_sources)
                n_kept = 0
                for place in range(n_found):
                    if lengths[place] <= limit:
                        if n_kept < candidates.shape[3]:
                            candidates[block, gap, query - starts[block], n_kept] = columns[place]
                        n_kept += 1
                most = max(most, n_kept)
    return most
