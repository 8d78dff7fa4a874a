"""Candidates, greedy linking and lineages, compared with slow, obvious twins."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from random_graphs import detections_in
from trackastra_engine.errors import InputError
from trackastra_engine.linking import linker
from trackastra_engine.linking.candidates import CandidateGraph, candidate_graph
from trackastra_engine.linking.lineage import build_lineage, without_short_tracks
from trackastra_engine.model.edges import Edges


@st.composite
def graphs(draw):
    """Detections in up to 6 frames, some empty, and random edges over up to 2 frames."""
    counts = draw(st.lists(st.integers(0, 5), min_size=2, max_size=6))
    frames = np.repeat(np.arange(len(counts)), counts)
    detections = detections_in(frames, draw(st.integers(0, 99)))
    pairs = [
        (i, j)
        for i in range(len(frames))
        for j in range(len(frames))
        if 1 <= frames[j] - frames[i] <= 2
    ]
    chosen = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    levels = st.sampled_from([0.05, 0.2999999, 0.3, 0.5, 0.5000001, 0.7, 0.85, 0.9, 1.0])
    scores = draw(st.lists(levels, min_size=len(chosen), max_size=len(chosen)))
    table = np.array(sorted(chosen), np.int64).reshape(-1, 2)
    return detections, Edges(table[:, 0], table[:, 1], np.array(scores))


@given(graphs(), st.sampled_from([None, 20.0, 60.0]))
def test_candidates_equal_a_loop(graph, max_distance):
    detections, edges = graph
    expected = []
    for source, frame in np.ndindex(len(detections), 7):
        near = []
        for i in np.flatnonzero(edges.source == source):
            target = int(edges.target[i])
            distance = np.linalg.norm(detections.centroid[target] - detections.centroid[source])
            is_near = max_distance is None or distance <= max_distance
            if is_near and detections.frame[target] == frame:
                near.append((distance, target))
        expected += [(source, target) for _, target in sorted(near)[:10]]
    ours = candidate_graph(detections, edges, max_distance=max_distance).edges
    assert list(zip(ours.source.tolist(), ours.target.tolist(), strict=True)) == expected


def test_a_source_has_its_ten_nearest_targets_in_each_frame_nearest_first():
    detections = detections_in([0] + [1] * 30 + [2] * 30)
    targets = np.arange(1, 61)
    edges = Edges(np.zeros(60, np.int64), targets, np.full(60, 0.5))
    distance = np.linalg.norm(detections.centroid[1:] - detections.centroid[0], axis=1)
    kept = candidate_graph(detections, edges).edges.target
    nearest = [targets[part][np.argsort(distance[part])[:10]] for part in np.split(targets - 1, 2)]
    assert kept.tolist() == np.concatenate(nearest).tolist()


@pytest.mark.parametrize("order", [[0, 2, 1], [1, 0, 2], [2, 1, 0]])
def test_unsorted_edges_are_rejected(order):
    """Detections 0 and 1 in frame 0, 2 and 3 in frames 1 and 2; edges 0-2, 0-3 and 1-2."""
    edges = Edges(np.array([0, 0, 1]), np.array([2, 3, 2]), np.full(3, 0.5))
    detections = detections_in([0, 0, 1, 2])
    assert len(candidate_graph(detections, edges).edges) == 3
    with pytest.raises(InputError, match="sort them by source, then by the frame"):
        candidate_graph(detections, edges.rows(np.array(order)))


def greedy_twin(detections, edges, max_children, min_link_score, min_division_score):
    """Walk the edges from best to worst, equal ones in their order; a missed frame costs 0.4."""
    kept, parents, children = [], set(), {}
    missed = detections.frame[edges.target] - detections.frame[edges.source] - 1
    merit = edges.score - 0.4 * missed
    for i in sorted(range(len(edges)), key=lambda i: -merit[i]):
        source, target = int(edges.source[i]), int(edges.target[i])
        has_child = source in children
        if (
            merit[i] < min_link_score
            or target in parents
            or children.get(source, 0) >= max_children
        ):
            continue
        if has_child and merit[i] < min_division_score:
            continue
        parents.add(target)
        children[source] = children.get(source, 0) + 1
        kept.append((source, target))
    return set(kept)


@given(graphs(), st.sampled_from([0.5, 0.8]), st.booleans())
def test_greedy_equals_a_loop(graph, min_division_score, probabilities):
    with_divisions = linker(
        "greedy", probabilities=probabilities, min_division_score=min_division_score
    )
    without = linker("greedy_nodiv", probabilities=probabilities)
    for link, max_children in ((with_divisions, 2), (without, 1)):
        kept = link(CandidateGraph(*graph)).edges
        pairs = set(zip(kept.source.tolist(), kept.target.tolist(), strict=True))
        least = 0.3 if probabilities else 0.5
        assert pairs == greedy_twin(*graph, max_children, least, min_division_score)


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
    is_next = detections.frame[edges.target] - detections.frame[edges.source] == 1
    np.testing.assert_array_equal(inside, is_next & (n_children[edges.source] == 1))


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


@given(graphs(), st.integers(1, 6))
def test_short_tracks_are_left_out_with_all_their_detections(graph, min_length):
    lineage = linker("greedy")(CandidateGraph(*graph))
    frame, edges = lineage.detections.frame, lineage.edges
    family = np.arange(len(frame))  # by slow flooding along the edges
    for _ in frame:
        for source, target in zip(edges.source, edges.target, strict=True):
            family[[source, target]] = min(family[source], family[target])
    long = {f for f in family if np.ptp(frame[family == f]) + 1 >= min_length}
    is_long = np.isin(family, list(long))
    if not is_long.any():
        with pytest.raises(InputError, match=f"no track is {min_length} frames long"):
            without_short_tracks(lineage, min_length)
        return
    kept = without_short_tracks(lineage, min_length)
    for part, rows in ((kept.detections, is_long), (kept.left_out, ~is_long)):
        np.testing.assert_array_equal(part.label, lineage.detections.label[rows])
        np.testing.assert_array_equal(part.frame, frame[rows])
    assert len(kept.edges) == is_long[edges.target].sum()
    for new, old in ((kept.edges.source, edges.source), (kept.edges.target, edges.target)):
        np.testing.assert_array_equal(
            kept.detections.centroid[new], lineage.detections.centroid[old[is_long[old]]]
        )
    rebuilt = build_lineage(kept.detections, kept.edges)
    np.testing.assert_array_equal(kept.tracklets, rebuilt.tracklets)
