"""The command `bench`."""

from pathlib import Path
from typing import Any

import click

from trackastra_engine.cli.exit import one_sentence_errors
from trackastra_engine.cli.options import DEVICE_OPTION, PATH, selection_options
from trackastra_engine.errors import InputError
from trackastra_engine.movie.selection import Selection


@click.command()
@click.option("-i", "--images", type=PATH, help="Images of your movie.")
@click.option("-m", "--masks", type=PATH, help="Its masks.  [default: simulated movies]")
@click.option(
    "--model",
    default="auto",
    help="Name of a model, or an .onnx file.  [default: general_2d, for 3D movies general_3d]",
)
@DEVICE_OPTION
@click.option("--json", "json_file", type=PATH, help="File for all figures, as JSON.")
@one_sentence_errors
@selection_options
def bench(
    images: Path | None,
    masks: Path | None,
    selection: Selection,
    model: str,
    device: Any,
    json_file: Path | None,
) -> None:
    """Time each stage of tracking on this machine, in about a minute."""
    if images is not None and masks is None:
        raise InputError("there are images but no masks; give --masks, too, or leave --images out")
    from trackastra_engine.bench import check_report, run_bench, write_report
    from trackastra_engine.cli.terminal import shown_progress

    if json_file is not None:
        check_report(json_file)
    with shown_progress() as progress:
        report = run_bench(
            images, masks, selection=selection, model=model, device=device, progress=progress
        )
    if json_file is not None:
        write_report(report, json_file)
    click.echo(report)
