"""Summary of many sets: ranks, and errors removed compared with the best other tracker."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from benchmarks.accuracy_sets import in_words, title
from benchmarks.movie_variants import WHOLE

SHOWN = "greedy"  # of our linkers
KINDS = ("edges", "divisions")

Row = dict[str, Any]
Case = dict[str, Any]


def is_ours(row: Row) -> bool:
    """Return whether a row is of one of our models."""
    return "model" in row


def errors(row: Row, kind: str) -> int:
    """Return the number of wrong and missed edges or divisions of a row."""
    return int(row[f"wrong_{kind}"] + row[f"missed_{kind}"])


def best_other(case: Case, kind: str = "edges") -> Row:
    """Return the row with the fewest errors among those that are not ours."""
    others = [row for row in case["trackers"] if not is_ours(row)]
    return min(others, key=lambda row: (errors(row, kind), errors(row, "divisions")))


def row_of(case: Case, tracker: str) -> Row:
    """Return the row of a tracker."""
    return next(row for row in case["trackers"] if row["tracker"] == tracker)


def removed(case: Case, kind: str, mode: str = SHOWN) -> float:
    """Return the share of errors removed: 1 - our errors / those of the best other tracker.

    0.5: half as many errors; -1: twice as many. Zero errors of the other tracker count as one.
    """
    theirs = errors(best_other(case, kind), kind)
    ours = errors(row_of(case, mode), kind)
    return 0.0 if ours == theirs else 1 - ours / max(1, theirs)


def rank(case: Case, tracker: str, kind: str) -> float:
    """Return the rank of a tracker, by errors, among the others and one of ours: itself or SHOWN.

    Equal trackers share the mean of their ranks.
    """
    own = row_of(case, tracker)
    rivals = [row for row in case["trackers"] if row is not own and not is_ours(row)]
    if not is_ours(own):
        rivals.append(row_of(case, SHOWN))
    counts = np.array([errors(row, kind) for row in rivals])
    better, equal = (counts < errors(own, kind)).sum(), (counts == errors(own, kind)).sum()
    return float(1 + better + equal / 2)


def summarised(cases: Sequence[Case]) -> dict[str, Any]:
    """Return mean ranks of all trackers, and our mean shares of errors removed, over sets.

    A tracker's rank is its mean over the sets that it can track. Trackers with images count too.
    """
    complete = [case for case in cases if _is_complete(case)]
    ranks: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for case in complete:
        for tracker in (row["tracker"] for row in case["trackers"]):
            for kind in _kinds(case):
                ranks[tracker][kind].append(rank(case, tracker, kind))
    modes = dict.fromkeys(
        row["tracker"] for case in complete for row in case["trackers"] if is_ours(row)
    )
    return {
        "sets": len(complete),
        "mean_rank": {
            tracker: {kind: round(float(np.mean(places)), 2) for kind, places in found.items()}
            for tracker, found in ranks.items()
        },
        "errors_removed": {
            mode: {
                kind: round(float(np.mean(shares)), 3)
                for kind in KINDS
                if (shares := [removed(c, kind, mode) for c in complete if kind in _kinds(c)])
            }
            for mode in modes
        },
    }


def _is_complete(case: Case) -> bool:
    rows = case["trackers"]
    return any(map(is_ours, rows)) and not all(map(is_ours, rows))


def _kinds(case: Case) -> tuple[str, ...]:
    """Return the kinds of errors of a set: no divisions where there are none."""
    return KINDS if case["divisions"] else KINDS[:1]


def best_table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of whole real movies: ours, the best other tracker, and the errors removed."""
    yield ["real movie", SHOWN, "best other", "edge errors removed", "of divisions"]
    for case in result["sets"]:
        if case["kind"] == "real" and case["variant"] == WHOLE and _is_complete(case):
            best = best_other(case)
            yield [
                f"{title(case['name'], case['variant'], case['has_errors'])} "
                f"({case['edges']:,} edges, {case['divisions']:,} divisions)",
                in_words(row_of(case, SHOWN)),
                f"{in_words(best)} ({best['tracker']})",
                *(f"{removed(case, kind):.0%}" for kind in KINDS),
            ]


def variant_table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of versions of the real movies, with means over the movies."""
    head = ["", "movies", "edge errors removed", "of divisions", "led in edges", "in divisions"]
    yield [*head, "mean rank of edges", "of divisions"]
    cases = [case for case in result["sets"] if case["kind"] == "real" and _is_complete(case)]
    for has_errors in (False, True):
        for variant in dict.fromkeys(case["variant"] for case in cases):
            alike = [c for c in cases if (c["variant"], c["has_errors"]) == (variant, has_errors)]
            if alike:
                yield _means(variant + (", with errors" if has_errors else ""), alike)
    if cases:
        yield _means("all", cases)


def _means(name: str, cases: Sequence[Case]) -> list[str]:
    together = summarised(cases)
    counted = {kind: [case for case in cases if kind in _kinds(case)] for kind in KINDS}
    led = {kind: sum(removed(c, kind) > 0 for c in those) for kind, those in counted.items()}
    return [
        name,
        str(len(cases)),
        *(f"{together['errors_removed'][SHOWN][kind]:.0%}" for kind in KINDS),
        *(f"{led[kind]} of {len(counted[kind])}" for kind in KINDS),
        *(f"{together['mean_rank'][SHOWN][kind]:.1f}" for kind in KINDS),
    ]
