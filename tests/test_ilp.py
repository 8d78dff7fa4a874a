"""Links by ilp: those of upstream, with the cost of slow twins, in time; costs from files."""

import itertools
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden_cases import CASES, load_case
from random_graphs import COSTS, ROUNDING, any_costs, detections_in, graphs, vars_of
from test_parity import MAX_DISTANCE_PX, TIED, pairs
from trackastra_engine.detection.detections import Detections
from trackastra_engine.detection.points import detections_of_points
from trackastra_engine.errors import InputError
from trackastra_engine.linking import linker
from trackastra_engine.linking.candidates import CandidateGraph, candidate_graph
from trackastra_engine.linking.costs import (
    CONFIGURATIONS,
    PROBABILITIES,
    LinkCosts,
    read_costs,
)
from trackastra_engine.linking.ilp import choose_optimally, is_assignment, lineage_cost
from trackastra_engine.linking.integer_program import (
    build_program,
    solve_by_components,
    solve_program,
)
from trackastra_engine.linking.lineage import build_lineage
from trackastra_engine.linking.options import LinkingOptions
from trackastra_engine.model.edges import Edges


@pytest.mark.parametrize("name", CASES)
def test_ilp_finds_the_links_of_upstream(name):
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
    """Return the cost of a set of (source, target, score), by a loop; inf if not a lineage."""
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
def test_ilp_has_the_least_cost_of_all_sets_of_edges(graph, costs):
    edges = list(zip(*(part.tolist() for part in vars_of(graph.edges)), strict=True))
    sets = itertools.chain.from_iterable(
        itertools.combinations(edges, size) for size in range(len(edges) + 1)
    )
    best = min(slow_cost(graph.detections, kept, costs) for kept in sets)
    lineage = linker("ilp", costs=costs)(graph)
    assert lineage_cost(lineage, costs) == pytest.approx(best, abs=ROUNDING)
    kept = list(zip(*(part.tolist() for part in vars_of(lineage.edges)), strict=True))
    assert slow_cost(graph.detections, kept, costs) == pytest.approx(best, abs=ROUNDING)


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


# motile counts an appearance also for a cell with one parent of several candidates, if it is cheap.
PAID_APPEARANCES = sorted(name for name, costs in CONFIGURATIONS.items() if costs.appear >= 0)


@given(graphs(max_edges=12, max_step=1), st.sampled_from(PAID_APPEARANCES))
@settings(max_examples=20)
def test_ilp_has_at_most_the_cost_of_motile(graph, name):
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
    monkeypatch.setattr("trackastra_engine.linking.integer_program.PORTION_SIZE", 1)
    portions = lineage_cost(linker("ilp", costs=costs)(graph), costs)
    assert portions == pytest.approx(best, abs=ROUNDING)


@pytest.mark.parametrize("time_limit_s", [0, 1e-4])
def test_the_time_limit_gives_the_best_so_far_with_a_warning(caplog, time_limit_s):
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
    assert 0 <= found - best <= 1.01 * gap  # printed with three digits


@given(graphs(levels=()), any_costs, st.booleans())
def test_no_lineage_costs_less_than_the_bound(graph, costs, divisions):
    program = build_program(costs.price(graph), costs, divisions=divisions)
    best = lineage_cost(solve_whole(graph, costs, divisions), costs)
    assert program.least_cost() <= best + ROUNDING


@pytest.mark.parametrize(("probabilities", "usual"), [(True, PROBABILITIES), (False, LinkCosts())])
def test_costs_that_a_file_omits_are_those_of_the_default(tmp_path, probabilities, usual):
    file = tmp_path / "costs.toml"
    file.write_text("split = 0.625\n")
    options = LinkingOptions(mode="ilp", ilp_costs=str(file))
    link = options.linker(usual_gap=1, probabilities=probabilities)
    assert link.choose.keywords["costs"] == replace(usual, split=0.625)


def test_an_integer_program_prints_nothing(capfd):
    graph = CandidateGraph(
        detections_of_points([0, 1, 1], [[0, 0], [0, 1], [1, 0]]),
        Edges(np.array([0, 0]), np.array([1, 2]), np.array([0.9, 0.9])),
    )
    costs = LinkCosts(detection=0.3, split=-0.5)
    assert not is_assignment(costs, divisions=True)
    assert len(linker("ilp", costs=costs)(graph).edges) == 2
    assert capfd.readouterr() == ("", "")


def test_costs_are_read_by_name_or_from_toml(tmp_path):
    usual = LinkCosts(disappear=0.125)
    assert read_costs("deepcell_gt", usual).split == 1.0
    file = tmp_path / "costs.toml"
    file.write_text("appear = 1\nsplit = 0.75\n")
    assert read_costs(file, usual) == LinkCosts(appear=1.0, split=0.75, disappear=0.125)
    for text in ("splits = 1", "split = 'x'", "split = true", "split = inf", "split ="):
        file.write_text(text)
        with pytest.raises(InputError, match=r"costs\.toml"):
            read_costs(file, usual)
    with pytest.raises(InputError, match="deepcell_res_tuned"):
        read_costs("nonsense", usual)


@given(graphs(max_edges=9, max_step=1, levels=()))
def test_of_probabilities_the_links_that_exceed_their_price_most_are_selected(graph):
    """Twin: all subsets. A link pays above 0.3, a second child above 0.5; no parent has three."""
    edges = graph.edges
    best = 0.0
    for kept in itertools.product([False, True], repeat=len(edges)):
        rows = np.flatnonzero(kept)
        n_children = np.bincount(edges.source[rows], minlength=1)
        if len(set(edges.target[rows])) == len(rows) and n_children.max(initial=0) <= 2:
            worth = (edges.score[rows] - 0.3).sum() - 0.2 * (n_children == 2).sum()
            best = max(best, worth)
    found = linker("ilp", probabilities=True).choose(graph)
    n_children = np.bincount(edges.source[found], minlength=1)
    worth = (edges.score[found] - 0.3).sum() - 0.2 * (n_children == 2).sum()
    assert worth == pytest.approx(best)
