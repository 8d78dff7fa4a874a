"""How accurate is the tracking, against trackers that a user could take instead?"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from benchmarks.accuracy_sets import AccuracySet, Wanted, accuracy_sets, in_words, summary, title
from benchmarks.accuracy_summary import is_ours, summarised
from benchmarks.other_trackers import Environments, OtherTracker, other_trackers
from benchmarks.our_trackers import MODES, candidates, chosen_links, load_model
from benchmarks.real_movies import DATA_OPTION
from benchmarks.record import RESULTS, read_result, write_result
from benchmarks.true_movies import TrueMovie
from trackastra_engine.model.onnx_model import AssociationModel

Row = dict[str, Any]
Case = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Compared:
    """What to measure on each set."""

    models: Mapping[int, AssociationModel]  # ours, by the number of axes of movies
    environments: Environments  # of other trackers
    afresh: bool  # whether rows of other trackers that are recorded are measured again

    def rows(self, case: AccuracySet, recorded: Sequence[Row]) -> Iterator[Row]:
        """Yield the rows of all trackers; those recorded of the same set stand in for others."""
        known = {row["tracker"]: row for row in recorded if not is_ours(row)}
        for tracker, attempts in other_trackers(case.movie, self.environments).items():
            if self.afresh or tracker not in known:
                known[tracker] = at_best(tracker, attempts, case.movie)
            yield known[tracker]
        model = self.models.get(case.movie.detections.ndim)
        yield from filter(is_ours, recorded) if model is None else ours(case.movie, model)


def at_best(tracker: str, attempts: OtherTracker, movie: TrueMovie) -> Row:
    """Return the scores of another tracker, at those of its settings with the fewest wrong edges.

    Missed ones count as wrong.
    """
    scored = [(attempt, movie.score(attempt.links)) for attempt in attempts(movie)]
    attempt, scores = max(scored, key=lambda tried: tried[1].edges.f1)
    return {"tracker": tracker, **attempt.about, **summary(scores)}


def ours(movie: TrueMovie, model: AssociationModel) -> Iterator[Row]:
    """Yield the scores of our linkers, without the images and, if there are any, with them."""
    for with_images in (False, True) if movie.images is not None else (False,):
        graph = candidates(model, movie, with_images=with_images)
        for mode in MODES:
            tracker = f"{mode}, with images" if with_images else mode
            scores = movie.score(chosen_links(graph, mode))
            yield {"tracker": tracker, "model": model.spec.name, **summary(scores)}


def rendered_table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of trackers by rendered movies with true masks."""
    rendered = [case for case in result["sets"] if case["kind"] == "rendered"]
    return _table([case for case in rendered if not case["has_errors"]])


def errors_table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of trackers by rendered movies with errors in the masks."""
    rendered = [case for case in result["sets"] if case["kind"] == "rendered"]
    return _table([case for case in rendered if case["has_errors"]])


def _table(sets: list[Case]) -> Iterable[Sequence[str]]:
    yield ["edge F1 / division F1", *map(_title, sets)]
    trackers = dict.fromkeys(row["tracker"] for case in sets for row in case["trackers"])
    for tracker in trackers:
        by_set = [
            {row["tracker"]: in_words(row) for row in case["trackers"]}.get(tracker, "")
            for case in sets
        ]
        yield [tracker, *by_set]


def _title(case: Case) -> str:
    named = title(case["name"], case["variant"], case["has_errors"])
    return f"{named} ({case['edges']:,} edges, {case['divisions']:,} divisions)"


def interpreter(tracker: str) -> Any:
    """Return the option that names the interpreter of an environment that holds a tracker."""
    help_text = f"Measure {tracker}, too: the interpreter of an environment that holds it."
    return click.option(f"--{tracker}", metavar="PYTHON", help=help_text)


@click.command()
@click.argument("movies", nargs=-1)
@DATA_OPTION
@click.option(
    "--model", "models", multiple=True, default=("general_2d", "general_3d"), show_default=True
)
@click.option("--only", default="", help="Only sets with this in their name; others stay recorded.")
@click.option("--frames", type=int, help="Only so many frames of each real movie, the fullest.")
@click.option("--others-only", is_flag=True, help="Measure other trackers; keep recorded rows.")
@click.option("--afresh", is_flag=True, help="Measure other trackers that are recorded, too.")
@interpreter("btrack")
@interpreter("byotrack")
def accuracy(
    movies: tuple[str, ...],
    data: Path | None,
    models: tuple[str, ...],
    only: str,
    frames: int | None,
    others_only: bool,
    afresh: bool,
    **environments: str | None,
) -> None:
    """Score trackers on real movies, on harder versions of them, and on rendered movies.

    Real movies are the test parts of --data and MOVIES, each NAME=FOLDER:FIRST-LAST with FOLDER as
    02_GT of the Cell Tracking Challenge. All are tracked with errors in the masks, too. Edges and
    divisions count between neighbouring frames. Give one model for 2D movies, one for 3D movies, or
    both. The result is written after each set; rows of other trackers are not measured again where
    the same set is recorded with them.
    """
    by_ndim = {} if others_only else {model.spec.ndim: model for model in map(load_model, models)}
    if len(by_ndim) < len(models) and not others_only:
        raise click.BadParameter("these are several models for the same kind of movies")
    known = {name: python for name, python in environments.items() if python is not None}
    compared = Compared(by_ndim, known, afresh)
    ndims = {2, 3} if others_only else set(by_ndim)
    recorded = recorded_cases()
    measured: dict[str, Case] = {}
    for case in accuracy_sets(Wanted(ndims, movies, data, only=only, n_frames=frames)):
        measured[str(case)] = measure(case, compared, recorded.get(str(case)))
        # Read again, so that other processes may measure other sets meanwhile.
        write_result("accuracy", in_order({**recorded_cases(), **measured}))
    kept = recorded_cases() if only else {}
    path = write_result("accuracy", in_order({**kept, **measured}))
    print(f"\nwritten to {path}")


def measure(case: AccuracySet, compared: Compared, recorded: Case | None) -> Case:
    """Return what a result says of a set and its rows, and print it; recorded: what it said."""
    facts = case.facts()
    is_same = recorded is not None and all(recorded.get(key) == facts[key] for key in facts)
    print(f"\n{case}: {facts['frames']} frames, {facts['edges']} edges", flush=True)
    rows = []
    for row in compared.rows(case, recorded["trackers"] if recorded and is_same else []):
        rows.append(row)
        print(f"  {row['tracker']:24s} {in_words(row)}", flush=True)
    return {**facts, "trackers": rows}


def recorded_cases() -> dict[str, Case]:
    """Return the sets of the recorded result by their titles."""
    if not (RESULTS / "accuracy.json").exists():
        return {}
    cases = read_result("accuracy")["sets"]
    return {title(case["name"], case["variant"], case["has_errors"]): case for case in cases}


def in_order(cases: dict[str, Case]) -> dict[str, Any]:
    """Return the result of some sets, real ones first."""
    sets = sorted(cases.values(), key=lambda case: case["kind"] != "real")
    kinds = {kind: [case for case in sets if case["kind"] == kind] for kind in ("real", "rendered")}
    return {"summary": {kind: summarised(those) for kind, those in kinds.items()}, "sets": sets}
