"""Greedy linking: the best edges first (paper, section 1.4)."""

import numpy as np

from trackastra_engine import kernels
from trackastra_engine.candidates import CandidateGraph
from trackastra_engine.lineage import Lineage, build_lineage

MIN_LINK_SCORE = 0.5  # the paper's theta


def link_greedily(graph: CandidateGraph) -> Lineage:
    """Return the lineage of the best edges, with at most one parent and two children each."""
    return _link(graph, max_children=2)


def link_greedily_without_divisions(graph: CandidateGraph) -> Lineage:
    """Return the lineage of the best edges, with at most one parent and one child each."""
    return _link(graph, max_children=1)


def _link(graph: CandidateGraph, max_children: int) -> Lineage:
    edges, n_detections = graph.edges, len(graph.detections)
    # Equal scores keep the order of the candidate graph, as in upstream's stable sort.
    order = np.argsort(-edges.score, kind="stable")
    order = order[edges.score[order] >= MIN_LINK_SCORE]
    accepted = np.zeros(len(edges), bool)
    kernels.accept_greedily(
        order,
        edges.source,
        edges.target,
        np.zeros(n_detections, np.int64),
        np.zeros(n_detections, bool),
        max_children,
        accepted,
    )
    return build_lineage(graph.detections, edges.rows(np.flatnonzero(accepted)))
