"""Build a candidate graph of scored edges, and choose a lineage from it.

`candidates.py` builds the graph and `lineage.py` the lineage; this module defines the linkers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from trackastra_engine.detection.detections import IntArray
from trackastra_engine.errors import InputError
from trackastra_engine.linking.candidates import CandidateGraph
from trackastra_engine.linking.costs import (
    DIVISION_SCORE,
    LINK_PROBABILITY,
    LinkCosts,
    usual_costs,
)
from trackastra_engine.linking.greedy import MIN_LINK_SCORE, choose_greedily
from trackastra_engine.linking.ilp import TIME_LIMIT_S, choose_optimally, is_separable
from trackastra_engine.linking.lap import LapCosts, choose_by_assignment
from trackastra_engine.linking.lineage import Lineage, build_lineage

MODES = ("greedy", "greedy_nodiv", "ilp", "ilp_nodiv", "lap")


@dataclass(frozen=True, slots=True)
class Linker:
    """A way to choose links, with its options; see `linker`.

    Parameters
    ----------
    choose : callable
        Function of a `CandidateGraph` that returns the rows of the edges to keep, ascending.
    is_pairwise : bool
        Whether links between two neighbouring frames depend only on the edges between them, if
        there are no links over gaps.
    max_gap : int
        Frames from the source to the target of the longest edges.

    Examples
    --------
    >>> every = Linker(lambda graph: np.arange(len(graph.edges)), is_pairwise=True)
    >>> len(every(CandidateGraph(lineage.detections, lineage.edges)).edges)
    13
    """

    choose: Callable[[CandidateGraph], IntArray]  # rows of the edges to keep, ascending
    is_pairwise: bool
    max_gap: int = 1

    @property
    def is_separable(self) -> bool:
        """Return whether `choose` finds the same links if it is called for each pair of frames."""
        return self.is_pairwise and self.max_gap == 1

    def __call__(self, graph: CandidateGraph) -> Lineage:
        """Return the lineage of the chosen links."""
        return build_lineage(graph.detections, graph.edges.rows(self.choose(graph)))


def linker(
    mode: str,
    *,
    max_gap: int = 1,
    probabilities: bool = False,
    min_division_score: float | None = None,
    costs: LinkCosts | None = None,
    time_limit_s: float | None = None,
) -> Linker:
    """Return the linker with a name.

    Parameters
    ----------
    mode : str
        One of `MODES`.
    max_gap : int
        Frames from the source to the target of the longest links: 1 for neighbouring frames, 2
        for links over one frame in which a cell was missed, too, as usual with the embedded models.
    probabilities : bool
        Whether scores are probabilities (`ModelSpec.scores_are_probabilities`), of which
        "greedy" and "ilp" accept 0.3 and more; otherwise they are upstream's scores.
    min_division_score : float, optional
        Smallest score of a second child, by default 0.5; with "ilp" the score from which a
        division lowers the cost.
    costs : LinkCosts, optional
        For "ilp" and "ilp_nodiv"; by default `PROBABILITIES` for probabilities, otherwise "gt".
    time_limit_s : float, optional
        Limit in seconds for "ilp" and "ilp_nodiv".

    Returns
    -------
    Linker

    Raises
    ------
    InputError
        If there is no such linker, or it does not have an option.

    Examples
    --------
    >>> tracker = Tracker.load("general_2d", mode=linker("greedy", max_gap=2, probabilities=True))
    >>> tracker.track(images, masks).n_divisions
    1
    """
    if mode not in MODES:
        raise InputError(f"there is no linker {mode!r}; choose one of {', '.join(MODES)}")
    divisions = not mode.endswith("_nodiv")
    link_score = LINK_PROBABILITY if probabilities else MIN_LINK_SCORE
    if min_division_score is not None:
        _check_division_score(min_division_score, mode, link_score)
    if mode.startswith("ilp"):
        costs = costs or usual_costs(probabilities=probabilities)
        if min_division_score is not None:
            costs = costs.with_min_division_score(min_division_score)
        limit = TIME_LIMIT_S if time_limit_s is None else time_limit_s
        if not limit >= 0:
            raise InputError(f"the time limit is {limit} s; give 0 or more")
        choose = partial(choose_optimally, costs=costs, divisions=divisions, time_limit_s=limit)
        return Linker(choose, is_separable(costs, divisions), max_gap)
    if costs is not None or time_limit_s is not None:
        raise InputError(
            f"costs and a time limit are for the linkers ilp and ilp_nodiv, not {mode}; omit them"
        )
    score = DIVISION_SCORE if min_division_score is None else min_division_score
    if mode == "lap":
        choose = partial(choose_by_assignment, costs=LapCosts(split=1 - score))
        return Linker(choose, is_pairwise=False, max_gap=max_gap)
    choose = partial(
        choose_greedily, divisions=divisions, min_link_score=link_score, min_division_score=score
    )
    return Linker(choose, is_pairwise=True, max_gap=max_gap)


def _check_division_score(score: float, mode: str, link_score: float) -> None:
    if mode.endswith("_nodiv"):
        raise InputError(f"the linker {mode} makes no divisions; omit the score for divisions")
    least = link_score if mode == "greedy" else 0  # greedy linking accepts no lower scores
    if not least <= score <= 1:
        raise InputError(
            f"the smallest score of a division is {score}; give a number from {least:g} to 1"
        )
