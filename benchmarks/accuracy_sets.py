"""The sets of the accuracy benchmark: real and rendered movies, harder versions, and errors."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any, Literal

import click

from benchmarks.movie_variants import (
    WHOLE,
    Variant,
    densest,
    flat_variants,
    itself,
    variants,
    with_errors,
)
from benchmarks.real_movies import Part, real_parts
from benchmarks.rendered_movies import FILMS, rendered_movie
from benchmarks.true_movies import TrueMovie, read_movie
from trackastra_engine.evaluation.edge_scores import Scores

Kind = Literal["real", "rendered"]


@dataclass(frozen=True, slots=True, eq=False)
class AccuracySet:
    """One movie of the benchmark, original or in a harder version."""

    name: str  # of the movie
    variant: str
    kind: Kind
    has_errors: bool  # in the masks or points
    movie: TrueMovie

    def __str__(self) -> str:
        return title(self.name, self.variant, self.has_errors)

    def facts(self) -> dict[str, Any]:
        """Return the facts of the set for a result."""
        return {
            "name": self.name,
            "variant": self.variant,
            "kind": self.kind,
            "has_errors": self.has_errors,
            "frames": self.movie.n_frames,
            "detections": len(self.movie.detections),
            "edges": len(self.movie.links),
            "divisions": self.movie.score(self.movie.links).divisions.expected,
        }


def title(name: str, variant: str, has_errors: bool) -> str:
    """Return the title of a set."""
    named = name if variant == WHOLE else f"{name}, {variant}"
    return f"{named}, with errors" if has_errors else named


@dataclass(frozen=True, slots=True)
class NamedMovie:
    """The folder of a movie, and its frames that no model has learned from."""

    name: str
    folder: Path
    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> "NamedMovie":
        """Return the movie that NAME=FOLDER:FIRST-LAST names."""
        try:
            name, place = text.split("=", 1)
            folder, frames = place.rsplit(":", 1)
            first, last = map(int, frames.split("-"))
        except ValueError:
            raise click.BadParameter(f"{text!r} is not NAME=FOLDER:FIRST-LAST") from None
        return cls(name, Path(folder), first, last)

    def read(self) -> TrueMovie:
        """Return the movie of these frames."""
        return read_movie(self.folder, self.first, self.last)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The sets to make."""

    ndims: set[int]
    movies: tuple[str, ...] = ()  # NAME=FOLDER:FIRST-LAST
    data: Path | None = None  # root of the real movies
    part: Part = "test"  # of these
    harder: bool = True  # whether to make harder versions of these, too
    only: str = "*"  # pattern of the titles
    n_frames: int | None = None  # of each real movie, the most crowded ones; None: all


def accuracy_sets(wanted: Wanted) -> Iterator[AccuracySet]:
    """Yield real movies, in all versions, and then rendered ones; without errors and with them."""
    for part in [] if wanted.data is None else real_parts(wanted.data, wanted.part):
        makers: dict[str, Variant] = {}
        if part.ndim in wanted.ndims:
            makers |= variants(part.ndim) if wanted.harder else {WHOLE: itself}
        if part.ndim == 3 and 2 in wanted.ndims and wanted.harder:
            makers |= flat_variants()
        yield from _versions(part.name, "real", part.read, makers, wanted)
    for movie in map(NamedMovie.parse, wanted.movies):
        yield from _versions(movie.name, "real", movie.read, {WHOLE: itself}, wanted)
    for name, film in FILMS.items():
        if film.parameters.ndim in wanted.ndims:
            read = partial(rendered_movie, name)
            yield from _versions(name, "rendered", read, {WHOLE: itself}, wanted)


def _versions(
    name: str,
    kind: Kind,
    read: Callable[[], TrueMovie],
    makers: Mapping[str, Variant],
    wanted: Wanted,
) -> Iterator[AccuracySet]:
    """Yield the wanted versions of a movie, which is read only if there are any."""
    movie = None
    for variant, make in makers.items():
        needed = [e for e in (False, True) if fnmatchcase(title(name, variant, e), wanted.only)]
        if needed and movie is None:
            movie = read()
            if kind == "real" and wanted.n_frames is not None:
                movie = densest(movie, wanted.n_frames)
        if movie is None or not needed:
            continue
        harder = make(movie)
        if harder.detections.ndim not in wanted.ndims:
            continue
        for has_errors in needed:
            version = with_errors(harder) if has_errors else harder
            yield AccuracySet(name, variant, kind, has_errors, version)


def summary(scores: Scores) -> dict[str, Any]:
    """Return scores in the form of a result; F1 of divisions is None where there are none."""
    edges, divisions = scores.edges, scores.divisions
    return {
        "edge_f1": round(edges.f1, 5),
        "division_f1": round(divisions.f1, 4) if divisions.expected else None,
        "wrong_edges": edges.found - edges.correct,
        "missed_edges": edges.expected - edges.correct,
        "wrong_divisions": divisions.found - divisions.correct,
        "missed_divisions": divisions.expected - divisions.correct,
    }


def in_words(row: dict[str, Any]) -> str:
    """Return a summary as text, for the README and for the terminal."""
    if row["division_f1"] is None:
        return f"{row['edge_f1']:.4f} / {row['wrong_divisions']} false"
    return f"{row['edge_f1']:.4f} / {row['division_f1']:.3f}"
