"""Do scores corrected for the rates of a movie help, and would other limits help more?

Each constant of linking/rates.py, and the least score of a second child, is changed by itself, with
each data set left out in turn.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from benchmarks import colonies, wandering
from benchmarks.clutter import KINDS
from benchmarks.motion_constants import N_FRAMES_3D, constants_table, n_errors
from benchmarks.movie_variants import (
    ORDINAL,
    densest,
    every_nth,
    flat_variants,
    itself,
    with_errors,
)
from benchmarks.our_trackers import chosen_links, load_model
from benchmarks.real_movies import NEEDED_DATA_OPTION, RealPart, parts_for_choosing
from benchmarks.record import write_result
from benchmarks.scored_movies import MAX_GAP, ScoredMovie, scored
from benchmarks.true_movies import TrueMovie, as_points
from trackastra_engine.linking.costs import DIVISION_SCORE
from trackastra_engine.linking.merges import discount_merges
from trackastra_engine.linking.rates import LIMITS, RateLimits

OTHERS = {
    "begins_per_end": (1.0, 1.5, 2.0, 5.0),
    "rare_none": (1.0, 0.5, 0.2),
    "least_none": (0.2, 1.0),
    "least_second": (0.2, 0.33, 0.7, 1.0),
    "prior_cells": (100.0, 1000.0),
}
DIVISION, DIVISION_SCORES = "division score", (0.4, 0.6)
OFF = "rates"  # as a constant: 1 if scores are corrected, 0 if not

Row = dict[str, Any]
SECOND = partial(every_nth, n=2)


def versions(part: RealPart) -> Iterator[tuple[str, TrueMovie]]:
    """Yield names and movies of a part, with and without clutter, missed cells and errors."""
    whole = part.read()
    if part.ndim == 3:
        whole = densest(whole, N_FRAMES_3D)
    for name, change in KINDS.items():
        yield name, change(whole)
    harder = {f"{ORDINAL[n]} frame": partial(every_nth, n=n) for n in (2, 3)}
    if part.ndim == 3:
        harder |= flat_variants()
    for name, make in harder.items():
        for suffix, change in (("", itself), (", with errors", with_errors)):
            yield name + suffix, change(make(whole))


def other_movies(data: Path) -> Iterator[tuple[str, TrueMovie]]:
    """Yield the movies for choosing that `benchmarks` makes of other sources, by set."""
    for name in colonies.READERS:
        if name not in colonies.NOT_FOR_CHOOSING:
            for movie in colonies.movies(data, name, "choosing"):
                yield name, movie
    for movie in wandering.whole_fields(data, "choosing"):
        yield "wandering", movie


def shown(data: Path) -> Iterator[tuple[Row, TrueMovie]]:
    """Yield the movies for choosing, each with its set and version, and its number in some sets."""
    for part in parts_for_choosing(data):
        for version, movie in versions(part):
            yield {"set": part.set_name, "version": version}, movie
    for number, (name, whole) in enumerate(other_movies(data)):
        for version, make in (("as measured", itself), ("every 2nd frame", SECOND)):
            about = {"set": name, "movie": number}
            yield {**about, "version": version}, as_points(make(whole))
            spoiled = "with errors" if make is itself else f"{version}, with errors"
            yield {**about, "version": spoiled}, as_points(with_errors(make(whole)))


def measured(
    known: ScoredMovie, limits: RateLimits | None, division_score: float | None = None
) -> Row:
    """Return the errors and scores of greedy links; None leaves the scores as they are."""
    rates = None if limits is None else known.rates(limits)
    graph = discount_merges(known.graph(None if rates is None else rates.weights, MAX_GAP))
    links = chosen_links(
        graph, "greedy", knows_rates=rates is not None, min_division_score=division_score
    )
    found = known.movie.score(links)
    return {
        "errors": n_errors(found),
        "edge_f1": round(found.edges.f1, 5),
        "division_f1": None if math.isnan(found.divisions.f1) else round(found.divisions.f1, 4),
    }


def rows_of(known: ScoredMovie) -> Iterator[Row]:
    """Yield a row for each constant and value: the scores of a movie with it."""
    as_used = measured(known, LIMITS)
    yield {"constant": OFF, "value": 1.0, **as_used}
    yield {"constant": OFF, "value": 0.0, **measured(known, None)}
    yield {"constant": DIVISION, "value": DIVISION_SCORE, **as_used}
    for score in DIVISION_SCORES:
        yield {"constant": DIVISION, "value": score, **measured(known, LIMITS, score)}
    for name, others in OTHERS.items():
        used = getattr(LIMITS, name)
        yield {"constant": name, "value": used, **as_used}
        for value in others:
            if value != used:
                found = measured(known, replace(LIMITS, **{name: value}))
                yield {"constant": name, "value": value, **found}


def kinds_table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield a row for each kind of movies: the errors with and without corrected scores."""
    rows = [row for row in result["rows"] if row["constant"] == OFF]
    yield ["errors, division F1", "corrected", "`--rates off`"]
    for version in dict.fromkeys(row["version"] for row in rows):
        cells = []
        for value in (1.0, 0.0):
            own = [row for row in rows if row["version"] == version and row["value"] == value]
            known = [row["division_f1"] for row in own if row["division_f1"] is not None]
            divisions = sum(known) / len(known)
            cells.append(f"{sum(row['errors'] for row in own):,}, {divisions:.3f}")
        yield [version, *cells]


@click.command()
@NEEDED_DATA_OPTION
def rates(data: Path) -> None:
    """Change each limit of rates by itself, on the parts of real movies for choosing."""
    models = {ndim: load_model(f"general_{ndim}d") for ndim in (2, 3)}
    rows: list[Row] = []
    for about, movie in shown(data):
        known = scored(models[movie.detections.ndim], movie)
        rows += [{**about, **row} for row in rows_of(known)]
        print(rows[-1], flush=True)
    used = {
        OFF: 1.0,
        DIVISION: DIVISION_SCORE,
        **{name: float(getattr(LIMITS, name)) for name in OTHERS},
    }
    answer = {"used": used, "rows": rows}
    for table in (constants_table, kinds_table):
        for cells in table(answer):
            print(*cells, sep="  ")
    print(f"written to {write_result('rates', answer)}")
