"""The command `demo`."""

from pathlib import Path

import click

from trackastra_engine.cli.exit import one_sentence_errors
from trackastra_engine.cli.options import MODEL_OPTION, PATH


@click.command()
@click.option(
    "-o",
    "--output",
    type=PATH,
    default=Path("trackastra-demo"),
    show_default=True,
    help="Output folder.",
)
@MODEL_OPTION
@one_sentence_errors
def demo(output: Path, model: str) -> None:
    """Track a small simulated movie, and compare the tracks with the truth."""
    from trackastra_engine.cli.terminal import shown_progress
    from trackastra_engine.jobs.demo import run_demo

    with shown_progress() as progress:
        result = run_demo(output, model=model, progress=progress)
    click.echo(result)
