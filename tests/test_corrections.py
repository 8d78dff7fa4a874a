"""Corrections: what is decided holds with every linker, and the rest is the best there is."""

import csv
import time
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from random_corrections import decided_graphs
from random_graphs import ROUNDING, any_costs, detections_in
from test_parity import pairs
from trackastra_engine.association.edge_stream import FrameEdges
from trackastra_engine.errors import InputError
from trackastra_engine.linking import MODES, linker
from trackastra_engine.linking.candidates import CandidateGraph
from trackastra_engine.linking.correction_table import read_corrections, write_corrections
from trackastra_engine.linking.corrections import Corrections, corrected_graph
from trackastra_engine.linking.costs import MISSED_FRAME
from trackastra_engine.linking.ilp import lineage_cost
from trackastra_engine.linking.integer_program import build_program, solve_program
from trackastra_engine.linking.lineage import build_lineage
from trackastra_engine.linking.review import Review
from trackastra_engine.linking.stream import LinkStream
from trackastra_engine.model.edges import Edges

any_modes = st.sampled_from(MODES)


def rows_of(detections):
    places = zip(detections.frame.tolist(), detections.label.tolist(), strict=True)
    return {place: row for row, place in enumerate(places)}


def decided(corrections, detections):
    """Return the links to make, those not to make, and the rows where tracks begin and end."""
    row, made, refused, begins, ends = rows_of(detections), set(), set(), set(), set()
    for source, target, is_link in corrections.decisions():
        if source is None:
            begins.add(row[target])
        elif target is None:
            ends.add(row[source])
        else:
            (made if is_link else refused).add((row[source], row[target]))
    return made, refused, begins, ends


def links_of(mode, graph, corrections, **options):
    return linker(mode, max_gap=2, **options)(corrected_graph(graph, corrections)).edges


@given(decided_graphs(), any_modes)
@settings(max_examples=300)
def test_decisions_hold_and_the_links_are_a_forest(case, mode):
    graph, corrections = case
    kept = links_of(mode, graph, corrections)
    made, refused, begins, ends = decided(corrections, graph.detections)
    found = pairs(kept.source, kept.target)
    assert made <= found
    assert not refused & found
    assert not begins & set(kept.target.tolist())
    assert not ends & set(kept.source.tolist())
    assert len(set(kept.target.tolist())) == len(kept)
    n_made = np.bincount([source for source, _ in made], minlength=len(graph.detections))
    most = np.maximum(1 if mode.endswith("nodiv") else 2, n_made)
    assert (np.bincount(kept.source, minlength=len(graph.detections)) <= most).all()
    assert found <= made | pairs(graph.edges.source, graph.edges.target)


@given(decided_graphs(levels=()), any_costs, st.booleans())
@settings(max_examples=200)
def test_ilp_costs_as_little_as_one_program_with_fixed_variables(case, costs, divisions):
    """The program knows all edges, and those to make; the decisions fix some of its variables."""
    graph, corrections = case
    made, refused, begins, ends = decided(corrections, graph.detections)
    n_made = np.bincount([source for source, _ in made], minlength=len(graph.detections))
    if not divisions and n_made.max(initial=0) > 1:
        return
    edges = graph.edges
    listed = zip(edges.source.tolist(), edges.target.tolist(), edges.score.tolist(), strict=True)
    scores = {(source, target): score for source, target, score in listed}
    scores.update(dict.fromkeys(made, 1.0))
    table = np.array(list(scores), np.int64).reshape(-1, 2)
    whole = CandidateGraph(
        graph.detections, Edges(table[:, 0], table[:, 1], np.array(list(scores.values())))
    )
    program = build_program(costs.price(whole), costs, divisions=divisions)
    n_detections = len(graph.detections)
    for column, (source, target) in enumerate(scores, n_detections):
        is_out = (source, target) in refused or source in ends or target in begins
        program.lower[column] = (source, target) in made
        program.upper[column] = not is_out
    start = program.values(np.flatnonzero([pair in made for pair in scores]))
    values, gap = solve_program(program, start, time_limit_s=60)
    assert gap == 0
    best = build_lineage(graph.detections, whole.edges.rows(program.kept(values)))
    mode = "ilp" if divisions else "ilp_nodiv"
    ours = linker(mode, max_gap=2, costs=costs)(corrected_graph(graph, corrections))
    assert lineage_cost(ours, costs) == pytest.approx(lineage_cost(best, costs), abs=ROUNDING)


@given(decided_graphs(levels=()), st.sampled_from([0.5, 0.8]), st.booleans())
@settings(max_examples=200)
def test_greedy_selects_the_best_edges_that_the_decisions_allow(case, division_score, divisions):
    graph, corrections = case
    made, refused, begins, ends = decided(corrections, graph.detections)
    edges, frame = graph.edges, graph.detections.frame
    merit = edges.score - MISSED_FRAME * (frame[edges.target] - frame[edges.source] - 1)
    kept = set(made)
    for row in np.argsort(-merit).tolist():
        source, target = int(edges.source[row]), int(edges.target[row])
        n_children = sum(one == source for one, _ in kept)
        is_free = target not in begins | {other for _, other in kept} and source not in ends
        least = 0.5 if n_children == 0 else division_score
        room = n_children < (2 if divisions else 1)
        if is_free and room and (source, target) not in refused and merit[row] >= least:
            kept.add((source, target))
    options = {"min_division_score": division_score} if divisions else {}
    found = links_of("greedy" if divisions else "greedy_nodiv", graph, corrections, **options)
    assert pairs(found.source, found.target) == kept


@given(decided_graphs(max_step=1), any_modes)
@settings(max_examples=200)
def test_links_pair_by_pair_are_those_of_the_whole_movie(case, mode):
    """Parts as EdgeStream yields them: the edges from a frame, and the frames that they join."""
    graph, corrections = case
    found, edges, whole, parts = graph.detections, graph.edges, [], []
    bounds = np.searchsorted(found.frame, np.arange(found.frame.max(initial=0) + 3)).tolist()
    for frame, (first, stop) in enumerate(pairwise(bounds[:-1])):
        own = edges.rows(np.flatnonzero(found.frame[edges.source] == frame))
        near = found.rows(slice(first, bounds[frame + 2]))
        parts.append(FrameEdges(frame, frame + 1, first, near, own.shifted(-first)))
        assert stop <= bounds[frame + 2]
    for given_parts in (parts, [FrameEdges(0, len(parts), 0, found, edges)]):
        links = LinkStream(linker(mode), None, None, 2, corrections=corrections)
        links.push(given_parts)
        lineage = links.finish(found)
        whole.append(pairs(lineage.edges.source, lineage.edges.target))
    assert whole[0] == whole[1]
    assert decided(corrections, found)[0] <= whole[0]


@given(decided_graphs(levels=()), st.sampled_from(["greedy", "ilp"]), st.data())
def test_links_that_are_confirmed_change_nothing(case, mode, data):
    graph, _ = case
    before = linker(mode, max_gap=2)(graph).edges
    place = list(zip(graph.detections.frame.tolist(), graph.detections.label.tolist(), strict=True))
    chosen = [
        (place[source], place[target], True)
        for source, target in sorted(pairs(before.source, before.target))
        if data.draw(st.booleans())
    ]
    after = links_of(mode, graph, Corrections.of(chosen))
    assert pairs(after.source, after.target) == pairs(before.source, before.target)


def test_decided_questions_are_not_asked_again():
    detections = detections_in([0, 0, 1, 1])
    edges = Edges(np.array([0, 1, 1]), np.array([2, 2, 3]), np.array([0.5, 0.45, 0.8]))
    graph = CandidateGraph(detections, edges)
    corrections = Corrections.of([((0, 2), (1, 1), True)])
    seen = Review()
    seen.watch(linker("greedy")).choose(corrected_graph(graph, corrections))
    assert [link.target for link in seen.links] == [(1, 2)]


A, B, C, D, E = (0, 1), (0, 2), (1, 1), (1, 2), (1, 3)


@pytest.mark.parametrize(
    ("decisions", "named"),
    [
        ([(A, C, True), (B, C, True)], "row 0 and row 1 .* 1 of frame 1 can have one parent"),
        ([(None, C, True), (B, C, True)], "row 0 and row 1 .* one parent or none"),
        ([(A, C, True), (A, C, True), (A, C, False)], "row 0 and row 2 .* has both verdicts"),
        ([(A, C, True), (A, D, True), (A, E, True)], "row 0 and row 2 .* two children at most"),
        ([(A, C, True), (A, None, True)], "row 0 and row 1 .* object 1 of frame 0 can have two"),
        ([(C, A, True)], "row 0 .* give a target in a later frame"),
        ([(A, None, False)], "row 0 .* give both ends"),
        ([(None, None, True)], "row 0 .* names no object"),
    ],
)
def test_contradictions_are_rejected_with_their_rows(decisions, named):
    with pytest.raises(InputError, match=named):
        Corrections.of(decisions)


def test_decisions_may_repeat_each_other():
    repeated = [(A, C, True), (A, D, True), (B, E, False), (None, E, True)] * 2
    assert len(Corrections.of(repeated)) == 8


def test_unknown_objects_are_rejected_with_their_rows():
    corrections = Corrections.of([(A, C, True), (A, (1, 9), True), ((7, 1), None, True)])
    with pytest.raises(InputError, match="row 1, row 2 of the corrections: the movie has no such"):
        corrections.check_known(detections_in([0, 0, 1]))


def test_a_table_is_read_as_it_was_written(tmp_path):
    decisions = [(A, C, True), (B, C, False), (None, D, True), (B, None, True), (A, E, True)]
    corrections = Corrections.of(decisions)
    write_corrections(corrections, tmp_path / "a.csv")
    assert (tmp_path / "a.csv").read_text().splitlines() == [
        "source_frame,source_label,target_frame,target_label,verdict",
        *("0,1,1,1,link", "0,2,1,1,no-link", ",,1,2,link", "0,2,,,link", "0,1,1,3,link"),
    ]
    again = read_corrections([tmp_path / "a.csv"])
    assert again.decisions() == decisions
    assert again.origin[1] == f"line 3 of {tmp_path / 'a.csv'}"


def test_a_table_of_a_spreadsheet_is_read(tmp_path):
    names = "\ufeffsource_frame, source_label,target_frame,target_label,verdict"
    text = names + "\r\n0,1,1,1,link\r\n,,,,\r\n\r\n"
    (tmp_path / "a.csv").write_bytes(text.encode())
    assert read_corrections([tmp_path / "a.csv"]).decisions() == [(A, C, True)]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_table_of_another_spreadsheet_is_read(tmp_path, delimiter, encoding):
    """Other delimiters and encodings, columns in another order, one more, floats of pandas."""
    text = "Verdict,source_frame,source_label,note,target_frame,target_label\n"
    text += 'link,0,1,"µm, ""sure""",1.0,1.0\nno-link,0,2,,1,1\nlink,,,"",1,2\n'
    rows = csv.reader(text.splitlines())
    with (tmp_path / "a.csv").open("w", newline="", encoding=encoding) as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    expected = [(A, C, True), (B, C, False), (None, D, True)]
    assert read_corrections([tmp_path / "a.csv"]).decisions() == expected


HEAD = "source_frame,source_label,target_frame,target_label,verdict\n"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (HEAD + "0,1,1,1\n", "line 2 of .*a.csv has 4 cells, the line of names 5"),
        (HEAD + "0,1,1,1,yes\n", "line 2 of .* verdict 'yes'; give link or no-link"),
        (HEAD + "\n0,1,1,-1,link\n", "line 3 of .* frame and label '1', '-1'; give whole numbers"),
        (HEAD + "0,,1,1,link\n", "line 2 of .* or leave both empty"),
        (HEAD + f"0,1,1,{10**30},link\n", "line 2 of .* give whole numbers"),
        (HEAD + "0,1,1,1,link\n0,2,1,1,link\n", "line 2 of .*a.csv and line 3 of .*a.csv"),
        ("0,1,1,1,link\n", "the first line of .* is not source_frame,"),
        ("", "the first line of .* is not source_frame,"),
    ],
)
def test_a_line_that_does_not_fit_is_named(tmp_path, text, named):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=named):
        read_corrections([tmp_path / "a.csv"])


def test_a_missing_table_is_named(tmp_path):
    with pytest.raises(InputError, match=r"no.csv cannot be read"):
        read_corrections([tmp_path / "no.csv"])


def test_a_thousand_corrections_of_a_million_edges_take_less_than_a_second():
    n_frames, n_cells, n_near = 100, 1000, 10
    rng = np.random.default_rng(0)
    source = np.repeat(np.arange((n_frames - 1) * n_cells), n_near)
    target = (source // n_cells + 1) * n_cells + rng.integers(n_cells, size=len(source))
    frames = np.repeat(np.arange(n_frames), n_cells)
    graph = CandidateGraph(
        detections_in(frames), Edges(source, target, rng.uniform(0.05, 1, len(source)))
    )
    # Each cell of ten, in every frame, so that no two decisions touch.
    rows = np.arange(0, (n_frames - 1) * n_cells, 99)
    decisions = [
        ((row // n_cells, row % n_cells + 1), (row // n_cells + 1, row % n_cells + 1), row % 2 == 0)
        for row in rows.tolist()
    ]
    assert len(decisions) == 1000
    begun = time.process_time()
    corrected = corrected_graph(graph, Corrections.of(decisions))
    assert time.process_time() - begun < 1
    assert len(corrected.given) == 500
