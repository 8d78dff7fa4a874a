"""Tracks in the format of the Cell Tracking Challenge, read frame by frame and checked."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.errors import InputError
from trackastra_engine.files.csv_table import lines_of_numbers, whole_number
from trackastra_engine.movie.frame_files import frame_files
from trackastra_engine.movie.frames import Movie
from trackastra_engine.movie.selection import Part
from trackastra_engine.movie.sources import FolderSource


@dataclass(frozen=True, slots=True)
class CtcLayout:
    """Names of the files in one kind of folder."""

    kind: str  # for messages
    masks: str
    tracks: str
    subfolder: str  # of the given folder, which may contain them
    movie_folder: str  # the same in the folder of a data set, after the number of the movie


RESULT = CtcLayout("tracks", "mask*.tif", "res_track.txt", "ctc", "RES")
UPSTREAM_RESULT = CtcLayout("tracks", "man_track*.tif", "man_track.txt", "ctc", "RES")
TRUTH = CtcLayout("ground truth", "man_track*.tif", "man_track.txt", "TRA", "GT/TRA")


@dataclass(frozen=True, slots=True, eq=False)
class CtcFolder:
    """Masks labelled by track, and the table of the tracks, with consistent rows."""

    movie: Movie
    tracks: NDArray[np.int64]  # (K, 4) int64: label, first frame, last frame, parent's label or 0
    table: Path

    def labels(self) -> Iterator[NDArray[np.integer[Any]]]:
        """Read the masks ([Z,] Y, X) one at a time.

        Raises InputError if a mask is damaged, or its labels differ from those of the table.
        """
        for frame in self.movie:
            self._check_labels(frame.index, frame.labels)
            yield frame.labels

    def _check_labels(self, index: int, mask: NDArray[np.integer[Any]]) -> None:
        label, first, last, _ = self.tracks.T
        listed = label[(first <= index) & (index <= last)]
        there = np.unique(mask[mask > 0])
        if len(unknown := np.setdiff1d(there, listed)):
            raise InputError(
                f"label {unknown[0]} is in the mask of frame {index} of {self.movie.masks.name} "
                f"but {self.table.name} does not list it there (frames count from 0); correct one"
            )
        if len(missing := np.setdiff1d(listed, there)):
            raise InputError(
                f"{self.table} lists track {missing[0]} in frame {index} (frames count from 0) "
                f"but the mask of that frame does not contain it; correct one"
            )


def open_ctc_folder(
    folder: Path, layout: CtcLayout, *others: CtcLayout, may_be_empty: bool = False
) -> CtcFolder:
    """Return the tracks of a folder; read the table, but no mask yet.

    The files may be in `layout.subfolder` of the folder; `others` are tried if there is no table of
    the first layout. Raises InputError if files are missing, the table contradicts itself, or it
    lists no track, unless it `may_be_empty`.
    """
    if not folder.is_dir():
        raise InputError(
            f"the folder of the {layout.kind}, {folder}, does not exist; check its path"
        )
    for known in (layout, *others):
        table = find_table(folder, known)
        if table is not None:
            return _open(table.parent, known, may_be_empty=may_be_empty)
    raise InputError(
        f"there is no {layout.tracks} in {folder}; give the {layout.kind} as a folder with "
        f"{layout.masks} and {layout.tracks}, or with both in {layout.subfolder}/"
    )


def find_table(folder: Path, layout: CtcLayout) -> Path | None:
    """Return the table of the tracks in a folder or its `layout.subfolder`; None without one."""
    places = [folder / layout.tracks, folder / layout.subfolder / layout.tracks]
    of_movies = list(folder.glob(f"[0-9][0-9]_{layout.movie_folder}/{layout.tracks}"))
    if len(of_movies) == 1:  # the folder of a data set of the challenge, with one movie
        places += of_movies
    return next((place for place in places if place.is_file()), None)


def _open(place: Path, layout: CtcLayout, *, may_be_empty: bool) -> CtcFolder:
    if not any(place.glob(layout.masks)):
        raise InputError(
            f"there is no {layout.masks} in {place} next to {layout.tracks}; copy the masks there"
        )
    listed = frame_files(place, layout.kind, layout.masks)
    if missing := listed.missing():
        raise InputError(
            f"{place}: {missing}, but {layout.tracks} counts all frames; give the whole movie"
        )
    table = place / layout.tracks
    tracks = _read_table(table)
    if not len(tracks) and not may_be_empty:
        raise InputError(f"{table} lists no track; expected lines L B E P")
    _check_table(table, tracks, len(listed.files))
    return CtcFolder(Movie(FolderSource.open(listed, Part("masks")), None), tracks, table)


def _read_table(path: Path) -> NDArray[np.int64]:
    try:
        lines = lines_of_numbers(path)
        rows = [[np.int64(whole_number(value)) for value in values] for _, values in lines]
    except (ValueError, OverflowError) as error:
        raise InputError(
            f"{path} is no table of tracks ({error}); expected lines L B E P"
        ) from None
    if any(len(row) != 4 for row in rows):
        raise InputError(f"{path} has a line without four numbers; expected lines L B E P")
    return np.array(rows, np.int64).reshape(-1, 4)


def _check_table(path: Path, tracks: NDArray[np.int64], n_frames: int) -> None:
    label, first, last, parent = tracks.T
    order = np.argsort(label)
    row_of_parent = order[np.searchsorted(label, parent, sorter=order).clip(max=len(label) - 1)]
    has_parent = parent != 0
    repeated = np.ones(len(label), bool)
    repeated[np.unique(label, return_index=True)[1]] = False
    for is_wrong, reason in (
        (label < 1, "has a label that is not positive"),
        (repeated, "is listed twice"),
        ((first < 0) | (last < first), "does not end after it begins"),
        (last >= n_frames, f"ends after the last of the {n_frames} frames, which count from 0"),
        (has_parent & (label[row_of_parent] != parent), "has a parent that is not listed"),
        (has_parent & (last[row_of_parent] >= first), "begins before its parent has ended"),
    ):
        if is_wrong.any():
            raise InputError(f"track {label[is_wrong][0]} in {path} {reason}; correct the table")
