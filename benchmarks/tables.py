"""Are the numbers of the README those that were measured? Its tables are made from the results."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks.record import RESULTS

README = Path(__file__).parent.parent / "README.md"


def accuracy_table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of trackers by movies: edge F1 / division F1."""
    movies = result["movies"]
    yield ["edge F1 / division F1", *(_title(name, movie) for name, movie in movies.items())]
    for tracker in next(iter(movies.values()))["trackers"]:
        scores = (movie["trackers"][tracker] for movie in movies.values())
        yield [tracker, *(f"{s['edge_f1']:.4f} / {s['division_f1']:.3f}" for s in scores)]


def linking_table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of graph sizes by linkers: CPU seconds."""
    rows = result["linkers"]
    linkers = list(dict.fromkeys(row["linker"] for row in rows))
    yield ["candidate edges", *linkers]
    for n_edges in dict.fromkeys(row["edges"] for row in rows):
        seconds = {row["linker"]: row["cpu_s"] for row in rows if row["edges"] == n_edges}
        yield [
            f"{n_edges:,}",
            *(f"{seconds[name]:.3f} s" if name in seconds else "" for name in linkers),
        ]


def transformer_table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of window sizes: CPU time and memory of the engine and of upstream."""
    yield ["tokens of a window", "engine", "per token", "peak memory", "upstream", "times faster"]
    for window in result["windows"]:
        engine, upstream = window["engine"], window.get("upstream")
        yield [
            f"{window['tokens']:,}",
            f"{engine['cpu_s']:.3f} s",
            f"{engine['ms_per_token']:.2f} ms",
            f"{engine['peak_mb']:,} MB",
            f"{upstream['cpu_s']:.3f} s" if upstream else "",
            f"{window['times_faster']:.1f}" if upstream else "",
        ]


TABLES = {
    "accuracy": accuracy_table,
    "linking": linking_table,
    "transformer": transformer_table,
}


def filled(text: str) -> str:
    """Return the README with each table between its marks made anew from its result file."""
    for name, table in TABLES.items():
        result = json.loads((RESULTS / f"{name}.json").read_text())
        begin, end = f"<!-- {name}: benchmarks/results/{name}.json -->\n", f"<!-- end {name} -->"
        before, rest = text.split(begin)
        text = before + begin + _markdown(table(result)) + end + rest.split(end, 1)[1]
    return text


def _title(name: str, movie: dict[str, Any]) -> str:
    first, last = movie["frames"]
    return f"{name}, frames {first} to {last} ({movie['edges']:,} edges)"


def _markdown(rows: Iterable[Sequence[str]]) -> str:
    head, *body = rows
    rule = ["---", *("--:" for _ in head[1:])]
    return "".join("| " + " | ".join(row) + " |\n" for row in [head, rule, *body])


@click.command()
def tables() -> None:
    """Put the latest results into the README's tables."""
    README.write_text(filled(README.read_text()))
