"""Stage 8: write a lineage as a table of tracks, with a line for each detection."""

from collections.abc import Iterator
from math import isnan
from pathlib import Path

import numpy as np

from trackastra_engine.detection.detections import IntArray, feature_names
from trackastra_engine.files.atomic import new_file
from trackastra_engine.linking.lineage import Lineage
from trackastra_engine.movie.calibration import UNKNOWN, Calibration

COLUMNS = ("track", "parent", "frame", "label")  # followed by `number_names`
PORTION_SIZE = 10_000  # detections converted to Python's numbers at a time


def write_track_table(
    lineage: Lineage, path: str | Path, calibration: Calibration = UNKNOWN
) -> None:
    """Write COLUMNS and `number_names` of every detection, by track, then frame.

    A track is a tracklet; its parent is that of its first detection, or 0; frames count from 0.
    The score is that of the link from the parent detection; unknown numbers are empty cells.
    """
    order = np.argsort(lineage.tracklet_id, kind="stable")  # detections are sorted by frame
    link = np.full(len(order), -1, np.int32)  # the row of the link to each detection
    link[lineage.edges.target] = np.arange(len(lineage.edges))
    names = (*COLUMNS, *number_names(lineage.detections.ndim, calibration))
    with new_file(Path(path)) as partial, partial.open("w", encoding="ascii", newline="\n") as file:
        file.write(",".join(names) + "\n")
        for rows in np.array_split(order, len(order) // PORTION_SIZE + 1):
            integers = _integers(lineage, rows).tolist()
            numbers = _numbers(lineage, rows, link[rows], calibration)
            file.writelines(
                f"{','.join(map(str, cells))},{','.join(more)}\n"
                for cells, more in zip(integers, numbers, strict=True)
            )


def number_names(ndim: int, calibration: Calibration) -> tuple[str, ...]:
    """Return the names of the columns of numbers.

    The position in pixels, and, if known, in micrometres and seconds; the `score` of the link; and
    `feature_names`, in pixels.
    """
    axes = ("z", "y", "x")[-ndim:]
    in_um = [f"{axis}_um" for axis in axes] if calibration.voxel_um else []
    time = ["time_s"] if calibration.frame_interval_s else []
    return (*axes, *in_um, *time, "score", *feature_names(ndim))


def _integers(lineage: Lineage, rows: IntArray) -> IntArray:
    """Return (N, 4) COLUMNS of some detections."""
    track = lineage.tracklet_id[rows]
    parent = lineage.tracklets[track - 1, 3]
    found = lineage.detections
    return np.column_stack([track, parent, found.frame[rows], found.label[rows]])


def _numbers(
    lineage: Lineage, rows: IntArray, link: IntArray, calibration: Calibration
) -> Iterator[list[str]]:
    """Yield the cells of `number_names` for some detections; link: (N,) rows of links, or -1."""
    found = lineage.detections
    score = np.full(len(rows), np.nan)
    score[link >= 0] = lineage.edges.score[link[link >= 0]]
    places = found.centroid[rows]
    columns = [[f"{value:.3f}" for value in values] for values in places.T.tolist()]
    if calibration.voxel_um:
        in_um = (places * calibration.voxel_um).T.tolist()
        columns += [[f"{value:.4f}" for value in values] for values in in_um]
    if calibration.frame_interval_s:
        seconds = found.frame[rows] * calibration.frame_interval_s
        columns.append([f"{value:.10g}" for value in seconds.tolist()])
    for values in (score, *found.features[rows].T):
        columns.append(["" if isnan(value) else f"{value:.6g}" for value in values.tolist()])
    return map(list, zip(*columns, strict=True))
