"""Movies in files of NumPy: .npy, .npz and Cellpose's _seg.npy."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.errors import InputError, first_line
from trackastra_engine.movie.array_source import ArraySource
from trackastra_engine.movie.pictures import read_npy
from trackastra_engine.movie.selection import Part
from trackastra_engine.movie.sources import file_stamp
from trackastra_engine.movie.tiff_damage import EXPORT_AGAIN

NUMPY_FILES = (".npy", ".npz")
# Names of arrays in .npz files; X and y are those of DeepCell.
NAMES = {"masks": ("masks", "labels", "mask", "y"), "images": ("images", "image", "raw", "x")}


@dataclass(frozen=True, slots=True, eq=False)
class FileArray:
    """An array in a file; other processes receive only its path."""

    array: NDArray[Any]
    path: Path
    kind: str  # images or masks

    def __reduce__(self) -> tuple[Any, tuple[Path, str]]:
        return read_array, (self.path, self.kind)

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape of the array."""
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Return the type of its numbers."""
        return self.array.dtype

    def __getitem__(self, index: Any) -> NDArray[Any]:
        return np.asarray(self.array[index])

    def stamp(self, index: Any) -> str:
        """Return a text that changes if the file changes."""
        return f"{file_stamp(self.path)} {index}"


def open_numpy(path: Path, part: Part) -> ArraySource:
    """Return the frames of a file of NumPy.

    Raises InputError if it is damaged, or contains several arrays and none with a known name.
    """
    return ArraySource.open(read_array(path, part.kind), str(path), part)


def read_array(path: Path, kind: str) -> FileArray:
    """Return the array of a file; kind: images or masks, selects one of several."""
    try:
        is_archive = path.suffix.lower() == ".npz"
        array = _of_archive(path, kind) if is_archive else read_npy(path, in_place=True)
    except InputError:
        raise
    # On a damaged file, NumPy and zipfile raise many kinds of errors.
    except Exception as error:
        raise InputError(
            f"{path} is truncated or damaged ({first_line(error)}); {EXPORT_AGAIN}"
        ) from error
    return FileArray(array, path, kind)


def _of_archive(path: Path, kind: str) -> NDArray[Any]:
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path} is truncated or no .npz file; {EXPORT_AGAIN}")
    with np.load(path) as archive:
        names = list(archive.files)
        wanted = [name for known in NAMES[kind] for name in names if name.lower() == known]
        if len(names) == 1 or wanted:
            return np.asarray(archive[(wanted or names)[0]])
    raise InputError(
        f"{path} contains the arrays {', '.join(names)}; save only one, or call one {kind}"
    )
