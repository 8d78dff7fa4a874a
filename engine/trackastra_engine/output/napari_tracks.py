"""Convert a lineage to the data of a tracks layer of napari."""

import json
from pathlib import Path

import numpy as np

from trackastra_engine.detection.detections import FloatArray
from trackastra_engine.files.atomic import new_file
from trackastra_engine.linking.lineage import Lineage
from trackastra_engine.movie.axes import space_axes

Graph = dict[int, list[int]]  # the parent of each tracklet that has one


def tracks_layer(lineage: Lineage) -> tuple[FloatArray, Graph]:
    """Return (N, 4 or 5) track, t, [z,] y, x in frames and pixels, and the graph of the tracks.

    A track is a tracklet; rows are sorted by track, then time.
    """
    found = lineage.detections
    order = np.lexsort((found.frame, lineage.tracklet_id))
    data = np.column_stack([lineage.tracklet_id, found.frame, found.centroid])[order]
    has_parent = lineage.tracklets[:, 3] > 0
    graph = {child: [parent] for child, *_, parent in lineage.tracklets[has_parent].tolist()}
    return data, graph


def write_napari(lineage: Lineage, table: str | Path, graph_file: str | Path) -> None:
    """Write the table of a tracks layer as CSV, and its graph as JSON: track to parents."""
    data, graph = tracks_layer(lineage)
    names = ["track", "t", *space_axes(lineage.detections.ndim)]
    formats = ["%d", "%d", *["%.3f"] * lineage.detections.ndim]
    with new_file(Path(table)) as partial:
        np.savetxt(partial, data, formats, ",", header=",".join(names), comments="")
    with new_file(Path(graph_file)) as partial:
        partial.write_text(json.dumps(graph), "ascii")
