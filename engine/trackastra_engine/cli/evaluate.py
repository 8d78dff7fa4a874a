"""The command `evaluate`."""

from pathlib import Path

import click

from trackastra_engine.cli.exit import one_sentence_errors
from trackastra_engine.cli.options import PATH


@click.command()
@click.argument("tracks", type=PATH)
@click.argument("ground_truth", type=PATH)
@click.option("--json", "json_file", type=PATH, help="File for all figures, as JSON.")
@one_sentence_errors
def evaluate(tracks: Path, ground_truth: Path, json_file: Path | None) -> None:
    """Compare TRACKS with a GROUND_TRUTH of the same movie.

    Both are folders in the format of the Cell Tracking Challenge: TRACKS with mask*.tif and
    res_track.txt (or a results folder of `track`, or with upstream's names), GROUND_TRUTH with
    man_track*.tif and man_track.txt (or with these in TRA/).
    """
    from trackastra_engine.cli.terminal import shown_progress
    from trackastra_engine.evaluation import check_report, evaluate, write_report

    if json_file is not None:
        check_report(json_file)
    with shown_progress() as progress:
        result = evaluate(tracks, ground_truth, progress=progress)
    if json_file is not None:
        write_report(result, json_file)
    click.echo(result)
