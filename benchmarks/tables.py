"""Are the numbers of the README those that were measured? They are made from the results."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks import (
    accuracy,
    default_model,
    delay,
    gaps,
    gpu,
    large,
    latency,
    length,
    linking,
    models,
    scaling,
    soak,
    stages,
    startup,
    transformer,
    whole,
)
from benchmarks.plots import draw_all
from benchmarks.record import RESULTS, read_result

README = Path(__file__).parent.parent / "README.md"


Table = Callable[[dict[str, Any]], Iterable[Sequence[str]]]

# By the name of the mark in the README: the result, and what is shown of it.
TABLES: dict[str, tuple[str, Table]] = {
    "accuracy-real": ("accuracy", accuracy.real_table),
    "accuracy-rendered": ("accuracy", accuracy.rendered_table),
    "accuracy-errors": ("accuracy", accuracy.errors_table),
    "models": ("models", models.table),
    "gaps": ("gaps", gaps.table),
    "delay": ("delay", delay.table),
    "linking": ("linking", linking.table),
    "ilp": ("linking", linking.upstream_table),
    "transformer": ("transformer", transformer.table),
    "whole": ("whole", whole.table),
    "stages": ("stages", stages.table),
    "default-model": ("default_model", default_model.speed_table),
    "strides": ("default_model", default_model.stride_table),
    "large": ("large", large.table),
    "length": ("length", length.table),
    "keeping": ("scaling", scaling.keeping_table),
    "workers": ("scaling", scaling.workers_table),
    "startup": ("startup", startup.table),
    "latency": ("latency", latency.table),
    "soak": ("soak", soak.table),
    "gpu": ("gpu", gpu.table),
}


def filled(text: str) -> str:
    """Return the README with each table between its marks made anew from its result file.

    What was not measured yet has no table.
    """
    for name, (result, table) in TABLES.items():
        if not (RESULTS / f"{result}.json").exists():
            continue
        begin, end = f"<!-- {name}: benchmarks/results/{result}.json -->\n", f"<!-- end {name} -->"
        before, rest = text.split(begin)
        rows = table(read_result(result))
        text = before + begin + _markdown(rows) + end + rest.split(end, 1)[1]
    return text


def _markdown(rows: Iterable[Sequence[str]]) -> str:
    head, *body = rows
    rule = ["---", *("--:" for _ in head[1:])]
    return "".join("| " + " | ".join(row) + " |\n" for row in [head, rule, *body])


@click.command()
def tables() -> None:
    """Put the latest results into the README's tables and plots."""
    draw_all()
    README.write_text(filled(README.read_text()))
