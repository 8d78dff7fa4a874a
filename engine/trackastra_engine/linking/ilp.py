"""Optimal linking: the lineage with the lowest cost (upstream's "ilp").

Under all of upstream's costs the best lineage is an assignment: every detection is given a parent,
or refused by being given itself. Costs that make divisions cheaper than that can express go to
HiGHS. Both ways are exact.
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
FORCE = 4.0  # gains that one place is worth at most: of two edges, and of the two refused with them


def choose_optimally(
    graph: CandidateGraph,
    *,
    costs: LinkCosts = DEFAULT_COSTS,
    divisions: bool = True,
    time_limit_s: float = TIME_LIMIT_S,
) -> IntArray:
    """Return the rows of the edges, ascending, that make the lineage of lowest cost.

    divisions: whether two children are allowed; time_limit_s: after which the best lineage so far
    is returned with a warning (never needed where `is_assignment`). A refused detection has no
    edges: it stays in the lineage, as a tracklet of one frame. Edges that are given are kept, and
    the cost is the lowest of all lineages with them.
    """
    priced = costs.price(graph)
    kept = _assign(priced, costs, divisions)
    if is_assignment(costs, divisions):
        return kept
    from trackastra_engine.linking.integer_program import (
        solve_by_components,  # with scipy.sparse: 0.2 s
    )

    return solve_by_components(priced, costs, kept, divisions=divisions, time_limit_s=time_limit_s)


def is_assignment(costs: LinkCosts, divisions: bool) -> bool:
    """Return whether an assignment of children to parents finds the best lineage.

    A parent's second child must not bring more than its first, and refusing a parent (whose
    first place is then taken by itself) while it keeps a child in its second place must never
    pay; if appearing costs no more than dividing, making the child its first is as cheap.
    """
    taken = costs.detection + max(costs.appear, 0)  # none in the first frame appears
    may_refuse_parents = taken + max(costs.disappear, 0) > 0 and taken > costs.split
    return not divisions or (costs.second_child >= 0 and not may_refuse_parents)


def is_separable(costs: LinkCosts, divisions: bool) -> bool:
    """Return whether links of one frame pair never depend on those of another.

    Without gaps two frame pairs share detections only, as targets of one and as sources of the
    other: they are separate unless a detection may be refused, and with it the edges on both sides.
    """
    may_refuse = costs.detection + max(costs.appear, 0) + max(costs.disappear, 0) > 0
    return is_assignment(costs, divisions) and not may_refuse


def lineage_cost(lineage: Lineage, costs: LinkCosts) -> float:
    """Return what a lineage costs; detections without edges are refused where that is cheaper."""
    edges, n_detections = lineage.edges, len(lineage.detections)
    priced = costs.price(CandidateGraph(lineage.detections, edges))
    n_children = np.bincount(edges.source, minlength=n_detections)
    n_parents = np.bincount(edges.target, minlength=n_detections)
    linked = (
        priced.alone
        - costs.appear * n_parents
        - costs.disappear * (n_children > 0)
        + costs.split * (n_children == 2)
    )
    is_alone = n_children + n_parents == 0
    detections = np.where(is_alone, np.minimum(priced.alone, 0), linked)
    return float(priced.edge.sum() + detections.sum())


def _assign(priced: PricedGraph, costs: LinkCosts, divisions: bool) -> IntArray:
    """Return the rows of the edges of the best lineage, if the costs are those of an assignment.

    Its first child saves a parent from disappearing, the second costs a division. An edge from a
    detection to itself stands for refusing it, which takes both its places as parent and as child.
    Edges that are given gain more than any others can together that would take their places.
    """
    gain, is_given = costs.appear - priced.edge, priced.is_given
    source, target = priced.edges.source, priced.edges.target
    is_refusable = priced.alone > 0
    is_refusable[source[is_given]] = is_refusable[target[is_given]] = False
    refusable = np.flatnonzero(is_refusable)
    source, target = np.concatenate([source, refusable]), np.concatenate([target, refusable])
    gain = np.concatenate([gain, priced.alone[refusable] - costs.disappear])
    slots = (costs.disappear, min(-costs.split, costs.disappear))
    given = np.flatnonzero(is_given)
    gain[given] = FORCE * (1 + np.abs(gain).max(initial=0) + np.abs(slots).max())
    chosen = best_matching(source, target, gain, slots if divisions else slots[:1])
    # Without divisions, a given one has two edges for one place.
    return np.union1d(chosen[chosen < len(priced.edges)], given)
