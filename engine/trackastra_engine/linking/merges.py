"""Discount the false division of two cells that are segmented as one object for a frame.

The second cell ends where it merges, and when the two separate, the merged object seems to divide.
If links over gaps are allowed, one of them joins the second cell before and after: then the
division is unlikely, with any linker.
"""

import numpy as np

from trackastra_engine.linking.candidates import CandidateGraph
from trackastra_engine.model.edges import Edges

# Probability of a merge from which a division is discounted. Of the values tried on training
# and validation parts of five real data sets, as they are and with 2 % of the objects merged, it is
# the least at which division F1 falls on none; CHOTA falls on one, by 0.00004.
MIN_MERGED = 0.6
MIN_CHILD_SCORE = 0.1  # lower scores are no evidence of a merge


def discount_merges(graph: CandidateGraph) -> CandidateGraph:
    """Return the graph with a lower score of the edge by which a merged object seems to divide.

    An object is merged if it has a second child and one of its children is a cell that had ended
    before. The other child is the object itself, so only the edge to the child that most likely
    had ended changes: its score is multiplied by the probability that no cell was merged.
    """
    edges, n_missed, n_detections = graph.edges, graph.n_missed, len(graph.detections)
    is_step = n_missed == 0
    n_children = np.bincount(edges.source, edges.score * is_step, minlength=n_detections)
    ended = np.maximum(0, 1 - n_children)
    second_child = np.clip(n_children - 1, 0, 1)
    comes_back = np.bincount(
        edges.target, edges.score * ended[edges.source] * ~is_step, minlength=n_detections
    )
    is_child = is_step & (edges.score > MIN_CHILD_SCORE)
    returns = np.minimum(comes_back, 1)[edges.target] * is_child
    # If two cells are equally likely to be the merged object, each ended with half the
    # probability: the sum counts.
    n_returned = np.bincount(edges.source, returns, minlength=n_detections)
    is_merged = second_child * np.minimum(n_returned, 1)
    rows = np.flatnonzero(is_child & (is_merged[edges.source] >= MIN_MERGED))
    likeliest = returns[rows] * edges.score[rows]
    rows = rows[np.lexsort((-likeliest, edges.source[rows]))]
    source, place = np.unique(edges.source[rows], return_index=True)
    score = edges.score.copy()
    score[rows[place]] *= 1 - is_merged[source]
    return CandidateGraph(graph.detections, Edges(edges.source, edges.target, score))
