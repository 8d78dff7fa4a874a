"""Windows, averaging, candidates, greedy linking and lineages against slow, obvious twins."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trackastra_engine.candidates import CandidateGraph, candidate_graph
from trackastra_engine.detections import Detections
from trackastra_engine.edges import Edges, average, window_edges
from trackastra_engine.lineage import build_lineage
from trackastra_engine.linking import linker
from trackastra_engine.windows import windows


def detections_in(frames, seed=0):
    """Detections in the given frames (sorted), at random places of a 100 x 100 image."""
    n = len(frames)
    label = np.concatenate(
        [np.arange(1, count + 1) for count in np.unique(frames, return_counts=True)[1]] or [[]]
    )
    centroid = np.random.default_rng(seed).uniform(0, 100, (n, 2))
    return Detections(
        np.asarray(frames, np.int32), label.astype(np.int64), centroid, np.ones((n, 7))
    )


def neighbour_edges(scores, frame):
    """The scores (N, N) of a window's detections between neighbouring frames, as edges."""
    source, target = np.nonzero(frame[None, :] - frame[:, None] == 1)
    return Edges(source, target, scores[source, target])


def test_windows_slide_over_all_frames():
    detections = detections_in([0, 0, 1, 3, 3, 4])
    found = [(w.first_frame, w.rows.start, w.rows.stop) for w in windows(detections, 5, 3)]
    assert found == [(0, 0, 3), (1, 2, 5), (2, 3, 6)]


def test_windows_without_two_filled_frames_are_left_out():
    detections = detections_in([0, 0, 4, 5])
    assert [w.first_frame for w in windows(detections, 8, 3)] == [3, 4]


def test_a_short_movie_is_one_window():
    assert [w.rows for w in windows(detections_in([0, 1]), 2, 4)] == [slice(0, 2)]


@pytest.mark.parametrize("averaging", ["all", "above_threshold"])
def test_average_equals_a_dictionary(averaging):
    """Random scores of every window of a movie of 9 frames with 3 detections, averaged by hand."""
    rng = np.random.default_rng(1)
    detections = detections_in(np.repeat(np.arange(9), 3))
    seen: dict[tuple[int, int], list[float]] = {}
    parts = []
    for window in windows(detections, 9, 4):
        inside = detections.rows(window.rows)
        scores = rng.uniform(0, 1, (len(inside),) * 2) ** 4
        parts.append(window_edges(neighbour_edges(scores, inside.frame), window, averaging))
        for i in range(len(inside)):
            for j in range(len(inside)):
                if inside.frame[j] - inside.frame[i] == 1:
                    pair = (i + window.rows.start, j + window.rows.start)
                    seen.setdefault(pair, []).append(scores[i, j])
    counted = {
        pair: [s for s in scores if averaging == "all" or s >= 0.05]
        for pair, scores in seen.items()
    }
    expected = {pair: np.mean(s) for pair, s in counted.items() if s and np.mean(s) >= 0.05}

    ours = average(parts, detections.frame, n_frames=9, window=4, averaging=averaging)
    pairs = list(zip(ours.source.tolist(), ours.target.tolist(), strict=True))
    assert pairs == sorted(expected)
    # "all" forgets scores under 1e-4, which lowers a mean by at most as much.
    np.testing.assert_allclose(ours.score, [expected[p] for p in pairs], rtol=1e-12, atol=1e-4)


def test_average_in_small_portions_is_the_same(monkeypatch):
    detections = detections_in(np.repeat(np.arange(6), 4))
    rng = np.random.default_rng(2)
    parts = [
        window_edges(
            neighbour_edges(rng.uniform(0, 1, (16, 16)), detections.frame[w.rows]), w, "all"
        )
        for w in windows(detections, 6, 4)
    ]
    whole = average(parts, detections.frame, n_frames=6, window=4, averaging="all")
    monkeypatch.setattr("trackastra_engine.edges.MERGE_SIZE", 1)
    portions = average(parts, detections.frame, n_frames=6, window=4, averaging="all")
    np.testing.assert_array_equal(portions.source, whole.source)
    np.testing.assert_allclose(portions.score, whole.score, rtol=1e-12)


def test_no_window_gives_no_edge():
    frame = np.zeros(3, np.int32)
    assert len(average([], frame, n_frames=5, window=4, averaging="all")) == 0


@st.composite
def graphs(draw):
    """Detections in up to 6 frames, some empty, and random edges between neighbouring frames."""
    counts = draw(st.lists(st.integers(0, 5), min_size=2, max_size=6))
    frames = np.repeat(np.arange(len(counts)), counts)
    detections = detections_in(frames, draw(st.integers(0, 99)))
    pairs = [
        (i, j) for i in range(len(frames)) for j in range(len(frames)) if frames[j] - frames[i] == 1
    ]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    levels = st.sampled_from([0.05, 0.3, 0.5, 0.5000001, 0.7, 0.9, 1.0])
    scores = draw(st.lists(levels, min_size=len(chosen), max_size=len(chosen)))
    table = np.array(sorted(chosen), np.int64).reshape(-1, 2)
    return detections, Edges(table[:, 0], table[:, 1], np.array(scores))


@given(graphs(), st.sampled_from([None, 20.0, 60.0]))
def test_candidates_equal_a_loop(graph, max_distance):
    detections, edges = graph
    expected = set()
    for source in range(len(detections)):
        near = []
        for i in np.flatnonzero(edges.source == source):
            target = int(edges.target[i])
            distance = np.linalg.norm(detections.centroid[target] - detections.centroid[source])
            if max_distance is None or distance <= max_distance:
                near.append((distance, target))
        expected |= {(source, target) for _, target in sorted(near)[:10]}
    ours = candidate_graph(detections, edges, max_distance=max_distance).edges
    assert set(zip(ours.source.tolist(), ours.target.tolist(), strict=True)) == expected


def test_a_source_keeps_its_ten_nearest_targets():
    detections = detections_in([0] + [1] * 30)
    targets = np.arange(1, 31)
    edges = Edges(np.zeros(30, np.int64), targets, np.full(30, 0.5))
    distance = np.linalg.norm(detections.centroid[1:] - detections.centroid[0], axis=1)
    kept = candidate_graph(detections, edges).edges.target
    assert set(kept) == set(targets[np.argsort(distance)[:10]])


def greedy_twin(edges, max_children):
    """Walk the edges from best to worst, equal ones in their order."""
    kept, parents, children = [], set(), {}
    for i in sorted(range(len(edges)), key=lambda i: -edges.score[i]):
        source, target = int(edges.source[i]), int(edges.target[i])
        if edges.score[i] < 0.5 or target in parents or children.get(source, 0) >= max_children:
            continue
        parents.add(target)
        children[source] = children.get(source, 0) + 1
        kept.append((source, target))
    return set(kept)


@given(graphs())
def test_greedy_equals_a_loop(graph):
    candidates = CandidateGraph(*graph)
    for mode, max_children in (("greedy", 2), ("greedy_nodiv", 1)):
        kept = linker(mode)(candidates).edges
        pairs = set(zip(kept.source.tolist(), kept.target.tolist(), strict=True))
        assert pairs == greedy_twin(candidates.edges, max_children)


@given(graphs())
@settings(max_examples=200)
def test_a_lineage_is_a_forest_of_tracklets(graph):
    lineage = linker("greedy")(CandidateGraph(*graph))
    detections, edges, tracklets = lineage.detections, lineage.edges, lineage.tracklets
    assert len(np.unique(edges.target)) == len(edges)
    assert tracklets[:, 0].tolist() == list(range(1, len(tracklets) + 1))
    for number, first, last, parent in tracklets.tolist():
        frames = detections.frame[lineage.tracklet_id == number]
        assert frames.tolist() == list(range(first, last + 1))
        if parent:
            assert tracklets[parent - 1, 2] < first
    inside = lineage.tracklet_id[edges.source] == lineage.tracklet_id[edges.target]
    n_children = np.bincount(edges.source, minlength=len(detections))
    np.testing.assert_array_equal(inside, n_children[edges.source] == 1)


def test_division_gives_both_daughters_the_same_parent():
    """
    frame  0   1   2
           A - A - B
                 \\ C
           D   D        (D is not linked)
    """
    detections = detections_in([0, 0, 1, 1, 2, 2])
    edges = Edges(np.array([0, 2, 2]), np.array([2, 4, 5]), np.ones(3))
    lineage = build_lineage(detections, edges)
    assert lineage.tracklet_id.tolist() == [1, 2, 1, 3, 4, 5]
    assert lineage.tracklets.tolist() == [
        [1, 0, 1, 0],
        [2, 0, 0, 0],
        [3, 1, 1, 0],
        [4, 2, 2, 1],
        [5, 2, 2, 1],
    ]
    assert lineage.n_divisions == 1


def test_a_gap_starts_a_new_tracklet_whose_parent_is_the_old_one():
    detections = detections_in([0, 2])
    lineage = build_lineage(detections, Edges(np.array([0]), np.array([1]), np.ones(1)))
    assert lineage.tracklets.tolist() == [[1, 0, 0, 0], [2, 2, 2, 1]]
