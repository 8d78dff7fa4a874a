"""How accurate is tracking if objects are not cells, or if cells are missed as they divide?"""

import json
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from benchmarks.accuracy_sets import in_words
from benchmarks.cluttered_movies import missed_for, mothers_missed, with_others
from benchmarks.movie_variants import Variant, itself, with_errors
from benchmarks.noise import MODELS_OPTION, WITHOUT_GAPS, compared, shown, without_sizes
from benchmarks.our_trackers import load_model
from benchmarks.real_movies import NEEDED_DATA_OPTION, SHOWN_OPTION
from benchmarks.record import write_result

KINDS: dict[str, Variant] = {
    "as measured": itself,
    "others seen once": partial(with_others, share=0.05, n_seen=1),
    "others seen 6 times": partial(with_others, share=0.05, n_seen=6),
    "mothers missed": partial(mothers_missed, share=0.5),
    "missed 3 times": partial(missed_for, share=0.02, n_frames=3),
    "missed 10 times": partial(missed_for, share=0.1, n_frames=10),
    "with errors": with_errors,
}


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows per movie: ours, without links over gaps, and the best tracker of positions."""
    yield ["edge F1 / division F1", "tracker", *KINDS]
    for movie in dict.fromkeys(row["movie"] for row in result["rows"]):
        rows = {row["noise"]: row for row in result["rows"] if row["movie"] == movie}
        first = next(iter(rows[next(iter(KINDS))]["trackers"]))
        yield [movie, first, *(in_words(rows[kind]["trackers"][first]) for kind in KINDS)]
        pairs = (rows[kind]["trackers"][first + WITHOUT_GAPS] for kind in KINDS)
        yield ["", WITHOUT_GAPS.removeprefix(", "), *map(in_words, pairs)]
        others = (rows[kind] for kind in KINDS)
        yield ["", "positions only", *(in_words(row["positions_only"]) for row in others)]


@click.command()
@NEEDED_DATA_OPTION
@MODELS_OPTION
@SHOWN_OPTION
def clutter(data: Path, models: tuple[str, ...], part: str) -> None:
    """Track movies with objects that are not cells, and without some cells."""
    loaded = {Path(name).stem: load_model(name) for name in models}
    rows: list[dict[str, Any]] = []
    for name, movie, _ in shown(data, part):
        for kind, change in KINDS.items():
            changed = change(movie)
            facts = {"movie": name, "noise": kind}
            rows.append(
                {**facts, **compared(changed, loaded, without_sizes(changed), without_gaps=True)}
            )
            print(json.dumps(rows[-1]), flush=True)
    written = write_result("clutter" if part == "test" else "clutter_choosing", {"rows": rows})
    print(f"written to {written}")
