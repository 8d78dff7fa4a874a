"""How long does each linker take, and how does it grow with the number of candidate edges?"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from benchmarks.record import write_result
from trackastra_engine.candidates import CandidateGraph
from trackastra_engine.detections import Detections
from trackastra_engine.edges import MIN_SCORE, Edges
from trackastra_engine.lineage import build_lineage
from trackastra_engine.linking import MODES, linker
from trackastra_engine.linking.costs import CONFIGURATIONS, LinkCosts
from trackastra_engine.linking.ilp import lineage_cost
from trackastra_engine.linking.program import solve_by_components

# (frames, cells per frame, targets per source): 18 000, 200 000 and 1 000 000 edges.
SIZES = ((25, 200, 4), (20, 1_200, 10), (60, 2_000, 10))
SIZE_FOR_HIGHS = (25, 60, 4)  # small enough that HiGHS proves every configuration in seconds
SPACING_PX, MOTION_PX, REACH_PX = 10.0, 3.0, 8.0  # crowded: neighbours compete for parents
REPEATS = 5
CHECK_TOLERANCE = 1e-6


def walking_cells(n_frames: int, n_cells: int, n_targets: int, seed: int = 0) -> CandidateGraph:
    """Return a graph of cells on a random walk, each scored against its nearest targets."""
    rng = np.random.default_rng(seed)
    side = SPACING_PX * np.sqrt(n_cells)
    places = [rng.uniform(0, side, (n_cells, 2))]
    parts = []
    for frame in range(1, n_frames):
        moved = places[-1] + rng.normal(0, MOTION_PX, (n_cells, 2))
        places.append(np.clip(moved, 0, side))
        distance, nearest = cKDTree(places[-1]).query(places[-2], k=n_targets)
        score = np.exp(-distance / REACH_PX) * rng.uniform(0.5, 1, distance.shape)
        source, rank = np.nonzero(score >= MIN_SCORE)
        first = (frame - 1) * n_cells
        target = nearest[source, rank] + first + n_cells
        parts.append((source + first, target, score[source, rank]))
    detections = Detections(
        np.repeat(np.arange(n_frames), n_cells),
        np.tile(np.arange(1, n_cells + 1), n_frames),
        np.concatenate(places),
        np.zeros((n_frames * n_cells, 0)),
    )
    source, target, score = (np.concatenate(part) for part in zip(*parts, strict=True))
    return CandidateGraph(detections, Edges(source, target, score))


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
    """Return the rows of the edges that HiGHS keeps, starting from nothing."""
    nothing = np.empty(0, np.int64)
    return solve_by_components(costs.price(graph), costs, nothing, divisions=True, time_limit_s=300)


def check_against_highs() -> list[dict[str, Any]]:
    """Return how long both exact ways take; stop if they differ in cost."""
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


def time_linkers(graph: CandidateGraph) -> list[dict[str, Any]]:
    """Return how long every linker takes, and optimal linking where detections may be refused."""
    refusing = CONFIGURATIONS["deepcell_res_tuned"]
    linkers = {mode: linker(mode) for mode in MODES}
    linkers["ilp, deepcell_res_tuned"] = linker("ilp", costs=refusing)
    counts = {"detections": len(graph.detections), "edges": len(graph.edges)}
    return [
        {**counts, "linker": name, **least_seconds(partial(link, graph))}
        for name, link in linkers.items()
    ]


@click.command()
def linking() -> None:
    """Time all linkers on random walks of up to a million edges."""
    sizes = dict(zip(("frames", "cells", "targets"), SIZE_FOR_HIGHS, strict=True))
    checked = {**sizes, "rows": check_against_highs()}
    rows = [row for size in SIZES for row in time_linkers(walking_cells(*size))]
    path = write_result("linking", {"linkers": rows, "against_highs": checked})
    click.echo(path.read_text())
