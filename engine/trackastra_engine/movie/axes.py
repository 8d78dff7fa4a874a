"""Identify the axes of an array, time, channel and space: given, named in the file, or guessed."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from trackastra_engine.errors import InputError
from trackastra_engine.movie.selection import LETTERS, Part

logger = logging.getLogger(__name__)

UNKNOWN_AXIS = "?"
FRAME_AXES = "tzyx"  # in the order of frames in the engine


# Names of dimensions in xarray.
LETTER_OF_NAME = {
    **dict.fromkeys(("t", "time", "frame", "frames", "timepoint", "times"), "t"),
    **dict.fromkeys(("c", "ch", "channel", "channels", "band", "wavelength"), "c"),
    **dict.fromkeys(("z", "plane", "planes", "slice", "depth", "lev", "level"), "z"),
    **dict.fromkeys(("y", "row", "rows", "height"), "y"),
    **dict.fromkeys(("x", "col", "cols", "column", "columns", "width"), "x"),
}


def space_axes(ndim: int) -> str:
    """Return the names of the axes of positions: "yx" or "zyx"."""
    return FRAME_AXES[-ndim:]


@dataclass(frozen=True, slots=True)
class FrameOrder:
    """The axes of an array, a letter for each, and the channel to read.

    Axes at the end without a letter are the axes of a frame.
    """

    axes: str  # t, c, z, y, x; an axis of another name has the length 1
    channel: int = 0

    def index(self, frames: int | slice) -> Any:
        """Return the index that selects one frame, or some, of an array."""
        chosen = {"t": frames, "c": self.channel}
        index = [
            chosen.get(letter, slice(None) if letter in FRAME_AXES else 0) for letter in self.axes
        ]
        while len(index) > 1 and index[-1] == slice(None):
            index.pop()
        return index[0] if len(index) == 1 else tuple(index)

    def arranged(self, pixels: NDArray[Any]) -> NDArray[Any]:
        """Return the pixels of `index` as ([Z,] Y, X), or (T, [Z,] Y, X) for several frames."""
        letters = [letter for letter in self.axes if letter in FRAME_AXES]
        if len(letters) > pixels.ndim:
            letters.remove("t")
        order = sorted(range(len(letters)), key=lambda at: FRAME_AXES.index(letters[at]))
        return pixels if order == list(range(len(letters))) else pixels.transpose(order)

    def sizes(self, shape: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
        """Return the number of frames, 1 without a time axis, and the shape of one."""
        of = dict(zip(self.axes, shape, strict=True))
        return of.get("t", 1), tuple(of[letter] for letter in FRAME_AXES[1:] if letter in of)


TIME_FIRST = FrameOrder("t")


def may_end_with_time(shape: tuple[int, ...]) -> bool:
    """Return whether an array without names of axes may be (y, x, t) or (y, x, z, t)."""
    first, second, third = shape[:3]
    is_square = len(shape) == 3 and first == second != third
    return is_square or 2 * third <= min(first, second)


def axes_of_dims(dims: Iterable[object]) -> str | None:
    """Return a letter for each named dimension of an array, or None if no name is known."""
    letters = [LETTER_OF_NAME.get(str(name).lower(), UNKNOWN_AXIS) for name in dims]
    return "".join(letters) if set(letters) - {UNKNOWN_AXIS} else None


def find_order(
    found: str,
    shape: tuple[int, ...],
    part: Part,
    name: str,
    *,
    channels: tuple[str, ...] = (),
    is_usual: bool = False,
) -> FrameOrder:
    """Return the axes and the channel of an array or file of this shape.

    found: a letter for each axis, ? if unknown; channels: their names, if known; is_usual: do not
    warn that unknown axes are read as (t, [z,] y, x).

    Raises InputError if it is no movie, or lacks the selected axes or channel.
    """
    stated = _stated(found, shape, part, name)
    axes = stated or _guessed(found, shape, part, name, is_usual)
    known = [letter for letter in axes if letter in LETTERS]
    sizes = zip(axes, shape, strict=True)
    is_surplus = any(size > 1 for letter, size in sizes if letter not in LETTERS)
    if is_surplus or not set("yx") <= set(known) or len(set(known)) < len(known):
        raise InputError(
            f"{name} has the axes {axes} {shape}; expected t, z, y and x, and c for channels: name "
            f"them with {part.axes_option}"
        )
    channel = _channel(axes, shape, part, name, channels)
    return FrameOrder(_of_planes(stated, shape) if stated else axes, channel)


def _stated(found: str, shape: tuple[int, ...], part: Part, name: str) -> str | None:
    """Return the axes given by the user, the file, or by the user for the images of these masks."""
    if part.axes is not None:
        if len(part.axes) != len(shape):
            raise InputError(
                f"{name} has {len(shape)} axes, {shape}, but {part.axes} names {len(part.axes)}; "
                "name each of them, in their order"
            )
        return part.axes
    if UNKNOWN_AXIS not in found:
        return found
    of_images = part.axes_if_unnamed or ""
    alike = (axes for axes in (of_images, of_images.replace("c", "")) if len(axes) == len(shape))
    return next(alike, None)


def _of_planes(axes: str, shape: tuple[int, ...]) -> str:
    """Return the axes, with z unnamed if it has one plane, as many programs write it."""
    is_plane = "z" in axes and shape[axes.index("z")] == 1
    return axes.replace("z", UNKNOWN_AXIS) if is_plane else axes


def _guessed(found: str, shape: tuple[int, ...], part: Part, name: str, is_usual: bool) -> str:
    """Return the axes with unknown ones named: time, the channel if one is selected, then z."""
    wanted = "tcz" if part.channel is not None else "tz"
    missing = [letter for letter in wanted if letter not in found]
    if found.count(UNKNOWN_AXIS) > len(missing):
        raise InputError(
            f"{name} has the shape {shape}; expected (t, y, x) or (t, z, y, x): name its axes with "
            f"{part.axes_option}, such as tcyx, and choose a channel with {part.channel_option}"
        )
    following = iter(missing)
    axes = "".join(next(following) if letter == UNKNOWN_AXIS else letter for letter in found)
    if not (is_usual and part.channel is None):
        missing_name = "the time axis" if "t" not in found else "all its axes"
        logger.warning("%s does not name %s; read as (%s)", name, missing_name, ", ".join(axes))
    return axes


def _channel(
    axes: str, shape: tuple[int, ...], part: Part, name: str, channels: tuple[str, ...]
) -> int:
    """Return the number of the selected channel, or of the only one."""
    n_channels = shape[axes.index("c")] if "c" in axes else 0
    wanted, option = part.channel, part.channel_option
    if wanted is None and n_channels <= 1:
        return 0
    if n_channels == 0:
        raise InputError(
            f"{name} has no channels, its axes are ({', '.join(axes)}) {shape}; leave {option} "
            f"out, or name the axes with {part.axes_option}"
        )
    known = f"{n_channels} channels" + (f" ({', '.join(channels)})" if channels else "")
    if wanted is None:
        raise InputError(
            f"{name} has {known}; choose one with {option}, a number from 0 to {n_channels - 1}"
            + (" or a name" if channels else "")
        )
    if wanted.isdecimal() and int(wanted) < n_channels:
        return int(wanted)
    if wanted in channels[:n_channels]:
        return channels.index(wanted)
    raise InputError(
        f"{name} has no channel {wanted}, but {known}; give {option} a number from 0 to "
        f"{n_channels - 1}" + (" or a name" if channels else "")
    )
