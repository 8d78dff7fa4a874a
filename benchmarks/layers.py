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
    densest,
    every_nth,
    itself,
    kept_cells,
    typical_spacing,
    with_errors,
)
from benchmarks.our_trackers import greedy_links, load_model
from benchmarks.real_movies import NEEDED_DATA_OPTION, SHOWN_OPTION, parts_shown
from benchmarks.record import write_result
from benchmarks.small_fields import N_FRAMES, facts, others, pooled, seen_alone
from benchmarks.true_movies import TrueMovie, as_points
from benchmarks.wandering import fields
from trackastra_engine.detection.detections import Detections
from trackastra_engine.detection.transform import covariances, inertias
from trackastra_engine.model.choice import AUTO, model_for

N_LAYERS = 4  # of each movie, with other depths, heights and planes
HEIGHTS = (0.15, 1.0)  # of cells, in median diameters
PLANES = (0.1, 1.0)  # distance of two images of a stack, in median diameters
SLOPE = 0.1  # deviation of the slope of a layer along each axis
UNEVENNESS = 0.2  # largest deviation of a lineage from its layer, in typical spacings
SLABS = (0.5, 1.0, 2.0)  # thickness, in typical spacings
MODELS = ("general_2d", "general_3d")
VERSIONS = {WHOLE: itself, ORDINAL[2]: partial(every_nth, n=2), "with errors": with_errors}


def layers(movie: TrueMovie) -> list[TrueMovie]:
    """Return a 2D movie as several layers of cells in 3D, known by their sizes and shapes."""
    return [layer(movie, np.random.default_rng(SEED + number)) for number in range(N_LAYERS)]


def layer(movie: TrueMovie, rng: np.random.Generator) -> TrueMovie:
    """Return the cells of a 2D movie as cylinders in a layer that slopes and is uneven.

    Their heights and depths are whole numbers of planes, as in segmented stacks.
    """
    found = movie.detections
    diameter, place = found.features[:, 0], found.centroid
    size = float(np.median(diameter))
    height, plane = (size * np.exp(rng.uniform(*np.log(limits))) for limits in (HEIGHTS, PLANES))
    own = rng.normal(size=len(found))
    for row in np.flatnonzero(movie.parent >= 0):  # parents come first
        own[row] = own[movie.parent[row]]
    depth = (place - place.mean(axis=0)) @ rng.normal(size=2) * SLOPE
    depth += own * UNEVENNESS * rng.random() * typical_spacing(found)
    n_planes = max(round(height / plane), 1)
    middle = (n_planes - 1) / 2
    covariance = np.zeros((len(found), 3, 3))
    covariance[:, 1:, 1:] = covariances(found)
    covariance[:, 0, 0] = (n_planes**2 - 1) / 12 * plane**2
    volume = np.pi / 4 * diameter**2 * n_planes * plane
    raised = Detections(
        found.frame,
        found.label,
        np.column_stack([plane * (np.rint(depth / plane - middle) + middle), place]),
        np.column_stack(
            [
                (6 / np.pi * volume) ** (1 / 3),
                found.features[:, 1],
                inertias(covariance),
                found.features[:, -1],
            ]
        ),
    )
    return replace(as_points(movie), detections=raised)


def slab(movie: TrueMovie, thickness: float, rng: np.random.Generator) -> TrueMovie:
    """Return the cells of a 3D movie of points in a slab across a random axis, which becomes z.

    thickness: in typical spacings.
    """
    axes = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    place = movie.detections.centroid @ axes
    middle = np.quantile(place[:, 0], rng.uniform(0.3, 0.7))
    half = thickness * typical_spacing(movie.detections) / 2
    turned = replace(movie, detections=replace(movie.detections, centroid=place))
    seen = seen_alone(kept_cells(turned, np.abs(place[:, 0] - middle) <= half))
    found = seen.detections
    return replace(seen, detections=replace(found, frame=found.frame - found.frame.min()))


def stacks(data: Path, part: str) -> Iterator[tuple[str, str, list[TrueMovie]]]:
    """Yield the name and version of movies of a part, and their layers or slabs."""
    for found in parts_shown(data, part):
        movie = found.read()
        if found.ndim == 2:
            for version, make in VERSIONS.items():
                yield found.name, version, layers(make(movie))
        else:
            movie = densest(movie, N_FRAMES)
            yield found.name, WHOLE, [movie]
            for thickness in SLABS:
                seeds = range(SEED, SEED + N_LAYERS)
                cut = [slab(movie, thickness, np.random.default_rng(seed)) for seed in seeds]
                yield found.name, f"slabs of {thickness:g} spacings", cut
    if (data / SET).is_dir():
        for version, movies in fields(data, part):
            yield "wandering cells", version, [one for movie in movies for one in layers(movie)]


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield a row for each version of a movie, with a column for each tracker."""
    trackers = dict.fromkeys(name for row in result["rows"] for name in row["trackers"])
    yield ["edge F1 / division F1", "edges, divisions", "taken for layers", *trackers]
    for row in result["rows"]:
        yield [
            title(row["movie"], row["variant"], has_errors=False),
            f"{row['edges']:,}, {row['divisions']:,}",
            f"{row['taken_for_layers']} of {row['stacks']}",
            *(in_words(row["trackers"][name]) for name in trackers),
        ]


@click.command("layers")
@NEEDED_DATA_OPTION
@SHOWN_OPTION
def layers_benchmark(data: Path, part: str) -> None:
    """Track real 2D movies as layers of cells in 3D, and slabs of embryos."""
    loaded = {name: load_model(name) for name in MODELS}
    rows: list[dict[str, Any]] = []
    for name, version, movies in stacks(data, part):
        scores = {
            each: [movie.score(greedy_links(model, movie)) for movie in movies]
            for each, model in loaded.items()
        }
        chosen = [model_for(AUTO, movie.detections, (1.0, 1.0, 1.0)) for movie in movies]
        by_tracker = {
            "default": pooled([scores[each][place] for place, each in enumerate(chosen)]),
            **{each: pooled(found) for each, found in scores.items()},
            **dict(others([(movie, typical_spacing(movie.detections)) for movie in movies])),
        }
        rows.append(
            {
                "movie": name,
                "variant": version,
                "stacks": len(movies),
                "taken_for_layers": chosen.count("general_2d"),
                **facts(movies, by_tracker),
            }
        )
        print(json.dumps(rows[-1]), flush=True)
    name = "layers" if part == "test" else "layers_choosing"
    print(f"written to {write_result(name, {'rows': rows})}")
