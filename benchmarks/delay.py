"""How often are links corrected later when each frame is tracked at once?"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import click
import numpy as np

from benchmarks.accuracy_sets import Wanted, accuracy_sets, in_words, summary
from benchmarks.record import write_result
from benchmarks.true_movies import TrueMovie
from trackastra_engine import Tracker
from trackastra_engine.detection.detections import IntArray
from trackastra_engine.online import Session

KINDS = ("real", "real with errors", "rendered", "rendered with errors")
SHOWN = {0: "at once", 1: "after 1 frame", 2: "after 2 frames, for good"}


def decided_links(movie: TrueMovie, tracker: Tracker, delay: int) -> IntArray:
    """Return the links (E, 2) as decided a number of frames after that of their target."""
    voxel = (movie.z_step, 1.0, 1.0)[-movie.detections.ndim :]
    session = Session(tracker, delay=delay, voxel_um=voxel)
    for t, mask in enumerate(movie.masks):
        session.push(None if movie.images is None else movie.images[t], mask)
    edges = session.finish().edges
    return movie.steps(np.column_stack([edges.source, edges.target]))


def changes(links: IntArray, final: IntArray) -> dict[str, int]:
    """Return the numbers of links and of divisions that are not final."""
    decided, divisions = set(map(tuple, links.tolist())), divisions_of(links)
    return {
        "links": len(decided),
        "links_changed": len(decided.difference(map(tuple, final.tolist()))),
        "divisions": len(divisions),
        "divisions_changed": len(divisions - divisions_of(final)),
    }


def divisions_of(links: IntArray) -> set[tuple[int, ...]]:
    """Return mother and daughters of all divisions."""
    children = defaultdict(list)
    for mother, child in links.tolist():
        children[mother].append(child)
    return {(m, *sorted(found)) for m, found in children.items() if len(found) == 2}


def measure(movie: TrueMovie, tracker: Tracker) -> list[dict[str, Any]]:
    """Return the accuracy at each delay, and the later changes until links are final."""
    delays = range(tracker.model.spec.window - 1)
    decided = [decided_links(movie, tracker, delay) for delay in delays]
    return [
        {
            "tracker": f"delay {delay}",
            **summary(movie.score(links)),
            **changes(links, decided[-1]),
        }
        for delay, links in zip(delays, decided, strict=True)
    ]


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of delays: later changes, and mean F1 on each kind of sets."""
    yield ["links are decided", "links that change", "divisions that change", *KINDS]
    for delay, when in SHOWN.items():
        rows = [
            row
            for case in result["sets"]
            for row in case["trackers"]
            if row["tracker"] == f"delay {delay}"
        ]
        shares = [
            sum(row[f"{kind}_changed"] for row in rows) / sum(row[kind] for row in rows)
            for kind in ("links", "divisions")
        ]
        scores = means(result["sets"], f"delay {delay}")
        yield [when, *(f"{100 * share:.2f} %" for share in shares), *in_columns(scores)]


def means(sets: list[dict[str, Any]], mode: str) -> list[dict[str, Any]]:
    """Return the mean F1 of edges and of divisions over real and rendered sets."""
    result = []
    for kind in ("real", "rendered"):
        for has_errors in (False, True):
            rows = [
                row
                for case in sets
                if (case["kind"], case["has_errors"]) == (kind, has_errors)
                for row in case["trackers"]
                if row["tracker"] == mode
            ]
            divisions = [row["division_f1"] for row in rows if row["division_f1"] is not None]
            if rows:
                result.append(
                    {
                        "kind": kind,
                        "has_errors": has_errors,
                        "edge_f1": round(float(np.mean([row["edge_f1"] for row in rows])), 4),
                        "division_f1": round(float(np.mean(divisions)), 3),
                    }
                )
    return result


def in_columns(scores: list[dict[str, Any]]) -> list[str]:
    """Return the result of `means` as cells of a table, one for each of KINDS."""
    cells = dict.fromkeys(KINDS, "")
    for mean in scores:
        kind = mean["kind"] + (" with errors" if mean["has_errors"] else "")
        cells[kind] = f"{mean['edge_f1']:.4f} / {mean['division_f1']:.3f}"
    return list(cells.values())


@click.command()
@click.argument("movies", nargs=-1)
@click.option("--model", "models", multiple=True, default=("general_2d",), show_default=True)
def delay(movies: tuple[str, ...], models: tuple[str, ...]) -> None:
    """Track rendered movies and MOVIES frame by frame, with images where there are any.

    Each of MOVIES is NAME=FOLDER:FIRST-LAST with FOLDER as 02_GT of the Cell Tracking Challenge.
    Links are greedy.
    """
    trackers = [Tracker.load(model, device="cpu") for model in models]
    by_ndim = {tracker.model.spec.ndim: tracker for tracker in trackers}
    results = []
    for case in accuracy_sets(Wanted(set(by_ndim), movies)):
        rows = measure(case.movie, by_ndim[case.movie.detections.ndim])
        results.append({**case.facts(), "trackers": rows})
        for row in rows:
            changed = f"{row['links_changed']} links, {row['divisions_changed']} divisions change"
            print(f"{case!s:24s} {row['tracker']} {in_words(row)}  {changed}", flush=True)
    answer = {"models": [tracker.model.spec.name for tracker in trackers], "sets": results}
    print(f"\nwritten to {write_result('delay', answer)}")
