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
# As PROVIDERS of the model, which takes long to import.
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
    help="auto aligns frames that move as a whole before links are scored; upstream's models "
    "never are.",
)

DEVICE_OPTION = click.option(
    "--device",
    type=click.Choice(DEVICE_NAMES),
    default="auto",
    show_default=True,
    help="What the network runs on; auto takes CUDA where it works.",
)

THREADS_OPTION = click.option(
    "--threads",
    type=click.IntRange(1),
    help="Threads that compute at a time.  [default: one for each core it may use]",
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
    @click.option("--pattern", metavar="PATTERN", help="Files of a folder, as Exp_B2_*.")
    @click.option("--mask-pattern", metavar="PATTERN", help="Files of the masks, if others.")
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
    click.option("--mode", type=MODES, default="greedy", show_default=True, help="How to link."),
    click.option(
        "--max-gap",
        type=int,
        default=1,
        show_default=True,
        help="Longest link, in frames; 2 finds cells again that were missed in one frame.",
    ),
    click.option(
        "--max-distance",
        metavar="LENGTH",
        help="Longest link: 40 or 40px, 12um, or auto.  [default: the model's reach]",
    ),
    click.option(
        "--min-division-score",
        type=float,
        help="Score that a second daughter needs.  [default: 0.6, with upstream's models 0.5]",
    ),
    click.option(
        "--rates",
        type=click.Choice(["auto", "off"]),
        default="auto",
        show_default=True,
        help="Whether scores are corrected for how often cells of the movie have no parent, or "
        "divide.",
    ),
    click.option(
        "--min-track-length",
        type=click.IntRange(1),
        default=1,
        show_default=True,
        help="Frames of the shortest track to keep, its descendants included.",
    ),
    click.option(
        "--ilp-costs",
        metavar="COSTS",
        help="Costs of ilp: chances, gt, deepcell_gt, deepcell_gt_tuned, deepcell_res_tuned or a "
        "TOML file.  [default: chances, with upstream's models gt]",
    ),
    click.option(
        "--ilp-time-limit",
        "ilp_time_limit_s",
        type=float,
        help="Seconds after which ilp takes the best links so far.  [default: 300]",
    ),
)


CORRECTIONS_OPTION = click.option(
    "--corrections",
    type=PATH,
    multiple=True,
    help="Table of links that are decided, as the page saves it. Give it again for more tables.  "
    "[default: corrections.csv of the earlier results]",
)


def with_linking_options(command: Command) -> Command:
    """Give a command the options of linking, which `linking_of` gathers."""
    return reduce(lambda given, option: option(given), reversed(_LINKING), command)


def linking_of(options: dict[str, Any]) -> "LinkingOptions":
    """Take the options of linking out of all that were given."""
    from dataclasses import fields

    from trackastra_engine.linking.options import LinkingOptions

    return LinkingOptions(
        **{field.name: options.pop(field.name) for field in fields(LinkingOptions)}
    )
