"""The least certain links of a result, for a person to look at."""

from dataclasses import dataclass, replace
from heapq import nsmallest

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.detection.detections import (
    Detections,
    FloatArray,
    IntArray,
    find_rows,
)
from trackastra_engine.linking import Linker
from trackastra_engine.linking.candidates import CandidateGraph
from trackastra_engine.linking.corrections import Place
from trackastra_engine.linking.lineage import Lineage

MAX_LINKS = 200  # more than a person reviews, and a limit of the memory
ROUNDING = 1e-9  # of certainties, larger than the rounding of sums in another order


@dataclass(frozen=True, slots=True)
class DoubtfulLink:
    """The link of a detection to an earlier one, or to none, and its alternatives."""

    target: Place
    source: Place | None
    score: float  # of the link; without one, the probability that there is none
    certainty: float  # the score less that of the best alternative, -1 to 1
    alternatives: tuple[tuple[Place | None, float], ...]  # the best first


class Review:
    """Stores the least certain links of those that a linker chooses.

    The scores of candidate edges from one frame to a detection are the probabilities of its
    sources (paper, eq. 5). Their difference to 1 is the probability of no source, also an
    alternative.
    """

    def __init__(self) -> None:
        self.links: list[DoubtfulLink] = []  # the least certain first

    def watch(self, link: Linker) -> Linker:
        """Return the same linker, whose choices are reviewed."""

        def choose(graph: CandidateGraph) -> IntArray:
            chosen = link.choose(graph)
            self._see(graph, chosen)
            return chosen

        return replace(link, choose=choose)

    def links_in(self, lineage: Lineage) -> list[DoubtfulLink]:
        """Return the links that are still in a lineage, see `links_left`."""
        return links_left(self.links, lineage)

    def _see(self, graph: CandidateGraph, chosen: IntArray) -> None:
        n_missed = np.zeros(len(graph.detections), np.int64)
        n_missed[graph.edges.target[chosen]] = graph.n_missed[chosen]
        # A source two frames earlier and one between may both be right: they are no alternatives.
        is_rival = graph.n_missed == n_missed[graph.edges.target]
        is_rival[graph.given] = False  # already decided
        rivals = np.flatnonzero(is_rival)
        order = rivals[np.lexsort((-graph.edges.score[rivals], graph.edges.target[rivals]))]
        edges, is_chosen = graph.edges.rows(order), np.isin(order, chosen)
        if len(edges) == 0:
            return
        bounds = np.append(np.flatnonzero(np.diff(edges.target, prepend=-1)), len(edges))
        certainty = _certainty(edges.score, is_chosen, bounds[:-1])
        limit = self.links[-1].certainty if len(self.links) == MAX_LINKS else np.inf
        if len(certainty) > MAX_LINKS:  # describing all of them is slower than linking
            limit = min(limit, float(np.partition(certainty, MAX_LINKS - 1)[MAX_LINKS - 1]))
        found = []
        for group in np.flatnonzero(certainty <= limit + ROUNDING).tolist():
            rows = slice(*bounds[group : group + 2].tolist())
            sources = edges.source[rows], edges.score[rows], is_chosen[rows]
            found.append(_described(graph.detections, int(edges.target[rows.start]), *sources))
        self.links = nsmallest(
            MAX_LINKS, self.links + found, key=lambda link: (link.certainty, link.target)
        )


def links_left(links: list[DoubtfulLink], lineage: Lineage) -> list[DoubtfulLink]:
    """Return the links without those that were undone, and those of tracks that were dropped."""
    targets = np.array([link.target for link in links], np.int64).reshape(-1, 2)
    rows = find_rows(lineage.detections, targets)
    has_parent = np.zeros(len(lineage.detections), bool)
    has_parent[lineage.edges.target] = True
    return [
        link
        for link, row in zip(links, rows.tolist(), strict=True)
        if row >= 0 and (has_parent[row] or link.source is None)
    ]


def _certainty(score: FloatArray, is_chosen: NDArray[np.bool_], starts: IntArray) -> FloatArray:
    """Return, for each target, the probability of its choice less that of the best alternative."""
    none = np.maximum(0, 1 - np.add.reduceat(score, starts))
    chosen = np.maximum.reduceat(np.where(is_chosen, score, -1), starts)
    other = np.maximum.reduceat(np.where(is_chosen, -1, score), starts)
    certainty: FloatArray = np.where(chosen < 0, none - other, chosen - np.maximum(other, none))
    return certainty


def _described(
    detections: Detections,
    target: int,
    source: IntArray,
    score: FloatArray,
    is_chosen: NDArray[np.bool_],
) -> DoubtfulLink:
    """Return the link to a target, given its candidate sources, the best first."""

    def place(row: int) -> Place:
        return int(detections.frame[row]), int(detections.label[row])

    choices: list[tuple[Place | None, float, bool]] = [
        (place(row), probability, chosen)
        for row, probability, chosen in zip(
            source.tolist(), score.tolist(), is_chosen.tolist(), strict=True
        )
    ]
    choices.append((None, max(0.0, 1 - float(score.sum())), not is_chosen.any()))
    ((own, own_score, _),) = (choice for choice in choices if choice[2])
    others = sorted(
        ((place, probability) for place, probability, chosen in choices if not chosen),
        key=lambda other: -other[1],
    )
    return DoubtfulLink(place(target), own, own_score, own_score - others[0][1], tuple(others))
