"""How accurate is the tracking, against trackers that a user could take instead?"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy_sets import accuracy_sets, in_words, summary
from benchmarks.classical import nearest_neighbour, overlap
from benchmarks.other_trackers import btrack_links, laptrack_links
from benchmarks.our_trackers import MODES, candidates, chosen_links, load_model
from benchmarks.record import write_result
from benchmarks.true_movies import TrueMovie
from trackastra_engine.detection.detections import Detections
from trackastra_engine.model.onnx_model import AssociationModel

DISTANCES_PX = (5, 7, 10, 14, 20, 28, 40, 56, 80)  # tried where a tracker needs one

Row = dict[str, Any]


def yardsticks(movie: TrueMovie, btrack_python: str | None) -> Iterator[Row]:
    """Yield the scores of the other trackers; those with a free parameter at its best."""
    detections = movie.in_proportion()
    yield _at_best_distance("nearest neighbour", nearest_neighbour, movie)
    yield {"tracker": "overlap", **summary(movie.score(overlap(detections, movie.masks)))}
    yield _at_best_distance("laptrack", laptrack_links, movie)
    if btrack_python is not None:
        links, was_optimised = btrack_links(btrack_python, detections)
        yield {
            "tracker": "btrack",
            "was_optimised": was_optimised,
            **summary(movie.score(links)),
        }


def _at_best_distance(
    tracker: str, links: Callable[[Detections, float], NDArray[np.int64]], movie: TrueMovie
) -> Row:
    """Return the scores at the maximum distance with the best F1 of edges."""
    detections = movie.in_proportion()
    tried = {distance: movie.score(links(detections, distance)) for distance in DISTANCES_PX}
    best = max(tried, key=lambda distance: tried[distance].edges.f1)
    return {"tracker": tracker, "distance_px": best, **summary(tried[best])}


def ours(movie: TrueMovie, model: AssociationModel) -> Iterator[Row]:
    """Yield the scores of our linkers, without the images and, if there are any, with them."""
    for with_images in (False, True) if movie.images is not None else (False,):
        graph = candidates(model, movie, with_images=with_images)
        for mode in MODES:
            tracker = f"{mode}, with images" if with_images else mode
            scores = movie.score(chosen_links(graph, mode))
            yield {"tracker": tracker, "model": model.spec.name, **summary(scores)}


def real_table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of trackers by real movies, each with true masks and with errors."""
    return _table([case for case in result["sets"] if case["kind"] == "real"])


def rendered_table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of trackers by rendered movies with true masks."""
    rendered = [case for case in result["sets"] if case["kind"] == "rendered"]
    return _table([case for case in rendered if not case["has_errors"]])


def errors_table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of trackers by rendered movies with errors in the masks."""
    rendered = [case for case in result["sets"] if case["kind"] == "rendered"]
    return _table([case for case in rendered if case["has_errors"]])


def _table(sets: list[dict[str, Any]]) -> Iterable[Sequence[str]]:
    yield ["edge F1 / division F1", *map(_title, sets)]
    trackers = dict.fromkeys(row["tracker"] for case in sets for row in case["trackers"])
    for tracker in trackers:
        by_set = [
            {row["tracker"]: in_words(row) for row in case["trackers"]}.get(tracker, "")
            for case in sets
        ]
        yield [tracker, *by_set]


def _title(case: dict[str, Any]) -> str:
    name = case["name"] + (" with errors" if case["has_errors"] else "")
    return f"{name} ({case['edges']:,} edges, {case['divisions']:,} divisions)"


@click.command()
@click.argument("movies", nargs=-1)
@click.option("--model", "models", multiple=True, default=("general_2d",), show_default=True)
@click.option(
    "--btrack",
    "btrack_python",
    metavar="PYTHON",
    help="Measure btrack, too: the interpreter of an environment that holds it.",
)
def accuracy(movies: tuple[str, ...], models: tuple[str, ...], btrack_python: str | None) -> None:
    """Score trackers on rendered movies and on MOVIES, with true masks and with errors in them.

    Each of MOVIES is NAME=FOLDER:FIRST-LAST with FOLDER as 02_GT of the Cell Tracking Challenge.
    Edges and divisions count between neighbouring frames. Give one model for 2D movies, one for
    3D movies, or both.
    """
    by_ndim = {model.spec.ndim: model for model in map(load_model, models)}
    if len(by_ndim) < len(models):
        raise click.BadParameter("these are several models for the same kind of movies")
    results = []
    for case in accuracy_sets(movies, set(by_ndim)):
        print(f"\n{case}: {len(case.movie.masks)} frames, {len(case.movie.links)} edges")
        rows = []
        for row in chain(
            yardsticks(case.movie, btrack_python),
            ours(case.movie, by_ndim[case.movie.detections.ndim]),
        ):
            rows.append(row)
            print(f"  {row['tracker']:24s} {in_words(row)}", flush=True)
        results.append({**case.facts(), "trackers": rows})
    print(f"\nwritten to {write_result('accuracy', {'sets': results})}")
