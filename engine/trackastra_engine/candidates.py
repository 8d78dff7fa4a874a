"""Stage 6: the plausible edges, from which a linker chooses."""

from dataclasses import dataclass

import numpy as np

from trackastra_engine.detections import Detections, FloatArray, IntArray
from trackastra_engine.edges import Edges

MAX_NEIGHBORS = 10  # scored targets that a source keeps, as upstream (model_api.py)


@dataclass(frozen=True, slots=True, eq=False)
class CandidateGraph:
    """Detections and the edges that a linker may keep."""

    detections: Detections
    edges: Edges

    @property
    def n_missed(self) -> IntArray:
        """Return the number of frames (E,) that each edge passes over."""
        frame = self.detections.frame
        missed: IntArray = frame[self.edges.target] - frame[self.edges.source] - 1
        return missed

    def lengths(self, proportions: FloatArray | None = None) -> FloatArray:
        """Return the length (E,) of each edge in pixels of x; see `voxels.proportions`."""
        centroid = self.detections.centroid
        step = centroid[self.edges.target] - centroid[self.edges.source]
        if proportions is not None:
            step = step * proportions
        return np.asarray(np.linalg.norm(step, axis=1))


def candidate_graph(
    detections: Detections,
    edges: Edges,
    *,
    max_distance: float | None = None,
    proportions: FloatArray | None = None,
) -> CandidateGraph:
    """Return the graph in which each source keeps its nearest scored targets in each later frame.

    max_distance: longest edge in pixels of x; None leaves the limit to the model's own reach;
    proportions: (D,) of a voxel, see voxels.py. As upstream's `build_graph` (tracking.py).
    """
    distance = CandidateGraph(detections, edges).lengths(proportions)
    if max_distance is not None:
        is_near = np.flatnonzero(distance <= max_distance)
        edges, distance = edges.rows(is_near), distance[is_near]
    frame = detections.frame[edges.target]
    order = np.lexsort((distance, frame, edges.source))
    starts = np.diff(edges.source[order], prepend=-1) | np.diff(frame[order], prepend=-1)
    place = np.arange(len(order))
    rank = place - np.maximum.accumulate(np.where(starts, place, 0))
    return CandidateGraph(detections, edges.rows(order[rank < MAX_NEIGHBORS]))
