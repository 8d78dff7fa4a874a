"""Greedy linking: the best edges first (paper, section 1.4)."""

import numpy as np

from trackastra_engine.detection.detections import IntArray
from trackastra_engine.kernels.links import accept_greedily
from trackastra_engine.linking.candidates import CandidateGraph
from trackastra_engine.linking.costs import MISSED_FRAME

MIN_LINK_SCORE = 0.5  # the paper's theta


def choose_greedily(
    graph: CandidateGraph,
    *,
    divisions: bool = True,
    min_link_score: float = MIN_LINK_SCORE,
    min_division_score: float = MIN_LINK_SCORE,
) -> IntArray:
    """Return the rows of the best edges, ascending: at most one parent and two children each.

    Given edges are always chosen, and count as children.
    divisions: whether two children are allowed; min_link_score, min_division_score: smallest score
    of the first child, and of the second. The score of an edge over a gap is reduced by
    MISSED_FRAME for each frame that it skips.
    """
    # Most candidates have too low a score even without a gap.
    is_likely = graph.edges.score >= min_link_score
    is_likely[graph.given] = False
    tried = np.flatnonzero(is_likely)
    edges, frame = graph.edges, graph.detections.frame
    n_missed = frame[edges.target[tried]] - frame[edges.source[tried]] - 1
    merit = edges.score[tried] - MISSED_FRAME * n_missed
    # Equal scores keep the order of the candidate graph, as in upstream's stable sort.
    order = np.argsort(-merit, kind="stable")
    tried, merit = tried[order], merit[order]
    n_tried = int(np.searchsorted(-merit, -min_link_score, side="right"))
    tried, accepted = tried[:n_tried], np.zeros(n_tried, bool)
    accept_greedily(
        tried,
        edges.source,
        edges.target,
        np.bincount(edges.source[graph.given], minlength=len(frame)),
        np.zeros(len(frame), bool),
        1 + (divisions & (merit[:n_tried] >= min_division_score)),
        accepted,
    )
    return np.sort(np.append(tried[accepted], graph.given))
