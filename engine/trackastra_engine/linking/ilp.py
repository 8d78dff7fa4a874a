"""Optimal linking: the lineage with the lowest cost (upstream's "ilp").

With all presets the best lineage is an assignment: every detection is assigned to a parent, or to
itself if it is excluded. If divisions are cheaper than an assignment can express, HiGHS solves an
integer program. Both methods are exact.
"""

import logging

import numpy as np

from trackastra_engine.detection.detections import IntArray
from trackastra_engine.linking.bipartite import best_matching
from trackastra_engine.linking.candidates import CandidateGraph
from trackastra_engine.linking.costs import LinkCosts, PricedGraph
from trackastra_engine.linking.lineage import Lineage

logger = logging.getLogger(__name__)

TIME_LIMIT_S = 300.0
DEFAULT_COSTS = LinkCosts()
FORCE = 4.0  # gains that a given edge can replace: of two edges, and of two excluded detections


def choose_optimally(
    graph: CandidateGraph,
    *,
    costs: LinkCosts = DEFAULT_COSTS,
    divisions: bool = True,
    time_limit_s: float = TIME_LIMIT_S,
) -> IntArray:
    """Return the rows of the edges, ascending, of the lineage with the lowest cost.

    divisions: whether two children are allowed; time_limit_s: after which the best lineage so far
    is returned with a warning (never needed where `is_assignment`). An excluded detection has no
    edges: it stays in the lineage, as a tracklet of one frame. Given edges are always chosen, and
    the cost is the lowest of all lineages with them.
    """
    priced = costs.price(graph)
    kept = _assign(priced, costs, divisions)
    if is_assignment(costs, divisions):
        return kept
    # With scipy.sparse: 0.2 s.
    from trackastra_engine.linking.integer_program import solve_by_components

    return solve_by_components(priced, costs, kept, divisions=divisions, time_limit_s=time_limit_s)


def is_assignment(costs: LinkCosts, divisions: bool) -> bool:
    """Return whether an assignment of children to parents finds the best lineage.

    The gain of a parent's second child must not exceed that of its first. Excluding a parent (which
    is then its own first child) that still has a second child must never lower the cost; if an
    appearance costs no more than a division, making that child its first is as cheap.
    """
    taken = costs.detection + max(costs.appear, 0)  # none in the first frame appears
    may_exclude_parents = taken + max(costs.disappear, 0) > 0 and taken > costs.split
    return not divisions or (costs.second_child >= 0 and not may_exclude_parents)


def is_separable(costs: LinkCosts, divisions: bool) -> bool:
    """Return whether links of one frame pair never depend on those of another.

    Without gaps two frame pairs share detections only, as targets of one and as sources of the
    other: they are separate unless a detection, with its edges on both sides, may be excluded.
    """
    may_exclude = costs.detection + max(costs.appear, 0) + max(costs.disappear, 0) > 0
    return is_assignment(costs, divisions) and not may_exclude


def lineage_cost(lineage: Lineage, costs: LinkCosts) -> float:
    """Return the cost of a lineage; detections without edges are excluded if that is cheaper."""
    edges, n_detections = lineage.edges, len(lineage.detections)
    priced = costs.price(CandidateGraph(lineage.detections, edges))
    n_children = np.bincount(edges.source, minlength=n_detections)
    n_parents = np.bincount(edges.target, minlength=n_detections)
    linked = (
        priced.detection
        - costs.appear * n_parents
        - costs.disappear * (n_children > 0)
        + costs.split * (n_children == 2)
    )
    is_single = n_children + n_parents == 0
    detections = np.where(is_single, np.minimum(priced.detection, 0), linked)
    return float(priced.edge.sum() + detections.sum())


def _assign(priced: PricedGraph, costs: LinkCosts, divisions: bool) -> IntArray:
    """Return the rows of the edges of the best lineage, if the costs are those of an assignment.

    The first child of a parent saves its disappearance, the second costs a division. An edge from a
    detection to itself means that it is excluded, and prevents other edges to and from it. A given
    edge gains more than all edges together that could replace it.
    """
    gain, is_given = costs.appear - priced.edge, priced.is_given
    source, target = priced.edges.source, priced.edges.target
    is_excludable = priced.detection > 0
    is_excludable[source[is_given]] = is_excludable[target[is_given]] = False
    excludable = np.flatnonzero(is_excludable)
    source, target = np.concatenate([source, excludable]), np.concatenate([target, excludable])
    gain = np.concatenate([gain, priced.detection[excludable] - costs.disappear])
    slots = (costs.disappear, min(-costs.split, costs.disappear))
    given = np.flatnonzero(is_given)
    gain[given] = FORCE * (1 + np.abs(gain).max(initial=0) + np.abs(slots).max())
    chosen = best_matching(source, target, gain, slots if divisions else slots[:1])
    # Without divisions, a given division has two edges for one slot.
    return np.union1d(chosen[chosen < len(priced.edges)], given)
