"""Linkers: upstream's links, the lowest cost against slow twins, and what holds of any graph."""

import itertools
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden_cases import CASES, load_case
from test_parity import MAX_DISTANCE_PX, TIED, pairs
from test_stages import detections_in
from trackastra_engine.candidates import CandidateGraph, candidate_graph
from trackastra_engine.detections import Detections
from trackastra_engine.edges import Edges
from trackastra_engine.errors import InputError
from trackastra_engine.lineage import build_lineage
from trackastra_engine.linking import MODES, linker
from trackastra_engine.linking.costs import CONFIGURATIONS, LinkCosts, read_costs
from trackastra_engine.linking.ilp import choose_optimally, is_assignment, lineage_cost
from trackastra_engine.linking.matching import best_matching
from trackastra_engine.linking.program import build_program, solve_by_components, solve_program

ROUNDING = 1e-6  # HiGHS's tolerance of feasibility, and more than float sums of 40 costs err

# Costs of every kind: upstream's, cheap divisions (no assignment), divisions that pay.
COSTS = {
    **CONFIGURATIONS,
    "cheap divisions": LinkCosts(0.25, -0.25, -1.0, 0.2, 0.5, 0.25, 0.1),
    "paid divisions": LinkCosts(appear=0.1, disappear=0.1, split=-0.4),
    "dear detections": LinkCosts(detection=0.8, split=2.0),
}
DIVIDING = [mode for mode in MODES if not mode.endswith("_nodiv")]
any_costs = st.sampled_from(sorted(COSTS)).map(COSTS.get)


@st.composite
def graphs(draw, max_edges=40, max_step=2, levels=(0.05, 0.3, 0.5, 0.7, 0.7000001, 1.0)):
    """Detections in up to 6 frames, some empty, and random edges over at most `max_step` frames."""
    counts = draw(st.lists(st.integers(0, 5), min_size=1, max_size=6))
    frames = np.repeat(np.arange(len(counts)), counts)
    possible = [
        (i, j)
        for i in range(len(frames))
        for j in range(len(frames))
        if 1 <= frames[j] - frames[i] <= max_step
    ]
    chosen = []
    if possible:
        chosen = draw(st.lists(st.sampled_from(possible), unique=True, max_size=max_edges))
    seed = draw(st.integers(0, 2**31))
    rng = np.random.default_rng(seed)
    scores = rng.choice(levels, len(chosen)) if levels else rng.uniform(0.05, 1, len(chosen))
    table = np.array(sorted(chosen), np.int64).reshape(-1, 2)
    detections = detections_in(frames, seed)
    return CandidateGraph(detections, Edges(table[:, 0], table[:, 1], scores))


@pytest.mark.parametrize("name", CASES)
def test_ilp_finds_what_upstream_finds(name):
    golden = load_case(name)
    labels = np.zeros(len(golden["frame"]), np.int64)
    detections = Detections(golden["frame"], labels, golden["centroid"], golden["features"])
    edges = Edges(*golden["edges"].T, golden["edge_scores"])
    graph = candidate_graph(detections, edges, max_distance=MAX_DISTANCE_PX)
    ours = linker("ilp")(graph)
    rows = {pair: i for i, pair in enumerate(map(tuple, golden["edges"].tolist()))}
    kept = edges.rows(np.array([rows[tuple(pair)] for pair in golden["ilp_edges"].tolist()]))
    theirs = build_lineage(detections, kept)
    costs = LinkCosts()
    assert lineage_cost(ours, costs) == pytest.approx(lineage_cost(theirs, costs), abs=TIED)
    if pairs(ours.edges.source, ours.edges.target) != pairs(*golden["ilp_edges"].T):
        # Other edges of the same cost are a tie; without one the links are the same.
        values = np.sort(edges.score)
        assert (np.diff(values) <= TIED).any()


def slow_cost(detections, kept, costs):
    """Price a set of (source, target, score) by walking over the detections; inf if no lineage."""
    frames = detections.frame
    total = sum(costs.edge + costs.edge_score * score for _, _, score in kept)
    total += sum(costs.missed_frame * (frames[t] - frames[s] - 1) for s, t, _ in kept)
    for node in range(len(detections)):
        n_in = sum(target == node for _, target, _ in kept)
        n_out = sum(source == node for source, _, _ in kept)
        if n_in > 1 or n_out > 2:
            return np.inf
        price = costs.detection
        frame = frames[node]
        price += costs.appear if n_in == 0 and frame > min(frames) else 0
        price += costs.disappear if n_out == 0 and frame < max(frames) else 0
        price += costs.split if n_out == 2 else 0
        total += price if n_in or n_out else min(price, 0)
    return total


@given(graphs(max_edges=9), any_costs)
@settings(max_examples=150)
def test_ilp_costs_as_little_as_the_best_of_all_sets_of_edges(graph, costs):
    edges = list(zip(*(part.tolist() for part in vars_of(graph.edges)), strict=True))
    sets = itertools.chain.from_iterable(
        itertools.combinations(edges, size) for size in range(len(edges) + 1)
    )
    best = min(slow_cost(graph.detections, kept, costs) for kept in sets)
    lineage = linker("ilp", costs=costs)(graph)
    assert lineage_cost(lineage, costs) == pytest.approx(best, abs=ROUNDING)
    kept = list(zip(*(part.tolist() for part in vars_of(lineage.edges)), strict=True))
    assert slow_cost(graph.detections, kept, costs) == pytest.approx(best, abs=ROUNDING)


def vars_of(edges):
    return edges.source, edges.target, edges.score


def solve_whole(graph, costs, divisions):
    """One program for the whole movie, without splitting, assignment or start."""
    program = build_program(costs.price(graph), costs, divisions=divisions)
    empty = program.values(np.empty(0, np.int64))
    values, gap = solve_program(program, empty, time_limit_s=60)
    assert gap == 0
    return build_lineage(graph.detections, graph.edges.rows(program.kept(values)))


@given(graphs(levels=()), any_costs, st.booleans())
@settings(max_examples=150)
def test_ilp_equals_one_program_for_the_whole_movie(graph, costs, divisions):
    """Scores are random reals, so that the best lineage is one."""
    ours = linker("ilp" if divisions else "ilp_nodiv", costs=costs)(graph)
    whole = solve_whole(graph, costs, divisions)
    assert lineage_cost(ours, costs) == pytest.approx(lineage_cost(whole, costs), abs=ROUNDING)
    assert pairs(ours.edges.source, ours.edges.target) == pairs(
        whole.edges.source, whole.edges.target
    )


@given(graphs(max_edges=12, max_step=1), st.sampled_from(sorted(CONFIGURATIONS)))
@settings(max_examples=20)
def test_ilp_costs_as_little_as_motile_finds(graph, name):
    motile = pytest.importorskip("motile")
    pytest.importorskip("motile.constraints")
    costs, edges = COSTS[name], graph.edges
    if len(edges) == 0:
        return
    nodes = {i: {"time": int(t)} for i, t in enumerate(graph.detections.frame)}
    tracks = motile.TrackGraph(frame_attribute="time")
    for node, values in nodes.items():
        tracks.add_node(node, values)
    for source, target, score in zip(*vars_of(edges), strict=True):
        tracks.add_edge((int(source), int(target)), {"score": float(score)})
    solver = motile.Solver(tracks)
    solver.add_cost(motile.costs.NodeSelectedCost(constant=costs.detection, weight=0))
    solver.add_cost(motile.costs.EdgeSelectedCost(costs.edge_score, "score", constant=costs.edge))
    solver.add_cost(motile.costs.NodeAppearCost(constant=costs.appear))
    solver.add_cost(motile.costs.NodeDisappearCost(constant=costs.disappear))
    solver.add_cost(motile.costs.NodeSplitCost(constant=costs.split))
    solver.add_constraint(motile.constraints.MaxParents(1))
    solver.add_constraint(motile.constraints.MaxChildren(2))
    theirs = solver.solve().get_value()
    ours = lineage_cost(linker("ilp", costs=costs)(graph), costs)
    assert ours == pytest.approx(theirs, abs=1e-5)  # SCIP's tolerance


def test_upstreams_costs_are_assignments():
    for divisions in (False, True):
        assert all(is_assignment(costs, divisions) for costs in CONFIGURATIONS.values())
    assert not is_assignment(COSTS["cheap divisions"], True)
    assert not is_assignment(COSTS["paid divisions"], True)


def random_graph(n_frames=5, n_cells=30, seed=0):
    rng = np.random.default_rng(seed)
    detections = detections_in(np.repeat(np.arange(n_frames), n_cells))
    source = np.repeat(np.arange((n_frames - 1) * n_cells), 4)
    target = (source // n_cells + 1) * n_cells + rng.integers(0, n_cells, len(source))
    table = np.unique(np.column_stack([source, target]), axis=0)
    edges = Edges(table[:, 0], table[:, 1], rng.uniform(0.05, 1, len(table)))
    return CandidateGraph(detections, edges)


def test_portions_of_components_change_nothing(monkeypatch):
    graph, costs = random_graph(2, 40), COSTS["cheap divisions"]
    best = lineage_cost(linker("ilp", costs=costs)(graph), costs)
    monkeypatch.setattr("trackastra_engine.linking.program.PORTION_SIZE", 1)
    portions = lineage_cost(linker("ilp", costs=costs)(graph), costs)
    assert portions == pytest.approx(best, abs=ROUNDING)


@pytest.mark.parametrize("time_limit_s", [0, 1e-4])
def test_the_time_limit_leaves_the_best_so_far_and_says_so(caplog, time_limit_s):
    graph, costs = random_graph(10, 60), COSTS["cheap divisions"]
    rows = choose_optimally(graph)
    kept = solve_by_components(
        costs.price(graph), costs, rows, divisions=True, time_limit_s=time_limit_s
    )
    found, begun, best = (
        lineage_cost(build_lineage(graph.detections, graph.edges.rows(part)), costs)
        for part in (kept, rows, choose_optimally(graph, costs=costs))
    )
    assert found <= begun + ROUNDING
    assert f"time limit of {time_limit_s:g} s" in caplog.text
    gap = float(re.search(r"may cost up to (\S+) less", caplog.text)[1])
    assert 0 <= found - best <= 1.01 * gap  # said in three digits


@given(graphs(levels=()), any_costs, st.booleans())
def test_no_lineage_costs_less_than_is_thought_possible(graph, costs, divisions):
    program = build_program(costs.price(graph), costs, divisions=divisions)
    best = lineage_cost(solve_whole(graph, costs, divisions), costs)
    assert program.least_cost() <= best + ROUNDING


def test_costs_are_read_by_name_or_from_toml(tmp_path):
    assert read_costs("deepcell_gt").split == 1.0
    file = tmp_path / "costs.toml"
    file.write_text("appear = 1\nsplit = 0.75\n")
    assert read_costs(file) == LinkCosts(appear=1.0, split=0.75)
    for text in ("splits = 1", "split = 'x'", "split = true", "split = inf", "split ="):
        file.write_text(text)
        with pytest.raises(InputError, match=r"costs\.toml"):
            read_costs(file)
    with pytest.raises(InputError, match="deepcell_res_tuned"):
        read_costs("nonsense")


@given(graphs(levels=()))
def test_matching_equals_scipys_dense_assignment(graph):
    """Each source twice and each target beside a place of its own that gains nothing."""
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
def test_every_linker_makes_a_forest_of_tracklets_and_repeats_itself(graph, mode):
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
def test_the_second_child_has_the_score_that_was_asked_for(graph, mode, min_division_score):
    if mode == "greedy":
        min_division_score = max(min_division_score, 0.5)
    kept = linker(mode, min_division_score=min_division_score)(graph).edges
    by_parent = np.lexsort((-kept.score, kept.source))
    is_second = np.diff(kept.source[by_parent], prepend=-1) == 0
    assert (kept.score[by_parent][is_second] >= min_division_score - ROUNDING).all()


@given(graphs(max_edges=9, max_step=1, levels=()))
def test_of_chances_the_links_that_exceed_their_price_most_are_chosen(graph):
    """Twin: all subsets. A link pays above 0.3, a second child above 0.75; no parent has three."""
    edges = graph.edges
    best = 0.0
    for kept in itertools.product([False, True], repeat=len(edges)):
        rows = np.flatnonzero(kept)
        n_children = np.bincount(edges.source[rows], minlength=1)
        if len(set(edges.target[rows])) == len(rows) and n_children.max(initial=0) <= 2:
            worth = (edges.score[rows] - 0.3).sum() - 0.45 * (n_children == 2).sum()
            best = max(best, worth)
    found = linker("ilp", chances=True).choose(graph)
    n_children = np.bincount(edges.source[found], minlength=1)
    worth = (edges.score[found] - 0.3).sum() - 0.45 * (n_children == 2).sum()
    assert worth == pytest.approx(best)


@pytest.mark.parametrize("mode", ["greedy", "lap", "ilp"])
def test_a_second_child_needs_more_of_scores_that_are_chances(mode):
    """A mother and two daughters, one of them sure; the other is as good as the number says."""
    frames = np.array([0, 1, 1])
    for score, is_division in ((0.7, False), (0.8, True)):
        edges = Edges(np.array([0, 0]), np.array([1, 2]), np.array([0.99, score]))
        graph = CandidateGraph(detections_in(frames, 0), edges)
        assert len(linker(mode, chances=True)(graph).edges) == 1 + is_division
        assert len(linker(mode)(graph).edges) == 2
        assert len(linker(mode, chances=True, min_division_score=0.6)(graph).edges) == (
            2 if mode != "ilp" or is_division else 1
        )


@pytest.mark.parametrize("mode", ["greedy", "greedy_nodiv", "ilp", "ilp_nodiv", "lap"])
def test_a_link_needs_less_of_scores_that_are_chances(mode):
    edges = Edges(np.array([0]), np.array([1]), np.array([0.35]))
    graph = CandidateGraph(detections_in([0, 1], 0), edges)
    assert len(linker(mode, chances=True)(graph).edges) == 1
    assert len(linker(mode)(graph).edges) == (not mode.startswith("greedy"))
    weak = replace(graph, edges=replace(edges, score=np.array([0.25])))
    assert len(linker(mode, chances=True)(weak).edges) == (mode == "lap")


def test_no_gap_takes_the_place_of_the_detection_between():
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
def test_a_gap_is_closed_over_which_there_is_an_edge(mode):
    detections = detections_in([0, 1, 3, 4])
    edges = Edges(np.array([0, 1, 2]), np.array([1, 2, 3]), np.array([0.9, 0.8, 0.9]))
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
    assert linker("ilp", costs=COSTS["deepcell_gt_tuned"]).is_separable
    assert not linker("ilp", costs=COSTS["deepcell_res_tuned"]).is_separable
    assert not linker("ilp", costs=COSTS["paid divisions"]).is_separable
