"""How accurate is tracking of cells that wander over a dish, known by their positions only?"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.accuracy import interpreter
from benchmarks.accuracy_sets import in_words
from benchmarks.mcf10a import SET
from benchmarks.motion_constants import n_errors
from benchmarks.movie_variants import ORDINAL, WHOLE, every_nth, kept_cells, with_errors
from benchmarks.other_trackers import Environments, other_trackers
from benchmarks.our_trackers import greedy_links, load_model
from benchmarks.real_movies import ALL_FRAMES, NEEDED_DATA_OPTION, SHOWN_OPTION, read_tables
from benchmarks.record import write_result
from benchmarks.small_fields import facts, pooled, seen_alone
from benchmarks.true_movies import TrueMovie
from trackastra_engine.evaluation.edge_scores import Scores
from trackastra_engine.model.onnx_model import AssociationModel

# Chosen before any model learned from the set; models may learn from the other fields.
FIELDS = {
    "choosing": ("EGF_2", "HGF_4", "OSM_2", "OSM_6"),
    "test": ("EGF_3", "HGF_2", "HGF_3", "OSM_1", "OSM_5", "PBS_1"),
}


def halves(movie: TrueMovie) -> list[TrueMovie]:
    """Return the left and the right half of a field: other than in the whole, cells enter."""
    x = movie.detections.centroid[:, -1]
    is_left = x < np.median(x)
    return [seen_alone(kept_cells(movie, is_seen)) for is_seen in (is_left, ~is_left)]


VERSIONS: dict[str, Callable[[TrueMovie], list[TrueMovie]]] = {
    WHOLE: lambda movie: [movie],
    ORDINAL[2]: lambda movie: [every_nth(movie, 2)],
    "with errors": lambda movie: [with_errors(movie)],
    "halves": halves,
    f"halves, {ORDINAL[2]}": lambda movie: halves(every_nth(movie, 2)),
}


def whole_fields(data: Path, part: str) -> list[TrueMovie]:
    """Return the movies of all fields of a part."""
    if not (data / SET).is_dir():
        raise click.BadParameter(f"{data} has no folder {SET}; `benchmarks mcf10a` makes it")
    return [read_tables(data / SET / name, *ALL_FRAMES) for name in FIELDS[part]]


def fields(data: Path, part: str) -> Iterator[tuple[str, list[TrueMovie]]]:
    """Yield the name of each version, and the movies of all fields in it."""
    movies = whole_fields(data, part)
    for name, make in VERSIONS.items():
        yield name, [seen for movie in movies for seen in make(movie)]


def others(movies: Sequence[TrueMovie], environments: Environments) -> Iterator[tuple[str, Scores]]:
    """Yield the scores of other trackers, each with its best setting for all movies together."""
    tried: dict[str, dict[int, list[Scores]]] = {}
    for movie in movies:
        for name, track in other_trackers(movie, environments).items():
            for setting, attempt in enumerate(track(movie)):
                found = tried.setdefault(name, {}).setdefault(setting, [])
                found.append(movie.score(attempt.links))
    for name, by_setting in tried.items():
        yield name, max(map(pooled, by_setting.values()), key=lambda scores: scores.edges.f1)


def row(
    version: str,
    movies: Sequence[TrueMovie],
    models: Mapping[str, AssociationModel],
    environments: Environments,
) -> dict[str, Any]:
    """Return and print the scores of all trackers on all movies of a version together."""
    by_tracker = {
        name: pooled([movie.score(greedy_links(model, movie)) for movie in movies])
        for name, model in models.items()
    } | dict(others(movies, environments))
    found = {
        "version": version,
        **facts(movies, by_tracker),
        "errors": {name: n_errors(scores) for name, scores in by_tracker.items()},
    }
    print(json.dumps(found), flush=True)
    return found


def compare(
    name: str,
    part: str,
    versions: Iterable[tuple[str, list[TrueMovie]]],
    models: Sequence[str],
    environments: Mapping[str, str | None],
) -> None:
    """Write the rows of all versions; those of movies for choosing to a file of their own."""
    loaded = {Path(model).stem: load_model(model) for model in models}
    known = {name: python for name, python in environments.items() if python is not None}
    rows = [row(version, movies, loaded, known) for version, movies in versions]
    result = name if part == "test" else f"{name}_choosing"
    print(f"written to {write_result(result, {'rows': rows})}")


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield a row for each version, with a column for each tracker of any."""
    trackers = dict.fromkeys(name for row in result["rows"] for name in row["trackers"])
    yield ["edge F1 / division F1", "cells per frame", "edges, divisions", *trackers]
    for row in result["rows"]:
        found = row["trackers"]  # overlap needs masks
        scores = (in_words(found[name]) if name in found else "" for name in trackers)
        edges = f"{row['edges']:,}, {row['divisions']:,}"
        yield [row["version"], f"{row['cells']:.0f}", edges, *scores]


@click.command()
@NEEDED_DATA_OPTION
@click.option("--model", "models", multiple=True, default=("general_2d",), show_default=True)
@SHOWN_OPTION
@interpreter("btrack")
@interpreter("byotrack")
def wandering(data: Path, models: tuple[str, ...], part: str, **environments: str | None) -> None:
    """Track the movies of `benchmarks mcf10a`, and compare with trackers without training."""
    compare("wandering", part, fields(data, part), models, environments)
