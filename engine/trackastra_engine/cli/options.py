"""Options that several commands share."""

from pathlib import Path

import click

PATH = click.Path(path_type=Path)
MODES = click.Choice(["greedy", "greedy_nodiv", "ilp", "ilp_nodiv", "lap"])
DEVICES = click.Choice(["auto", "cpu", "cuda", "automatic", "mps"])  # the last two are upstream's
MODEL_OPTION = click.option(
    "--model", default="general_2d", show_default=True, help="Name of a model, or an .onnx file."
)
