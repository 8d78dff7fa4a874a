"""The positions of the objects in the shown frames, for a page."""

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.linking.lineage import Lineage
from trackastra_engine.output.report.tree import Tree
from trackastra_engine.output.report.view import View

UNITS_PER_PIXEL = 16  # positions are stored as integers of units, below 2^16


def shown_positions(lineage: Lineage, view: View, tree: Tree) -> dict[str, NDArray[np.generic]]:
    """Return track, label and position of all objects, and the start of each frame."""
    found = lineage.detections
    bounds = np.searchsorted(found.frame, [view.frames, view.frames + 1])
    rows = np.concatenate([np.arange(first, stop) for first, stop in bounds.T])
    places = np.rint(view.place(found.centroid[rows]) * UNITS_PER_PIXEL)
    return {
        "object_start": np.cumsum([0, *(bounds[1] - bounds[0])]).astype(np.uint32),
        "object_track": tree.row_of_id[lineage.tracklet_id[rows]].astype(np.uint32),
        "object_label": found.label[rows].astype(np.float64),  # exact up to 2^53
        "object_x": places[:, 0].astype(np.uint16),
        "object_y": places[:, 1].astype(np.uint16),
    }
