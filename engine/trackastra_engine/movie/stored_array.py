"""An array of a Zarr store that tells where its data is damaged, or is not there."""

import logging
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.errors import InputError, first_line

logger = logging.getLogger(__name__)

COPY_AGAIN = "copy or export it again"


class StoredArray:
    """An array of a Zarr store, whose parts are read by an index.

    A chunk that is not there is full of the fill value, as the format has it. But images of which
    a frame has no chunk at all were not copied, or not written, to their end: they are refused.
    Masks of a frame may be empty, so of theirs the first is told, once.
    """

    def __init__(self, array: Any, name: str, kind: str, time_axis: int) -> None:
        self._array, self._name, self._kind, self._time_axis = array, name, kind, time_axis
        self._has_told = False

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Return the part of the array at an index of numbers and slices.

        Raises InputError if it cannot be decoded, or is missing in images.
        """
        at = index if isinstance(index, tuple) else (index,)
        try:
            part = np.asarray(self._array[at])
        # Codecs raise errors of their own classes.
        except Exception as error:
            raise InputError(
                f"{self._name} is truncated or damaged: frame {self._frame(at)} cannot be read "
                f"({first_line(error)}); {COPY_AGAIN}"
            ) from error
        if not any(file.exists() for file in self._files(at)):
            self._tell_missing(self._frame(at))
        return part

    def _frame(self, at: tuple[int | slice, ...]) -> int:
        along_time = at[self._time_axis]
        return int(along_time.start if isinstance(along_time, slice) else along_time)

    def stamp(self, index: Any) -> str:
        """Return what changes if the part at an index does."""
        at = index if isinstance(index, tuple) else (index,)
        return " ".join(map(_file_state, [self._folder, *self._files(at)]))

    @property
    def _folder(self) -> Path:
        return Path(self._array.store.root, self._array.path)

    def _files(self, at: tuple[int | slice, ...]) -> Iterator[Path]:
        """Yield the files that may hold some of these pixels."""
        array = self._array
        at += (slice(None),) * (array.ndim - len(at))
        spans = []
        for place, length, size in zip(at, array.shards or array.chunks, array.shape, strict=True):
            pixels = range(size)[place if isinstance(place, slice) else slice(place, place + 1)]
            spans.append(range(pixels[0] // length, pixels[-1] // length + 1))
        for chunk in product(*spans):
            yield self._folder / array.metadata.encode_chunk_key(chunk)

    def _tell_missing(self, frame: int) -> None:
        if self._kind != "masks":
            raise InputError(
                f"{self._name} is truncated: there is no data of frame {frame}; {COPY_AGAIN}"
            )
        if not self._has_told:
            logger.warning(
                "%s has no data of frame %d, which is taken as empty, as other such frames are; if "
                "the masks were not written or copied to their end, tracks are not whole",
                self._name,
                frame,
            )
        self._has_told = True


def _file_state(path: Path) -> str:
    """Return the path of a file, its size, and when it was last changed; a folder's path alone."""
    if not path.is_file():
        return f"{path.absolute()}"
    status = path.stat()
    return f"{path.absolute()} {status.st_size} {status.st_mtime_ns}"
