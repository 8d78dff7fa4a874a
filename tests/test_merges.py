"""A cell that is merged with another for a frame keeps its track, with every linker."""

import numpy as np
import pytest

from trackastra_engine.association.edge_stream import FrameEdges
from trackastra_engine.detection.detections import Detections
from trackastra_engine.linking import linker
from trackastra_engine.linking.candidates import CandidateGraph
from trackastra_engine.linking.merges import discount_merges
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
    stream = LinkStream(linker(mode, max_gap=max_gap, chances=True), None, None, 2)
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
    for _ in range(20):
        source, target = np.nonzero((gap >= 1) & (gap <= 2) & (rng.random(gap.shape) < 0.4))
        scores = rng.uniform(0.05, 1, len(source))
        given = graph(frame, dict(zip(zip(source, target, strict=True), scores, strict=True)))
        step = {(s, t): p for s, t, p in zip(source, target, scores, strict=True)
                if frame[t] - frame[s] == 1}  # fmt: skip
        expected = []
        for s, t, score in zip(source, target, scores, strict=True):
            if (s, t) not in step:
                expected.append(score)
                continue
            children = sum(p for (a, _), p in step.items() if a == s)
            back = sum(
                p * max(0, 1 - sum(q for (a, _), q in step.items() if a == before))
                for before, after, p in zip(source, target, scores, strict=True)
                if after == t and (before, after) not in step
            )
            expected.append(score * (1 - min(max(children - 1, 0), 1) * min(back, 1)))
        np.testing.assert_allclose(discount_merges(given).edges.score, expected, rtol=1e-12)
