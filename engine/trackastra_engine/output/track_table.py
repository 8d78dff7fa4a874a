"""Stage 8: a lineage becomes a table of tracks, with a line for each detection."""

from pathlib import Path

import numpy as np

from trackastra_engine.lineage import Lineage
from trackastra_engine.output.atomic import new_file

COLUMNS = ("track", "parent", "frame", "label")  # then the position, ([z,] y, x)
PORTION_SIZE = 10_000  # detections that are Python's numbers at a time


def write_track_table(lineage: Lineage, path: str | Path) -> None:
    """Write COLUMNS and the position in pixels of every detection, by track, then frame.

    A track is a tracklet; its parent is that of its first detection, or 0; frames count from 0.
    """
    found = lineage.detections
    order = np.lexsort((found.frame, lineage.tracklet_id))
    names = (*COLUMNS, *("z", "y", "x")[-found.ndim :])
    with new_file(Path(path)) as partial, partial.open("w", encoding="ascii", newline="\n") as file:
        file.write(",".join(names) + "\n")
        for rows in np.array_split(order, len(order) // PORTION_SIZE + 1):
            track = lineage.tracklet_id[rows]
            parent = lineage.tracklets[track - 1, 3]
            integers = np.column_stack([track, parent, found.frame[rows], found.label[rows]])
            for numbers, place in zip(
                integers.tolist(), found.centroid[rows].tolist(), strict=True
            ):
                position = ",".join(f"{value:.3f}" for value in place)
                file.write(f"{','.join(map(str, numbers))},{position}\n")
