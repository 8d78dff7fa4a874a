"""Progress of the commands: a bar on a terminal, plain lines in a pipe or log."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click

from trackastra_engine.progress import Progress

PLAIN_STEPS = 10  # plain lines per stage
STAGES = {
    "detect": "finding detections",
    "associate": "scoring associations",
    "compare": "comparing masks",
    "write": "writing results",
    "report": "drawing the report",
    "bench": "timing stages",
}


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """Yield a callback that shows the progress of a job on standard error."""
    if not sys.stderr.isatty():
        yield _PlainLines()
        return
    from rich.console import Console  # 0.1 s: only where there is a terminal
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description:<21}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks = {}

        def show(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(STAGES.get(stage, stage), total=total)
            bars.update(tasks[stage], completed=min(done, total))

        yield show


class _PlainLines:
    """Writes a line when a stage begins and after each tenth of it."""

    def __init__(self) -> None:
        self._last: dict[str, int] = {}  # stages run side by side

    def __call__(self, stage: str, done: int, total: int) -> None:
        step = PLAIN_STEPS * done // max(total, 1)
        if step != self._last.get(stage):
            self._last[stage] = step
            click.echo(f"{STAGES.get(stage, stage)}: {min(done, total)}/{total} frames", err=True)
