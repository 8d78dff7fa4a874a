"""How accurate is the tracking, compared with other trackers?"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import gettempdir
from typing import Any

import click
from filelock import FileLock

from benchmarks.accuracy_sets import AccuracySet, Wanted, accuracy_sets, in_words, summary, title
from benchmarks.accuracy_summary import is_ours, summarised
from benchmarks.other_trackers import DISTANCES, Environments, OtherTracker, other_trackers
from benchmarks.our_trackers import MODES, candidates, chosen_links, load_model
from benchmarks.real_movies import DATA_OPTION, Part
from benchmarks.record import RESULTS, read_result, write_result
from benchmarks.true_movies import TrueMovie
from trackastra_engine.model.onnx_model import AssociationModel

LOCK = FileLock(Path(gettempdir()) / "trackastra_accuracy.lock")  # of the result

Row = dict[str, Any]
Case = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Compared:
    """The trackers to measure on each set."""

    models: Mapping[int, AssociationModel]  # models, by the number of axes of movies
    environments: Environments | None  # of other trackers; None: these are not measured
    distances: tuple[float, ...]  # longest ones to try, in typical spacings
    without: tuple[str, ...]  # other trackers to leave out
    afresh: bool  # whether to measure other trackers with a recorded row again
    result: str  # name of the result with recorded rows

    def rows(self, movie: TrueMovie, recorded: Sequence[Row]) -> Iterator[Row]:
        """Yield the rows that are measured; recorded: those of the same set."""
        known = set(self.without)
        if not self.afresh:
            known.update(row["tracker"] for row in recorded)
        if self.environments is not None:
            others = other_trackers(movie, self.environments, self.distances)
            for tracker, attempts in others.items():
                if tracker not in known:
                    yield at_best(tracker, attempts, movie)
        model = self.models.get(movie.detections.ndim)
        if model is not None:
            yield from ours(movie, model)


def at_best(tracker: str, attempts: OtherTracker, movie: TrueMovie) -> Row:
    """Return the scores of another tracker, at its setting with the fewest wrong edges.

    Missed ones count as wrong.
    """
    scored = [(attempt, movie.score(attempt.links)) for attempt in attempts(movie)]
    attempt, scores = max(scored, key=lambda tried: tried[1].edges.f1)
    return {"tracker": tracker, **attempt.about, **summary(scores)}


def ours(movie: TrueMovie, model: AssociationModel) -> Iterator[Row]:
    """Yield the scores of our linkers, without images and, if there are any, with them."""
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
    """Return the option that names the Python of an environment with a tracker."""
    help_text = f"Measure {tracker}, too: the Python of an environment with it."
    return click.option(f"--{tracker}", metavar="PYTHON", help=help_text)


@click.command()
@click.argument("movies", nargs=-1)
@DATA_OPTION
@click.option(
    "--model", "models", multiple=True, default=("general_2d", "general_3d"), show_default=True
)
@click.option(
    "--only",
    default="*",
    show_default=True,
    help="Only sets whose titles match, such as 'ecoli*' or '*, jumping'; others stay recorded.",
)
@click.option(
    "--part",
    type=click.Choice(["test", "validate"]),
    default="test",
    show_default=True,
    help="Of --data; 'validate' is for choices, and writes accuracy_validate.json.",
)
@click.option("--frames", type=int, help="Number of frames of each real movie, the fullest.")
@click.option(
    "--trackers",
    type=click.Choice(["all", "ours", "others"]),
    default="all",
    show_default=True,
    help="Which to measure; the recorded rows of others stay.",
)
@click.option(
    "--distance",
    "distances",
    multiple=True,
    type=float,
    default=DISTANCES,
    show_default=True,
    help="Longest distances to try for nearest neighbours and laptrack, in typical spacings.",
)
@click.option("--without", multiple=True, help="Another tracker to leave out; motile is slow.")
@click.option("--afresh", is_flag=True, help="Measure other trackers again, even if recorded.")
@interpreter("btrack")
@interpreter("byotrack")
@interpreter("ultrack")
def accuracy(
    movies: tuple[str, ...],
    data: Path | None,
    models: tuple[str, ...],
    only: str,
    part: Part,
    frames: int | None,
    trackers: str,
    distances: tuple[float, ...],
    without: tuple[str, ...],
    afresh: bool,
    **environments: str | None,
) -> None:
    """Score trackers on real movies, on harder versions of them, and on rendered movies.

    Real movies are one part of those of --data, and MOVIES: each NAME=FOLDER:FIRST-LAST with FOLDER
    as 02_GT of the Cell Tracking Challenge. All are also tracked with errors in the masks. Edges
    and divisions are counted between neighbouring frames. Give one model for 2D movies, one for 3D
    movies, or both. The result is written after each set. Recorded rows of other trackers are not
    measured again.
    """
    by_ndim = {model.spec.ndim: model for model in map(load_model, models)}
    if len(by_ndim) < len(models):
        raise click.BadParameter("these are several models for the same kind of movies")
    known = {name: python for name, python in environments.items() if python is not None}
    compared = Compared(
        models=by_ndim if trackers != "others" else {},
        environments=known if trackers != "ours" else None,
        distances=distances,
        without=without,
        afresh=afresh,
        result="accuracy" if part == "test" else f"accuracy_{part}",
    )
    wanted = Wanted(set(by_ndim), movies, data, part, only=only, n_frames=frames)
    print(f"written to {record(wanted, compared)}")


def record(wanted: Wanted, compared: Compared) -> Path:
    """Measure the wanted sets and write the result after each; at the end, remove old sets."""
    path, measured = RESULTS / f"{compared.result}.json", set()
    for case in accuracy_sets(wanted):
        found = measure(case, compared)
        with LOCK:  # other processes may have measured other sets meanwhile
            recorded = recorded_cases(compared.result)
            write_result(compared.result, in_order({**recorded, str(case): found}))
        measured.add(str(case))
    if wanted.only == "*":
        with LOCK:
            recorded = recorded_cases(compared.result)
            now = {name: case for name, case in recorded.items() if name in measured}
            write_result(compared.result, in_order(now))
    return path


def measure(case: AccuracySet, compared: Compared) -> Case:
    """Return the entry of a set in a result: the measured rows, and the other recorded ones."""
    facts = case.facts()
    print(f"\n{case}: {facts['frames']} frames, {facts['edges']} edges", flush=True)
    rows = {}
    for row in compared.rows(case.movie, recorded_rows(compared.result, case)):
        rows[row["tracker"]] = row
        print(f"  {row['tracker']:24s} {in_words(row)}", flush=True)
    # Read again, as another process may have measured the same set meanwhile.
    kept = [row for row in recorded_rows(compared.result, case) if row["tracker"] not in rows]
    return {**facts, "trackers": sorted([*kept, *rows.values()], key=is_ours)}


def recorded_rows(result: str, case: AccuracySet) -> list[Row]:
    """Return the rows of a set in a recorded result; none if the movie is another one."""
    recorded, facts = recorded_cases(result).get(str(case), {}), case.facts()
    is_same = {key: recorded.get(key) for key in facts} == facts
    return list(recorded["trackers"]) if is_same else []


def recorded_cases(result: str) -> dict[str, Case]:
    """Return the sets of a recorded result by their titles."""
    if not (RESULTS / f"{result}.json").exists():
        return {}
    with LOCK:
        cases = read_result(result)["sets"]
    return {title(case["name"], case["variant"], case["has_errors"]): case for case in cases}


def in_order(cases: dict[str, Case]) -> dict[str, Any]:
    """Return the result of some sets, real ones first."""
    sets = sorted(cases.values(), key=lambda case: case["kind"] != "real")
    kinds = {kind: [case for case in sets if case["kind"] == kind] for kind in ("real", "rendered")}
    return {"summary": {kind: summarised(those) for kind, those in kinds.items()}, "sets": sets}
