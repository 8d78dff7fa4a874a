"""Pages of a TIFF with their own tags, which tifffile replaces by those of the first page."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from trackastra_engine.movie.tiff_damage import byte_order, bytes_at

# Tags that decoding depends on: size, bits, compression, predictor, strips, tiles and colours.
DECODING_TAGS = {256, 257, 258, 259, 262, 266, 277, 278, 284, 317, 322, 323, 338, 339, 32997}


@contextmanager
def opened(handle: Any) -> Iterator[None]:
    """Keep a file of a set open while it is read; tifffile leaves it closed."""
    was_closed = handle.closed
    handle.open()
    try:
        yield
    finally:
        if was_closed:
            handle.close()


def with_own_tags(page: Any, known: dict[Any, list[tuple[Any, ...]]]) -> Any:
    """Return a page of an open file whose tags are its own.

    known: cache of the tags of first pages. Only a page whose tags differ from these is read again,
    which needs 0.2 ms.
    """
    if not page.is_frame or page.is_virtual:
        return page
    if page.keyframe not in known:
        with opened(page.keyframe.parent.filehandle):
            known[page.keyframe] = _decoding_tags(page.keyframe)
    return page if _decoding_tags(page) == known[page.keyframe] else page.aspage()


def _decoding_tags(page: Any) -> list[tuple[Any, ...]]:
    """Return the tags that decoding depends on, as they are in the file: code, and other bytes."""
    file, size = page.parent, page.parent.tiff.tagsize
    count = bytes_at(file.filehandle, page.offset, file.tiff.tagnosize)
    tags = file.filehandle.read(size * int.from_bytes(count, byte_order(file)))
    entries = struct.iter_unpack(f"{file.byteorder}H{size - 2}s", tags)
    return [entry for entry in entries if entry[0] in DECODING_TAGS]
