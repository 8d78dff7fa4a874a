"""Where frames come from: a folder of TIFF files, one TIFF stack, or an array."""

import logging
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.calibration import UNKNOWN, Calibration, tiff_calibration
from trackastra_engine.errors import InputError
from trackastra_engine.tiff import TIFF_SUFFIXES, OpenTiff, open_tiff

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class ArraySource:
    """Frames of an array (T, [Z,] Y, X), which may be a memory map, zarr or dask."""

    name: str
    n_frames: int
    frame_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    array: Any
    calibration: Calibration = UNKNOWN

    @classmethod
    def open(cls, array: Any, kind: str) -> "ArraySource":
        """Return the frames of an array; `kind` (images or masks) is for messages."""
        shape = tuple(int(length) for length in array.shape)
        if len(shape) not in (3, 4) or 0 in shape:
            raise InputError(
                f"the array of the {kind} has the shape {shape}; "
                f"expected (t, y, x) or (t, z, y, x), no axis empty"
            )
        return cls(f"the array of the {kind}", shape[0], shape[1:], np.dtype(array.dtype), array)

    def read(self, indices: Iterable[int]) -> Iterator[NDArray[Any]]:
        """Read the arrays of some frames, one at a time."""
        for index in indices:
            yield np.asarray(self.array[index])

    def stamp(self, index: int) -> None:
        """Return None: what is in memory cannot be known again."""


@dataclass(frozen=True, slots=True, eq=False)
class FolderSource:
    """Frames of a folder that holds one TIFF file each, (Y, X) or (Z, Y, X)."""

    name: str
    n_frames: int
    frame_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    files: list[Path]
    calibration: Calibration

    @classmethod
    def open(cls, folder: Path, files: list[Path]) -> "FolderSource":
        """Return the frames of some files of a folder, of which the first is looked into."""
        with open_tiff(files[0], ignore_ome=True) as tiff:
            shape = _volume_shape(tiff)
            calibration = tiff_calibration(tiff.file, len(shape))
            return cls(str(folder), len(files), shape, tiff.dtype, files, calibration)

    def read(self, indices: Iterable[int]) -> Iterator[NDArray[Any]]:
        """Read the arrays of some frames, one at a time."""
        for index in indices:
            # An OME file may describe a set of files, of which it is but one frame.
            with open_tiff(self.files[index], ignore_ome=True) as tiff:
                volume = _read_planes(tiff, np.arange(tiff.n_planes))
                yield volume.reshape(_volume_shape(tiff))

    def stamp(self, index: int) -> str:
        """Return what changes if a frame does."""
        return file_stamp(self.files[index])


@dataclass(frozen=True, slots=True, eq=False)
class StackSource:
    """Frames of one TIFF file that holds the whole movie."""

    name: str
    n_frames: int
    frame_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    path: Path
    planes: NDArray[np.intp]  # (T, Z), the planes of each frame
    calibration: Calibration

    @classmethod
    def open(cls, path: Path) -> "StackSource":
        """Return the frames of a stack; where the file does not name its axes, guess and log it."""
        with open_tiff(path) as tiff:
            planes = _planes_of_frames(tiff)
            depth = (planes.shape[1],) if len(tiff.outer_shape) == 2 else ()
            shape = (*depth, *tiff.plane_shape)
            calibration = tiff_calibration(tiff.file, len(shape))
            return cls(str(path), len(planes), shape, tiff.dtype, path, planes, calibration)

    def read(self, indices: Iterable[int]) -> Iterator[NDArray[Any]]:
        """Read the arrays of some frames, one at a time, while the file stays open."""
        with open_tiff(self.path) as tiff:
            for index in indices:
                yield _read_planes(tiff, self.planes[index]).reshape(self.frame_shape)

    def stamp(self, index: int) -> str:
        """Return what changes if a frame does."""
        return f"{file_stamp(self.path)} planes {self.planes[index].tolist()}"


def file_stamp(path: Path) -> str:
    """Return where a file is, its size, and when it was last changed."""
    status = path.stat()
    return f"{path.absolute()} {status.st_size} {status.st_mtime_ns}"


def list_tiffs(folder: Path, kind: str) -> list[Path]:
    """Return the TIFF files of a folder in natural order, whatever else lies there.

    Hidden files are left out: macOS puts `._t001.tif` beside `t001.tif` on foreign disks.
    """
    files = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in TIFF_SUFFIXES and not path.name.startswith(".") and path.is_file()
    ]
    if not files:
        raise InputError(
            f"the folder of the {kind}, {folder}, holds no .tif or .tiff file; "
            f"give a folder with one TIFF per frame, or one TIFF stack"
        )
    return sorted(files, key=natural_key)


def natural_key(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Return a key by which t9999 comes before t10000."""
    parts = re.split(r"(\d+)", path.stem.lower())
    numbered = [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]
    return numbered, path.name


def _volume_shape(tiff: OpenTiff) -> tuple[int, ...]:
    depth = (tiff.n_planes,) if tiff.outer_shape else ()
    return (*depth, *tiff.plane_shape)


def _read_planes(tiff: OpenTiff, indices: NDArray[np.intp]) -> NDArray[Any]:
    """Return some planes as one array (Z, Y, X)."""
    if len(indices) == 1:
        return tiff.plane(int(indices[0]))[None]
    volume = np.empty((len(indices), *tiff.plane_shape), tiff.dtype)
    for position, index in enumerate(indices):
        volume[position] = tiff.plane(int(index))
    return volume


def _planes_of_frames(tiff: OpenTiff) -> NDArray[np.intp]:
    """Return which planes make each frame, (T, Z) with Z = 1 in 2D."""
    axes = tiff.axes
    if len(axes) > 2 or (len(axes) == 2 and "C" in axes):
        raise InputError(
            f"{tiff.path} has the axes {axes}YX {tiff.outer_shape + tiff.plane_shape}; expected "
            f"(t, y, x) or (t, z, y, x): save the channel to be tracked as a file of its own"
        )
    planes = np.arange(tiff.n_planes).reshape(tiff.outer_shape or (1,))
    time = _time_axis(axes)
    if "T" not in axes and axes:
        names = "(t, y, x)" if len(axes) == 1 else "(t, z, y, x)" if time == 0 else "(z, t, y, x)"
        logger.warning("%s does not say which axis is time; read as %s", tiff.path, names)
    return np.moveaxis(planes, time, 0).reshape(planes.shape[time], -1)


def _time_axis(axes: str) -> int:
    if "T" in axes:
        return axes.index("T")
    # Z alone is a movie all the same: ImageJ opens every stack of unknown axes as Z.
    return 1 - axes.index("Z") if len(axes) == 2 and "Z" in axes else 0
