"""How accurate is tracking if objects are not cells, or if cells are missed as they divide?"""

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from benchmarks.accuracy_sets import in_words, summary, title
from benchmarks.cluttered_movies import missed_for, mothers_missed, with_others
from benchmarks.motion_constants import n_errors
from benchmarks.movie_variants import WHOLE, Variant, densest, flat_variants, itself
from benchmarks.noise import N_FRAMES, without_sizes
from benchmarks.our_trackers import greedy_links, load_model
from benchmarks.real_movies import NEEDED_DATA_OPTION, SHOWN_OPTION, parts_shown
from benchmarks.record import write_result
from benchmarks.true_movies import TrueMovie

KINDS: dict[str, Variant] = {
    "as measured": itself,
    "others seen once": partial(with_others, share=0.05, n_seen=1),
    "others seen 6 times": partial(with_others, share=0.05, n_seen=6),
    "mothers missed": partial(mothers_missed, share=0.5),
    "missed 3 times": partial(missed_for, share=0.02, n_frames=3),
}


def shown(data: Path, part: str) -> Iterator[tuple[str, TrueMovie]]:
    """Yield the titles of movies, and the movies."""
    for found in parts_shown(data, part):
        movie = found.read()
        versions: dict[str, Variant] = {WHOLE: itself}
        if found.ndim == 3:
            movie = densest(movie, N_FRAMES)
            versions["view"] = flat_variants()["view"]
        for name, make in versions.items():
            yield title(found.name, name, has_errors=False), make(movie)


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield two rows per movie: ours, and the best tracker that sees positions only."""
    yield ["edge F1 / division F1", "tracker", *KINDS]
    for movie in dict.fromkeys(row["movie"] for row in result["rows"]):
        rows = {row["noise"]: row for row in result["rows"] if row["movie"] == movie}
        first = next(iter(rows[next(iter(KINDS))]["trackers"]))
        yield [movie, first, *(in_words(rows[kind]["trackers"][first]) for kind in KINDS)]
        others = (rows[kind] for kind in KINDS)
        yield ["", "positions only", *(in_words(row["positions_only"]) for row in others)]


@click.command()
@NEEDED_DATA_OPTION
@click.option(
    "--model",
    "models",
    multiple=True,
    default=("general_2d", "general_3d"),
    show_default=True,
    help="The first of 2D and of 3D is compared with the others.",
)
@SHOWN_OPTION
def clutter(data: Path, models: tuple[str, ...], part: str) -> None:
    """Track movies with objects that are not cells, and without some cells."""
    loaded = {Path(name).stem: load_model(name) for name in models}
    rows: list[dict[str, Any]] = []
    for name, movie in shown(data, part):
        ndim = movie.detections.ndim
        fitting = {name: model for name, model in loaded.items() if model.spec.ndim == ndim}
        for kind, change in KINDS.items():
            changed = change(movie)
            best, positions_only = without_sizes(changed)
            scores = {
                label: changed.score(greedy_links(model, changed))
                for label, model in fitting.items()
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
    written = write_result("clutter" if part == "test" else "clutter_choosing", {"rows": rows})
    print(f"written to {written}")
