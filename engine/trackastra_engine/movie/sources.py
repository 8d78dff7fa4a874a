"""Read frames from a folder of files or one TIFF stack; for arrays, see array_source.py."""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.errors import InputError
from trackastra_engine.movie.axes import (
    UNKNOWN_AXIS,
    FrameOrder,
    find_order,
    may_end_with_time,
)
from trackastra_engine.movie.calibration import UNKNOWN, Calibration, tiff_calibration
from trackastra_engine.movie.colours import are_equal, of_colours
from trackastra_engine.movie.frame_files import FrameFiles
from trackastra_engine.movie.incomplete import n_complete
from trackastra_engine.movie.lossy import reject_lossy_masks
from trackastra_engine.movie.name_numbers import Number
from trackastra_engine.movie.pictures import PICTURES, Picture, open_picture
from trackastra_engine.movie.selection import Part
from trackastra_engine.movie.tiff import OpenTiff, open_tiff

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class FolderSource:
    """Frames of a folder with one file for each frame, of which a channel may be selected."""

    name: str
    n_frames: int
    frame_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    files: list[Path]
    calibration: Calibration
    order: FrameOrder  # of the whole movie
    planes: tuple[str, tuple[int, ...]]  # axes of a file before y and x, and their lengths
    numbers: tuple[Number, ...] = ()  # (T,) of the frames, from the names of the files, if any
    kind: str = "number"  # format of the numbers, as in Series: number, or a time
    missing: str = ""  # phrase about missing frames, by these numbers
    is_grey: bool = False  # whether files have equal colours

    @classmethod
    def open(cls, listed: FrameFiles, part: Part) -> "FolderSource":
        """Return the frames of files in a folder; opens the first file."""
        folder, files = listed.folder, listed.files
        replace(part, pattern=None).reject_subdivision(str(folder))
        part = replace(
            part, axes=_time_first(part.axes), axes_if_unnamed=_time_first(part.axes_if_unnamed)
        )
        with _open_frame(files[0]) as tiff:
            if part.kind == "masks":
                reject_lossy_masks(tiff)
            if "t" in tiff.axes and tiff.n_planes > 1:
                logger.warning(
                    "%s is a movie of %d planes, but is read as one frame because its folder has "
                    "several files; give its path if it is the movie",
                    *(files[0], tiff.n_planes),
                )
            found = tiff.axes.replace("t", UNKNOWN_AXIS)
            chosen = of_colours(tiff, part, may_be_grey=True)
            is_grey, part = chosen is not part, chosen
            shape = (len(files), *tiff.outer_shape, *tiff.plane_shape)
            order = find_order(f"t{found}yx", shape, part, str(folder), is_usual=True)
            _check_planes(order, part, str(folder))
            n_frames, frame_shape = order.sizes(shape)
            calibration = UNKNOWN
            if isinstance(tiff, OpenTiff):
                calibration = tiff_calibration(tiff.file, len(frame_shape), tiff.image)
            pixels = frame_shape, tiff.dtype, files, calibration, order
            planes = found, tiff.outer_shape
            return cls(
                str(folder),
                n_frames,
                *pixels,
                planes,
                listed.numbers,
                listed.kind,
                listed.missing(),
                is_grey,
            )

    def read(self, indices: Iterable[int]) -> Iterator[NDArray[Any]]:
        """Read the arrays of some frames, one at a time."""
        outer = replace(self.order, axes=self.order.axes[1:-2])
        for index in indices:
            # An OME file may describe a set of files, and be only one frame of it.
            with _open_frame(self.files[index]) as tiff:
                self._reject_other_planes(tiff)
                if self.is_grey and not are_equal(tiff):
                    raise InputError(
                        f"{tiff.path} is a colour picture but {self.files[0].name} is grey; save "
                        "all files alike"
                    )
                planes = _planes(tiff, outer)
                depth = planes.shape if "z" in outer.axes else ()
                yield _read_planes(tiff, planes).reshape(*depth, *tiff.plane_shape)

    def _reject_other_planes(self, tiff: OpenTiff | Picture) -> None:
        """Raise InputError if a file has other axes, or more or fewer planes, than the first."""
        axes, lengths = self.planes
        pairs = zip(axes, tiff.axes.replace("t", UNKNOWN_AXIS), strict=False)
        are_alike = all(one == other or UNKNOWN_AXIS in (one, other) for one, other in pairs)
        if tiff.outer_shape != lengths or not are_alike:
            raise InputError(
                f"{tiff.path} has {_counted(tiff.axes, tiff.outer_shape)} but {self.files[0].name} "
                f"has {_counted(axes, lengths)}; save all files alike"
            )

    def stamp(self, index: int) -> str:
        """Return a text that changes if a frame changes."""
        return f"{file_stamp(self.files[index])} {self.order}"


@dataclass(frozen=True, slots=True, eq=False)
class StackSource:
    """Frames of one TIFF file that contains the whole movie, or names its other files."""

    name: str
    n_frames: int
    frame_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    path: Path
    planes: NDArray[np.intp]  # (T, Z), the planes of each frame
    calibration: Calibration
    files: list[set[Path]]  # that contain each frame, in a set of files
    part: Part

    @classmethod
    def open(cls, path: Path, part: Part) -> "StackSource":
        """Return the frames of a stack; guess axes that the file does not name, and log it."""
        with open_tiff(path, part) as tiff:
            if part.kind == "masks":
                reject_lossy_masks(tiff)
            of_colours(tiff, part, may_be_grey=False)
            found = tiff.axes
            if "t" not in found and UNKNOWN_AXIS not in found:
                # A stack of planes is still a movie: ImageJ names an unknown axis Z, and tifffile,
                # for ImageJ, C.
                found = found.replace("z" if "z" in found else "c", UNKNOWN_AXIS)
            shape = (*tiff.outer_shape, *tiff.plane_shape)
            if tiff.has_last_of_one and part.axes is not None and len(part.axes) > len(shape):
                part = replace(part, axes=part.axes.removesuffix("c"))
            order = find_order(f"{found}yx", shape, part, str(path), channels=tiff.channels)
            _check_planes(order, part, str(path))
            if found == UNKNOWN_AXIS and part.axes is None and may_end_with_time(shape):
                logger.warning(
                    "%s has the shape %s; if time is the last axis, save it with y and x last",
                    *(path, shape),
                )
            n_frames, frame_shape = order.sizes(shape)
            outer = replace(order, axes=order.axes[:-2])
            planes = _planes(tiff, outer).reshape(n_frames, -1)
            n_frames = n_complete(tiff, planes, allow_incomplete=part.allow_incomplete)
            planes = planes[:n_frames]
            calibration = tiff_calibration(tiff.file, len(frame_shape), tiff.image)
            calibration = calibration.at_level(tiff.step)
            files = [{tiff.path_of(int(plane)) for plane in frame} for frame in planes]
            return cls(
                str(path),
                n_frames,
                frame_shape,
                tiff.dtype,
                path,
                planes,
                calibration,
                files,
                part,
            )

    def read(self, indices: Iterable[int]) -> Iterator[NDArray[Any]]:
        """Read the arrays of some frames, one at a time, from a file opened once."""
        with open_tiff(self.path, self.part) as tiff:
            for index in indices:
                yield _read_planes(tiff, self.planes[index]).reshape(self.frame_shape)

    def stamp(self, index: int) -> str:
        """Return a text that changes if a frame changes."""
        files = " ".join(map(file_stamp, self.files[index]))
        level = f" level {self.part.level}" if self.part.level else ""
        image = f"image {self.part.position}{level}"
        return f"{files} {image} planes {self.planes[index].tolist()}"


@contextmanager
def _open_frame(path: Path) -> Iterator[OpenTiff | Picture]:
    """Open the file of one frame."""
    if path.suffix.lower() in PICTURES:
        yield open_picture(path)
    else:
        with open_tiff(path, is_alone=True) as tiff:
            yield tiff


def file_stamp(path: Path) -> str:
    """Return the path, size and time of change of a file."""
    status = path.stat()
    return f"{path.absolute()} {status.st_size} {status.st_mtime_ns}"


def _counted(axes: str, lengths: tuple[int, ...]) -> str:
    """Return the lengths of the axes before y and x, for messages."""
    words = ["channels" if letter == "c" else "planes" for letter in axes]
    return " x ".join(map("{} {}".format, lengths, words)) or "one plane"


def _time_first(axes: str | None) -> str | None:
    """Return the axes of a movie whose frames are files."""
    return None if axes is None else "t" + axes.replace("t", "")


def _check_planes(order: FrameOrder, part: Part, name: str) -> None:
    """Raise InputError if the last axes are not those of the planes in which files are read."""
    if not order.axes.endswith("yx"):
        raise InputError(
            f"{name} consists of planes (y, x), so its axes cannot be {order.axes}; give "
            f"{part.axes_option} with yx last, such as tyx, or save the file so"
        )


def _planes(tiff: OpenTiff | Picture, outer: FrameOrder) -> NDArray[np.intp]:
    """Return the planes of each frame, ([T,] [Z,]), by the axes before y and x."""
    planes = np.arange(tiff.n_planes).reshape(tiff.outer_shape)
    selected = planes[outer.index(slice(None))] if outer.axes else planes
    return outer.arranged(np.asarray(selected))


def _read_planes(tiff: OpenTiff | Picture, indices: NDArray[np.intp]) -> NDArray[Any]:
    """Return some planes as one array (Z, Y, X)."""
    if indices.size == 1:
        return tiff.plane(int(indices.flat[0]))[None]
    volume = np.empty((indices.size, *tiff.plane_shape), tiff.dtype)
    for position, index in enumerate(indices.flat):
        plane = tiff.plane(int(index))
        if not np.can_cast(plane.dtype, volume.dtype):  # labels of several types
            volume = volume.astype(np.promote_types(plane.dtype, volume.dtype))
        volume[position] = plane
    return volume
