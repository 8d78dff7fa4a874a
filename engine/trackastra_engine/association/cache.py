"""Store chunks in files, each under a key of its inputs.

A key is a hash of all inputs that change the stored result: the frames (path, size and time of
change of their files, not their pixels, which would have to be read), the model, options, and
versions. So a stored result is never out of date, and one folder can be the cache of many movies.
"""

import hashlib
import logging
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import fields
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.association.association import Association, Chunk
from trackastra_engine.association.measured import Measured, needs_range
from trackastra_engine.detection.detections import Detections
from trackastra_engine.detection.intensity import IntensityHistogram, IntensityRange
from trackastra_engine.errors import InputError
from trackastra_engine.files.atomic import check_parent, new_file
from trackastra_engine.model.edges import Edges
from trackastra_engine.movie.frames import Movie
from trackastra_engine.progress import NOTICE

logger = logging.getLogger(__name__)

FORMAT_VERSION = 8  # change it when the engine measures or averages differently
COMPUTED_WITH = ("trackastra-engine", "numpy", "numba")
# Errors of NumPy and zipfile for files with a flipped byte, the last two for one in a header.
DAMAGE = (
    *(ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error),
    *(RuntimeError, OSError),
)
INTENSITIES = "intensities/"  # prefix of the names of their arrays

Arrays = Mapping[str, NDArray[Any]]
Stored = TypeVar("Stored")


class ChunkCache:
    """The chunks of one movie in files of a folder, each written only when complete."""

    def __init__(self, folder: Path, association: Association, movie: Movie) -> None:
        """Read the stamps of the files of a movie; later changes to them are not seen.

        Raises InputError if the folder is a file, or the movie is an array in memory.
        """
        if folder.is_file():
            raise InputError(f"the cache {folder} is a file; give a folder")
        self.folder = folder
        self.files: list[tuple[int, int, str, str]] = []  # of the requested chunks, see CachedMovie
        self._frames = [_stamp(movie, index) for index in range(len(movie))]
        spec, versions = association.spec, [version(name) for name in COMPUTED_WITH]
        self._measuring = _hash(
            FORMAT_VERSION, versions, association.ndim, needs_range(spec, movie)
        )
        options = (
            *(association.stride, association.max_gap, association.voxel_um),
            association.aligned,
        )
        self._scoring = _hash(self._measuring, association.model.identity, options)

    def forget_others(self) -> None:
        """Remove and report files that a run did not need, from a folder for one movie only."""
        needed = {name for *_, found, edges in self.files for name in (found, edges)}
        unused = [path for path in self.folder.glob("*.npz*") if path.name not in needed]
        for path in unused:
            path.unlink()
        n_measured = sum(path.name.startswith("detections-") for path in unused)
        if n_measured:
            logger.log(
                NOTICE,
                "removed %d cached chunks of other files or of another version from %s; their "
                "content was recomputed",
                n_measured,
                self.folder,
            )

    def has_detections(self, chunk: Chunk) -> bool:
        """Return whether the detections of a chunk are stored.

        Raises InputError if they are not, and cannot be.
        """
        path = self._detections_path(chunk)
        if not (is_stored := path.is_file()):
            check_parent(path)
        return is_stored

    def detections(self, chunk: Chunk) -> Measured | None:
        """Return the measurements of a chunk, or None if they are not stored or damaged."""
        return read_detections(self._detections_path(chunk))

    def store_detections(self, chunk: Chunk, measured: Measured) -> None:
        """Store the measurements of a chunk."""
        found = measured.detections
        counts = {INTENSITIES + name: part for name, part in measured.intensities.state().items()}
        _write(self._detections_path(chunk), {**_arrays(found), **counts})

    def edges(self, chunk: Chunk, intensity_range: IntensityRange | None) -> Edges | None:
        """Return the edges of a chunk, or None if they are not stored or damaged.

        Raises InputError if they are not stored, and cannot be.
        """
        path = self._edges_path(chunk, intensity_range)
        ends = chunk.frames.start, chunk.frames.stop
        self.files.append((*ends, self._detections_path(chunk).name, path.name))
        if (edges := read_edges(path)) is None:
            check_parent(path)
        return edges

    def store_edges(
        self, chunk: Chunk, intensity_range: IntensityRange | None, edges: Edges
    ) -> None:
        """Store the edges of a chunk."""
        _write(self._edges_path(chunk, intensity_range), _arrays(edges))

    def _detections_path(self, chunk: Chunk) -> Path:
        key = _hash(self._measuring, chunk.frames, *self._frames_in(chunk.frames))
        return self.folder / f"detections-{key}.npz"

    def _edges_path(self, chunk: Chunk, intensity_range: IntensityRange | None) -> Path:
        seen = self._frames_in(chunk.reach)
        key = _hash(self._scoring, chunk, intensity_range, *seen)
        return self.folder / f"edges-{key}.npz"

    def _frames_in(self, frames: range) -> list[str]:
        return self._frames[frames.start : frames.stop]


def read_detections(path: Path) -> Measured | None:
    """Return the measurements of a chunk, or None if they are not stored or damaged."""
    return _read(path, _as_measured)


def read_edges(path: Path) -> Edges | None:
    """Return the edges of a chunk, or None if they are not stored or damaged."""
    return _read(path, _as_edges)


def _stamp(movie: Movie, index: int) -> str:
    """Return a text that changes if the files of a frame change."""
    stamps = [source.stamp(index) for source in (movie.masks, movie.images) if source is not None]
    if None in stamps:
        raise InputError("arrays in memory cannot be cached; give paths of files")
    return _hash(*stamps)


def _hash(*parts: object) -> str:
    text = "\n".join(map(repr, parts))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _arrays(rows: Detections | Edges) -> dict[str, NDArray[Any]]:
    return {field.name: getattr(rows, field.name) for field in fields(rows)}


def _as_measured(arrays: Arrays) -> Measured:
    detections = Detections(**{field.name: arrays[field.name] for field in fields(Detections)})
    counts = {
        name.removeprefix(INTENSITIES): part
        for name, part in arrays.items()
        if name.startswith(INTENSITIES)
    }
    return Measured(detections, IntensityHistogram.restored(counts))


def _as_edges(arrays: Arrays) -> Edges:
    return Edges(**arrays)


def _write(path: Path, arrays: Arrays) -> None:
    with new_file(path) as partial, partial.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def _read(path: Path, unpacked: Callable[[Arrays], Stored]) -> Stored | None:
    try:
        with np.load(path, allow_pickle=False) as stored:
            return unpacked(dict(stored))
    except FileNotFoundError:
        return None
    except DAMAGE as error:
        logger.warning("%s is damaged (%s); its content is recomputed", path, error)
        return None
