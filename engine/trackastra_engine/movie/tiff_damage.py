"""Checks for truncated and mixed TIFF files, before or while their planes are read."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from trackastra_engine.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    import tifffile

EXPORT_AGAIN = "copy or export it again"


def reject_broken_chain(path: Path, file: "tifffile.TiffFile") -> None:
    """Raise InputError if the last page points to a next page, beyond the end of the file."""
    tiff, handle = file.tiff, file.filehandle
    last = file.pages[len(file.pages) - 1].offset
    n_tags = int.from_bytes(bytes_at(handle, last, tiff.tagnosize), byte_order(file))
    at = last + tiff.tagnosize + n_tags * tiff.tagsize
    following = bytes_at(handle, at, tiff.offsetsize)
    if len(following) < tiff.offsetsize or any(following):
        raise InputError(
            f"{path} is truncated: it ends after {len(file.pages)} of its planes; {EXPORT_AGAIN}"
        )


def reject_placeholder(path: Path) -> None:
    """Raise InputError if a file is a placeholder of git-annex or Git LFS."""
    with path.open("rb") as file:
        start = file.read(1000)
    if start.startswith(b"version https://git-lfs") or b"/annex/" in start:
        raise InputError(
            f"{path} is a placeholder for a file that was not fetched yet; fetch it with "
            "git annex get or git lfs pull"
        )


def reject_cut_stack(path: Path, file: "tifffile.TiffFile", n_planes: int, end: int | None) -> None:
    """Raise InputError if planes that the header announces lie beyond the end of the file.

    end: the byte where the last plane ends, if the planes are contiguous.
    """
    announced = int((file.imagej_metadata or {}).get("images", 1)) if file.is_imagej else 1
    if announced > n_planes:
        raise InputError(
            f"{path} is truncated: its ImageJ header announces {announced} planes but "
            f"it contains {n_planes}; {EXPORT_AGAIN}"
        )
    if end is not None and end > file.filehandle.size:
        raise InputError(
            f"{path} is truncated: its planes end at byte {end} but the file "
            f"has {file.filehandle.size}; {EXPORT_AGAIN}"
        )


def reject_cut_page(path: Path, page: Any, index: int) -> None:
    """Raise InputError if data of a page, for the plane at an index, lies beyond the end."""
    ends = [
        offset + count for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)
    ]
    size = page.parent.filehandle.size
    if max(ends, default=0) > size:
        raise InputError(
            f"{path} is truncated: plane {index} ends at byte {max(ends)} but the file has {size}; "
            f"{EXPORT_AGAIN}"
        )


def reject_odd_page(
    page: Any, shape: tuple[int, ...], dtype: "np.dtype[Any]", *, are_labels: bool
) -> None:
    """Raise InputError if a page has another shape or type than the others of its stack.

    are_labels: whether any integer type will do.
    """
    is_integer = page.dtype is not None and page.dtype.kind in "iu" and dtype.kind in "iu"
    if page.shape != shape or (page.dtype != dtype and not (are_labels and is_integer)):
        raise InputError(
            f"page {page.index} of {page.parent.filehandle.path} is {page.dtype} {page.shape} but "
            f"others are {dtype} {shape}; save all pages in one size and type"
        )


def byte_order(file: "tifffile.TiffFile") -> Any:
    """Return the order of the bytes of its numbers, little or big."""
    return "little" if file.byteorder == "<" else "big"


def bytes_at(handle: Any, offset: int, count: int) -> bytes:
    """Return some bytes of an open file, fewer at its end."""
    handle.seek(offset)
    return bytes(handle.read(count))
