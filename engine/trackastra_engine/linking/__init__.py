"""Stage 7: linkers, which choose the edges of a candidate graph that form a lineage."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from trackastra_engine.candidates import CandidateGraph
from trackastra_engine.detections import IntArray
from trackastra_engine.errors import InputError
from trackastra_engine.lineage import Lineage, build_lineage
from trackastra_engine.linking.assignment import LapCosts, choose_by_assignment
from trackastra_engine.linking.costs import LinkCosts
from trackastra_engine.linking.greedy import MIN_LINK_SCORE, choose_greedily
from trackastra_engine.linking.ilp import TIME_LIMIT_S, choose_optimally, is_separable

MODES = ("greedy", "greedy_nodiv", "ilp", "ilp_nodiv", "lap")
DEFAULT_COSTS = LinkCosts()


@dataclass(frozen=True, slots=True)
class Linker:
    """A way to choose links, with its options."""

    choose: Callable[[CandidateGraph], IntArray]  # rows of the edges to keep, ascending
    # Whether the links between two neighbouring frames depend on the edges between these two
    # alone. Then `choose` may be given the movie pair by pair, and finds the same links.
    is_separable: bool

    def __call__(self, graph: CandidateGraph) -> Lineage:
        """Return the lineage of the chosen links."""
        return build_lineage(graph.detections, graph.edges.rows(self.choose(graph)))


def linker(
    mode: str,
    *,
    max_gap: int = 1,
    min_division_score: float | None = None,
    costs: LinkCosts = DEFAULT_COSTS,
    time_limit_s: float = TIME_LIMIT_S,
) -> Linker:
    """Return the linker of that name, one of MODES.

    max_gap: frames from the source to the target of the longest candidate edges;
    min_division_score: what a second child needs, by default 0.5, and with "ilp" what makes the
    division pay; costs and time_limit_s: of "ilp" and "ilp_nodiv".

    Raises InputError if there is no such linker.
    """
    if mode not in MODES:
        raise InputError(f"there is no linker {mode!r}; choose one of {', '.join(MODES)}")
    divisions = not mode.endswith("_nodiv")
    if mode.startswith("ilp"):
        if min_division_score is not None:
            costs = costs.with_min_division_score(min_division_score)
        choose = partial(
            choose_optimally, costs=costs, divisions=divisions, time_limit_s=time_limit_s
        )
        return Linker(choose, max_gap == 1 and is_separable(costs, divisions))
    score = MIN_LINK_SCORE if min_division_score is None else min_division_score
    if mode == "lap":
        return Linker(partial(choose_by_assignment, costs=LapCosts(split=1 - score)), False)
    choose = partial(choose_greedily, divisions=divisions, min_division_score=score)
    return Linker(choose, max_gap == 1)
