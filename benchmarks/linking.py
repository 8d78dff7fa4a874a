"""How long does each linker take, by the number of candidate edges, and upstream's ILP?"""

import time
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.candidate_graphs import save_graph, walking_cells
from benchmarks.paired_runs import UPSTREAM_OPTION, Arrays, compared_task
from benchmarks.record import write_result
from trackastra_engine.linking import MODES, linker
from trackastra_engine.linking.candidates import CandidateGraph
from trackastra_engine.linking.costs import CONFIGURATIONS, LinkCosts
from trackastra_engine.linking.ilp import lineage_cost
from trackastra_engine.linking.integer_program import solve_by_components
from trackastra_engine.linking.lineage import build_lineage

# (frames, cells per frame, targets per source): 18 000, 200 000 and 1 000 000 edges.
SIZES = ((25, 200, 4), (20, 1_200, 10), (60, 2_000, 10))
SIZE_FOR_HIGHS = (25, 60, 4)  # small enough that HiGHS proves every configuration in seconds
MAX_DISTANCE_PX = 256.0
REPEATS = 5
CHECK_TOLERANCE = 1e-6
UPSTREAM_TOLERANCE = 1e-3  # SCIP stops within its own tolerances


def least_seconds(run: Callable[[], object]) -> dict[str, float]:
    """Return wall and CPU time of the least disturbed of some runs, after one to warm up."""
    run()
    times = []
    for _ in range(REPEATS):
        wall, processor = time.perf_counter(), time.process_time()
        run()
        times.append((time.perf_counter() - wall, time.process_time() - processor))
    wall, processor = np.min(times, axis=0)
    return {"wall_s": round(float(wall), 5), "cpu_s": round(float(processor), 5)}


def by_highs(graph: CandidateGraph, costs: LinkCosts) -> NDArray[np.int64]:
    """Return the rows of the edges that HiGHS selects, without a starting solution."""
    nothing = np.empty(0, np.int64)
    return solve_by_components(costs.price(graph), costs, nothing, divisions=True, time_limit_s=300)


def check_against_highs() -> list[dict[str, Any]]:
    """Return the times of both exact solvers; stop if they differ in cost."""
    graph = walking_cells(*SIZE_FOR_HIGHS)
    rows = []
    for name, costs in CONFIGURATIONS.items():
        started = time.process_time()
        kept = by_highs(graph, costs)
        highs_s = time.process_time() - started
        whole = lineage_cost(build_lineage(graph.detections, graph.edges.rows(kept)), costs)
        ours = lineage_cost(linker("ilp", costs=costs)(graph), costs)
        if abs(ours - whole) > CHECK_TOLERANCE:
            raise click.ClickException(f"{name}: assignment costs {ours}, HiGHS {whole}")
        times = least_seconds(partial(linker("ilp", costs=costs), graph))
        rows.append({"costs": name, "assignment": times, "highs_cpu_s": round(highs_s, 3)})
    return rows


def compare_with_upstream(upstream: str) -> dict[str, Any]:
    """Return times of the candidate graph and optimal linking on both sides.

    Stops if upstream's lineage has another cost than ours.
    """
    graph = walking_cells(*SIZES[0])
    with TemporaryDirectory() as folder:
        path = Path(folder) / "graph.npz"
        save_graph(graph, path)
        given = path, str(MAX_DISTANCE_PX), "ilp"
        row, results = compared_task("linking", *given, upstream=upstream, repeats=1)
    ours, theirs = (cost_of(graph, result) for result in results)
    if abs(ours - theirs) > UPSTREAM_TOLERANCE:
        raise click.ClickException(f"the lineage costs {ours}, upstream's {theirs}")
    return {"detections": len(graph.detections), "edges": len(graph.edges), "cost": ours, **row}


def cost_of(graph: CandidateGraph, result: Arrays) -> float:
    """Return the cost, by upstream's default, of the edges that a worker selected."""
    all_edges, kept = graph.edges, set(map(tuple, result["edges"].tolist()))
    ends = zip(all_edges.source.tolist(), all_edges.target.tolist(), strict=True)
    rows = np.array([row for row, pair in enumerate(ends) if pair in kept])
    return lineage_cost(build_lineage(graph.detections, all_edges.rows(rows)), LinkCosts())


def time_linkers(graph: CandidateGraph, max_gap: int) -> list[dict[str, Any]]:
    """Return the times of every linker, and of optimal linking that may reject detections."""
    rejecting = CONFIGURATIONS["deepcell_res_tuned"]
    linkers = {mode: linker(mode, max_gap=max_gap) for mode in MODES}
    linkers["ilp, deepcell_res_tuned"] = linker("ilp", max_gap=max_gap, costs=rejecting)
    about = {
        "detections": len(graph.detections),
        "edges": len(graph.edges),
        "max_gap": max_gap,
    }
    return [
        {**about, "linker": name, **least_seconds(partial(link, graph))}
        for name, link in linkers.items()
    ]


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of graph sizes by linkers: CPU time."""
    rows = result["linkers"]
    linkers = list(dict.fromkeys(row["linker"] for row in rows))
    yield ["candidate edges", *linkers]
    for n_edges, max_gap in dict.fromkeys((row["edges"], row["max_gap"]) for row in rows):
        seconds = {row["linker"]: row["cpu_s"] for row in rows if row["edges"] == n_edges}
        gaps = "" if max_gap == 1 else f", `--max-gap {max_gap}`"
        yield [f"{n_edges:,}{gaps}", *(f"{1e3 * seconds[name]:.1f} ms" for name in linkers)]


def upstream_table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield one row: the candidate graph and optimal linking on both sides."""
    row = result["against_upstream"]
    yield ["detections", "candidate edges", "engine, ilp", "upstream, ilp", "times faster"]
    yield [
        f"{row['detections']:,}",
        f"{row['edges']:,}",
        f"{row['engine']['cpu_s']:.3f} s, {row['engine']['peak_mb']:,} MB",
        f"{row['upstream']['cpu_s']:.1f} s, {row['upstream']['peak_mb']:,} MB",
        f"{row['times_faster']:,.0f}",
    ]


@click.command()
@UPSTREAM_OPTION
def linking(upstream: str | None) -> None:
    """Time all linkers on random walks of up to a million edges; upstream's ILP takes minutes."""
    sizes = dict(zip(("frames", "cells", "targets"), SIZE_FOR_HIGHS, strict=True))
    answer: dict[str, Any] = {"against_highs": {**sizes, "rows": check_against_highs()}}
    if upstream:
        answer["against_upstream"] = compare_with_upstream(upstream)
    answer["linkers"] = [
        row
        for max_gap, sizes in ((1, SIZES), (2, SIZES[1:2]))
        for size in sizes
        for row in time_linkers(walking_cells(*size, max_gap=max_gap), max_gap)
    ]
    click.echo(write_result("linking", answer, upstream=upstream).read_text())
