"""How long do measuring, the candidate graph and linking take, compared with upstream?"""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np

from benchmarks.candidate_graphs import save_graph, walking_cells
from benchmarks.cells_per_second import per_second
from benchmarks.paired_runs import UPSTREAM_OPTION, Arrays, compared_task
from benchmarks.record import write_result
from benchmarks.seeded_movies import cells_per_frame, simulated_movie
from trackastra_engine import Tracker
from trackastra_engine.association.edge_stream import associate_movie
from trackastra_engine.detection.detections import concatenate, detect
from trackastra_engine.linking.candidates import CandidateGraph
from trackastra_engine.movie.frames import open_movie

SHAPE = (700, 1100)  # pixels of a frame
CELLS = (160, 1000)
LINKED_CELLS, N_TARGETS, MAX_DISTANCE_PX = 500, 10, 256
# Upstream holds coordinates and features in float32; an intensity is skimage's mean in float32,
# and a border distance is cut at 5 pixels in another order.
TOLERANCE = 1e-4  # of the largest value of each column


def check_features(engine: Arrays, upstream: Arrays) -> None:
    """Stop unless both measured the same."""
    for name in ("coordinates", "features"):
        scale = np.abs(upstream[name]).max(axis=0) + 1e-12  # a column may be all 0
        worst = (np.abs(engine[name] - upstream[name]) / scale).max()
        if not worst <= TOLERANCE:
            raise click.ClickException(
                f"{name} differ from upstream's by {worst:.2g} of the largest"
            )


def check_edges(engine: Arrays, upstream: Arrays) -> None:
    """Stop unless both selected the same edges."""
    if not np.array_equal(engine["edges"], upstream["edges"]):
        raise click.ClickException("the engine selects other edges than upstream")


def time_features(
    folder: Path, n_cells: int, n_frames: int, upstream: str | None, repeats: int
) -> dict[str, Any]:
    """Return the times to normalise and measure a simulated movie."""
    images, masks = simulated_movie(n_cells, SHAPE, n_frames)
    np.savez(folder / "movie.npz", images=images, masks=masks)
    row, results = compared_task(
        "features", folder / "movie.npz", upstream=upstream, repeats=repeats
    )
    if upstream:
        check_features(*results)
    parts = {
        task: compared_task(task, folder / "movie.npz", upstream=None, repeats=repeats)[0]["engine"]
        for task in ("pixels", "masks")
    }
    return {
        "stage": "features and normalisation",
        "cells": cells_per_frame(masks),
        "frames": n_frames,
        **parts,
        **row,
    }


def scored_movie(n_cells: int, n_frames: int) -> CandidateGraph:
    """Return the edges that the default model finds in a simulated movie."""
    movie = open_movie(*simulated_movie(n_cells, SHAPE, n_frames))
    detections = concatenate((detect(frame, 2) for frame in movie), 2)
    tracker = Tracker.load(device="cpu")
    edges = associate_movie(
        tracker.scoring(None), tracker.model.spec, detections, max_gap=tracker.link.max_gap
    )
    return CandidateGraph(detections, edges)


def time_linking(
    folder: Path, graph: CandidateGraph, n_frames: int, upstream: str | None, repeats: int
) -> dict[str, Any]:
    """Return the times of the candidate graph and greedy linking."""
    save_graph(graph, folder / "graph.npz")
    given = folder / "graph.npz", str(MAX_DISTANCE_PX), "greedy"
    row, results = compared_task("linking", *given, upstream=upstream, repeats=repeats)
    if upstream:
        check_edges(*results)
    density = len(graph.edges) / len(graph.detections)
    return {
        "stage": f"candidate graph and greedy linking, {density:.1f} candidates a cell",
        "cells": round(len(graph.detections) / n_frames),
        "frames": n_frames,
        **row,
    }


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of stages: CPU time of a frame on both sides, and of its parts."""
    parts = {
        "engine": "engine",
        "without images": "masks",
        "reading its pixels": "pixels",
        "upstream": "upstream",
    }
    yield ["stage", "cells per frame", *parts, "times faster", "speed of the engine"]
    for row in result["stages"]:
        times = [
            f"{1e3 * row[part]['cpu_s'] / row['frames']:,.2f} ms" if part in row else ""
            for part in parts.values()
        ]
        speed = per_second(row["cells"], row["frames"], row["engine"]["cpu_s"])
        yield [row["stage"], f"{row['cells']:,}", *times, f"{row['times_faster']:.0f}", speed]


@click.command()
@UPSTREAM_OPTION
@click.option("--frames", default=20, show_default=True)
@click.option("--repeats", default=5, show_default=True)
def stages(upstream: str | None, frames: int, repeats: int) -> None:
    """Time features and linking on one core; 700 x 1100 pixels a frame."""
    rows = []
    with TemporaryDirectory() as name:
        for n_cells in CELLS:
            rows.append(time_features(Path(name), n_cells, frames, upstream, repeats))
            print(json.dumps(rows[-1]), flush=True)
        crowd = walking_cells(frames, LINKED_CELLS, N_TARGETS)
        for graph in (scored_movie(LINKED_CELLS, frames), crowd):
            rows.append(time_linking(Path(name), graph, frames, upstream, repeats))
            print(json.dumps(rows[-1]), flush=True)
    answer = {"shape": SHAPE, "stages": rows}
    print(f"written to {write_result('stages', answer, upstream=upstream)}")
