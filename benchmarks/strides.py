"""How accurate and how fast is tracking of real movies with a window for every second frame?"""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.movie_variants import densest, every_nth
from benchmarks.our_trackers import load_model
from benchmarks.real_movies import DATA_OPTION, Part, real_parts
from benchmarks.record import write_result
from benchmarks.true_movies import TrueMovie
from trackastra_engine import Tracker
from trackastra_engine.linking import linker
from trackastra_engine.model.onnx_model import AssociationModel
from trackastra_engine.motion import flow

STRIDES = (1, 2)
# Beside the parts for choosing constants: another movie of an epithelium, and the only one of rods.
ADDED: tuple[tuple[Part, str], ...] = (("train", "epidermis"), ("test", "ecoli"))


def movies(root: Path) -> Iterator[tuple[str, TrueMovie]]:
    """Yield the names of movies, and each of them whole and as every second frame."""
    parts = real_parts(root, "validate")
    parts += [part for kind, name in ADDED for part in real_parts(root, kind) if part.name == name]
    for part in parts:
        movie = part.read()
        yield part.name, movie
        yield f"{part.name}, every 2nd", every_nth(movie, 2)


def measure(model: AssociationModel, movie: TrueMovie, stride: int) -> dict[str, float]:
    """Return the accuracy of greedy links, aligned and by rates, and CPU seconds."""
    flow._MEMORY = flow.new_memory()
    voxel = (movie.z_step, 1.0, 1.0)[-movie.detections.ndim :]
    link = linker("greedy", probabilities=model.spec.scores_are_probabilities)
    tracker = Tracker(model, link, stride=stride, threads=1)
    begin = time.process_time()
    edges = tracker.track_detections(movie.detections, voxel_um=voxel).edges
    seconds = time.process_time() - begin
    scores = movie.score(np.column_stack([edges.source, edges.target]))
    return {
        "edge_f1": round(scores.edges.f1, 4),
        "division_f1": round(scores.divisions.f1, 3),
        "cpu_s_per_1000_detections": round(1e3 * seconds / len(movie.detections), 3),
    }


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of movies: accuracy and speed with each stride."""
    names = ("F1 of edges / divisions", "cells/s")
    heads = (f"`--stride {stride}`: {name}" for stride in STRIDES for name in names)
    yield ["movie", "detections", *heads]
    for row in result["movies"]:
        yield [
            row["movie"],
            f"{row['detections']:,}",
            *(cell for stride in STRIDES for cell in _cells(row["strides"][str(stride)])),
        ]


def _cells(found: dict[str, float]) -> tuple[str, str]:
    """Return accuracy and speed in words."""
    cells_per_s = 1000 / found["cpu_s_per_1000_detections"]
    return f"{found['edge_f1']:.4f} / {found['division_f1']:.3f}", f"{cells_per_s:,.0f}"


@click.command()
@DATA_OPTION
def strides(data: Path | None) -> None:
    """Link detections of real movies, with windows of some strides, on one core."""
    if data is None:
        raise click.UsageError("give the folder of the real movies with --data")
    models = {ndim: load_model(f"general_{ndim}d") for ndim in (2, 3)}
    rows: list[dict[str, Any]] = []
    for name, movie in movies(data):
        model = models[movie.detections.ndim]
        if not rows:
            measure(model, densest(movie, 6), 1)  # reads compiled loops
        found = {str(stride): measure(model, movie, stride) for stride in STRIDES}
        rows.append({"movie": name, "detections": len(movie.detections), "strides": found})
        print(json.dumps(rows[-1]), flush=True)
    print(f"written to {write_result('strides', {'movies': rows})}")
