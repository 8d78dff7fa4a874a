"""Options that several commands share."""

from collections.abc import Callable
from functools import reduce, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from trackastra_engine.movie.selection import Selection

if TYPE_CHECKING:
    from trackastra_engine.linking.options import LinkingOptions

Command = TypeVar("Command", bound=Callable[..., Any])

PATH = click.Path(path_type=Path)
MODES = click.Choice(["greedy", "greedy_nodiv", "ilp", "ilp_nodiv", "lap"])
# The names of model/devices.py.
DEVICE_NAMES = ("auto", "cpu", "cuda", "tensorrt", "coreml", "directml", "openvino")
DEVICES = click.Choice([*DEVICE_NAMES, "automatic", "mps"])  # the last two are upstream's
MODEL_OPTION = click.option(
    "--model", default="general_2d", show_default=True, help="Name of a model, or an .onnx file."
)


ALIGN_OPTION = click.option(
    "--align",
    type=click.Choice(["auto", "off"]),
    default="auto",
    show_default=True,
    help="auto aligns the frames of a window if the field of view moves, except for models of "
    "upstream.",
)

DEVICE_OPTION = click.option(
    "--device",
    type=click.Choice(DEVICE_NAMES),
    default="auto",
    show_default=True,
    help="Device for the network; auto uses CUDA if it works.",
)

THREADS_OPTION = click.option(
    "--threads",
    type=click.IntRange(1),
    help="Number of threads.  [default: one per usable core]",
)


def selection_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that make up the `selection` of a command."""

    @click.option("--axes", metavar="LETTERS", help="Axes in order, such as tcyx.")
    @click.option("--channel", metavar="CHANNEL", help="Number, from 0, or name of a channel.")
    @click.option("--mask-axes", metavar="LETTERS", help="Axes of the masks, if different.")
    @click.option("--mask-channel", metavar="CHANNEL", help="Channel of the masks, if several.")
    @click.option("--position", metavar="POSITION", help="A/1/0 in a plate, or an image's number.")
    @click.option(
        "--level", type=int, default=0, show_default=True, help="Level of a pyramid, 0 the finest."
    )
    @click.option("--pattern", metavar="PATTERN", help="Files of a folder, such as Exp_B2_*.")
    @click.option("--mask-pattern", metavar="PATTERN", help="The same for masks, if different.")
    @click.option("--allow-incomplete", is_flag=True, help="Frames may be missing at the end.")
    @wraps(command)
    def with_selection(
        axes: str | None,
        channel: str | None,
        mask_axes: str | None,
        mask_channel: str | None,
        position: str | None,
        level: int,
        pattern: str | None,
        mask_pattern: str | None,
        allow_incomplete: bool,
        **options: Any,
    ) -> None:
        chosen = position, level, pattern, mask_pattern, allow_incomplete
        selection = Selection(axes, channel, mask_axes, mask_channel, *chosen)
        command(selection=selection, **options)

    return with_selection


_LINKING = (
    click.option("--mode", type=MODES, default="greedy", show_default=True, help="Linking method."),
    click.option(
        "--max-gap",
        type=int,
        help="Longest link in frames; 2 bridges one frame in which a cell was missed.  "
        "[default: 2 if the model's windows allow it at the stride, with upstream's models 1]",
    ),
    click.option(
        "--max-distance",
        metavar="LENGTH",
        help="Longest link: 40 or 40px, 12um, or auto.  [default: the model's reach]",
    ),
    click.option(
        "--min-division-score",
        type=float,
        help="Lowest score for a second daughter.  [default: 0.5]",
    ),
    click.option(
        "--rates",
        type=click.Choice(["auto", "off"]),
        default="auto",
        show_default=True,
        help="Whether scores are corrected by the rates at which cells of the movie divide or have "
        "no parent.",
    ),
    click.option(
        "--min-track-length",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="Drop tracks shorter than this many frames (a cell and its descendants count as one).",
    ),
    click.option(
        "--ilp-costs",
        metavar="COSTS",
        help="Cost preset for --mode ilp: probabilities, gt, deepcell_gt, deepcell_gt_tuned, "
        "deepcell_res_tuned, or a TOML file.  [default: probabilities, with upstream's models gt]",
    ),
    click.option(
        "--ilp-time-limit",
        "ilp_time_limit_s",
        type=float,
        help="Seconds after which --mode ilp uses its best links so far.  [default: 300]",
    ),
)


CORRECTIONS_OPTION = click.option(
    "--corrections",
    type=PATH,
    multiple=True,
    help="Table of decided links, as the report saves it. Repeat the option for more tables.  "
    "[default: corrections.csv of the earlier results]",
)


def with_linking_options(command: Command) -> Command:
    """Add the linking options to a command; `linking_of` collects them."""
    return reduce(lambda given, option: option(given), reversed(_LINKING), command)


def linking_of(options: dict[str, Any]) -> "LinkingOptions":
    """Remove the linking options from `options` and return them."""
    from dataclasses import fields

    from trackastra_engine.linking.options import LinkingOptions

    return LinkingOptions(
        **{field.name: options.pop(field.name) for field in fields(LinkingOptions)}
    )
