"""Discount the false division of two cells that are segmented as one object for a frame.

The second cell ends where it merges, and when the two separate, the merged object seems to divide.
If links over gaps are allowed, one of them joins the second cell before and after: then the
division is unlikely, with any linker.
"""

import numpy as np

from trackastra_engine.detection.detections import FloatArray
from trackastra_engine.kernels.links import sum_returns
from trackastra_engine.linking.candidates import CandidateGraph
from trackastra_engine.model.edges import Edges

# Probability of a merge from which a division is discounted. It and the next were tried on training
# and validation parts of five real data sets, as they are and with errors in the masks.
MIN_MERGED = 0.6
# Share of merges among apparent divisions at which the scores are right. Of 0.05, 0.1, 0.15 and
# 0.25, tried on the same movies, it has the highest mean division F1 and CHOTA.
USUAL_SHARE = 0.1
PRIOR_DIVISIONS = 10  # weight of the usual share, in divisions
MIN_SECOND_CHILD = 0.5  # probability of a second child from which an object seems to divide
MIN_CHILD_SCORE = 0.1  # lower scores are no evidence of a merge
MAX_STEPS, TOLERANCE = 200, 1e-6  # of the expectation-maximisation


def discount_merges(graph: CandidateGraph) -> CandidateGraph:
    """Return the graph with a lower score of the edge by which a merged object seems to divide.

    An object is merged if it has a second child and one of its children is a cell that had ended
    before. The other child is the object itself, so only the edge to the child that most likely
    had ended changes: its score is multiplied by the probability that no cell was merged, at the
    movie's share of merges.
    """
    edges, frame = graph.edges, graph.detections.frame
    n_children, comes_back, n_returned = np.zeros((3, len(frame)))
    # If two cells are equally likely to be the merged object, each ended with half the
    # probability: the sum counts.
    ends, sums = (edges.source, edges.target), (n_children, comes_back, n_returned)
    sum_returns(*ends, frame, np.asarray(edges.score, float), MIN_CHILD_SCORE, *sums)
    second_child = np.clip(n_children - 1, 0, 1)
    is_merged = np.asarray(second_child * np.minimum(n_returned, 1), np.float64)
    seems_to_divide = np.flatnonzero(second_child > MIN_SECOND_CHILD)
    is_merged[seems_to_divide] = with_share_of_movie(is_merged[seems_to_divide])
    rows = np.flatnonzero((is_merged >= MIN_MERGED)[edges.source])
    is_step = frame[edges.target[rows]] - frame[edges.source[rows]] == 1
    rows = rows[is_step & (edges.score[rows] > MIN_CHILD_SCORE)]
    likeliest = np.minimum(comes_back[edges.target[rows]], 1) * edges.score[rows]
    rows = rows[np.lexsort((-likeliest, edges.source[rows]))]
    source, place = np.unique(edges.source[rows], return_index=True)
    score = edges.score.copy()
    score[rows[place]] *= 1 - is_merged[source]
    return CandidateGraph(graph.detections, Edges(edges.source, edges.target, score))


def with_share_of_movie(probability: FloatArray) -> FloatArray:
    """Return the probabilities (K,) of merges among K apparent divisions for the movie's share.

    The share is their mean, by expectation-maximisation as in rates.py.
    """
    share, changed, usual = USUAL_SHARE, probability, USUAL_SHARE * PRIOR_DIVISIONS
    for _ in range(MAX_STEPS):
        before = share
        merged = probability * share / USUAL_SHARE
        other = (1 - probability) * (1 - share) / (1 - USUAL_SHARE)
        changed = merged / (merged + other)
        share = float(changed.sum() + usual) / (len(changed) + PRIOR_DIVISIONS)
        if abs(share - before) < TOLERANCE:
            break
    return changed
