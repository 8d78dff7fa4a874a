"""Write a lineage as a table of edges, the format that TrackMate reads."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from trackastra_engine.detection.detections import FloatArray, IntArray
from trackastra_engine.files.atomic import new_file
from trackastra_engine.files.csv_lines import csv_lines, in_portions
from trackastra_engine.linking.lineage import Lineage

COLUMNS = "source_frame,source_label,target_frame,target_label,weight"


def write_edge_table(lineage: Lineage, path: str | Path) -> None:
    """Write COLUMNS of each edge of the lineage, by frame and label; frames count from 0.

    An edge without a score, as in a ground truth, has weight 1: not every reader accepts NaN.
    The file appears when it is complete, which TrackMate uses as the sign of success.
    """
    edges = lineage.edges
    order = np.lexsort((edges.target, edges.source))  # detections are sorted by frame, then label
    portions = (edges.rows(rows) for rows in in_portions(order))
    _write(((edge_ends(replace(lineage, edges=part)), part.score) for part in portions), path)


def write_edges(ends: IntArray, weight: FloatArray, path: str | Path) -> None:
    """Write edges with ends (E, 4), as `edge_ends` returns them, and weights (E,)."""
    order = np.lexsort(ends.T[::-1])
    _write(((ends[rows], weight[rows]) for rows in in_portions(order)), path)


def _write(portions: Iterable[tuple[IntArray, FloatArray]], path: str | Path) -> None:
    with new_file(Path(path)) as partial, partial.open("w", encoding="ascii", newline="\n") as file:
        file.write(COLUMNS + "\n")
        for ends, weight in portions:
            written = np.where(np.isnan(weight), 1.0, weight)
            file.writelines(csv_lines([*ends.T, written], ["%d"] * 4 + ["%.6g"]))


def edge_ends(lineage: Lineage) -> IntArray:
    """Return (E, 4) source frame, source label, target frame, target label of a lineage's edges."""
    found, edges = lineage.detections, lineage.edges
    return np.column_stack(
        [
            found.frame[edges.source].astype(np.int64),
            found.label[edges.source],
            found.frame[edges.target],
            found.label[edges.target],
        ]
    )
