"""Which of several models is the best for its size, and how much time does it need?"""

import time
from collections.abc import Iterable, Sequence
from typing import Any

import click
import numpy as np

from benchmarks.accuracy_sets import Wanted, accuracy_sets, in_words, summary
from benchmarks.our_trackers import candidates, chosen_links, load_model
from benchmarks.record import write_result
from trackastra_engine.model.onnx_model import AssociationModel

MODES = ("greedy", "ilp")
KINDS = ("real", "real with errors", "rendered", "rendered with errors")


def measure(model: AssociationModel, movies: tuple[str, ...]) -> dict[str, Any]:
    """Return the accuracy of a model on all sets of its number of axes, its size and its time.

    Movies are tracked with images where there are any. The seconds are CPU time from masks to
    scored edges.
    """
    sets, seconds, n_detections = [], 0.0, 0
    for case in accuracy_sets(Wanted({model.spec.ndim}, movies)):
        with_images = case.movie.images is not None
        start = time.process_time()
        graph = candidates(model, case.movie, with_images=with_images)
        seconds += time.process_time() - start
        n_detections += len(graph.detections)
        rows = [
            {"tracker": mode, **summary(case.movie.score(chosen_links(graph, mode)))}
            for mode in MODES
        ]
        sets.append({**case.facts(), "trackers": rows})
        scores = "   ".join(f"{row['tracker']} {in_words(row)}" for row in rows)
        print(f"  {case!s:24s} {scores}", flush=True)
    return {
        "model": model.path.stem,
        "description": model.spec.description,
        "parameters": model.spec.n_parameters,
        "megabytes": round(model.path.stat().st_size / 1e6, 2),
        "cpu_s_per_1000_detections": round(1000 * seconds / n_detections, 3),
        "means": {mode: means(sets, mode) for mode in MODES},
        "sets": sets,
    }


def means(sets: list[dict[str, Any]], mode: str) -> list[dict[str, Any]]:
    """Return the mean F1 of edges and of divisions over real and rendered sets."""
    result = []
    for kind in ("real", "rendered"):
        for has_errors in (False, True):
            rows = [
                row
                for case in sets
                if (case["kind"], case["has_errors"]) == (kind, has_errors)
                for row in case["trackers"]
                if row["tracker"] == mode
            ]
            divisions = [row["division_f1"] for row in rows if row["division_f1"] is not None]
            if rows:
                result.append(
                    {
                        "kind": kind,
                        "has_errors": has_errors,
                        "edge_f1": round(float(np.mean([row["edge_f1"] for row in rows])), 4),
                        "division_f1": round(float(np.mean(divisions)), 3),
                    }
                )
    return result


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of models: size, cost, and mean F1 of greedy links on each kind of sets."""
    yield ["model", "parameters", "CPU s per 1,000 detections", *KINDS]
    for row in result["models"]:
        yield [
            row["model"],
            f"{row['parameters']:,}",
            f"{row['cpu_s_per_1000_detections']:.2f}",
            *in_columns(row["means"]["greedy"]),
        ]


def in_columns(scores: list[dict[str, Any]]) -> list[str]:
    """Return the result of `means` as cells of a table, one for each of KINDS."""
    cells = dict.fromkeys(KINDS, "")
    for mean in scores:
        kind = mean["kind"] + (" with errors" if mean["has_errors"] else "")
        cells[kind] = f"{mean['edge_f1']:.4f} / {mean['division_f1']:.3f}"
    return list(cells.values())


@click.command()
@click.argument("movies", nargs=-1)
@click.option("--model", "models", multiple=True, required=True, help="A name or a file; repeat.")
def models(movies: tuple[str, ...], models: tuple[str, ...]) -> None:
    """Compare models on rendered movies and on MOVIES, each NAME=FOLDER:FIRST-LAST."""
    results = []
    for model in map(load_model, models):
        print(f"\n{model.path.stem}")
        results.append(measure(model, movies))
        print(f"  {results[-1]['cpu_s_per_1000_detections']} s per 1000 detections")
    print(f"\nwritten to {write_result('models', {'models': results})}")
