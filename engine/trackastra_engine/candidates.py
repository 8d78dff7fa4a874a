"""Stage 6: the plausible edges, from which a linker chooses."""

from dataclasses import dataclass

import numpy as np

from trackastra_engine.detections import Detections
from trackastra_engine.edges import Edges

MAX_NEIGHBORS = 10  # scored targets that a source keeps, as upstream (model_api.py)


@dataclass(frozen=True, slots=True, eq=False)
class CandidateGraph:
    """Detections and the edges that a linker may keep."""

    detections: Detections
    edges: Edges


def candidate_graph(
    detections: Detections, edges: Edges, *, max_distance: float | None = None
) -> CandidateGraph:
    """Return the graph in which each source keeps its nearest scored targets.

    max_distance: longest edge in pixels; None leaves the limit to the model's own reach.
    As upstream's `build_graph` (tracking.py).
    """
    step = detections.centroid[edges.target] - detections.centroid[edges.source]
    distance = np.linalg.norm(step, axis=1)
    if max_distance is not None:
        is_near = np.flatnonzero(distance <= max_distance)
        edges, distance = edges.rows(is_near), distance[is_near]
    order = np.lexsort((distance, edges.source))
    source = edges.source[order]
    rank = np.arange(len(source)) - np.searchsorted(source, source)
    return CandidateGraph(detections, edges.rows(order[rank < MAX_NEIGHBORS]))
