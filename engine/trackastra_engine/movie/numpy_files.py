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
    """An array that lies in a file; other processes get its path."""

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
        """Return what changes if the file does."""
        return f"{file_stamp(self.path)} {index}"


def open_numpy(path: Path, part: Part) -> ArraySource:
    """Return the frames of a file of NumPy.

    Raises InputError if it is damaged, or holds several arrays of which none is meant.
    """
    return ArraySource.open(read_array(path, part.kind), str(path), part)


def read_array(path: Path, kind: str) -> FileArray:
    """Return the array of a file: of images or masks, if there are several."""
    try:
        is_archive = path.suffix.lower() == ".npz"
        array = _of_archive(path, kind) if is_archive else read_npy(path, in_place=True)
    except InputError:
        raise
    # A damaged file makes NumPy, or zipfile, raise whatever it leads to.
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
        wanted = [name for name in names if name.lower() in NAMES[kind]]
        if len(names) == 1 or wanted:
            return np.asarray(archive[(wanted or names)[0]])
    raise InputError(
        f"{path} holds the arrays {', '.join(names)}; expected one, or one called {kind}"
    )
