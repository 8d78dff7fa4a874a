"""The command `convert`."""

from pathlib import Path

import click

from trackastra_engine.cli.exit import one_sentence_errors
from trackastra_engine.cli.options import PATH


@click.command()
@click.argument("tracks", type=PATH)
@click.option(
    "--to",
    "formats",
    metavar="FORMAT,...",
    multiple=True,
    required=True,
    help="Formats to write: csv, geff, trackmate, napari, mastodon.",
)
@click.option("-o", "--output", type=PATH, required=True, help="Folder for the results.")
@click.option("--voxel", metavar="Z,Y,X", help="Size of a voxel in micrometres.")
@click.option(
    "--interval",
    "interval_s",
    type=float,
    help="Seconds between frames.",
)
@click.option("--overwrite", is_flag=True, help="Replace earlier results in --output.")
@one_sentence_errors
def convert(
    tracks: Path,
    formats: tuple[str, ...],
    output: Path,
    voxel: str | None,
    interval_s: float | None,
    overwrite: bool,
) -> None:
    """Write TRACKS in the formats of other programs.

    TRACKS is an output folder of track, or a folder in the format of the Cell Tracking Challenge:
    mask*.tif and res_track.txt, or man_track*.tif and man_track.txt. Objects of the latter are
    measured in their masks, and their links have no scores.
    """
    from trackastra_engine.output.convert import convert
    from trackastra_engine.output.results import parse_formats

    names = parse_formats(formats) or ()
    lineage = convert(
        tracks, names, output, voxel=voxel, interval_s=interval_s, overwrite=overwrite
    )
    found = f"{len(lineage.detections)} detections in {len(lineage.tracklets)} tracks"
    click.echo(f"Converted {found}; see {output}")
