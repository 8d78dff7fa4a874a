"""How accurate is tracking of cells that lie in one layer, as on a dish, in stacks of images?"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.accuracy_sets import in_words, title
from benchmarks.mcf10a import SET
from benchmarks.movie_variants import (
    ORDINAL,
    SEED,
    WHOLE,
    every_nth,
    itself,
    typical_spacing,
    with_errors,
)
from benchmarks.our_trackers import greedy_links, load_model
from benchmarks.real_movies import NEEDED_DATA_OPTION, SHOWN_OPTION, parts_shown
from benchmarks.record import write_result
from benchmarks.small_fields import facts, others, pooled
from benchmarks.true_movies import TrueMovie, as_points
from benchmarks.wandering import fields
from trackastra_engine.evaluation.edge_scores import Scores
from trackastra_engine.model.onnx_model import AssociationModel
from trackastra_engine.simulation import KnownMovie, count_children
from trackastra_training.cell_layers import as_layer

N_LAYERS = 4  # of each movie, with other depths, heights and planes
IN_THE_PLANE = ", without depth"
VERSIONS = {WHOLE: itself, ORDINAL[2]: partial(every_nth, n=2), "with errors": with_errors}


def layers(movie: TrueMovie) -> list[TrueMovie]:
    """Return a 2D movie as several layers of cells in 3D, known by their sizes and shapes."""
    known = KnownMovie(movie.detections, movie.parent, count_children(movie.parent))
    seeds = range(SEED, SEED + N_LAYERS)
    raised = [as_layer(known, np.random.default_rng(seed)).detections for seed in seeds]
    return [replace(as_points(movie), detections=detections) for detections in raised]


def flat_movies(data: Path, part: str) -> Iterator[tuple[str, str, list[TrueMovie]]]:
    """Yield the 2D movies of a part: the name, the version, and one or several fields."""
    for found in parts_shown(data, part):
        if found.ndim == 2:
            movie = found.read()
            for version, make in VERSIONS.items():
                yield found.name, version, [make(movie)]
    if (data / SET).is_dir():
        for version, movies in fields(data, part):
            yield "wandering cells", version, movies


def scored(model: AssociationModel, movies: Sequence[TrueMovie]) -> Scores:
    """Return the scores of all movies together."""
    return pooled([movie.score(greedy_links(model, movie)) for movie in movies])


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield a row for each version of a movie, with a column for each tracker."""
    trackers = dict.fromkeys(name for row in result["rows"] for name in row["trackers"])
    yield ["edge F1 / division F1", "edges, divisions", *trackers]
    for row in result["rows"]:
        edges = f"{row['edges']:,}, {row['divisions']:,}"
        scores = (in_words(row["trackers"][name]) for name in trackers)
        yield [title(row["movie"], row["variant"], has_errors=False), edges, *scores]


@click.command("layers")
@NEEDED_DATA_OPTION
@click.option("--model", "models", multiple=True, default=("general_3d",), show_default=True)
@click.option("--model-2d", default="general_2d", show_default=True)
@SHOWN_OPTION
def layers_benchmark(data: Path, models: tuple[str, ...], model_2d: str, part: str) -> None:
    """Track real 2D movies as layers of cells in 3D, and compare with other trackers."""
    loaded, in_plane = {Path(name).stem: load_model(name) for name in models}, load_model(model_2d)
    rows: list[dict[str, Any]] = []
    for found, version, movies in flat_movies(data, part):
        raised = [layer for movie in movies for layer in layers(movie)]
        by_tracker = {f"{Path(model_2d).stem}{IN_THE_PLANE}": scored(in_plane, movies)}
        by_tracker |= {name: scored(model, raised) for name, model in loaded.items()}
        spacings = (typical_spacing(movie.detections) for movie in raised)
        by_tracker |= dict(others(list(zip(raised, spacings, strict=True))))
        rows.append({"movie": found, "variant": version, **facts(movies, by_tracker)})
        print(json.dumps(rows[-1]), flush=True)
    name = "layers" if part == "test" else "layers_choosing"
    print(f"written to {write_result(name, {'rows': rows})}")
