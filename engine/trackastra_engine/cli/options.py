"""Options that several commands share."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click

from trackastra_engine.selection import Selection

PATH = click.Path(path_type=Path)
MODES = click.Choice(["greedy", "greedy_nodiv", "ilp", "ilp_nodiv", "lap"])
DEVICES = click.Choice(["auto", "cpu", "cuda", "automatic", "mps"])  # the last two are upstream's
MODEL_OPTION = click.option(
    "--model", default="general_2d", show_default=True, help="Name of a model, or an .onnx file."
)


def selection_options(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command that takes a `selection` have the options that say what the movie is."""

    @click.option("--axes", metavar="LETTERS", help="Axes in their order, such as tcyx.")
    @click.option("--channel", metavar="CHANNEL", help="Number, from 0, or name of a channel.")
    @click.option("--mask-axes", metavar="LETTERS", help="Axes of the masks, if others.")
    @click.option("--mask-channel", metavar="CHANNEL", help="Channel of the masks, of several.")
    @click.option("--position", metavar="POSITION", help="A/1/0 of a plate; number of an image.")
    @click.option(
        "--level", type=int, default=0, show_default=True, help="Level of a pyramid, 0 the finest."
    )
    @wraps(command)
    def with_selection(
        axes: str | None,
        channel: str | None,
        mask_axes: str | None,
        mask_channel: str | None,
        position: str | None,
        level: int,
        **options: Any,
    ) -> None:
        selection = Selection(axes, channel, mask_axes, mask_channel, position, level)
        command(selection=selection, **options)

    return with_selection
