"""Which of several models is the best for its time, on real movies?"""

import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.accuracy_sets import NamedMovie
from benchmarks.movie_variants import densest
from benchmarks.our_trackers import load_model
from benchmarks.real_movies import DATA_OPTION
from benchmarks.record import write_result
from benchmarks.strides import STRIDES, change_of_errors, measure, movies, versions
from benchmarks.true_movies import TrueMovie
from trackastra_engine.model.onnx_model import AssociationModel


def runs(compared: Sequence[AssociationModel], movie: TrueMovie) -> list[dict[str, Any]]:
    """Return the accuracy and the CPU time of each model with each stride, in turn."""
    return [
        {"model": model.path.stem, "stride": stride, **measure(model, movie, stride)}
        for model, stride in itertools.product(compared, STRIDES)
    ]


def facts(model: AssociationModel) -> dict[str, Any]:
    """Return the name, the training data and the size of a model."""
    spec = model.spec
    named = {"model": model.path.stem, "description": spec.description}
    return {**named, "ndim": spec.ndim, "parameters": spec.n_parameters}


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of models and strides: time, mean F1 of each movie's versions, and errors.

    Errors are compared with those of the first row, as the mean change over all versions.
    """
    cases = result["movies"]
    names = list(dict.fromkeys(_original(case) for case in cases))
    head = ["model", "parameters", "stride", "CPU s per 1,000 detections"]
    yield [*head, *names, "errors"]
    parameters = {row["model"]: row["parameters"] for row in result["models"]}
    first = [case["runs"][0] for case in cases]
    for found in zip(*(case["runs"] for case in cases), strict=True):
        model = found[0]["model"]
        by_name = (
            [row for case, row in zip(cases, found, strict=True) if _original(case) == name]
            for name in names
        )
        yield [
            model,
            f"{parameters[model]:,}",
            str(found[0]["stride"]),
            f"{_seconds(cases, found):.3f}",
            *map(_mean_scores, by_name),
            f"{100 * change_of_errors(first, found):+.1f} %",
        ]


def _original(case: dict[str, Any]) -> str:
    """Return the name of the movie of which a case is a version."""
    return str(case["movie"]).split(",")[0]


def _seconds(cases: Sequence[dict[str, Any]], found: Sequence[dict[str, Any]]) -> float:
    """Return the CPU seconds per 1,000 detections of all movies."""
    counts = [case["detections"] for case in cases]
    return float(np.average([row["cpu_s_per_1000_detections"] for row in found], weights=counts))


def _mean_scores(found: Sequence[dict[str, Any]]) -> str:
    """Return the mean F1 of edges and of divisions in words."""
    edges = np.mean([row["edge_f1"] for row in found])
    divisions = np.mean([row["division_f1"] for row in found])
    return f"{edges:.4f} / {divisions:.3f}"


def _cases(data: Path | None, named: Sequence[str]) -> Iterator[tuple[str, TrueMovie]]:
    """Yield the movies for choosing and the named ones, in all versions, with their names."""
    if data is not None:
        yield from movies(data)
    for movie in map(NamedMovie.parse, named):
        yield from versions(movie.name, movie.read())


@click.command()
@click.argument("movies", nargs=-1)
@click.option("--model", "models", multiple=True, required=True, help="A name or a file; repeat.")
@DATA_OPTION
def models(movies: tuple[str, ...], models: tuple[str, ...], data: Path | None) -> None:
    """Compare models for as many axes on real movies and on MOVIES, each NAME=FOLDER:FIRST-LAST."""
    compared = [load_model(model) for model in models]
    if len({model.spec.ndim for model in compared}) > 1:
        raise click.UsageError("compare models for the same number of axes")
    rows: list[dict[str, Any]] = []
    for name, movie in _cases(data, movies):
        if movie.detections.ndim != compared[0].spec.ndim:
            continue
        if not rows:
            runs(compared, densest(movie, 6))  # reads compiled loops
        rows.append(
            {"movie": name, "detections": len(movie.detections), "runs": runs(compared, movie)}
        )
        print(json.dumps(rows[-1]), flush=True)
    if not rows:
        raise click.UsageError("give the folder of the real movies with --data, or a movie")
    result = {"models": list(map(facts, compared)), "movies": rows}
    print(f"written to {write_result('models', result)}")
