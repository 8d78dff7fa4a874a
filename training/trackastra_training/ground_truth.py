"""Annotated movies: folders in the form of the Cell Tracking Challenge, as known movies."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trackastra_engine.detections import IntArray, concatenate, detect
from trackastra_engine.errors import InputError
from trackastra_engine.frames import ArrayOrPath, open_movie
from trackastra_engine.simulation import KnownMovie, known_movie

TRACK_FILE = "man_track.txt"


@dataclass(frozen=True, slots=True)
class AnnotatedMovie:
    """A folder with `TRA/man_track*.tif` (or the files themselves) and some of its frames."""

    folder: Path
    first_frame: int = 0
    last_frame: int | None = None  # None: the last one of the movie

    @classmethod
    def parse(cls, text: str) -> "AnnotatedMovie":
        """Return the movie that `FOLDER` or `FOLDER:FIRST-LAST` names."""
        folder, colon, frames = text.rpartition(":")
        first, dash, last = frames.partition("-")
        if colon and dash and first.isdecimal() and last.isdecimal():
            return cls(Path(folder), int(first), int(last))
        return cls(Path(text))


def read_known_movie(movie: AnnotatedMovie, images: ArrayOrPath | None = None) -> KnownMovie:
    """Return the detections of the chosen frames, counted from 0, and their true parents.

    The masks are the segmentation; their labels are used for the truth alone.
    """
    folder = movie.folder / "TRA" if (movie.folder / "TRA").is_dir() else movie.folder
    mother_of = _read_mothers(folder / TRACK_FILE)
    opened = open_movie(images, folder)
    n_frames = len(opened)
    last = n_frames - 1 if movie.last_frame is None else movie.last_frame
    if not 0 <= movie.first_frame < last < n_frames:
        raise InputError(
            f"frames {movie.first_frame}-{last} were asked of {folder}, which has {n_frames} "
            "frames, counted from 0; ask for two or more of those"
        )
    chosen = opened.frames(range(movie.first_frame, last + 1))
    parts = [detect(frame, opened.ndim) for frame in chosen]
    detections = concatenate(parts, opened.ndim)
    detections.frame[:] -= movie.first_frame
    labels = [part.label for part in parts]
    if (largest := int(detections.label.max(initial=0))) >= len(mother_of):
        raise InputError(f"label {largest} of the masks in {folder} is missing in {TRACK_FILE}")
    return known_movie(detections, labels, [mother_of[label] for label in labels])


def _read_mothers(path: Path) -> IntArray:
    """Return the mother of each label, -1 where there is none, from lines `L B E P`."""
    if not path.is_file():
        raise InputError(f"{path} is missing; it must list the tracks as lines L B E P")
    tracks = np.loadtxt(path, dtype=np.int64, ndmin=2)
    if tracks.shape[1] != 4:
        raise InputError(f"{path} has {tracks.shape[1]} columns; expected four: L B E P")
    mother_of = np.full(tracks[:, 0].max(initial=0) + 1, -1)
    mother_of[tracks[:, 0]] = np.where(tracks[:, 3] > 0, tracks[:, 3], -1)
    return mother_of
