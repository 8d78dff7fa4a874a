"""Tracks that were written, read again: tables of `track`, or masks labelled by track."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.calibration import Calibration
from trackastra_engine.detections import Detections, FloatArray, IntArray, concatenate, detect
from trackastra_engine.detections import feature_names as names_of_features
from trackastra_engine.edges import Edges
from trackastra_engine.errors import InputError
from trackastra_engine.evaluation.ctc_folder import (
    RESULT,
    TRUTH,
    UPSTREAM_RESULT,
    CtcFolder,
    open_ctc_folder,
)
from trackastra_engine.frames import Frame
from trackastra_engine.lineage import Lineage, build_lineage
from trackastra_engine.output.results import EDGE_TABLE, TRACK_TABLE

RATIO_DIGITS = 7  # to which the columns tell the size of a voxel


@dataclass(frozen=True, slots=True, eq=False)
class SavedTracks:
    """Tracks of a folder, and what the folder tells of space and time."""

    lineage: Lineage
    calibration: Calibration


def read_tracks(folder: Path) -> SavedTracks:
    """Return the tracks of a results folder of `track`, or of one in the challenge's format.

    The tables of a results folder are taken where they are; else objects are measured again in
    the masks, frame by frame, and the scores of links are NaN. Raises InputError if there are
    neither, or they contradict themselves.
    """
    if (folder / TRACK_TABLE).is_file() and (folder / EDGE_TABLE).is_file():
        return _read_tables(folder / TRACK_TABLE, folder / EDGE_TABLE)
    return _measure(open_tracked_masks(folder))


def open_tracked_masks(folder: Path) -> CtcFolder:
    """Return masks labelled by track, and their tracks, whatever their names in the folder."""
    return open_ctc_folder(folder, RESULT, UPSTREAM_RESULT, TRUTH)


def _read_tables(tracks: Path, edges: Path) -> SavedTracks:
    with tracks.open(encoding="utf-8") as file:
        names = file.readline().strip().split(",")
    axes = [axis for axis in ("z", "y", "x") if axis in names]
    features = names_of_features(len(axes))
    missing = [name for name in ("frame", "label", "y", "x", *features) if name not in names]
    if missing:
        raise InputError(
            f"{tracks} has no column {missing[0]!r}; give a folder that track of this version wrote"
        )
    label = _columns(tracks, [names.index("label")], np.int64)[:, 0]
    column = dict(zip(names, _columns(tracks, range(len(names)), float).T, strict=True))
    frame = column["frame"].astype(np.int32)
    order = np.lexsort((label, frame))
    found = Detections(
        frame[order],
        label[order],
        np.column_stack([column[axis] for axis in axes])[order],
        np.column_stack([column[name] for name in features])[order],
    )
    ends, score = _columns(edges, range(4), np.int64), _columns(edges, [4], float)[:, 0]
    source, target = (_rows(found, ends[:, part], edges) for part in ([0, 1], [2, 3]))
    sizes: dict[str, float] = {
        axis: _ratio(column.get(f"{axis}_um"), column[axis]) for axis in axes
    }
    sizes["t"] = _ratio(column.get("time_s"), column["frame"])
    lineage = build_lineage(found, Edges(source, target, score))
    return SavedTracks(lineage, Calibration.of(sizes, len(axes)))


def _columns(path: Path, columns: Any, dtype: Any) -> NDArray[Any]:
    """Return (N, C) columns of a table; empty cells are NaN."""
    to_number = float if dtype is float else int
    with path.open(encoding="utf-8") as file:
        file.readline()
        if not file.readline():
            return np.empty((0, len(columns)), dtype)
    try:
        return np.loadtxt(
            path,
            dtype,
            delimiter=",",
            skiprows=1,
            usecols=list(columns),
            converters=lambda cell: to_number(cell or "nan"),
            ndmin=2,
            encoding="utf-8",
        ).reshape(-1, len(columns))
    except ValueError as error:
        raise InputError(f"{path} is no table that track wrote ({error})") from None


def _rows(found: Detections, places: IntArray, table: Path) -> IntArray:
    """Return which detections lie at some places, (E, 2) frame and label."""
    labels = np.unique(found.label)

    def key(frame: IntArray, label: IntArray) -> IntArray:
        return frame.astype(np.int64) * len(labels) + np.searchsorted(labels, label)

    rows = np.searchsorted(key(found.frame, found.label), key(*places.T)).clip(max=len(found) - 1)
    wrong = np.flatnonzero(
        (found.frame[rows] != places[:, 0]) | (found.label[rows] != places[:, 1])
    )
    if len(wrong):
        frame, label = places[wrong[0]]
        raise InputError(
            f"{table} links object {label} of frame {frame}, which {TRACK_TABLE} beside it does "
            "not list; give a folder whose tables are of one tracking"
        )
    return rows


def _ratio(physical: FloatArray | None, count: FloatArray) -> float:
    """Return how much of a unit one pixel or frame is, from the place that tells it best."""
    farthest = int(np.argmax(count))
    if physical is None or count[farthest] <= 0:
        return float("nan")
    return float(f"{physical[farthest] / count[farthest]:.{RATIO_DIGITS}g}")


def _measure(folder: CtcFolder) -> SavedTracks:
    movie = folder.movie
    masks = (Frame(index, None, labels) for index, labels in enumerate(folder.labels()))
    found = concatenate((detect(frame, movie.ndim) for frame in masks), movie.ndim)
    by_track = np.lexsort((found.frame, found.label))
    follows = np.diff(found.label[by_track]) == 0
    source, target = by_track[:-1][follows], by_track[1:][follows]
    label, _, _, parent = folder.tracks[folder.tracks[:, 3] > 0].T
    sorted_label = found.label[by_track]
    mothers = by_track[np.searchsorted(sorted_label, parent, side="right") - 1]
    daughters = by_track[np.searchsorted(sorted_label, label)]
    source, target = np.append(source, mothers), np.append(target, daughters)
    lineage = build_lineage(found, Edges(source, target, np.full(len(source), np.nan)))
    return SavedTracks(lineage, Calibration(movie.voxel_um, movie.frame_interval_s))
