"""Linkers: links of scipy's assignment and LapTrack, and properties of any graph."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from random_graphs import COSTS, ROUNDING, any_costs, detections_in, graphs, vars_of
from test_parity import pairs
from trackastra_engine.linking import MODES, linker
from trackastra_engine.linking.bipartite import best_matching
from trackastra_engine.linking.candidates import CandidateGraph
from trackastra_engine.model.edges import Edges

DIVIDING = [mode for mode in MODES if not mode.endswith("_nodiv")]


@given(graphs(levels=()))
def test_matching_equals_scipys_dense_assignment(graph):
    """Each source twice, and each target with a dummy partner without gain."""
    from scipy.optimize import linear_sum_assignment

    n, edges = len(graph.detections), graph.edges
    gains = np.full((2 * n, n), -np.inf)
    gains[2 * edges.source, edges.target] = edges.score + 0.3
    gains[2 * edges.source + 1, edges.target] = edges.score - 0.4
    gains = np.maximum(gains, 0)
    best = gains[linear_sum_assignment(gains, maximize=True)].sum()
    rows = best_matching(edges.source, edges.target, edges.score, (0.3, -0.4))
    n_children = np.bincount(edges.source[rows], minlength=n)
    found = edges.score[rows].sum() + 0.3 * (n_children > 0).sum() - 0.4 * (n_children == 2).sum()
    assert found == pytest.approx(best, abs=ROUNDING)


@given(graphs(levels=(), max_step=3), st.sampled_from([0.3, 0.5, 0.8]))
@settings(max_examples=30)
def test_lap_links_as_laptrack_with_the_same_costs(graph, min_division_score):
    """LapTrack is given rows as positions, and a metric that looks up 1 - score."""
    laptrack = pytest.importorskip("laptrack")
    detections, edges = graph.detections, graph.edges
    if len(detections) == 0:
        return
    cost = dict(zip(zip(edges.source, edges.target, strict=True), 1 - edges.score, strict=True))
    rows = [np.flatnonzero(detections.frame == t) for t in range(detections.frame[-1] + 1)]

    def metric(a, b):
        return cost.get((int(a[0]), int(b[0])), 99.0)

    split = 1 - min_division_score
    tracker = laptrack.LapTrack(
        metric=metric, cutoff=0.95, track_start_cost=1.05, track_end_cost=1.05,
        gap_closing_metric=metric, gap_closing_cutoff=0.95, gap_closing_max_frame_count=3,
        splitting_metric=lambda a, b: metric(b, a), splitting_cutoff=split, merging_cutoff=False,
        segment_start_cost=0.5, segment_end_cost=0.5, no_merging_cost=0.5,
        no_splitting_cost=max(split, 0.5),
    )  # fmt: skip
    theirs = tracker.predict([frame[:, None].astype(float) for frame in rows])
    expected = {(int(rows[s][i]), int(rows[t][j])) for (s, i), (t, j) in theirs.edges()}
    ours = linker("lap", min_division_score=min_division_score)(graph).edges
    assert pairs(ours.source, ours.target) == expected


@given(graphs(), st.sampled_from(MODES))
@settings(max_examples=300)
def test_every_linker_makes_a_forest_of_tracklets_and_is_deterministic(graph, mode):
    lineage, again = linker(mode)(graph), linker(mode)(graph)
    detections, edges, tracklets = lineage.detections, lineage.edges, lineage.tracklets
    assert len(np.unique(edges.target)) == len(edges)
    max_children = 1 if mode.endswith("nodiv") else 2
    n_children = np.bincount(edges.source, minlength=len(detections))
    assert (n_children <= max_children).all()
    assert pairs(edges.source, edges.target) <= pairs(graph.edges.source, graph.edges.target)
    assert len(lineage.tracklet_id) == len(detections)
    for number, first, last, parent in tracklets.tolist():
        frames = detections.frame[lineage.tracklet_id == number]
        assert frames.tolist() == list(range(first, last + 1))
        assert parent == 0 or tracklets[parent - 1, 2] < first
    for one, other in zip(vars_of(edges), vars_of(again.edges), strict=True):
        assert one.tobytes() == other.tobytes()
    assert tracklets.tobytes() == again.tracklets.tobytes()


@given(graphs(max_step=3), st.sampled_from(DIVIDING), st.sampled_from([0.3, 0.6, 0.9]))
@settings(max_examples=200)
def test_the_second_child_has_the_required_score(graph, mode, min_division_score):
    if mode == "greedy":
        min_division_score = max(min_division_score, 0.5)
    kept = linker(mode, min_division_score=min_division_score)(graph).edges
    by_parent = np.lexsort((-kept.score, kept.source))
    is_second = np.diff(kept.source[by_parent], prepend=-1) == 0
    assert (kept.score[by_parent][is_second] >= min_division_score - ROUNDING).all()


@pytest.mark.parametrize("mode", ["greedy", "lap", "ilp"])
def test_a_second_child_needs_a_higher_score_than_a_first(mode):
    """A mother and two daughters, one of them sure; the other has the given score."""
    frames = np.array([0, 1, 1])
    for score, is_division in ((0.45, False), (0.55, True)):
        edges = Edges(np.array([0, 0]), np.array([1, 2]), np.array([0.99, score]))
        graph = CandidateGraph(detections_in(frames, 0), edges)
        assert len(linker(mode, probabilities=True)(graph).edges) == 1 + is_division
        assert len(linker(mode, probabilities=True, min_division_score=0.4)(graph).edges) == 2


@pytest.mark.parametrize("mode", ["greedy", "greedy_nodiv", "ilp", "ilp_nodiv", "lap"])
def test_a_link_needs_less_of_scores_that_are_probabilities(mode):
    edges = Edges(np.array([0]), np.array([1]), np.array([0.35]))
    graph = CandidateGraph(detections_in([0, 1], 0), edges)
    assert len(linker(mode, probabilities=True)(graph).edges) == 1
    assert len(linker(mode)(graph).edges) == (not mode.startswith("greedy"))
    weak = replace(graph, edges=replace(edges, score=np.array([0.25])))
    assert len(linker(mode, probabilities=True)(weak).edges) == (mode == "lap")


def test_no_gap_replaces_the_detection_between():
    """
    frame 0   1   2      edges 0-1 and 1-2 of score 0.7, and 0-2 of 0.95
          A - A - A
    """
    detections = detections_in([0, 1, 2])
    edges = Edges(np.array([0, 0, 1]), np.array([1, 2, 2]), np.array([0.7, 0.95, 0.7]))
    for mode in MODES:
        kept = linker(mode, max_gap=2)(CandidateGraph(detections, edges)).edges
        assert pairs(kept.source, kept.target) == {(0, 1), (1, 2)}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("score", [0.9, None], ids=["equal scores", "random scores"])
def test_thousands_of_edges_meet_in_one_detection(mode, score):
    """
    frame 0     1      2
          many  one    many    (all linked to the one between)
    """
    many = 3000
    detections = detections_in([0] * many + [1] + [2] * many)
    outer = np.arange(many)
    source = np.concatenate([outer, np.full(many, many)])
    target = np.concatenate([np.full(many, many), outer + many + 1])
    scores = np.random.default_rng(0).uniform(0.6, 1, 2 * many) if score is None else score
    edges = Edges(source, target, np.broadcast_to(scores, 2 * many))
    kept = linker(mode)(CandidateGraph(detections, edges)).edges
    n_children = 1 if mode.endswith("nodiv") else 2
    assert (kept.target == many).sum() == 1
    assert (kept.source == many).sum() == n_children
    if score is None:
        best = np.sort(scores[many:])[-n_children:]
        np.testing.assert_array_equal(np.sort(kept.score[kept.source == many]), best)


@pytest.mark.parametrize("mode", MODES)
def test_a_movie_without_detections_or_edges_is_linked(mode):
    none = Edges(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))
    for frames in ([], [0], [0, 0, 4], [3]):
        lineage = linker(mode)(CandidateGraph(detections_in(frames), none))
        assert len(lineage.tracklets) == len(frames)


@pytest.mark.parametrize("mode", MODES)
def test_a_gap_with_an_edge_over_it_is_closed(mode):
    detections = detections_in([0, 1, 3, 4])
    edges = Edges(np.array([0, 1, 2]), np.array([1, 2, 3]), np.array([0.9, 0.95, 0.9]))
    lineage = linker(mode, max_gap=2)(CandidateGraph(detections, edges))
    assert lineage.tracklets.tolist() == [[1, 0, 1, 0], [2, 3, 4, 1]]


def frame_pairs(graph):
    """Yield the rows of the edges of each pair of neighbouring frames, and their graph."""
    frame = graph.detections.frame
    for t in np.unique(frame):
        first, last = np.searchsorted(frame, [t, t + 2])
        rows = np.flatnonzero(frame[graph.edges.source] == t)
        part = graph.edges.rows(rows)
        edges = Edges(part.source - first, part.target - first, part.score)
        yield rows, CandidateGraph(graph.detections.rows(slice(first, last)), edges)


@given(graphs(max_step=1), st.sampled_from(MODES), any_costs)
@settings(max_examples=200)
def test_a_separable_linker_finds_the_same_links_pair_by_pair(graph, mode, costs):
    link = linker(mode, costs=costs) if mode.startswith("ilp") else linker(mode)
    if link.is_separable:
        parts = [rows[link.choose(part)] for rows, part in frame_pairs(graph)]
        kept = np.sort(np.concatenate(parts)) if parts else []
        assert link.choose(graph).tolist() == list(kept)


def test_which_linkers_are_separable():
    assert all(linker(mode).is_separable == (mode != "lap") for mode in MODES)
    assert not any(linker(mode, max_gap=2).is_separable for mode in MODES)
    assert all(linker(mode, max_gap=2).is_pairwise == (mode != "lap") for mode in MODES)
    assert linker("ilp", costs=COSTS["deepcell_gt_tuned"]).is_separable
    assert not linker("ilp", costs=COSTS["deepcell_res_tuned"]).is_separable
    assert not linker("ilp", costs=COSTS["paid divisions"]).is_separable
