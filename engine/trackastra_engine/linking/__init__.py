"""Stage 7: linkers, which choose the edges of a candidate graph that form a lineage."""

from collections.abc import Callable

from trackastra_engine.candidates import CandidateGraph
from trackastra_engine.errors import InputError
from trackastra_engine.lineage import Lineage
from trackastra_engine.linking.assignment import link_by_assignment
from trackastra_engine.linking.greedy import link_greedily, link_greedily_without_divisions
from trackastra_engine.linking.ilp import link_optimally, link_optimally_without_divisions

Linker = Callable[[CandidateGraph], Lineage]

LINKERS: dict[str, Linker] = {
    "greedy": link_greedily,
    "greedy_nodiv": link_greedily_without_divisions,
    "ilp": link_optimally,
    "ilp_nodiv": link_optimally_without_divisions,
    "lap": link_by_assignment,
}


def linker(mode: str) -> Linker:
    """Return the linker of that name; raises InputError if there is none."""
    if mode not in LINKERS:
        raise InputError(f"there is no linker {mode!r}; choose one of {', '.join(LINKERS)}")
    return LINKERS[mode]
