"""The command `shim`."""

from pathlib import Path

import click

from trackastra_engine.cli.exit import one_sentence_errors
from trackastra_engine.cli.options import PATH


@click.command()
@click.argument("folder", type=PATH)
@click.option(
    "--max-distance",
    metavar="LENGTH",
    help="Longest link of calls that give none, such as TrackMate's: 40 or 40px, 12um, or auto.  "
    "[default: upstream's 128 pixels]",
)
@one_sentence_errors
def shim(folder: Path, max_distance: str | None) -> None:
    """Write a command `trackastra` into FOLDER that runs this engine, for TrackMate.

    TrackMate looks for it in a conda environment: FOLDER is its bin, or Scripts on Windows. For
    TrackMate before 2026, `python -m trackastra.cli` of that environment runs the engine, too.
    """
    from trackastra_engine.linking.max_distance import MaxDistance
    from trackastra_engine.shim import write_shim

    if max_distance is not None:
        MaxDistance.parse(max_distance)
    written = write_shim(folder, max_distance=max_distance)
    click.echo(f"Wrote {written.script}, which runs this engine as upstream's command")
    if written.package is None:
        click.echo(f"No Python in {folder}, so `python -m trackastra.cli` was not written")
    else:
        click.echo(f"Wrote {written.package}, for `python -m trackastra.cli`")
