"""How accurate is tracking of cells that crawl in 3D, and of stacks with few planes?"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy_sets import in_words, title
from benchmarks.motion_constants import n_errors
from benchmarks.movie_variants import (
    ORDINAL,
    SEED,
    WHOLE,
    densest,
    every_nth,
    kept_cells,
    typical_spacing,
    with_errors,
)
from benchmarks.our_trackers import greedy_links, load_model
from benchmarks.real_movies import NEEDED_DATA_OPTION, SHOWN_OPTION, parts_shown
from benchmarks.record import write_result
from benchmarks.small_fields import N_FRAMES, facts, others, pooled, seen_alone
from benchmarks.true_movies import TrueMovie
from benchmarks.wandering import whole_fields
from trackastra_engine.detection.points import detections_of_points
from trackastra_engine.simulation import KnownMovie, count_children
from trackastra_training.joined_windows import joined
from trackastra_training.sparse_windows import first_ancestors

N_VOLUMES = 3  # of all fields of wandering cells
LEAST_STEPS = 5  # of a track that another one follows along z
PLANES = (0.25, 0.5, 1.0)  # distances, in typical spacings

Maker = Callable[[TrueMovie], list[TrueMovie]]


def volume(fields: Sequence[TrueMovie], rng: np.random.Generator) -> TrueMovie:
    """Return the cells of 2D movies in 3D, field upon field, one typical spacing apart."""
    spacing = float(np.median([typical_spacing(field.detections) for field in fields]))
    known = [
        KnownMovie(field.detections, field.parent, count_children(field.parent)) for field in fields
    ]
    places = [
        np.column_stack([spacing * layer + depths(field, spacing, rng), field.detections.centroid])
        for layer, field in enumerate(fields)
    ]
    seen = joined(known, places)
    return TrueMovie(None, None, seen.detections, seen.parent)


def depths(field: TrueMovie, spacing: float, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return z (N,): each cell steps along z as another one does along y or x, daughters too.

    Cells without a parent begin within one spacing.
    """
    parent = field.parent
    along = field.detections.centroid[:, rng.integers(2)]
    step = np.where(parent >= 0, along - along[parent], 0.0)
    is_daughter = (parent >= 0) & (count_children(parent)[parent] > 1)
    first = first_ancestors(np.where(is_daughter, -1, parent))
    tracks = [np.flatnonzero(first == row) for row in np.unique(first)]  # parents come first
    followed = [step[rows[1:]] for rows in tracks if len(rows) > LEAST_STEPS]
    depth = np.zeros(len(parent))
    for rows in tracks:
        steps = [
            rng.uniform(0, spacing)
            if parent[rows[0]] < 0
            else depth[parent[rows[0]]] + rng.choice(step[is_daughter])
        ]
        while len(steps) < len(rows):
            steps += list(followed[rng.integers(len(followed))] * rng.choice([-1, 1]))
        depth[rows] = np.cumsum(steps[: len(rows)])
    return depth


def halves(movie: TrueMovie) -> list[TrueMovie]:
    """Return both halves of a 3D movie of points along each axis; cells enter them."""
    found = []
    for place in movie.detections.centroid.T:
        is_low = place < np.median(place)
        found += [seen_alone(kept_cells(movie, is_seen)) for is_seen in (is_low, ~is_low)]
    return found


def in_planes(movie: TrueMovie, distance: float) -> TrueMovie:
    """Return a 3D movie of points, each in the nearest plane; distance: in typical spacings."""
    found = movie.detections
    unit = distance * typical_spacing(found)
    place = found.centroid.copy()
    place[:, 0] = np.rint(place[:, 0] / unit) * unit
    points = detections_of_points(
        found.frame, place, label=found.label, diameter=found.features[:, 0]
    )
    return replace(movie, detections=points)


def with_planes() -> dict[str, Maker]:
    """Return the functions that put cells into planes, by name, and at first leave them."""
    made: dict[str, Maker] = {WHOLE: lambda movie: [movie]}
    for distance in PLANES:
        into = partial(in_planes, distance=distance)
        made[f"planes {distance:g} spacings apart"] = lambda movie, into=into: [into(movie)]
    return made


def stacks(data: Path, part: str) -> Iterator[tuple[str, str, list[TrueMovie]]]:
    """Yield movies with the name of their cells and their version."""
    embryos = [found.read() for found in parts_shown(data, part) if found.ndim == 3]
    fields = whole_fields(data, part)
    crawling = [volume(fields, np.random.default_rng(SEED + n)) for n in range(N_VOLUMES)]
    rarely: dict[str, Maker] = {
        ORDINAL[2]: lambda movie: [every_nth(movie, 2)],
        "with errors": lambda movie: [with_errors(movie)],
        "halves": halves,
        f"halves, {ORDINAL[2]}": lambda movie: halves(every_nth(movie, 2)),
    }
    shown = (
        ("embryos", [densest(movie, N_FRAMES) for movie in embryos], with_planes()),
        (
            f"embryos, {ORDINAL[2]}",
            [densest(every_nth(movie, 2), N_FRAMES) for movie in embryos],
            with_planes(),
        ),
        ("crawling cells", crawling, with_planes() | rarely),
    )
    for name, movies, makers in shown:
        for version, make in makers.items():
            yield name, version, [one for movie in movies for one in make(movie)]


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield a row for each version of the movies, with a column for each tracker."""
    trackers = dict.fromkeys(name for row in result["rows"] for name in row["trackers"])
    yield ["edge F1 / division F1", "edges, divisions", *trackers]
    for row in result["rows"]:
        yield [
            title(row["movie"], row["variant"], has_errors=False),
            f"{row['edges']:,}, {row['divisions']:,}",
            *(in_words(row["trackers"][name]) for name in trackers),
        ]


@click.command("depths")
@NEEDED_DATA_OPTION
@click.option("--model", "models", multiple=True, default=("general_3d",), show_default=True)
@SHOWN_OPTION
def depths_benchmark(data: Path, models: tuple[str, ...], part: str) -> None:
    """Track cells that crawl in 3D, and cells in planes that are far apart."""
    loaded = {Path(name).stem: load_model(name) for name in models}
    rows: list[dict[str, Any]] = []
    for name, version, movies in stacks(data, part):
        by_tracker = {
            each: pooled([movie.score(greedy_links(model, movie)) for movie in movies])
            for each, model in loaded.items()
        } | dict(others([(movie, typical_spacing(movie.detections)) for movie in movies]))
        rows.append(
            {
                "movie": name,
                "variant": version,
                **facts(movies, by_tracker),
                "errors": {each: n_errors(scores) for each, scores in by_tracker.items()},
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    name = "depths" if part == "test" else "depths_choosing"
    print(f"written to {write_result(name, {'rows': rows})}")
