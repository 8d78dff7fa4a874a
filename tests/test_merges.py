"""A cell that is merged with another for a frame keeps its track, with every linker."""

import numpy as np
import pytest

from trackastra_engine.association.edge_stream import FrameEdges
from trackastra_engine.detection.detections import Detections
from trackastra_engine.linking import linker
from trackastra_engine.linking.candidates import CandidateGraph
from trackastra_engine.linking.merges import (
    MIN_CHILD_SCORE,
    MIN_MERGED,
    MIN_SECOND_CHILD,
    PRIOR_DIVISIONS,
    USUAL_SHARE,
    discount_merges,
    with_share_of_movie,
)
from trackastra_engine.linking.stream import LinkStream
from trackastra_engine.model.edges import Edges

MODES = ("greedy", "ilp", "lap")


def graph(frames, edges):
    frames = np.array(frames, np.int32)
    n, table = len(frames), np.array(sorted(edges))
    found = Detections(frames, np.arange(1, n + 1), np.zeros((n, 2)), np.ones((n, 7)))
    score = np.array([edges[pair] for pair in map(tuple, table.tolist())])
    return CandidateGraph(found, Edges(table[:, 0], table[:, 1], score))


def links(mode, given, max_gap=2):
    stream = LinkStream(linker(mode, max_gap=max_gap, probabilities=True), None, None, 2)
    stop = int(given.detections.frame[-1]) + 1
    keep = np.flatnonzero(given.n_missed < max_gap)
    edges = given.edges.rows(keep)
    stream.push([FrameEdges(0, stop, 0, given.detections, edges)])
    edges = stream.finish(given.detections).edges
    return set(zip(edges.source.tolist(), edges.target.tolist(), strict=True))


MERGED = graph(
    [0, 0, 1, 2, 2],
    # a, b -> one object -> a, b; the second cell is also known from before
    {(0, 2): 0.9, (1, 2): 0.08, (2, 3): 0.95, (2, 4): 0.8, (0, 3): 0.95, (1, 4): 0.95},
)
DIVIDED = graph(
    [0, 0, 1, 1, 2, 2, 2],
    # a -> mother -> daughters, beside b, which goes on
    {
        (0, 2): 0.98, (1, 3): 0.98, (2, 4): 0.95, (2, 5): 0.8, (3, 6): 0.97,
        (0, 4): 0.95, (0, 5): 0.8, (1, 6): 0.97,
    },
)  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
def test_cells_merged_for_a_frame_keep_their_tracks(mode):
    assert links(mode, MERGED) == {(0, 2), (2, 3), (1, 4)}
    assert links(mode, MERGED, max_gap=1) == {(0, 2), (2, 3), (2, 4)}


@pytest.mark.parametrize("mode", MODES)
def test_divisions_stay(mode):
    assert links(mode, DIVIDED) == {(0, 2), (1, 3), (2, 4), (2, 5), (3, 6)}


def test_discount_matches_its_twin():
    rng = np.random.default_rng(0)
    frame = np.repeat(np.arange(4), 5)
    gap = frame[None] - frame[:, None]
    n_discounted = 0
    for _ in range(20):
        source, target = np.nonzero((gap >= 1) & (gap <= 2) & (rng.random(gap.shape) < 0.4))
        scores = rng.uniform(0.05, 1, len(source))
        pairs = list(zip(source.tolist(), target.tolist(), strict=True))
        given = dict(zip(pairs, scores.tolist(), strict=True))
        step = {pair: p for pair, p in given.items() if frame[pair[1]] - frame[pair[0]] == 1}
        expected = dict(given)
        seconds, merged_scores, all_returns = [], [], []
        for merged in range(len(frame)):
            children = {t: p for (s, t), p in step.items() if s == merged}
            second = min(max(sum(children.values()) - 1, 0), 1)
            returns = {
                t: came_back(t, given, step) for t, p in children.items() if p > MIN_CHILD_SCORE
            }
            seconds.append(second)
            merged_scores.append(second * min(sum(returns.values()), 1))
            all_returns.append({t: p * children[t] for t, p in returns.items()})
        apparent = [row for row, second in enumerate(seconds) if second > MIN_SECOND_CHILD]
        for row, score in zip(
            apparent, most_likely_shares([merged_scores[row] for row in apparent]), strict=True
        ):
            merged_scores[row] = score
        for merged, score in enumerate(merged_scores):
            if score >= MIN_MERGED:
                child = max(all_returns[merged], key=all_returns[merged].get)
                expected[merged, child] *= 1 - score
                n_discounted += 1
        found = discount_merges(graph(frame, given)).edges.score
        np.testing.assert_allclose(found, [expected[pair] for pair in sorted(given)], rtol=1e-4)
    assert n_discounted > 20


def most_likely_shares(merged):
    """Twin: the probabilities at the share that reproduces itself, found by bisection."""

    def at(share):
        odds = [
            p / max(1 - p, 1e-300) * share / (1 - share) * (1 / USUAL_SHARE - 1) for p in merged
        ]
        return [odd / (1 + odd) for odd in odds]

    def excess(share):
        n = len(merged) + PRIOR_DIVISIONS
        return (sum(at(share)) + USUAL_SHARE * PRIOR_DIVISIONS) / n - share

    low, high = 1e-9, 1 - 1e-9
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) > 0 else (low, middle)
    return at(low)


@pytest.mark.parametrize(("n_sure", "n_doubtful", "is_merge"), [(0, 1, False), (20, 1, True)])
def test_doubtful_merges_count_where_others_are_sure(n_sure, n_doubtful, is_merge):
    found = with_share_of_movie(np.repeat([0.99, 0.5, 0.0], [n_sure, n_doubtful, 40]))
    assert (found[n_sure] >= MIN_MERGED) == is_merge
    assert (found[-40:] == 0).all()


def came_back(target, given, step):
    """Twin: the probability that a cell which had ended is linked to a target over a gap."""
    ended = (
        p * max(0, 1 - sum(q for (a, _), q in step.items() if a == before))
        for (before, after), p in given.items()
        if after == target and (before, after) not in step
    )
    return min(sum(ended), 1)


@pytest.mark.parametrize("mode", MODES)
def test_either_of_two_cells_may_be_the_merged_object(mode):
    """Both had ended by half, as either may go on as the object: that one of them did is sure."""
    halves = graph(
        [0, 0, 1, 2, 2],
        {(0, 2): 0.5, (1, 2): 0.48, (2, 3): 0.9, (2, 4): 0.95, (0, 3): 0.97, (1, 4): 0.98},
    )
    assert links(mode, halves) == {(0, 2), (2, 3), (1, 4)}


def test_a_division_stays_where_it_is_in_doubt_whether_a_cell_came_back():
    doubtful = graph(
        [0, 0, 1, 2, 2],
        {(0, 2): 0.9, (1, 2): 0.08, (2, 3): 0.95, (2, 4): 0.9, (1, 4): 0.6},
    )
    assert links("greedy", doubtful) == {(0, 2), (2, 3), (2, 4)}
