"""Do scores corrected for the rates of a movie help, and never harm masks with errors?

The constants of linking/rates.py are chosen here, with each data set left out in turn.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.movie_variants import ORDINAL, WHOLE, densest, every_nth, itself, with_errors
from benchmarks.our_trackers import chosen_links, load_model
from benchmarks.real_movies import NEEDED_DATA_OPTION, real_parts
from benchmarks.record import write_result
from benchmarks.scored_movies import ScoredMovie, scored
from benchmarks.true_movies import TrueMovie
from trackastra_engine.linking.rates import LIMITS, RateLimits
from trackastra_engine.model.onnx_model import AssociationModel

CHOICES = [
    RateLimits(begins_per_end=begins, least_second=least)
    for begins, least in product((1.0, 1.5, 2.0), (0.2, 0.33, 0.5, 0.7))
]
VARIANTS = {WHOLE: itself, ORDINAL[2]: partial(every_nth, n=2)}
# Movies on which constants may be chosen; of ecoli there is one part, called test.
CHOSEN_ON = {
    "train": ("sparse1", "epidermis"),
    "validate": ("celegans", "phallusia"),
    "test": ("ecoli",),
}
LOSS = 0.0005  # of edge F1, from which a set counts as worse

Scored = tuple[float, float]  # edge F1 and division F1
Row = dict[str, Any]


def named(limits: RateLimits) -> str:
    """Return what the table calls a choice."""
    return f"{limits.begins_per_end:g}, {limits.least_second:.2g}"


def scores(known: ScoredMovie, limits: RateLimits | None) -> list[float]:
    """Return both F1 of greedy links; None leaves scores as they are."""
    rates = None if limits is None else known.rates(limits)
    graph = known.graph(None if rates is None else rates.weights)
    found = known.movie.score(chosen_links(graph, "greedy", knows_rates=rates is not None))
    return [round(found.edges.f1, 5), round(found.divisions.f1, 4)]


def versions(movie: TrueMovie) -> Iterator[tuple[str, bool, TrueMovie]]:
    """Yield the versions of a movie with their names, and whether they have errors."""
    for variant, make in VARIANTS.items():
        yield variant, False, make(movie)
        yield variant, True, with_errors(make(movie))


def measure(model: AssociationModel, name: str, movie: TrueMovie) -> Iterator[Row]:
    """Yield the scores of each version of a movie by each choice."""
    for variant, has_errors, version in versions(movie):
        known = scored(model, version)
        by_choice = {named(limits): scores(known, limits) for limits in CHOICES}
        about = {"set": name.split()[0], "variant": variant, "has_errors": has_errors}
        yield {**about, "off": scores(known, None), "by_choice": by_choice}


def gains(rows: list[Row], choice: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the gains (R, 2) in edge F1 and division F1 over scores as they are."""
    return np.array([np.subtract(row["by_choice"][choice], row["off"]) for row in rows])


def best_choice(rows: list[Row]) -> str:
    """Return the choice with which the fewest sets lose edges, then the sum of gains is largest."""
    return max(
        rows[0]["by_choice"],
        key=lambda choice: (
            -(gains(rows, choice)[:, 0] < -LOSS).sum(),
            gains(rows, choice).mean(axis=0).sum(),
        ),
    )


def left_out(rows: list[Row]) -> list[Row]:
    """Return for each data set the best choice on the others, and its gains on this one."""
    found = []
    for name in dict.fromkeys(row["set"] for row in rows):
        others, own = ([row for row in rows if (row["set"] == name) == s] for s in (False, True))
        choice = best_choice(others)
        found.append({"set": name, "choice": choice, **_sides(own, choice)})
    return found


def _sides(rows: list[Row], choice: str) -> dict[str, list[float]]:
    sides = {"true_masks": False, "with_errors": True}
    return {
        side: gains([r for r in rows if r["has_errors"] == e], choice)
        .mean(axis=0)
        .round(5)
        .tolist()
        for side, e in sides.items()
    }


def choices_table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of choices: mean gains, and how many versions of movies lose edges."""
    rows = result["rows"]
    yield ["begins per end, least ratio", "true masks", "with errors", "versions that lose edges"]
    for choice in rows[0]["by_choice"]:
        gained = _sides(rows, choice)
        n_worse = int((gains(rows, choice)[:, 0] < -LOSS).sum())
        shipped = " (shipped)" if choice == named(LIMITS) else ""
        yield [choice + shipped, *map(_in_words, gained.values()), f"{n_worse} of {len(rows)}"]


def left_out_table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of data sets that were left out: the choice of the others, and gains here."""
    yield ["left out", "choice of the others", "true masks", "with errors"]
    for row in result["left_out"]:
        sides = (row["true_masks"], row["with_errors"])
        yield [row["set"], row["choice"], *map(_in_words, sides)]


def _in_words(gained: Sequence[float]) -> str:
    return f"{gained[0]:+.4f} / {gained[1]:+.3f}"


@click.command()
@NEEDED_DATA_OPTION
@click.option("--frames", type=int, help="Only so many frames of each movie, the fullest.")
def rates(data: Path, frames: int | None) -> None:
    """Link real movies by scores that are corrected within several limits, and as they are."""
    models = {model.spec.ndim: model for model in map(load_model, ("general_2d", "general_3d"))}
    rows: list[Row] = []
    for part, names in CHOSEN_ON.items():
        for found in real_parts(data, part):
            if found.name.split()[0] in names:
                movie = found.read()
                movie = movie if frames is None else densest(movie, frames)
                rows += measure(models[found.ndim], found.name, movie)
                print(f"{found.name}: {len(rows)} rows", flush=True)
    answer = {"best": best_choice(rows), "left_out": left_out(rows), "rows": rows}
    for table in (choices_table, left_out_table):
        for line in table(answer):
            print("  ".join(f"{cell:26s}" for cell in line))
    print(f"written to {write_result('rates', answer)}")
