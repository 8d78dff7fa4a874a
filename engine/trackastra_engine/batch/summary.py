"""Write the outcomes of a batch as a table and as a page."""

import csv
import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any, Literal, get_args
from urllib.parse import quote

from trackastra_engine.files.atomic import new_file
from trackastra_engine.output.formats import REPORT

TABLE, PAGE = "summary.csv", "summary.html"
COLUMNS = ("frames", "detections", "tracks", "divisions", "seconds", "peak_memory_mb")
HEADS = {"peak_memory_mb": "peak memory, MB"}

Status = Literal["tracked", "unchanged", "changed", "failed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a position."""

    name: str
    status: Status
    figures: dict[str, Any] = field(default_factory=dict)  # as `track --json` gives them
    reason: str = ""  # of a failure, or of missing figures, a sentence

    def __str__(self) -> str:
        if self.reason:
            return f"{self.name} {self.status}: {self.reason}"
        counts = ", ".join(f"{self.figures[name]:,} {name}" for name in COLUMNS[:4])
        return f"{self.name} {self.status}: {counts}"


def write_summary(outcomes: Sequence[Outcome], output: Path) -> None:
    """Write a table and a page with a line for each position, which links to its report."""
    with (
        new_file(output / TABLE) as partial,
        partial.open("w", encoding="utf-8", newline="") as file,
    ):
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["name", "status", *COLUMNS, "reason"])
        for outcome in outcomes:
            figures = (outcome.figures.get(name, "") for name in COLUMNS)
            table.writerow([outcome.name, outcome.status, *figures, outcome.reason])
    page = Template(files(__package__).joinpath("summary.html").read_text("utf-8")).substitute(
        title=html.escape(output.resolve().name),
        counts=_counts(outcomes),
        heads="".join(f"<th scope=col>{HEADS.get(name, name)}" for name in COLUMNS),
        rows="\n".join(_row(outcome, output) for outcome in outcomes),
    )
    with new_file(output / PAGE) as partial:
        partial.write_text(page, "utf-8", newline="\n")


def _counts(outcomes: Sequence[Outcome]) -> str:
    numbers = dict.fromkeys(get_args(Status), 0)
    for outcome in outcomes:
        numbers[outcome.status] += 1
    return ", ".join(f"{number:,} {status}" for status, number in numbers.items() if number)


def _row(outcome: Outcome, output: Path) -> str:
    name = html.escape(outcome.name)
    if outcome.status != "failed" and (output / outcome.name / REPORT).is_file():
        name = f'<a href="{html.escape(quote(f"{outcome.name}/{REPORT}"))}">{name}</a>'
    if outcome.reason:
        cells = f"<td colspan={len(COLUMNS)}>{html.escape(outcome.reason)}"
    else:
        cells = "".join(f"<td>{_shown(outcome.figures.get(column))}" for column in COLUMNS)
    return f"<tr class={outcome.status}><th scope=row>{name}<td>{outcome.status}{cells}"


def _shown(figure: float | None) -> str:
    if figure is None:
        return ""
    return f"{figure:,.0f}" if figure == int(figure) or figure >= 100 else f"{figure:,.1f}"
