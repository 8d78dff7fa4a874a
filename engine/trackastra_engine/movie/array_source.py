"""Frames of an array of numpy, a memory map, Zarr or Dask."""

import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.errors import InputError, option
from trackastra_engine.movie.axes import (
    FRAME_AXES,
    TIME_FIRST,
    UNKNOWN_AXIS,
    FrameOrder,
    axes_of_dims,
    find_order,
    may_end_with_time,
)
from trackastra_engine.movie.calibration import UNKNOWN, Calibration
from trackastra_engine.movie.pixels import unmasked
from trackastra_engine.movie.selection import Part

logger = logging.getLogger(__name__)

MOST_COLOURS = 4  # red, green, blue and opacity
BLOCK_BYTES = 2**27  # limit of one read, for frames that are stored together


@dataclass(frozen=True, slots=True, eq=False)
class ArraySource:
    """Frames of an array of numpy, a memory map, Zarr or Dask."""

    name: str
    n_frames: int
    frame_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    array: Any  # has [index]
    calibration: Calibration = UNKNOWN
    order: FrameOrder = TIME_FIRST  # the axes, and the channel to read
    frames_at_once: int = 1  # frames per read; more than 1 if a chunk contains several
    kind: str = "masks"  # or images

    @classmethod
    def open(
        cls,
        array: Any,
        name: str,
        part: Part,
        *,
        axes: str | None = None,
        channels: tuple[str, ...] = (),
        sizes: Mapping[str, float] | None = None,
    ) -> "ArraySource":
        """Return the frames of an array with shape, dtype, [index] and optionally chunks.

        axes: a letter for each axis, if known; channels: their names; sizes: micrometres along z, y
        and x, and seconds along t.

        Raises InputError if the array is no movie, or lacks the selected part.
        """
        part.reject_subdivision(name)
        if any(length != length for length in array.shape):  # NaN
            raise InputError(
                f"{name} is a Dask array with chunks of unknown lengths, {tuple(array.shape)}; "
                "call its compute_chunk_sizes() first"
            )
        shape = tuple(int(length) for length in array.shape)
        if len(shape) < 3 or 0 in shape:
            raise InputError(
                f"{name} has the shape {shape}; expected (t, y, x) or (t, z, y, x), no axis empty"
            )
        axes = axes or axes_of_dims(getattr(array, "dims", ()))
        found = axes or _usual_axes(shape, name, part)
        order = find_order(found, shape, part, name, channels=channels, is_usual=axes is None)
        if part.axes is None and "t" not in order.axes and "z" in order.axes:
            stated = option(part.axes_name, order.axes.replace("z", "t"))
            raise InputError(
                f"{name} has the axes {order.axes} and no time axis; if z is the time, specify "
                f"{stated}, else give a movie of at least two volumes"
            )
        n_frames, frame_shape = order.sizes(shape)
        dtype = np.dtype(array.dtype)
        return cls(
            name,
            n_frames,
            frame_shape,
            dtype,
            array,
            Calibration.of(dict(sizes or {}), len(frame_shape)),
            order,
            _frames_at_once(array, order, math.prod(frame_shape) * dtype.itemsize),
            part.kind,
        )

    def read(self, indices: Iterable[int]) -> Iterator[NDArray[Any]]:
        """Read the arrays of some frames, in blocks of `frames_at_once`."""
        if self.frames_at_once == 1:
            for index in indices:
                pixels = self.array[self.order.index(index)]
                yield self.order.arranged(unmasked(pixels, self.kind))
            return
        start, block = 0, np.empty(0)
        for index in indices:
            if not start <= index < start + len(block):
                start, block = index, np.empty(0)  # free the old block before the new read
                end = min(self.n_frames, index - index % self.frames_at_once + self.frames_at_once)
                pixels = self.array[self.order.index(slice(start, end))]
                block = self.order.arranged(unmasked(pixels, self.kind))
            yield block[index - start]

    def stamp(self, index: int) -> str | None:
        """Return a text that changes if a frame changes; None for arrays in memory."""
        if not hasattr(self.array, "stamp"):
            return None
        return f"{self.array.stamp(self.order.index(index))} {self.order}"


def _usual_axes(shape: tuple[int, ...], name: str, part: Part) -> str:
    """Return the axes of an unnamed array: y and x last, or before up to four channels."""
    if len(shape) > 3 and shape[-1] == 1:  # the layout of Keras and DeepCell arrays
        return UNKNOWN_AXIS * (len(shape) - 3) + "yxs"
    if len(shape) > 3 and shape[-1] <= MOST_COLOURS:
        return UNKNOWN_AXIS * (len(shape) - 3) + "yxc"
    is_guessed = not (part.axes or part.axes_if_unnamed or part.channel)
    if is_guessed and len(shape) in (3, 4) and may_end_with_time(shape):
        logger.warning(
            "%s has the shape %s, read as (%s); if time is the last axis, specify it with %s",
            *(name, shape, ", ".join("tyx" if len(shape) == 3 else FRAME_AXES)),
            option(part.axes_name, "yxt" if len(shape) == 3 else "yxzt"),
        )
    return UNKNOWN_AXIS * (len(shape) - 2) + "yx"


def _frames_at_once(array: Any, order: FrameOrder, frame_bytes: int) -> int:
    """Return the number of frames per read, so that a chunk is not read once for each frame."""
    chunks = getattr(array, "chunks", None)
    if chunks is None or "t" not in order.axes:
        return 1
    along_time = chunks[order.axes.index("t")]  # for Dask, a length for each chunk
    stored_together = along_time if isinstance(along_time, int) else max(along_time)
    return max(1, min(int(stored_together), BLOCK_BYTES // max(frame_bytes, 1)))
