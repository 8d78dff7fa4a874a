"""What accuracy is measured on: real and rendered movies, with true masks and with errors."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click

from benchmarks.rendered_movies import FILMS, rendered_movie
from benchmarks.spoiled_masks import spoiled
from benchmarks.true_movies import TrueMovie, read_movie
from trackastra_engine.evaluation.edge_scores import Scores

ERROR_SEED = 0


@dataclass(frozen=True, slots=True, eq=False)
class AccuracySet:
    """One movie of the benchmark."""

    name: str
    kind: Literal["real", "rendered"]
    has_errors: bool  # in the masks
    movie: TrueMovie

    def __str__(self) -> str:
        return self.name + (" with errors" if self.has_errors else "")

    def facts(self) -> dict[str, Any]:
        """Return what a result says of the set."""
        return {
            "name": self.name,
            "kind": self.kind,
            "has_errors": self.has_errors,
            "frames": self.movie.n_frames,
            "detections": len(self.movie.detections),
            "edges": len(self.movie.links),
            "divisions": self.movie.score(self.movie.links).divisions.expected,
        }


@dataclass(frozen=True, slots=True)
class RealMovie:
    """Where to find a movie, and which of its frames no model has learned from."""

    name: str
    folder: Path
    first: int
    last: int

    @classmethod
    def parse(cls, text: str) -> "RealMovie":
        """Return the movie that NAME=FOLDER:FIRST-LAST means."""
        try:
            name, place = text.split("=", 1)
            folder, frames = place.rsplit(":", 1)
            first, last = map(int, frames.split("-"))
        except ValueError:
            raise click.BadParameter(f"{text!r} is not NAME=FOLDER:FIRST-LAST") from None
        return cls(name, Path(folder), first, last)


def accuracy_sets(real: tuple[str, ...], ndims: set[int]) -> Iterator[AccuracySet]:
    """Yield all movies of some numbers of axes: each with its true masks, then with errors."""
    for movie in map(RealMovie.parse, real):
        known = read_movie(movie.folder, movie.first, movie.last)
        if known.detections.ndim in ndims:
            yield from _clean_and_spoiled(movie.name, "real", known)
    for name, film in FILMS.items():
        if film.parameters.ndim in ndims:
            yield from _clean_and_spoiled(name, "rendered", rendered_movie(name))


def _clean_and_spoiled(
    name: str, kind: Literal["real", "rendered"], movie: TrueMovie
) -> Iterator[AccuracySet]:
    yield AccuracySet(name, kind, False, movie)
    yield AccuracySet(name, kind, True, spoiled(movie, ERROR_SEED))


def summary(scores: Scores) -> dict[str, Any]:
    """Return what a result says of scores; F1 of divisions is None where there are none."""
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
    """Return what a summary says, for the README and for the terminal."""
    if row["division_f1"] is None:
        return f"{row['edge_f1']:.4f} / {row['wrong_divisions']} false"
    return f"{row['edge_f1']:.4f} / {row['division_f1']:.3f}"
