"""How accurate is tracking if sizes, shapes or intensities are noisy, different or missing?

Trackers that see positions only are the yardstick: no change of sizes changes their links.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from benchmarks.accuracy_sets import in_words, summary, title
from benchmarks.classical import nearest_neighbour
from benchmarks.motion_constants import n_errors
from benchmarks.movie_variants import (
    WHOLE,
    Variant,
    densest,
    flat_variants,
    itself,
    shifted,
    typical_spacing,
)
from benchmarks.noisy_movies import (
    noisy_intensities,
    noisy_shapes,
    noisy_sizes,
    other_sizes,
    random_intensities,
    without_shapes,
)
from benchmarks.other_trackers import laptrack_links
from benchmarks.our_trackers import greedy_links, load_model
from benchmarks.real_movies import NEEDED_DATA_OPTION, SHOWN_OPTION, parts_shown
from benchmarks.record import write_result
from benchmarks.rendered_movies import rendered_movie
from benchmarks.strides import change_of_errors
from benchmarks.true_movies import TrueMovie
from trackastra_engine.evaluation.edge_scores import Scores
from trackastra_engine.model.onnx_model import AssociationModel

N_FRAMES = 40  # of an embryo: the fullest ones
DISTANCES = (0.7, 1.0, 1.4, 2.0)  # longest ones to try, in typical spacings
SIZES = (0.1, 0.2, 0.4)  # deviations of the logarithm of the diameters
SHAPES = (0.1, 0.25)  # deviations of a strain, which changes sizes, too
INTENSITIES = (0.3, 1.0)  # deviations, in standard deviations of the movie
FILMED = ("nuclei", "epithelium")  # rendered: no real movie here has images
TRUE = "as measured"
WITHOUT_GAPS = ", --max-gap 1"
MODELS_OPTION = click.option(
    "--model",
    "models",
    multiple=True,
    default=("general_2d", "general_3d"),
    show_default=True,
    help="The first of 2D and of 3D is compared with the others.",
)


def of_masks(*, has_shapes: bool) -> dict[str, Variant]:
    """Return the functions that change the measurements of movies without images, by name."""
    return {
        TRUE: itself,
        **{f"sizes ± {size:.0%}": partial(noisy_sizes, deviation=size) for size in SIZES},
        **{f"strain of {size:.0%}": partial(noisy_shapes, deviation=size) for size in SHAPES},
        "half the sizes": partial(other_sizes, factor=0.5),
        **({"without shapes": without_shapes} if has_shapes else {}),
        "random intensities": random_intensities,
    }


def of_images() -> dict[str, Variant]:
    """Return the functions that add noise to intensities, by name."""
    noisy = (partial(noisy_intensities, deviation=size) for size in INTENSITIES)
    names = (f"{size} of intensities" for size in INTENSITIES)
    return {TRUE: itself, **dict(zip(names, noisy, strict=True))}


def shown(data: Path, part: str) -> Iterator[tuple[str, TrueMovie, dict[str, Variant]]]:
    """Yield the titles of movies, the movies, and the changes of each."""
    for found in parts_shown(data, part):
        movie = found.read()
        versions: dict[str, Variant] = {WHOLE: itself, "shifted": shifted}
        if found.ndim == 3:
            versions = {WHOLE: partial(densest, n_frames=N_FRAMES), "view": flat_variants()["view"]}
        kinds = of_masks(has_shapes=not found.is_table)
        for name, make in versions.items():
            yield title(found.name, name, has_errors=False), make(movie), kinds
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


def compared(
    movie: TrueMovie,
    models: Mapping[str, AssociationModel],
    best: tuple[str, Scores],
    *,
    without_gaps: bool = False,
) -> dict[str, Any]:
    """Return the scores and errors of the models that fit a movie, and those of `best`.

    without_gaps: also those of the first model if it links over no gaps.
    """
    fitting = [pair for pair in models.items() if pair[1].spec.ndim == movie.detections.ndim]
    scores = {name: movie.score(greedy_links(model, movie)) for name, model in fitting}
    if without_gaps:
        name, model = fitting[0]
        scores[f"{name}{WITHOUT_GAPS}"] = movie.score(greedy_links(model, movie, max_gap=1))
    return {
        "best": best[0],
        "positions_only": summary(best[1]),
        "trackers": {name: summary(found) for name, found in scores.items()},
        "errors": {name: n_errors(found) for name, found in scores.items()},
    }


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield a row per movie: trackers that see positions only, and ours by each measurement."""
    noises = dict.fromkeys(row["noise"] for row in result["rows"])
    yield ["edge F1 / division F1", "positions only", *noises]
    for movie in dict.fromkeys(row["movie"] for row in result["rows"]):
        rows = {row["noise"]: row for row in result["rows"] if row["movie"] == movie}
        first = next(iter(rows.values()))
        ours = (
            next(iter(rows[kind]["trackers"].values())) if kind in rows else None for kind in noises
        )
        yield [
            movie,
            f"{in_words(first['positions_only'])} ({first['best']})",
            *("" if found is None else in_words(found) for found in ours),
        ]


def change_table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield the mean change of errors by each measurement, of models against the first of a row."""
    counts: dict[str, dict[str, list[tuple[int, int]]]] = {}
    for row in result["rows"]:
        (first, before), *others = row["errors"].items()
        for name, errors in others:
            pairs = counts.setdefault(f"{name} against {first}", {})
            pairs.setdefault(row["noise"], []).append((before, errors))
    noises = dict.fromkeys(row["noise"] for row in result["rows"])
    yield ["change of errors", *counts]
    for kind in noises:
        yield [kind, *(_changed(pairs.get(kind, ())) for pairs in counts.values())]


def _changed(pairs: Sequence[tuple[int, int]]) -> str:
    if not pairs:
        return ""
    before, after = (
        [{"errors": errors} for errors in counted] for counted in zip(*pairs, strict=True)
    )
    return f"{round(100 * change_of_errors(before, after)):+d} % ({len(pairs)} movies)"


@click.command()
@NEEDED_DATA_OPTION
@MODELS_OPTION
@SHOWN_OPTION
def noise(data: Path, models: tuple[str, ...], part: str) -> None:
    """Track movies with other sizes, shapes and intensities, and compare the accuracy."""
    loaded = {Path(name).stem: load_model(name) for name in models}
    rows: list[dict[str, Any]] = []
    for name, movie, noises in shown(data, part):
        best = without_sizes(movie)
        for kind, add in noises.items():
            facts = {"movie": name, "noise": kind}
            rows.append({**facts, **compared(add(movie), loaded, best)})
            print(json.dumps(rows[-1]), flush=True)
    written = write_result("noise" if part == "test" else "noise_choosing", {"rows": rows})
    print(f"written to {written}")
