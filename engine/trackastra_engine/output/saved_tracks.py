"""Read tracks back: from tables of `track`, a GEFF, or masks labelled by track."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.detection.detections import (
    Detections,
    FloatArray,
    IntArray,
    concatenate,
    detect,
    find_rows,
)
from trackastra_engine.detection.detections import feature_names as names_of_features
from trackastra_engine.errors import InputError
from trackastra_engine.files.csv_table import open_table
from trackastra_engine.linking.lineage import Lineage, build_lineage
from trackastra_engine.model.edges import Edges
from trackastra_engine.movie.calibration import Calibration
from trackastra_engine.movie.ctc_folder import (
    RESULT,
    TRUTH,
    UPSTREAM_RESULT,
    CtcFolder,
    find_table,
    open_ctc_folder,
)
from trackastra_engine.movie.frames import Frame
from trackastra_engine.output.formats import EDGE_TABLE, GEFF, TRACK_TABLE

TRACKED_MASKS = (RESULT, UPSTREAM_RESULT, TRUTH)  # names that their files may have
# Decimals of the columns of track_table.py: of positions in pixels, and in micrometres or seconds.
PIXEL_DECIMALS, UM_DECIMALS = 3, 4


@dataclass(frozen=True, slots=True, eq=False)
class SavedTracks:
    """Tracks of a folder, and their calibration."""

    lineage: Lineage
    calibration: Calibration


def read_tracks(folder: Path) -> SavedTracks:
    """Return the tracks of a results folder, a GEFF of `track`, or a folder of the challenge.

    If there are tables, these are read. Otherwise objects are measured in the masks, frame by
    frame, and the scores of links are NaN.

    Parameters
    ----------
    folder : Path
        With `tracks.csv` and `edges.csv`, with `tracks.geff`, a GEFF, or with masks labelled by
        track and their table, also in `ctc/` or `TRA/`.

    Returns
    -------
    SavedTracks
        With `lineage` and `calibration`.

    Raises
    ------
    InputError
        If there are no tracks, or they contradict themselves.

    Examples
    --------
    >>> lineage.to_geff("saved.geff")
    >>> read_tracks(Path("saved.geff")).lineage.n_divisions
    1
    """
    if has_tables(folder):
        return _read_tables(folder / TRACK_TABLE, folder / EDGE_TABLE)
    if (geff := geff_folder(folder)) is not None:
        from trackastra_engine.output.saved_geff import read_saved_geff  # which builds on this

        return read_saved_geff(geff)
    return _measure(open_tracked_masks(folder))


def has_tables(folder: Path) -> bool:
    """Return whether a folder contains the tables of `track`."""
    return (folder / TRACK_TABLE).is_file() and (folder / EDGE_TABLE).is_file()


def geff_folder(path: Path) -> Path | None:
    """Return the GEFF at a path, or in a folder of results there; None without one."""
    for folder in (path, path / GEFF):
        if (folder / "nodes").is_dir() and (folder / "edges").is_dir():
            return folder
    return None


def open_tracked_masks(folder: Path) -> CtcFolder:
    """Return masks labelled by track, and their tracks, under any of the known names."""
    return open_ctc_folder(folder, *TRACKED_MASKS)


def has_tracked_masks(folder: Path) -> bool:
    """Return whether a folder contains a table of such tracks; masks are not read."""
    return any(find_table(folder, layout) is not None for layout in TRACKED_MASKS)


def _read_tables(tracks: Path, edges: Path) -> SavedTracks:
    table = open_table(tracks)
    names = list(table.names)
    axes = [axis for axis in ("z", "y", "x") if axis in names]
    features = names_of_features(len(axes))
    missing = [name for name in ("frame", "label", "y", "x", *features) if name not in names]
    if missing:
        raise InputError(
            f"{tracks} has no column {missing[0]!r}; give results of this version of track"
        )
    whole = [names.index(name) for name in ("frame", "label")]
    column = dict(zip(names, table.numbers(range(len(names)), whole=whole), strict=True))
    frame, label = column["frame"], column["label"]
    centroid = np.column_stack([column[axis] for axis in axes])
    check_detections(frame, label, centroid, tracks)
    order = np.lexsort((label, frame))
    found = Detections(
        frame[order].astype(np.int32),
        label[order],
        centroid[order],
        np.column_stack([column[name] for name in features])[order],
    )
    *places, score = _read_edges(edges)
    ends = np.column_stack(places)
    source, target = (_rows(found, ends[:, part], edges) for part in ([0, 1], [2, 3]))
    check_links(found, source, target, edges)
    sizes: dict[str, float] = {
        axis: _ratio(column.get(f"{axis}_um"), column[axis]) for axis in axes
    }
    if math.isnan(sizes.get("z", 0.0)):
        sizes["z"] = sizes["x"]  # all cells lie in plane 0, as of planes read as volumes
    sizes["t"] = _ratio(column.get("time_s"), column["frame"])
    lineage = build_lineage(found, Edges(source, target, score))
    return SavedTracks(lineage, Calibration.of(sizes, len(axes)))


def _read_edges(path: Path) -> list[NDArray[Any]]:
    """Return frame and label of the source, and of the target, and the weight, (E,) each."""
    table = open_table(path)
    if len(table.names) < 5:
        raise InputError(
            f"{path} has {len(table.names)} columns; expected the 5 of a table of edges"
        )
    return table.numbers(range(5), whole=range(4))


def check_detections(frame: IntArray, label: IntArray, centroid: FloatArray, table: Path) -> None:
    """Raise InputError if there are none, one has no position, or one is listed twice."""
    if not len(frame):
        raise InputError(f"{table} lists no detection; expected a line for each")
    is_odd = (frame < 0) | (frame > np.iinfo(np.int32).max) | ~np.isfinite(centroid).all(axis=1)
    _reject(is_odd, table, "has a negative frame or no position; expected 0 on, and finite numbers")
    order = np.lexsort((label, frame))
    is_repeated = np.zeros(len(frame), bool)
    is_repeated[order[1:]] = (np.diff(frame[order]) == 0) & (np.diff(label[order]) == 0)
    _reject(is_repeated, table, "lists an object of a frame twice; expected it once")


def check_links(found: Detections, source: IntArray, target: IntArray, table: Path) -> None:
    """Raise InputError if links are not tracks with divisions."""
    is_backward = found.frame[target] <= found.frame[source]
    _reject(is_backward, table, "links an object to no later frame; expected a later target")
    _reject(_is_repeated(target), table, "links an object to a second parent; expected one at most")


def _is_repeated(values: IntArray) -> NDArray[np.bool_]:
    """Return whether each value occurred before."""
    order = np.argsort(values, kind="stable")
    is_repeated = np.zeros(len(values), bool)
    is_repeated[order[1:]] = values[order[1:]] == values[order[:-1]]
    return is_repeated


def _reject(is_wrong: NDArray[np.bool_], table: Path, reason: str) -> None:
    """Raise InputError at the first wrong line (N,) of a table with one line of names."""
    if is_wrong.any():
        raise InputError(f"line {np.flatnonzero(is_wrong)[0] + 2} of {table} {reason}")


def _rows(found: Detections, places: IntArray, table: Path) -> IntArray:
    """Return the rows of the detections at some places, (E, 2) frame and label."""
    rows = find_rows(found, places)
    wrong = np.flatnonzero(rows < 0)
    if len(wrong):
        frame, label = places[wrong[0]]
        raise InputError(
            f"{table} links object {label} of frame {frame}, which {TRACK_TABLE} next to it "
            "does not list; give a folder whose tables are of one tracking"
        )
    return rows


def _ratio(physical: FloatArray | None, count: FloatArray) -> float:
    """Return the size of a pixel or frame in a unit: the shortest number that fits all rows (N,).

    It is NaN if the unit is not known, or no row shows it.
    """
    off_count, off_physical = 0.5 * 10.0**-PIXEL_DECIMALS, 0.5 * 10.0**-UM_DECIMALS
    used = np.abs(count) > off_count
    if physical is None or not used.any():
        return float("nan")
    size, number = np.abs(physical[used]), np.abs(count[used])
    low = float(((size - off_physical) / (number + off_count)).max())
    high = float(((size + off_physical) / (number - off_count)).min())
    middle = (low + high) / 2
    shorter = (float(f"{middle:.{digits}g}") for digits in range(1, 16))
    return next((one for one in shorter if low <= one <= high), middle)


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
