"""Write the features of tracks as a table with a line for each."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isnan
from pathlib import Path

import numpy as np

from trackastra_engine.detection.detections import FloatArray, IntArray, feature_names
from trackastra_engine.files.atomic import new_file
from trackastra_engine.files.csv_lines import in_portions
from trackastra_engine.linking.lineage import Lineage, cell_of_tracklets, root_of_tracklets
from trackastra_engine.movie.calibration import UNKNOWN, Calibration
from trackastra_engine.movie.voxels import mean_side


@dataclass(frozen=True, slots=True)
class Units:
    """Units of lengths and times; pixels and frames without calibration."""

    length: str
    time: str
    seconds_per_frame: float
    voxel: tuple[float, ...]  # length along each axis

    @classmethod
    def of(cls, calibration: Calibration, ndim: int) -> "Units":
        """Return the units of a calibration."""
        interval_s = calibration.frame_interval_s
        return cls(
            "um" if calibration.voxel_um else "px",
            "s" if interval_s else "frame",
            interval_s or 1.0,
            calibration.voxel_um or (1.0,) * ndim,
        )


def write_track_features(
    lineage: Lineage, path: str | Path, calibration: Calibration = UNKNOWN
) -> None:
    """Write a line for each track, by its number; unknown values are empty cells.

    The columns are those of `track_features`. The last part of a name is the unit.
    """
    columns = track_features(lineage, calibration)
    with new_file(Path(path)) as partial, partial.open("w", encoding="ascii", newline="\n") as file:
        file.write(",".join(columns) + "\n")
        for rows in in_portions(np.arange(len(lineage.tracklets))):
            cells = (_cells(column[rows]) for column in columns.values())
            file.writelines(",".join(line) + "\n" for line in zip(*cells, strict=True))


def track_features(
    lineage: Lineage, calibration: Calibration = UNKNOWN
) -> dict[str, FloatArray | IntArray]:
    """Return (K,) columns by name for the K tracks.

    `lineage` is the first ancestor, `generation` the number of divisions since then, `n_daughters`
    is 0, 1 (at a gap) or 2. `path` is the sum of steps, `displacement` the distance from the first
    to the last position, `straightness` their ratio, `speed` the path over its time. Growth is the
    slope of a straight line through the sizes or intensities over time, divided by their mean.
    `cycle_time` is the time of a cell from its birth by a division to its own division, over gaps.
    """
    units = Units.of(calibration, lineage.detections.ndim)
    tracklets = lineage.tracklets
    track, first, last, parent = tracklets.T
    n_daughters = np.bincount(parent, minlength=len(tracklets) + 1)[1:]
    columns = {
        "track": track,
        "parent": parent,
        "lineage": root_of_tracklets(tracklets)[1:],
        "generation": _generation(tracklets, n_daughters),
        "n_daughters": n_daughters,
        "first_frame": first,
        "last_frame": last,
        "length_frames": last - first + 1,
        f"duration_{units.time}": (last - first) * units.seconds_per_frame,
    }
    return {
        **columns,
        **_motion(lineage, units),
        **_growth(lineage, units),
        f"cycle_time_{units.time}": _cycle_frames(tracklets, n_daughters) * units.seconds_per_frame,
    }


def _generation(tracklets: IntArray, n_daughters: IntArray) -> IntArray:
    """Return (K,) the number of divisions between a track and its first ancestor."""
    generation = [0] * (len(tracklets) + 1)
    divides = [False, *(n_daughters > 1).tolist()]
    for track, _, _, parent in tracklets.tolist():  # parents have lower numbers
        generation[track] = generation[parent] + divides[parent]
    return np.array(generation[1:], np.int64)


def _motion(lineage: Lineage, units: Units) -> dict[str, FloatArray]:
    found, n_tracks = lineage.detections, len(lineage.tracklets)
    order = np.argsort(lineage.tracklet_id, kind="stable")  # detections are sorted by frame
    place, track = found.centroid[order] * units.voxel, lineage.tracklet_id[order]
    steps = np.linalg.norm(np.diff(place, axis=0), axis=1)
    is_within = np.diff(track) == 0
    path = _totals(track[1:][is_within], n_tracks, steps[is_within])
    start = np.flatnonzero(np.diff(track, prepend=0))
    end = np.flatnonzero(np.diff(track, append=0))
    net = np.linalg.norm(place[end] - place[start], axis=1)
    time = (found.frame[order][end] - found.frame[order][start]) * units.seconds_per_frame
    return {
        f"path_{units.length}": path,
        f"displacement_{units.length}": net,
        "straightness": _ratio(net, path),
        f"speed_{units.length}_per_{units.time}": _ratio(path, time),
    }


def _growth(lineage: Lineage, units: Units) -> dict[str, FloatArray]:
    found = lineage.detections
    feature = dict(zip(feature_names(found.ndim), found.features.T, strict=True))
    diameter = feature["diameter"] * mean_side(np.array(units.voxel))
    name, power, factor = ("area", 2, np.pi / 4) if found.ndim == 2 else ("volume", 3, np.pi / 6)
    size = factor * diameter**power
    columns = {}
    for kind, values, unit in (
        (name, size, f"_{units.length}{power}"),
        ("intensity", feature["intensity"], ""),
    ):
        mean, slope = _lines(lineage, values)
        columns[f"mean_{kind}{unit}"] = mean
        columns[f"{kind}_growth_per_{units.time}"] = _ratio(slope, mean) / units.seconds_per_frame
    return columns


def _lines(lineage: Lineage, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return (K,) means of the values of each track's detections, and their slopes per frame."""
    track, n_tracks = lineage.tracklet_id, len(lineage.tracklets)
    frame = lineage.detections.frame.astype(float)

    def mean(weights: FloatArray) -> FloatArray:
        return _totals(track, n_tracks, weights) / count

    count = _totals(track, n_tracks, np.ones(len(track)))
    offset = frame - mean(frame)[track - 1]
    return mean(values), _ratio(mean(offset * values), mean(offset**2))


def _totals(track: IntArray, n_tracks: int, weights: FloatArray) -> FloatArray:
    """Return (K,) sums of the weights of each track's rows."""
    return np.bincount(track, weights, n_tracks + 1)[1:].astype(float)


def _cycle_frames(tracklets: IntArray, n_daughters: IntArray) -> FloatArray:
    """Return (K,) frames from a cell's birth to its division; NaN unless both were seen."""
    cell = cell_of_tracklets(tracklets)[1:]  # the first track of the same cell
    parent_of_cell = tracklets[cell - 1, 3]
    was_born = (parent_of_cell > 0) & np.append(False, n_daughters > 1)[parent_of_cell]
    frames = tracklets[:, 2] - tracklets[cell - 1, 1] + 1.0
    return np.where(was_born & (n_daughters > 1), frames, np.nan)


def _ratio(above: FloatArray, below: FloatArray | IntArray) -> FloatArray:
    """Return the ratio of two arrays, NaN where the lower one is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below == 0, np.nan, above / below)


def _cells(column: FloatArray | IntArray) -> Iterator[str]:
    for value in column.tolist():
        if isinstance(value, int):
            yield str(value)
        else:
            yield "" if isnan(value) else f"{value:.6g}"
