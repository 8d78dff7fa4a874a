"""The command `shim`."""

from pathlib import Path

import click

from trackastra_engine.cli.exit import one_sentence_errors
from trackastra_engine.cli.options import PATH


@click.command()
@click.argument("folder", type=PATH)
@one_sentence_errors
def shim(folder: Path) -> None:
    """Write a command `trackastra` that runs this engine into FOLDER, for TrackMate.

    TrackMate looks for it in a conda environment: FOLDER is its bin, or Scripts on Windows.
    """
    from trackastra_engine.shim import write_shim

    click.echo(f"Wrote {write_shim(folder)}, which runs this engine as upstream's command")
