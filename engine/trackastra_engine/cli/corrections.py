"""The command `corrections`."""

from pathlib import Path

import click

from trackastra_engine.cli.exit import one_sentence_errors
from trackastra_engine.cli.options import PATH


@click.command()
@click.argument("results", type=PATH)
@click.argument("edited", type=PATH)
@click.option("-o", "--output", type=PATH, required=True, help="Table to write, a .csv.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier table.")
@one_sentence_errors
def corrections(results: Path, edited: Path, output: Path, overwrite: bool) -> None:
    """Write the changes that a person made in another program as corrections.

    RESULTS is an output folder of track. EDITED contains the same tracks after editing: a GEFF
    (as napari-track-edit saves it), a TrackMate file, a folder in the format of the Cell Tracking
    Challenge, the Spot table that Mastodon exports (with its Link table next to it), or an output
    folder of track. Then link again:

        trackastra-engine link RESULTS --corrections OUTPUT

    Points have no cache: give OUTPUT to track instead, with the same points.
    """
    from trackastra_engine.jobs.compare import compare

    found = compare(results, edited, output, overwrite=overwrite)
    click.echo(f"Found {len(found)} corrections; see {output}")
