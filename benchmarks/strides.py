"""How accurate and how fast is tracking of real movies with a window for every second frame?

Windows of few detections begin at every frame in any case, see `edge_stream.SMALL_WINDOW`.
"""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.motion_constants import ADDED_ERRORS, n_errors
from benchmarks.movie_variants import WHOLE, densest, flat_variants, variants, with_errors
from benchmarks.our_trackers import greedy_links, load_model
from benchmarks.real_movies import NEEDED_DATA_OPTION, parts_for_choosing
from benchmarks.record import write_result
from benchmarks.true_movies import TrueMovie
from trackastra_engine.model.onnx_model import AssociationModel

STRIDES = (1, 2)


def movies(root: Path) -> Iterator[tuple[str, TrueMovie]]:
    """Yield the names of movies for choosing and of their harder versions, and the movies."""
    for part in parts_for_choosing(root):
        yield from versions(part.name, part.read())


def versions(name: str, movie: TrueMovie) -> Iterator[tuple[str, TrueMovie]]:
    """Yield a movie and its harder versions, and their names."""
    makers = {**variants(movie.detections.ndim), "with errors": with_errors}
    if movie.detections.ndim == 3:
        makers |= flat_variants()
    for version, make in makers.items():
        yield name if version == WHOLE else f"{name}, {version}", make(movie)


def measure(model: AssociationModel, movie: TrueMovie, stride: int) -> dict[str, float]:
    """Return the accuracy of greedy links, aligned and by rates, and CPU seconds."""
    begin = time.process_time()
    links = greedy_links(model, movie, stride=stride)
    seconds = time.process_time() - begin
    scores = movie.score(links)
    return {
        "edge_f1": round(scores.edges.f1, 4),
        "division_f1": round(scores.divisions.f1, 3),
        "errors": n_errors(scores),
        "cpu_s_per_1000_detections": round(1e3 * seconds / len(movie.detections), 3),
    }


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of movies, accuracy and speed with each stride, and a row of the changes."""
    names = ("F1 of edges / divisions", "errors", "cells/s")
    heads = (f"`--stride {stride}`: {name}" for stride in STRIDES for name in names)
    yield ["movie", "detections", *heads]
    for row in result["movies"]:
        yield [
            row["movie"],
            f"{row['detections']:,}",
            *(cell for stride in STRIDES for cell in _cells(row["strides"][str(stride)])),
        ]
    closest, wider = (
        [row["strides"][str(stride)] for row in result["movies"]] for stride in STRIDES
    )
    errors = change_of_errors(closest, wider)
    times = np.log([row["cpu_s_per_1000_detections"] for row in wider]) - np.log(
        [row["cpu_s_per_1000_detections"] for row in closest]
    )
    changed = (f"{100 * change:+.1f} %" for change in (errors, np.expm1(times.mean())))
    yield ["mean change of errors, of CPU time", "", "", "", "", "", *changed]


def change_of_errors(before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]) -> float:
    """Return the mean relative change of the number of errors; each count has ADDED_ERRORS more."""
    counts = ([row["errors"] + ADDED_ERRORS for row in rows] for rows in (before, after))
    old, new = map(np.log, counts)
    return float(np.expm1(np.mean(new - old)))


def _cells(found: dict[str, float]) -> tuple[str, str, str]:
    """Return accuracy and speed in words."""
    cells_per_s = 1000 / found["cpu_s_per_1000_detections"]
    scores = f"{found['edge_f1']:.4f} / {found['division_f1']:.3f}"
    return scores, f"{found['errors']:.0f}", f"{cells_per_s:,.0f}"


@click.command()
@NEEDED_DATA_OPTION
def strides(data: Path) -> None:
    """Link detections of real movies, with windows of some strides, on one core."""
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
