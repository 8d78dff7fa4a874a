"""How accurate is tracking if sizes, shapes or intensities are measured with noise?

Trackers that see positions only are the yardstick: no noise of sizes changes their links.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy_sets import in_words, summary, title
from benchmarks.classical import nearest_neighbour
from benchmarks.motion_constants import n_errors
from benchmarks.movie_variants import (
    SEED,
    WHOLE,
    Variant,
    densest,
    flat_variants,
    itself,
    typical_spacing,
)
from benchmarks.other_trackers import laptrack_links
from benchmarks.our_trackers import greedy_links, load_model
from benchmarks.real_movies import NEEDED_DATA_OPTION, parts_for_choosing, real_parts
from benchmarks.record import write_result
from benchmarks.rendered_movies import rendered_movie
from benchmarks.true_movies import TrueMovie, as_points
from trackastra_engine.detection.transform import transform
from trackastra_engine.evaluation.edge_scores import Scores

N_FRAMES = 40  # of an embryo: the fullest ones
DISTANCES = (0.7, 1.0, 1.4, 2.0)  # longest ones to try, in typical spacings
SIZES = (0.1, 0.2, 0.4)  # deviations of the logarithm of the diameters
SHAPES = (0.1, 0.25)  # deviations of a strain
INTENSITIES = (0.3, 1.0)  # deviations, in standard deviations of the movie
FILMED = ("nuclei", "epithelium")  # rendered: no real movie here has images
TRUE = "as measured"

Noise = Callable[[TrueMovie], TrueMovie]


def with_strain(
    movie: TrueMovie, strain: Callable[[np.random.Generator, int, int], NDArray[np.float64]]
) -> TrueMovie:
    """Return the detections with other sizes and shapes at the same places, as points.

    strain: returns linear maps (N, D, D).
    """
    found = movie.detections
    changed = transform(found, strain(np.random.default_rng(SEED), len(found), found.ndim))
    features = changed.features.copy()
    features[:, -1] = found.features[:, -1]  # the distance to the border
    return replace(as_points(movie), detections=replace(found, features=features))


def noisy_sizes(movie: TrueMovie, deviation: float) -> TrueMovie:
    """Return the movie with noise of the logarithm of the diameters."""

    def strain(rng: np.random.Generator, count: int, ndim: int) -> NDArray[np.float64]:
        factor = np.exp(rng.normal(size=count) * deviation)
        return np.asarray(factor[:, None, None] * np.eye(ndim))

    return with_strain(movie, strain)


def noisy_shapes(movie: TrueMovie, deviation: float) -> TrueMovie:
    """Return the movie with a random strain of each object."""

    def strain(rng: np.random.Generator, count: int, ndim: int) -> NDArray[np.float64]:
        return np.asarray(np.eye(ndim) + rng.normal(size=(count, ndim, ndim)) * deviation)

    return with_strain(movie, strain)


def noisy_intensities(movie: TrueMovie, deviation: float) -> TrueMovie:
    """Return the movie with noise of the mean intensities of the objects."""
    features = movie.detections.features.copy()
    noise = np.random.default_rng(SEED).normal(size=len(features))
    features[:, 1] += noise * deviation * features[:, 1].std()
    return replace(as_points(movie), detections=replace(movie.detections, features=features))


def of_masks() -> dict[str, Noise]:
    """Return the functions that add noise to sizes and shapes, by name."""
    return {
        TRUE: itself,
        **{f"sizes ± {part:.0%}": partial(noisy_sizes, deviation=part) for part in SIZES},
        **{f"strain of {part:.0%}": partial(noisy_shapes, deviation=part) for part in SHAPES},
    }


def of_images() -> dict[str, Noise]:
    """Return the functions that add noise to intensities, by name."""
    parts = {f"{part} of intensities": part for part in INTENSITIES}
    noisy = {name: partial(noisy_intensities, deviation=part) for name, part in parts.items()}
    return {TRUE: itself, **noisy}


def shown(data: Path, part: str) -> Iterator[tuple[str, TrueMovie, dict[str, Noise]]]:
    """Yield the titles of movies, the movies, and the noise to add to each."""
    for found in real_parts(data, "test") if part == "test" else parts_for_choosing(data):
        movie, versions = found.read(), dict[str, Variant]({WHOLE: itself})
        if found.ndim == 3:
            versions = {WHOLE: partial(densest, n_frames=N_FRAMES), "view": flat_variants()["view"]}
        for name, make in versions.items():
            yield title(found.name, name, has_errors=False), make(movie), of_masks()
    if part == "choosing":
        for name in FILMED:
            yield f"rendered {name}", rendered_movie(name), of_images()


def without_sizes(movie: TrueMovie) -> tuple[str, Scores]:
    """Return the best tracker that sees positions only, at its best distance, and its scores."""
    seen = movie.in_proportion()
    spacing = typical_spacing(seen)
    tried = [
        (name, movie.score(links(seen, distance * spacing)))
        for name, links in (("nearest neighbour", nearest_neighbour), ("laptrack", laptrack_links))
        for distance in DISTANCES
    ]
    return max(tried, key=lambda found: found[1].edges.f1)


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of movies with noise, the best tracker that sees no sizes, and ours."""
    models = dict.fromkeys(name for row in result["rows"] for name in row["trackers"])
    yield ["edge F1 / division F1", "noise", "positions only", *models]
    for row in result["rows"]:
        found = (row["trackers"].get(name) for name in models)
        yield [
            row["movie"],
            row["noise"],
            f"{in_words(row['positions_only'])} ({row['best']})",
            *("" if one is None else in_words(one) for one in found),
        ]


@click.command()
@NEEDED_DATA_OPTION
@click.option(
    "--model", "models", multiple=True, default=("general_2d", "general_3d"), show_default=True
)
@click.option(
    "--part",
    type=click.Choice(["test", "choosing"]),
    default="test",
    show_default=True,
    help="Of --data; 'choosing' writes noise_choosing.json, also of rendered movies.",
)
def noise(data: Path, models: tuple[str, ...], part: str) -> None:
    """Track movies with noise of sizes, shapes and intensities, and compare the accuracy."""
    loaded = {Path(name).stem: load_model(name) for name in models}
    rows: list[dict[str, Any]] = []
    for name, movie, noises in shown(data, part):
        best, positions_only = without_sizes(movie)
        ndim = movie.detections.ndim
        fitting = {name: model for name, model in loaded.items() if model.spec.ndim == ndim}
        for kind, add in noises.items():
            noisy = add(movie)
            scores = {
                label: movie.score(greedy_links(model, noisy)) for label, model in fitting.items()
            }
            rows.append(
                {
                    "movie": name,
                    "noise": kind,
                    "best": best,
                    "positions_only": summary(positions_only),
                    "trackers": {label: summary(found) for label, found in scores.items()},
                    "errors": {label: n_errors(found) for label, found in scores.items()},
                }
            )
            print(json.dumps(rows[-1]), flush=True)
    written = write_result("noise" if part == "test" else "noise_choosing", {"rows": rows})
    print(f"written to {written}")
