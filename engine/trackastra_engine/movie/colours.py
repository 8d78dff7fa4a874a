"""RGB files: read grey that was saved in colours, and reject masks that are colour pictures."""

from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.errors import InputError
from trackastra_engine.movie.selection import Part

N_COLOURS = 3  # a fourth channel is opacity


class OpenFile(Protocol):
    """An open file of planes (Y, X)."""

    @property
    def path(self) -> Path:
        """Return its path."""

    @property
    def outer_shape(self) -> tuple[int, ...]:
        """Return the lengths of the axes before Y and X."""

    @property
    def has_colours_last(self) -> bool:
        """Return whether the last of these axes are the colours of a picture."""

    def plane(self, index: int) -> NDArray[Any]:
        """Return one plane (Y, X)."""


def of_colours(file: OpenFile, part: Part, *, may_be_grey: bool) -> Part:
    """Return the part with channel 0 selected if the colours of the first frame are equal (grey).

    may_be_grey: whether to select it. Raises InputError for masks whose colours differ, unless a
    channel is selected: colours are no labels.
    """
    is_chosen = part.channel is not None or part.axes is not None
    if is_chosen or not file.has_colours_last or file.outer_shape[-1] < N_COLOURS:
        return part
    if are_equal(file):
        return replace(part, channel="0") if may_be_grey else part
    if part.kind == "masks":
        raise InputError(
            f"{file.path} is a colour picture, and colours are no labels; save the labels of the "
            f"segmentation as TIFF or grey PNG, or choose a channel with {part.channel_option}"
        )
    return part


def are_equal(file: OpenFile) -> bool:
    """Return whether the colours of the first frame of a file are equal, so that it is grey."""
    first, *others = map(file.plane, range(N_COLOURS))
    return all(np.array_equal(first, other) for other in others)
