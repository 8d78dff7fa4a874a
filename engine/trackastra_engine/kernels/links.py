"""Loops over edges: they choose candidates and links, and number tracklets."""

import heapq

import numpy as np

from trackastra_engine.kernels import kernel


@kernel
def measure_edges(source, target, place, length):
    """Fill `length` (E,) with the distances between the ends of edges, at `place` (N, D)."""
    for edge in range(len(source)):
        length[edge] = distance(place[source[edge]], place[target[edge]])


@kernel
def distance(one, other):
    """Return the distance between two positions (D,)."""
    squared = 0.0
    for axis in range(len(one)):
        squared += (other[axis] - one[axis]) ** 2
    return np.sqrt(squared)


@kernel
def keep_shortest(source, target, frame, place, limit, most, kept):
    """Fill `kept` (E,) with the at most `most` shortest edges of each source to each frame.

    Edges (E,) are sorted by source, then by the `frame` (N,) of the target. The result has the same
    order, then the shortest first, equal ones in input order. The length is the distance between
    the ends at `place` (N, D); edges longer than `limit` are left out. Returns the number of edges
    in `kept`, or -1 if they are not sorted.
    """
    lengths = np.empty(most)  # of the chosen edges from the source to the frame
    n_kept, first = 0, 0
    last_source, last_frame = -1, -1
    for edge in range(len(source)):
        if source[edge] != last_source or frame[target[edge]] != last_frame:
            is_same = source[edge] == last_source
            if source[edge] < last_source or (is_same and frame[target[edge]] < last_frame):
                return -1
            first, last_source, last_frame = n_kept, source[edge], frame[target[edge]]
        length = distance(place[source[edge]], place[target[edge]])
        n_nearer = min(n_kept - first, most - 1)
        if length > limit or (n_nearer < n_kept - first and length >= lengths[n_nearer]):
            continue
        n_kept = first + n_nearer + 1
        while n_nearer > 0 and lengths[n_nearer - 1] > length:
            lengths[n_nearer] = lengths[n_nearer - 1]
            kept[first + n_nearer] = kept[first + n_nearer - 1]
            n_nearer -= 1
        lengths[n_nearer] = length
        kept[first + n_nearer] = edge
    return n_kept


@kernel
def sum_returns(source, target, frame, score, least, n_children, comes_back, n_returned):
    """Add up the scores (E,) of edges between N detections at `frame` (N,).

    All sums (N,) start at zero. n_children: of the children in the next frame. comes_back: of the
    edges over gaps to a detection, each times the probability that its source has no child.
    n_returned: of comes_back, at most 1, of the children with a score above `least`.
    """
    for edge in range(len(source)):
        if frame[target[edge]] - frame[source[edge]] == 1:
            n_children[source[edge]] += score[edge]
    for edge in range(len(source)):
        if frame[target[edge]] - frame[source[edge]] > 1:
            ended = max(0.0, 1 - n_children[source[edge]])
            comes_back[target[edge]] += score[edge] * ended
    for edge in range(len(source)):
        if frame[target[edge]] - frame[source[edge]] == 1 and score[edge] > least:
            n_returned[source[edge]] += min(comes_back[target[edge]], 1.0)


@kernel
def accept_greedily(tried, source, target, n_children, has_parent, max_children, accepted):
    """Mark in `accepted` (K,) which edges fit; `tried` (K,) are their rows, in the order of trial.

    An edge fits if its target has no parent yet and its source has fewer children than the edge's
    `max_children` (K,). n_children (N,) starts with the numbers of given children, has_parent (N,)
    with False; both count accepted edges.
    """
    for place in range(len(tried)):
        parent, child = source[tried[place]], target[tried[place]]
        if not has_parent[child] and n_children[parent] < max_children[place]:
            has_parent[child] = True
            n_children[parent] += 1
            accepted[place] = True


@kernel
def number_tracklets(parent, continues, tracklet_id):
    """Fill `tracklet_id` (N,) from 1 in the order of the rows, parents before children.

    A detection that `continues` (N,) its `parent` (N,) gets the parent's number; every other one
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
    """Match targets with sources so that the sum of gains is largest.

    Edges (E,) are sorted by target, those of target j are first[j] to first[j + 1]; each source
    has S slots, and an edge in slot k gains bonus[k] (S,) on top. slot_edge (N * S,) starts at -1
    and gets the edge in each slot. By shortest augmenting paths, one target after another, as in
    Jonker and Volgenant (1987, doi 10.1007/BF02278710); each search resets only what it changed,
    so its cost does not depend on the size of the movie.
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
    """Return the cheapest path for target `row`: (slot, is_dropped, length, n_reached).

    It ends in a free slot, or in one whose target is dropped; slot -1 drops `row` itself. Arrays
    as in match_targets, filled for the `n_reached` used slots in `reached`.
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
