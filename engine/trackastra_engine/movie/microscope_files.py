"""Files of microscopes and other programs (CZI, ND2, LIF, ...), by bioio (the extra `formats`).

bioio picks a reader among those that are installed. Frames are read one at a time.
"""

import math
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.errors import InputError, MissingDependencyError, first_line, option
from trackastra_engine.movie.array_source import ArraySource
from trackastra_engine.movie.calibration import in_unit
from trackastra_engine.movie.selection import Part
from trackastra_engine.movie.sources import file_stamp

# Suffixes of files that need bioio; it also tries others if it is installed.
SUFFIXES = (".czi", ".nd2", ".lif", ".oib", ".oif", ".vsi", ".ims", ".dv", ".r3d", ".sld", ".lof")
TIFF_SUFFIXES = (".tif", ".tiff", ".ome")
TIFF_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # also of .lsm and other suffixes
UNITS = {"y": "micrometer", "x": "micrometer", "z": "micrometer", "t": "second"}  # by default
N_SHOWN = 6  # images that a message lists


def is_for_bioio(path: Path) -> bool:
    """Return whether bioio may read a file that is neither a TIFF nor metadata of one."""
    suffix = path.suffix.lower()
    if suffix in SUFFIXES or suffix in TIFF_SUFFIXES:
        return suffix in SUFFIXES
    with path.open("rb") as file:
        return file.read(4) not in TIFF_SIGNATURES and find_spec("bioio") is not None


def open_microscope_file(path: Path, part: Part) -> ArraySource:
    """Return the frames of one image (scene) of a file.

    Raises MissingDependencyError without bioio or a reader for the file, and InputError if it is
    damaged or lacks the selected part.
    """
    image = _opened(path)
    _choose_image(image, part, path)
    array = BioImageArray(path, str(image.current_scene), part.level, image)
    if array.n_samples > 1:
        raise InputError(f"{path} is in colour; save its channels separately, each in grey")
    rest = replace(part, position=None, level=0)
    return ArraySource.open(
        array,
        str(path),
        rest,
        axes="tczyx",
        channels=tuple(map(str, image.channel_names or ())),
        sizes=_sizes(image),
    )


class BioImageArray:
    """One image of a file as an array (t, c, z, y, x), read in parts by an index."""

    def __init__(self, path: Path, scene: str, level: int, image: Any = None) -> None:
        self._path, self._scene, self._level = path, scene, level
        if image is None:
            image = _opened(path)
            image.set_scene(scene)
        if level:
            image.set_resolution_level(level)
        self._data = image.dask_data
        self.shape = tuple(int(length) for length in self._data.shape[:5])
        self.n_samples = int(self._data.shape[5]) if self._data.ndim > 5 else 1
        self.dtype = np.dtype(self._data.dtype)

    def __reduce__(self) -> tuple[Any, ...]:
        """Make other processes open the file for themselves."""
        return BioImageArray, (self._path, self._scene, self._level)

    def __getitem__(self, index: Any) -> NDArray[Any]:
        """Return the part at an index; raises InputError if it cannot be read."""
        part = self._data[..., 0] if self._data.ndim > 5 else self._data
        try:
            return np.asarray(part[index])
        except Exception as error:  # readers raise errors of their own classes
            raise InputError(
                f"{self._path} is truncated or damaged: it cannot be read at {index} "
                f"({first_line(error)}); copy or export it again"
            ) from error

    def stamp(self, index: Any) -> str:
        """Return a text that changes if the file, or the selected part of it, changes."""
        return f"{file_stamp(self._path)} {self._scene} {self._level} {index}"


def _opened(path: Path) -> Any:
    try:
        from bioio import BioImage
    except ImportError:
        raise MissingDependencyError(
            f"{path} is a microscope file, which needs another package; install "
            "trackastra-engine[formats]"
        ) from None
    try:
        return BioImage(path)
    except Exception as error:  # readers raise errors of their own classes
        known = "UnsupportedFileFormatError"  # its message in bioio does not describe the file
        reason = "" if type(error).__name__ == known else f" ({first_line(error)})"
        raise InputError(
            f"no installed reader of bioio can read {path}{reason}: it is damaged or needs another "
            "reader; copy it again, install one such as bioio-bioformats, or export it as OME-TIFF "
            "or OME-Zarr"
        ) from error


def _choose_image(image: Any, part: Part, path: Path) -> None:
    """Select the image of the position; raises InputError if the file does not contain it."""
    names = [str(name) for name in image.scenes]
    known = ", ".join(names[:N_SHOWN]) + (", ..." if len(names) > N_SHOWN else "")
    position = part.position
    if len(names) > 1 and position is None:
        raise InputError(
            f"{path} contains {len(names)} images ({known}); choose one with {option('position')}, "
            f"a number from 0 to {len(names) - 1} or a name"
        )
    if position is not None and len(names) > 1:
        if position not in names and position not in map(str, range(len(names))):
            raise InputError(f"{path} has no position {position}; choose one of {known}")
        image.set_scene(position if position in names else int(position))
    part.reject_level(str(path), len(image.resolution_levels))


def _sizes(image: Any) -> dict[str, float]:
    """Return micrometres along z, y and x, and seconds along t, if the file gives them."""
    scale, described = image.scale, getattr(image, "dimension_properties", None)
    sizes = {}
    for axis, unit in UNITS.items():
        about = getattr(described, axis.upper(), None)
        value = getattr(scale, axis.upper(), None)
        if value is not None:
            stated = getattr(about, "unit", None)
            sizes[axis] = in_unit(axis, float(value), stated or unit)
    return {axis: size for axis, size in sizes.items() if not math.isnan(size)}
