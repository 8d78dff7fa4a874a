"""The least certain links are found, for every linker and every input."""

import csv

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackastra_engine.detection.detections import Detections, feature_names
from trackastra_engine.linking import Linker, linker, review
from trackastra_engine.linking.candidates import CandidateGraph
from trackastra_engine.linking.lineage import build_lineage, without_short_tracks
from trackastra_engine.linking.review import Review
from trackastra_engine.model.edges import Edges
from trackastra_engine.output.review_table import write_review


def graph(edges, frame):
    """Return the graph of {(source, target): score} between detections labelled 10, 20, ..."""
    n, pairs = len(frame), sorted(edges)
    source, target = np.array(pairs, np.int64).reshape(-1, 2).T
    score = np.array([edges[pair] for pair in pairs], float)
    label = 10 * np.arange(1, n + 1)
    found = Detections(
        np.array(frame), label, np.zeros((n, 2)), np.zeros((n, len(feature_names(2))))
    )
    return CandidateGraph(found, Edges(source, target, score))


def links(mode, given_graph):
    seen = Review()
    seen.watch(linker(mode))(given_graph)
    return seen.links


def test_the_certainty_of_a_link_is_its_lead_over_the_next():
    r"""Two cells, then three: the first may be the mother of 30 and 40; 50 is far from all.

    10 --0.9-- 30      20 --0.55-- 40 --0.35-- 10
    """
    found = links("greedy", graph({(0, 2): 0.9, (1, 3): 0.55, (0, 3): 0.35}, [0, 0, 1, 1, 1]))
    assert [link.target for link in found] == [(1, 40), (1, 30)]
    doubtful, sure = found
    assert doubtful.source == (0, 20)
    assert doubtful.alternatives[0] == ((0, 10), 0.35)
    assert doubtful.alternatives[1][0] is None
    assert doubtful.alternatives[1][1] == pytest.approx(0.1)
    assert doubtful.certainty == pytest.approx(0.2)
    assert sure.alternatives == ((None, pytest.approx(0.1)),)


def test_a_detection_without_a_link_may_be_the_least_certain():
    """A third daughter of one cell, although its only source is nearly certain."""
    found = links("greedy", graph({(0, 1): 0.95, (0, 2): 0.93, (0, 3): 0.9}, [0, 1, 1, 1]))
    assert found[0].target == (1, 40)
    assert found[0].source is None
    assert found[0].score == pytest.approx(0.1)
    assert found[0].certainty == pytest.approx(-0.8)
    assert found[0].alternatives == (((0, 10), 0.9),)


def test_a_source_before_the_gap_is_no_alternative_to_the_one_between():
    found = links("greedy", graph({(0, 1): 0.9, (0, 2): 0.9, (1, 2): 0.8}, [0, 1, 2]))
    assert [link.source for link in found] == [(1, 20), (0, 10)]
    assert found[0].alternatives == ((None, pytest.approx(0.2)),)
    over_a_gap = links("greedy", graph({(0, 1): 0.9}, [0, 2]))
    assert over_a_gap[0].source == (0, 10)


random_edges = st.dictionaries(
    st.tuples(st.integers(0, 4), st.integers(5, 9)), st.floats(0.05, 0.4), max_size=12
)


@given(random_edges, st.sets(st.integers(5, 9)))
def test_certainties_equal_a_loop(edges, linked):
    """Each target's best or no source is chosen, against sums in plain Python."""
    given_graph = graph(edges, [0] * 5 + [1] * 5)
    score, best = given_graph.edges.score, {}
    for row, target in enumerate(given_graph.edges.target.tolist()):
        if target in linked and score[row] > score[best.get(target, row)] - 1e-12:
            best[target] = row
    rows = np.array(sorted(best.values()), np.int64)
    seen = Review()
    seen.watch(Linker(lambda _: rows, is_pairwise=True)).choose(given_graph)
    expected = {}
    for target in {target for _, target in edges}:
        scores = sorted((s for (_, t), s in edges.items() if t == target), reverse=True)
        none = max(0.0, 1 - sum(scores))
        chosen, others = (scores[0], [*scores[1:], none]) if target in linked else (none, scores)
        expected[1, 10 * (target + 1)] = chosen - max(others)
    certainty = {link.target: link.certainty for link in seen.links}
    assert certainty == pytest.approx(expected)
    assert list(certainty.values()) == sorted(certainty.values())


def test_the_number_is_limited_to_the_least_certain(monkeypatch):
    monkeypatch.setattr(review, "MAX_LINKS", 3)
    scores = np.random.default_rng(0).permutation(np.linspace(0.5, 1, 40))
    seen = Review()
    watched = seen.watch(linker("greedy"))
    for frame, score in enumerate(scores):
        watched.choose(graph({(0, 1): score}, [frame, frame + 1]))
        assert len(seen.links) <= 3
    assert [link.score for link in seen.links] == sorted(scores)[:3]


def test_the_table(tmp_path):
    found = links("greedy", graph({(0, 2): 0.9, (1, 3): 0.55, (0, 3): 0.35}, [0, 0, 1, 1]))
    found += links("greedy", graph({(0, 1): 0.3}, [4, 5]))
    write_review(found, tmp_path / "review.csv")
    with (tmp_path / "review.csv").open() as file:
        first, _, lone = csv.DictReader(file)
    assert first == {
        "frame": "1",
        "label": "40",
        "source_frame": "0",
        "source_label": "20",
        "score": "0.55",
        "certainty": "0.2",
        "alternatives": "0:10=0.35 none=0.1",
    }
    assert (lone["source_frame"], lone["score"], lone["alternatives"]) == ("", "0.7", "4:10=0.3")


def test_links_that_were_undone_are_not_reviewed():
    seen = Review()
    link = seen.watch(linker("greedy"))
    lineage = link(graph({(0, 2): 0.9, (1, 3): 0.55, (0, 3): 0.35}, [0, 0, 1, 1, 1]))
    assert seen.links_in(lineage) == seen.links
    edges = lineage.edges
    fewer = build_lineage(lineage.detections, edges.rows(np.flatnonzero(edges.source != 1)))
    assert [shown.target for shown in seen.links_in(fewer)] == [(1, 30)]


def test_links_of_dropped_tracks_leave_the_review():
    seen = Review()
    link = seen.watch(linker("greedy"))
    scores = {(0, 2): 0.9, (1, 3): 0.55, (2, 4): 0.8, (3, 5): 0.2}
    lineage = link(graph(scores, [0, 0, 1, 1, 2, 2]))
    assert [shown.target[0] for shown in seen.links] == [1, 2, 2, 1]
    longest = without_short_tracks(lineage, 3)
    assert len(longest.detections) == 3
    assert sorted(shown.target for shown in seen.links_in(longest)) == [(1, 30), (2, 50)]
