"""An array of a Zarr store that reports damaged and missing data."""

import logging
import zipfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.errors import InputError, first_line, option
from trackastra_engine.movie.remote import RemoteChunks, is_remote
from trackastra_engine.movie.sources import file_stamp

logger = logging.getLogger(__name__)

COPY_AGAIN = "copy or export it again"
ASKED_AT_ONCE = 32  # frames whose chunks are looked up together on a server


class StoredArray:
    """An array of a Zarr store, whose parts are read by an index.

    By the format, a missing chunk consists of the fill value. But images whose last frames have no
    chunk at all were not completely copied or written: they are rejected. Other frames may be
    empty; the first such frame is reported, once.
    """

    def __init__(self, array: Any, name: str, kind: str, time_axis: int) -> None:
        self._array, self._name, self._kind, self._time_axis = array, name, kind, time_axis
        self._has_warned = False
        store = array.store
        self._remote = RemoteChunks(array) if is_remote(store) else None
        self._in_zip: set[str] | None = None  # names of the files in it
        if hasattr(store, "root"):
            self._place = Path(store.root, array.path)
        elif self._remote is None:
            self._place = Path(store.path)
            with zipfile.ZipFile(self._place) as archive:
                self._in_zip = set(archive.namelist())

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
        if not self._has_chunk(at, part):
            self._report_missing(self._frame(at))
        return part

    def _at(self, at: tuple[int | slice, ...], frame: int) -> tuple[int | slice, ...]:
        """Return the index of another frame."""
        return (*at[: self._time_axis], frame, *at[self._time_axis + 1 :])

    def _frame(self, at: tuple[int | slice, ...]) -> int:
        along_time = at[self._time_axis]
        return int(along_time.start if isinstance(along_time, slice) else along_time)

    def stamp(self, index: Any) -> str:
        """Return a text that changes if the part at an index changes."""
        at = index if isinstance(index, tuple) else (index,)
        if self._remote is not None:
            following = range(self._frame(at), self._array.shape[self._time_axis])[:ASKED_AT_ONCE]
            self._remote.ask(key for frame in following for key in self._keys(self._at(at, frame)))
            return self._remote.stamp(self._keys(at))
        if self._in_zip is not None:
            return f"{_file_state(self._place)} {self._array.path} {at}"
        files = [self._place, *(self._place / key for key in self._keys(at))]
        return " ".join(map(_file_state, files))

    def _has_chunk(self, at: tuple[int | slice, ...], part: NDArray[Any]) -> bool:
        """Return whether a part has a chunk; a server is asked only if the part looks empty."""
        seen = self._remote is not None and bool(part.any())
        return seen or any(map(self._exists, self._keys(at)))

    def _exists(self, key: str) -> bool:
        if self._remote is not None:
            return self._remote.any_there([key])
        if self._in_zip is None:
            return (self._place / key).exists()
        return str(PurePosixPath(self._array.path, key)) in self._in_zip

    def _keys(self, at: tuple[int | slice, ...]) -> Iterator[str]:
        """Yield the names of the chunks that may contain some of these pixels."""
        array = self._array
        at += (slice(None),) * (array.ndim - len(at))
        spans = []
        for place, length, size in zip(at, array.shards or array.chunks, array.shape, strict=True):
            pixels = range(size)[place if isinstance(place, slice) else slice(place, place + 1)]
            spans.append(range(pixels[0] // length, pixels[-1] // length + 1))
        for chunk in product(*spans):
            yield array.metadata.encode_chunk_key(chunk)

    def n_written(self, n_frames: int) -> int:
        """Return the number of frames up to the last frame with data."""
        while n_frames > 0 and not self._has_data(n_frames - 1):
            n_frames -= 1
        return n_frames

    def _has_data(self, frame: int) -> bool:
        at = (slice(None),) * self._time_axis + (frame,)
        return any(map(self._exists, self._keys(at)))

    def _report_missing(self, frame: int) -> None:
        if self._kind != "masks" and frame >= self.n_written(self._array.shape[self._time_axis]):
            raise InputError(
                f"{self._name} is truncated: there is no data of frame {frame}; {COPY_AGAIN}, or "
                f"give {option('allow_incomplete')} to use the frames before"
            )
        if not self._has_warned:
            logger.warning(
                "%s has no data of frame %d; this and other such frames are read as empty, so "
                "tracks are incomplete if the %s were not completely written or copied",
                self._name,
                frame,
                self._kind,
            )
        self._has_warned = True


def _file_state(path: Path) -> str:
    """Return the path, size and time of change of a file, or only the path of a folder."""
    return file_stamp(path) if path.is_file() else f"{path.absolute()}"
