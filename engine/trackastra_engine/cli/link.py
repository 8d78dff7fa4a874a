"""The command `link`."""

from pathlib import Path
from typing import Any

import click

from trackastra_engine.cli.exit import one_sentence_errors
from trackastra_engine.cli.options import (
    CORRECTIONS_OPTION,
    PATH,
    linking_of,
    with_linking_options,
)


@click.command()
@click.argument("tracked", type=PATH)
@click.option("-o", "--output", type=PATH, help="Folder for all results.  [default: TRACKED]")
@click.option(
    "--format",
    "formats",
    metavar="FORMAT,...",
    multiple=True,
    help="Formats in --output: csv, geff, trackmate, napari, mastodon.  [default: those in TRACKED "
    "if it is replaced, otherwise csv]",
)
@with_linking_options
@CORRECTIONS_OPTION
@click.option("--report/--no-report", default=True, help="Write report.html.  [default: report]")
@click.option("--overwrite", is_flag=True, help="Replace earlier results in --output.")
@one_sentence_errors
def link(
    tracked: Path,
    output: Path | None,
    formats: tuple[str, ...],
    report: bool,
    overwrite: bool,
    corrections: tuple[Path, ...],
    **options: Any,
) -> None:
    """Link a movie again, with the cached detections and scores of its last run.

    TRACKED is the output folder of track. Neither images nor masks are read. Without --output, the
    results in TRACKED are replaced.
    """
    from trackastra_engine.cli.terminal import shown_progress
    from trackastra_engine.jobs.relink import link_again
    from trackastra_engine.output.results import Outputs, parse_formats

    folder = output or tracked
    outputs = Outputs(folder, None, None, overwrite, parse_formats(formats), report)
    with shown_progress() as progress:
        result = link_again(
            tracked, linking_of(options), outputs, corrections=corrections, progress=progress
        )
    click.echo(f"{result}; see {folder}")
