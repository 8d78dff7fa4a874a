"""Stacks that tifffile lists as several series of pages."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackastra_engine.errors import InputError, option
from trackastra_engine.movie.selection import Part

if TYPE_CHECKING:
    import tifffile


def list_series(file: "tifffile.TiffFile") -> None:
    """List the series of a file, also if only its first and last pages have equal strips."""
    try:
        len(file.series)
    except RuntimeError:
        file.is_uniform = False


def is_written_plane_by_plane(file: "tifffile.TiffFile", part: Part | None) -> bool:
    """Return whether a stack was written as many single pages, with one `write` per frame."""
    shapes = {series.shape for series in file.series}
    first = file.series[0]
    is_plane = first.size == math.prod(first.keyframe.shape[-2:])
    return len(file.series) > 1 and len(shapes) == 1 and is_plane and _fit(file.series, part)


def joined_pages(path: Path, file: "tifffile.TiffFile", part: Part | None) -> list[Any]:
    """Return the pages of a stack of several series in their order; empty for one series.

    Pages without metadata are one series for each compression and type. Series of smaller pages are
    thumbnails. Raises InputError for others, as they may be volumes, parts of a movie or else.
    """
    if is_written_plane_by_plane(file, part):
        return [series.pages[0] for series in file.series]
    first = file.series[0]
    is_chosen = part is not None and part.position is not None
    if is_chosen or first.kind not in ("generic", "shaped"):
        return []
    series = [first, *(one for one in file.series[1:] if not _is_thumbnail(one, first))]
    if len(series) == 1:
        return []
    is_one_size = len({one.keyframe.shape for one in series}) == 1
    if first.kind == "generic" and is_one_size and _fit(series, part):
        return sorted((page for one in series for page in one.pages), key=lambda page: page.index)
    choose = f", or choose one with {option('position')}, such as 0" if part is not None else ""
    raise InputError(
        f"{path} contains {len(series)} series, the first with {_counted(first)} and the last with "
        f"{_counted(series[-1])}; save all pages as one series of one size and type{choose}"
    )


def _fit(series: list[Any], part: Part | None) -> bool:
    """Return whether series are of one type, or labels, which may be of several integer types."""
    types = {one.dtype for one in series}
    are_labels = part is not None and part.kind == "masks"
    return len(types) == 1 or (are_labels and all(dtype.kind in "iu" for dtype in types))


def _is_thumbnail(series: Any, first: Any) -> bool:
    page, other = first.keyframe, series.keyframe
    return bool(other.imagelength < page.imagelength and other.imagewidth < page.imagewidth)


def _counted(series: Any) -> str:
    pages = "1 page" if len(series.pages) == 1 else f"{len(series.pages)} pages"
    return f"{pages} of {series.dtype} {series.keyframe.shape}"
