"""TIFF files, read plane by plane and checked for truncation.

An interrupted copy is the most common damage, and tifffile reads some such files without an error:
one plane of a truncated ImageJ stack, zeros of a truncated page. So the chain of pages must end
properly, all announced planes must exist, and the data of a page must lie inside the file.
"""

import math
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.errors import InputError, first_line, option
from trackastra_engine.movie.axes import UNKNOWN_AXIS
from trackastra_engine.movie.companion import describe_by_companion, first_of_companion
from trackastra_engine.movie.selection import Part
from trackastra_engine.movie.tiff_damage import (
    EXPORT_AGAIN,
    reject_broken_chain,
    reject_cut_page,
    reject_cut_stack,
    reject_odd_page,
    reject_placeholder,
)
from trackastra_engine.movie.tiff_pages import opened, with_own_tags
from trackastra_engine.movie.tiff_series import is_written_plane_by_plane, joined_pages, list_series

if TYPE_CHECKING:
    import tifffile


@dataclass(frozen=True, slots=True, eq=False)
class OpenTiff:
    """An open TIFF of P planes, each (Y, X), which `plane` reads one at a time."""

    path: Path
    file: "tifffile.TiffFile"
    axes: str  # letters of the axes before Y and X: t, c, z, or ? if unknown
    outer_shape: tuple[int, ...]  # their lengths, product P
    plane_shape: tuple[int, int]
    dtype: np.dtype[Any]
    pages: list[Any]  # fewer than P if all planes lie behind `data_offset`
    page_shape: tuple[int, ...]
    has_colours_last: bool  # pages are (Y, X, C)
    image: int  # number of the image in the file
    has_last_of_one: bool  # whether an axis of length 1 after X was left out
    step: tuple[float, float]  # size of a pixel along y and x, in pixels of the finest level
    data_offset: int | None  # byte where P uncompressed planes start, if they are contiguous
    are_labels: bool  # whose pages may be of several integer types
    # Cache: the planes of the last page read, by its number.
    decoded: dict[int, NDArray[Any]] = field(default_factory=dict)
    tags: dict[Any, list[tuple[Any, ...]]] = field(default_factory=dict)  # cache of `with_own_tags`

    @property
    def n_planes(self) -> int:
        """Return the number of planes."""
        return math.prod(self.outer_shape)

    @property
    def planes_per_page(self) -> int:
        """Return the number of planes of a page.

        By default, tifffile writes volumes of 3 or 4 planes as the colours of one page.
        """
        return math.prod(self.page_shape) // math.prod(self.plane_shape)

    def plane(self, index: int) -> NDArray[Any]:
        """Return one plane (Y, X).

        Raises InputError if its data is missing or cannot be decoded.
        """
        try:
            if self.data_offset is not None:
                return self._raw_plane(self.data_offset, index)
            number, place = divmod(index, self.planes_per_page)
            if number not in self.decoded:
                self.decoded.clear()
                self.decoded[number] = self._planes_of_page(number, index)
            return np.asarray(self.decoded[number][place])
        except InputError:
            raise
        # Decoders raise errors of their own classes, which may not be importable.
        except Exception as error:
            raise InputError(
                f"{self.path} is truncated or damaged: plane {index} cannot be read "
                f"({first_line(error)}); {EXPORT_AGAIN}"
            ) from error

    @property
    def n_bytes(self) -> int:
        """Return the number of bytes of all planes."""
        return self.n_planes * math.prod(self.plane_shape) * self.dtype.itemsize

    @property
    def is_there(self) -> NDArray[np.bool_]:
        """Return, for each announced plane (P,), whether the file or its set contains it."""
        if self.data_offset is not None:
            return np.ones(self.n_planes, bool)
        pages = [page is not None for page in self.pages]
        there = np.repeat(np.array(pages, bool), self.planes_per_page)[: self.n_planes]
        return np.append(there, np.zeros(self.n_planes - len(there), bool))

    @property
    def misses_files(self) -> bool:
        """Return whether the file belongs to a set of which other files are missing."""
        if not self.file.is_ome:
            return False
        named = ElementTree.fromstring(self.file.ome_metadata or "").findall(".//{*}UUID")
        names = {uuid.get("FileName", self.path.name) for uuid in named}
        return not all((self.path.parent / name).is_file() for name in names)

    @property
    def channels(self) -> tuple[str, ...]:
        """Return the names of the channels of an OME-TIFF; empty for other files."""
        if not self.file.is_ome:
            return ()
        images = ElementTree.fromstring(self.file.ome_metadata or "").findall(
            "./{*}Image/{*}Pixels"
        )
        of_image = images[self.image : self.image + 1]  # empty if another file describes them
        return tuple(
            channel.get("Name", "")
            for pixels in of_image
            for channel in pixels.findall("{*}Channel")
        )

    def path_of(self, index: int) -> Path:
        """Return the file that contains a plane; in sets of files, this may be another file."""
        if self.data_offset is not None:
            return self.path
        page = self.pages[index // self.planes_per_page]
        return self.path if page is None else Path(page.parent.filehandle.path)

    def _planes_of_page(self, number: int, index: int) -> NDArray[Any]:
        """Return the planes (P, Y, X) of a page; index: the requested plane, for messages."""
        with opened(self.pages[number].parent.filehandle):
            page = with_own_tags(self.pages[number], self.tags)
            reject_odd_page(page, self.page_shape, self.dtype, are_labels=self.are_labels)
            reject_cut_page(self.path, page, index)
            planes = np.asarray(page.asarray())
        if self.has_colours_last:
            planes = np.moveaxis(planes, -1, 0)
        return planes.reshape(-1, *self.plane_shape)

    def _raw_plane(self, start: int, index: int) -> NDArray[Any]:
        stored = self.dtype.newbyteorder(self.file.byteorder)
        count = math.prod(self.plane_shape)
        handle = self.file.filehandle
        flat = handle.read_array(stored, count, offset=start + index * count * stored.itemsize)
        return np.asarray(flat, self.dtype).reshape(self.plane_shape)


@contextmanager
def open_tiff(
    path: Path, part: Part | None = None, *, is_alone: bool = False
) -> Iterator[OpenTiff]:
    """Open a TIFF and check it as far as possible without reading pixels.

    part: the image, if the file contains several; is_alone: read only the planes of this file, even
    if OME metadata describes a set.

    Raises InputError if the file is not a TIFF, is truncated, or does not contain the image.
    """
    import tifffile  # 0.2 s with numpy: only when a TIFF is read

    place, described = (path, None) if part is None else first_of_companion(path)
    try:
        file = tifffile.TiffFile(place)
    except tifffile.TiffFileError as error:
        reject_placeholder(place)
        problem = "is not a TIFF file" if "not a TIFF" in str(error) else "is a damaged TIFF file"
        raise InputError(
            f"{path} {problem} ({first_line(error)}); give a folder of TIFF files or one TIFF stack"
        ) from error
    except FileNotFoundError:
        raise InputError(f"{path} does not exist any more; restore it") from None
    except struct.error as error:
        raise InputError(f"{path} is truncated: it ends in its header; {EXPORT_AGAIN}") from error
    with file:
        if not is_alone:
            describe_by_companion(place, file, described)
        yield _checked(place, file, part, is_alone=is_alone)


def _checked(
    path: Path, file: "tifffile.TiffFile", part: Part | None, *, is_alone: bool
) -> OpenTiff:
    try:
        if len(file.pages) == 0:
            raise InputError(f"{path} is truncated: it is a TIFF without a page; {EXPORT_AGAIN}")
        reject_broken_chain(path, file)
        if is_alone and file.is_ome and not _is_whole(file):
            file.is_ome = False
        list_series(file)
        image = _image(path, file, part)
        level = 0 if part is None else _level(path, len(file.series[image].levels), part)
        are_labels = part is not None and part.kind == "masks"
        joined = joined_pages(path, file, part)
        return _layout(path, file, image, level, joined, are_labels=are_labels)
    except InputError:
        raise
    # On a damaged header, tifffile raises many kinds of errors: KeyError, struct.error ...
    except Exception as error:
        raise InputError(
            f"{path} is truncated or damaged: its pages cannot be listed "
            f"({first_line(error)}); {EXPORT_AGAIN}"
        ) from error


def _is_whole(file: "tifffile.TiffFile") -> bool:
    """Return whether OME metadata describes the planes of this file only, not a set of files."""
    images = ElementTree.fromstring(file.ome_metadata or "").findall("./{*}Image/{*}Pixels")
    sizes = [[int(pixels.get(f"Size{axis}", 1)) for axis in "TCZ"] for pixels in images]
    return sum(map(math.prod, sizes)) == len(file.pages)


def _image(path: Path, file: "tifffile.TiffFile", part: Part | None) -> int:
    """Return the number of the selected image of the file."""
    names = [series.name for series in file.series]
    is_one = len(names) == 1 or is_written_plane_by_plane(file, part)
    if part is None or is_one:
        if part is not None and (part.position or part.pattern) is not None:
            part.reject_subdivision(str(path))
        return 0
    if part.position is None and not file.is_ome:
        return 0
    if part.position in names:
        return names.index(part.position)
    if part.position is None or part.position not in map(str, range(len(names))):
        raise InputError(
            f"{path} contains {len(names)} images ({', '.join(names)}); choose one with "
            f"{option('position')}, a number from 0 to {len(names) - 1} or a name"
        )
    return int(part.position)


def _level(path: Path, n_levels: int, part: Part) -> int:
    """Return the selected level of the pyramid of an image."""
    if n_levels == 1 and part.level != 0:
        part.reject_subdivision(str(path))  # except for masks given with images
        return 0
    part.reject_level(str(path), n_levels)
    return part.level


def _layout(
    path: Path,
    file: "tifffile.TiffFile",
    image: int,
    level: int,
    joined: list[Any],
    *,
    are_labels: bool,
) -> OpenTiff:
    """Return the open file; joined: pages of several series, if they make one stack."""
    series = file.series[image]
    whole = dict(zip(series.axes, series.shape, strict=True))
    if 0 < level < len(series.levels):
        series = series.levels[level]
    axes, shape = series.axes, series.shape
    if joined:
        axes, shape = "Q" + series.keyframe.axes, (len(joined), *series.keyframe.shape)
    # The layout of saved Keras and DeepCell arrays.
    has_last_of_one = shape[-1] == 1 and axes[-3:-1] == "YX"
    if has_last_of_one:
        axes, shape = axes[:-1], shape[:-1]
    has_colours_last = axes.endswith("YXS")
    if has_colours_last:
        axes = axes[:-3].replace("C", "Q") + "CYX"
        shape = (*shape[:-3], shape[-1], *shape[-3:-1])
    if not axes.endswith("YX") or math.prod(shape) == 0:
        raise InputError(
            f"{path} has the axes {axes} {shape}; expected ([t, z, c,] y, x), no axis empty: save "
            "it with y and x last"
        )
    *outer_shape, height, width = shape
    data_offset = None if joined or has_colours_last else series.dataoffset
    tiff = OpenTiff(
        path=path,
        file=file,
        axes="".join(letter.lower() if letter in "TCZ" else UNKNOWN_AXIS for letter in axes[:-2]),
        outer_shape=tuple(outer_shape),
        plane_shape=(height, width),
        dtype=np.dtype(series.dtype).newbyteorder("="),
        pages=joined or list(series.pages),
        page_shape=series.keyframe.shape,
        has_colours_last=has_colours_last,
        image=image,
        has_last_of_one=has_last_of_one,
        step=(whole.get("Y", height) / height, whole.get("X", width) / width),
        data_offset=data_offset,
        are_labels=are_labels,
    )
    end = None if tiff.data_offset is None else tiff.data_offset + tiff.n_bytes
    reject_cut_stack(path, file, tiff.n_planes, end)
    return tiff
