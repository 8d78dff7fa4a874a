"""Write a lineage as a table of tracks, with a line for each detection."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.detection.detections import IntArray, feature_names
from trackastra_engine.files.atomic import new_file
from trackastra_engine.files.csv_lines import csv_lines, in_portions
from trackastra_engine.linking.lineage import Lineage
from trackastra_engine.movie.axes import space_axes
from trackastra_engine.movie.calibration import UNKNOWN, Calibration

COLUMNS = ("track", "parent", "frame", "label")  # followed by `number_names`


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
        for rows in in_portions(order):
            columns, forms = _columns(lineage, rows, link[rows], calibration)
            file.writelines(csv_lines(columns, forms))


def number_names(ndim: int, calibration: Calibration) -> tuple[str, ...]:
    """Return the names of the columns of numbers.

    The position in pixels, and, if known, in micrometres and seconds; the `score` of the link; and
    `feature_names`, in pixels.
    """
    axes = space_axes(ndim)
    in_um = [f"{axis}_um" for axis in axes] if calibration.voxel_um else []
    time = ["time_s"] if calibration.frame_interval_s else []
    return (*axes, *in_um, *time, "score", *feature_names(ndim))


def _columns(
    lineage: Lineage, rows: IntArray, link: IntArray, calibration: Calibration
) -> tuple[list[NDArray[Any]], list[str]]:
    """Return the columns of some detections, and their formats; link: (N,) rows of links, or -1."""
    found, track = lineage.detections, lineage.tracklet_id[rows]
    score = np.full(len(rows), np.nan)
    score[link >= 0] = lineage.edges.score[link[link >= 0]]
    places, ndim = found.centroid[rows], found.ndim
    columns = [track, lineage.tracklets[track - 1, 3], found.frame[rows], found.label[rows]]
    forms = ["%d"] * len(COLUMNS) + ["%.3f"] * ndim
    columns += [*places.T]
    if calibration.voxel_um:
        columns += [*(places * calibration.voxel_um).T]
        forms += ["%.4f"] * ndim
    if calibration.frame_interval_s:
        columns.append(found.frame[rows] * calibration.frame_interval_s)
        forms.append("%.10g")
    columns += [score, *found.features[rows].T]
    return columns, forms + ["%.6g"] * (len(columns) - len(forms))
