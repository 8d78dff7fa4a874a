"""Two cells seen as one for a frame, which looks like an end and a division in the same place.

The second cell ends where it merges, and when the two part, the merged object seems to divide. If
links over gaps are allowed, one of them says that the cell is the same: then the division is
unlikely, whichever way links are chosen.
"""

import numpy as np

from trackastra_engine.linking.candidates import CandidateGraph
from trackastra_engine.model.edges import Edges


def discount_merges(graph: CandidateGraph) -> CandidateGraph:
    """Return the graph with lower scores of edges by which a merged object seems to divide.

    The score of an edge to the next frame is multiplied by the probability that no cell was merged
    there: that not at once its source has more than one child, and its target is likelier a cell
    that had ended before.
    """
    edges, n_missed, n_detections = graph.edges, graph.n_missed, len(graph.detections)
    is_step = n_missed == 0
    n_children = np.bincount(edges.source, edges.score * is_step, minlength=n_detections)
    ended = np.maximum(0, 1 - n_children)
    second_child = np.clip(n_children - 1, 0, 1)
    comes_back = np.bincount(
        edges.target, edges.score * ended[edges.source] * ~is_step, minlength=n_detections
    )
    is_merge = second_child[edges.source] * np.minimum(comes_back, 1)[edges.target]
    score = np.where(is_step, edges.score * (1 - is_merge), edges.score)
    return CandidateGraph(graph.detections, Edges(edges.source, edges.target, score))
