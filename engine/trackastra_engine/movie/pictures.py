"""Single frames in files other than TIFF: PNG, JPEG-2000, NumPy's and Cellpose's."""

import math
import pickle
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.errors import InputError, first_line
from trackastra_engine.movie.axes import UNKNOWN_AXIS
from trackastra_engine.movie.tiff_damage import EXPORT_AGAIN

PNG, JPEG2000 = (".png",), (".jp2", ".j2k", ".jpx", ".jpf")
PICTURES = (*PNG, *JPEG2000, ".npy")
CELLPOSE_ARCHIVE = "_seg.npy"
# Offsets in a PNG: start of the header, its colour type, and its checksum.
PNG_HEADER, PNG_COLOUR, PNG_CHECK = 12, 25, 29
# Objects that a pickled dictionary of arrays needs; any other could run code.
ARRAY_PARTS = {"_reconstruct", "ndarray", "dtype", "scalar", "_frombuffer"}


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """One frame of P planes, each (Y, X), like an open TIFF."""

    path: Path
    axes: str  # letters of the axes before Y and X
    pixels: NDArray[Any]  # ([C or Z,] Y, X)

    @property
    def outer_shape(self) -> tuple[int, ...]:
        """Return the lengths of the axes before Y and X."""
        return self.pixels.shape[:-2]

    @property
    def plane_shape(self) -> tuple[int, ...]:
        """Return the shape of a plane, (Y, X)."""
        return self.pixels.shape[-2:]

    @property
    def n_planes(self) -> int:
        """Return the number of planes."""
        return math.prod(self.outer_shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Return the type of the pixels."""
        return self.pixels.dtype

    @property
    def has_colours_last(self) -> bool:
        """Return whether the planes are the colours of a picture."""
        return self.axes == "c"

    def plane(self, index: int) -> NDArray[Any]:
        """Return one plane (Y, X)."""
        return np.asarray(self.pixels.reshape(-1, *self.plane_shape)[index])


def open_picture(path: Path) -> Picture:
    """Return the frame of a file.

    Raises InputError if it cannot be decoded.
    """
    try:
        pixels = _decoded(path)
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path} does not exist any more; restore it") from None
    # Decoders raise errors of their own classes.
    except Exception as error:
        raise InputError(
            f"{path} is truncated or damaged ({first_line(error)}); {EXPORT_AGAIN}"
        ) from error
    if pixels.ndim not in (2, 3) or 0 in pixels.shape:
        raise InputError(f"{path} has the shape {pixels.shape}; expected a frame (y, x)")
    if pixels.ndim == 3 and path.suffix.lower() != ".npy":
        return Picture(path, "c", np.moveaxis(pixels, -1, 0))
    return Picture(path, UNKNOWN_AXIS * (pixels.ndim - 2), pixels)


def _decoded(path: Path) -> NDArray[Any]:
    suffix = path.suffix.lower()
    if suffix == ".npy":
        return read_npy(path)
    import imagecodecs  # 0.1 s: only for such files

    if suffix in JPEG2000:
        return np.asarray(imagecodecs.jpeg2k_decode(path.read_bytes()))
    data = path.read_bytes()
    if is_palette := data[PNG_COLOUR : PNG_COLOUR + 1] == b"\x03":
        data = _as_grey(data)
    pixels = np.asarray(imagecodecs.png_decode(data))
    if is_palette:
        # The decoder scales indices of fewer than 8 bits to 8 bits.
        return np.asarray(pixels // (255 // (2 ** data[PNG_COLOUR - 1] - 1)))
    if pixels.ndim == 3 and pixels.shape[-1] in (2, 4):
        pixels = pixels[..., :-1]  # the last is opacity
    return pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels


def _as_grey(data: bytes) -> bytes:
    """Return a PNG without its palette, with the indices declared as grey values."""
    header = data[PNG_HEADER:PNG_COLOUR] + b"\0" + data[PNG_COLOUR + 1 : PNG_CHECK]
    grey = data[:PNG_HEADER] + header + zlib.crc32(header).to_bytes(4, "big")
    at = PNG_CHECK + 4
    while at < len(data):
        end = at + 12 + int.from_bytes(data[at : at + 4], "big")
        if data[at + 4 : at + 8] in (b"IDAT", b"IEND"):
            grey += data[at:end]
        at = end
    return grey


def read_npy(path: Path, *, in_place: bool = False) -> NDArray[Any]:
    """Return the array of an .npy file, or the masks of Cellpose's _seg.npy.

    in_place: memory-map a plain array, so that its parts are read on demand.

    Raises InputError if the file contains other Python objects.
    """
    try:
        return np.asanyarray(np.load(path, mmap_mode="r" if in_place else None))
    except ValueError as error:
        if "pickle" not in str(error).lower() and "object" not in str(error).lower():
            raise
    with path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0
        (header if version == (1, 0) else np.lib.format.read_array_header_2_0)(file)
        content = _ArraysOnly(file).load()
    found = content.item() if isinstance(content, np.ndarray) and content.shape == () else content
    if isinstance(found, np.ndarray) and len({np.shape(frame) for frame in found}) == 1:
        return np.stack([np.asarray(frame) for frame in found])  # one array per frame
    if not isinstance(found, dict) or "masks" not in found:
        raise InputError(
            f"{path} contains Python objects, but neither frames of one shape nor masks of "
            "Cellpose; save an array of numbers"
        )
    return np.asarray(found["masks"])


class _ArraysOnly(pickle.Unpickler):
    """Unpickles arrays and built-in types only, so that no code can run."""

    def find_class(self, module: str, name: str) -> Any:
        if module.split(".")[0] == "numpy" and name in ARRAY_PARTS:
            return super().find_class(module.replace("numpy.core", "numpy._core"), name)
        raise pickle.UnpicklingError(f"it contains {module}.{name}, which is no array")
