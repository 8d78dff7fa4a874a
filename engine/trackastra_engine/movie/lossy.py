"""Reject masks in a lossy compression, which changes the numbers of objects."""

from trackastra_engine.errors import InputError
from trackastra_engine.movie.pictures import JPEG2000, Picture
from trackastra_engine.movie.tiff import OpenTiff
from trackastra_engine.movie.tiff_damage import bytes_at
from trackastra_engine.movie.tiff_pages import opened

# Codes of compressions in TIFF files: JPEG and JPEG-2000, of which each has a lossless form.
MAY_BE_LOSSY = {7, 33007, 33003, 33004, 33005, 34712}
HEADER = 4096  # bytes that contain the form of compression
START_OF_JPEG, LOSSLESS_FRAME, START_OF_SCAN = b"\xff\xd8", b"\xff\xc3", b"\xff\xda"
START_OF_JPEG2000, CODING_STYLE = b"\xff\x4f\xff\x51", b"\xff\x52"
WAVELET = 13  # offset in the coding style of JPEG-2000: 0 is the wavelet with real numbers


def reject_lossy_masks(opened_file: OpenTiff | Picture) -> None:
    """Raise InputError if the first pixels of masks are in a lossy compression."""
    kind = _lossy_form(_header(opened_file))
    if kind is not None:
        raise InputError(
            f"{opened_file.path} is compressed with {kind}, which changes the numbers of objects; "
            "save the masks of the segmentation again, without compression or with LZW"
        )


def _header(opened_file: OpenTiff | Picture) -> bytes:
    """Return the first compressed bytes, if their compression may be lossy."""
    if isinstance(opened_file, Picture):
        if opened_file.path.suffix.lower() not in JPEG2000:
            return b""
        with opened_file.path.open("rb") as file:
            return file.read(HEADER)
    page = next((page for page in opened_file.pages if page is not None), None)
    if page is None or page.compression not in MAY_BE_LOSSY:
        return b""
    with opened(page.parent.filehandle):
        return bytes_at(page.parent.filehandle, page.dataoffsets[0], HEADER)


def _lossy_form(header: bytes) -> str | None:
    """Return the name of the compression of some bytes, or None if it is lossless."""
    if header.startswith(START_OF_JPEG):
        frame = header.split(START_OF_SCAN)[0]
        return None if LOSSLESS_FRAME in frame else "JPEG"
    if (at := header.find(START_OF_JPEG2000)) >= 0:
        style = header[header.find(CODING_STYLE, at) :]
        return "lossy JPEG-2000" if style[WAVELET : WAVELET + 1] == b"\0" else None
    return None
