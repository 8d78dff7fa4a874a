"""Do links change if only the nearest sources of a target are scored, and how fast is it?"""

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.movie_variants import densest
from benchmarks.our_trackers import greedy_links, load_model
from benchmarks.real_movies import NEEDED_DATA_OPTION
from benchmarks.record import write_result
from benchmarks.strides import movies
from benchmarks.true_movies import TrueMovie
from trackastra_engine.model.onnx_model import AssociationModel

ALL, NEAREST, PAIRWISE = "all", "nearest", "nearest, --max-gap 1"

Models = dict[str, AssociationModel]


def load(name: str) -> Models:
    """Return the model that scores all sources, and the one that scores the nearest, by kind."""
    every = AssociationModel.load(name, device="cpu", all_sources=True)
    nearest = load_model(name)
    return {ALL: every, NEAREST: nearest, PAIRWISE: nearest}


def measure(models: Models, movie: TrueMovie, kind: str) -> tuple[NDArray[np.int64], float]:
    """Return the greedy links (E, 2) of a movie, and CPU seconds."""
    begin = time.process_time()
    links = greedy_links(models[kind], movie, max_gap=1 if kind == PAIRWISE else None)
    return links, time.process_time() - begin


def compared(models: Models, movie: TrueMovie) -> dict[str, Any]:
    """Return how many links differ between all sources and the nearest, and the time of each."""
    found = {kind: measure(models, movie, kind) for kind in (PAIRWISE, NEAREST, ALL)}
    some, others = (set(map(tuple, found[kind][0].tolist())) for kind in (ALL, NEAREST))
    n_thousands = len(movie.detections) / 1000
    return {
        "detections": len(movie.detections),
        "different_links": len(some ^ others),
        "cpu_s_per_1000_detections": {
            kind: round(found[kind][1] / n_thousands, 3) for kind in (ALL, NEAREST, PAIRWISE)
        },
    }


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield a row for each movie, and the mean change of times."""
    kinds = (ALL, NEAREST, PAIRWISE)
    yield ["movie", "detections", "links that differ", *(f"CPU s, {kind}" for kind in kinds)]
    times = [row["cpu_s_per_1000_detections"] for row in result["movies"]]
    for row, taken in zip(result["movies"], times, strict=True):
        counts = (f"{row[name]:,}" for name in ("detections", "different_links"))
        yield [row["movie"], *counts, *(f"{taken[kind]:.2f}" for kind in kinds)]
    before = np.log([taken[ALL] for taken in times])
    changes = (np.expm1(np.mean(np.log([t[kind] for t in times]) - before)) for kind in kinds[1:])
    yield ["mean change", "", "", "", *(f"{100 * change:+.0f} %" for change in changes)]


@click.command()
@NEEDED_DATA_OPTION
def sources(data: Path) -> None:
    """Link detections of real movies with all sources of a target, and with the nearest."""
    models = {ndim: load(f"general_{ndim}d") for ndim in (2, 3)}
    rows: list[dict[str, Any]] = []
    for name, movie in movies(data):
        by_kind = models[movie.detections.ndim]
        compared(by_kind, densest(movie, 6))  # nothing is compiled, read or allocated later
        rows.append({"movie": name, **compared(by_kind, movie)})
        print(json.dumps(rows[-1]), flush=True)
    print(f"written to {write_result('sources', {'movies': rows})}")
