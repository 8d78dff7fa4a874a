"""Adapt scores to movies of one kind, with weights learned from the decisions of a person.

For each detection, the sources in one frame and "no parent" are the alternatives. A few weighted
terms are added to the logarithm of the probability of each; then the probabilities are normalised
again. With zero weights, scores do not change. `adaptation_fit.py` finds the weights.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.detection.detections import FloatArray, IntArray
from trackastra_engine.linking.candidates import CandidateGraph
from trackastra_engine.model.edges import Edges
from trackastra_engine.model.spec import Adaptation
from trackastra_engine.movie.voxels import mean_side

FLOOR = 1e-4  # of probabilities, before their logarithm
FARTHEST = 4.0  # diameters; larger distances are clipped to it
N_EDGE_TERMS, N_TERMS = 6, 8  # the first terms are of edges, the others of no parent


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Probabilities and terms of E edges, and of the G groups of alternatives with them."""

    group: IntArray  # (E,)
    edge: FloatArray  # (E,) probability
    none: FloatArray  # (G,) probability of no parent
    edge_terms: FloatArray  # (E, N_TERMS) the terms of no parent are 0
    none_terms: FloatArray  # (G, N_TERMS) the terms of edges are 0

    def shares(self, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the adapted probabilities of edges (E,) and of no parent (G,)."""
        edge = np.log(self.edge) + _weighted(self.edge_terms, weights)
        none = np.log(self.none) + _weighted(self.none_terms, weights)
        highest = none.copy()
        np.maximum.at(highest, self.group, edge)
        edge, none = np.exp(edge - highest[self.group]), np.exp(none - highest)
        total = none + np.bincount(self.group, edge, minlength=len(none))
        return edge / total[self.group], none / total

    def groups(self, chosen: IntArray) -> tuple["Evidence", IntArray]:
        """Return some groups (K,), in that order, and the rows of their edges."""
        number = np.full(len(self.none), -1)
        number[chosen] = np.arange(len(chosen))
        rows = np.flatnonzero(number[self.group] >= 0)
        part = Evidence(
            number[self.group[rows]],
            self.edge[rows],
            self.none[chosen],
            self.edge_terms[rows],
            self.none_terms[chosen],
        )
        return part, rows


def adapted(
    graph: CandidateGraph, adaptation: Adaptation, proportions: NDArray[np.float64]
) -> CandidateGraph:
    """Return the candidates with adapted scores.

    graph: all candidates from some frames; proportions: (D,) of a voxel, see voxels.proportions.
    """
    edges = graph.edges
    score = gather(graph, proportions).shares(np.array(adaptation.weights()))[0]
    return replace(graph, edges=Edges(edges.source, edges.target, score))


def gather(graph: CandidateGraph, proportions: NDArray[np.float64]) -> Evidence:
    """Return the evidence whose terms are multiplied by the weights of an Adaptation, in order.

    graph: of all edges from some frames; proportions: (D,) of a voxel.
    """
    edges, found = graph.edges, graph.detections
    n_missed = graph.n_missed.astype(np.int64)
    n_gaps = 1 + int(n_missed.max(initial=0))
    keys, group = np.unique(edges.target * np.int64(n_gaps) + n_missed, return_inverse=True)
    rival, is_best = _rivals(edges, edges.source * np.int64(n_gaps) + n_missed)
    diameter = found.features[:, 0] * mean_side(proportions)
    diameter = np.maximum(diameter, np.finfo(float).tiny)
    growth = np.log(diameter[edges.target] / diameter[edges.source])
    score = np.clip(edges.score, FLOOR, 1)
    none: FloatArray = np.clip(1 - np.bincount(group, edges.score, minlength=len(keys)), FLOOR, 1)
    terms = (
        *(np.log(score), ~is_best, rival),
        np.minimum(graph.lengths(proportions) / diameter[edges.target], FARTHEST),
        *(growth, np.abs(growth)),
    )
    edge_terms, none_terms = np.zeros((len(edges), N_TERMS)), np.zeros((len(keys), N_TERMS))
    edge_terms[:, :N_EDGE_TERMS] = np.column_stack(terms)
    none_terms[:, N_EDGE_TERMS:] = np.column_stack([np.ones(len(keys)), np.log(none)])
    return Evidence(group, score, none, edge_terms, none_terms)


def _weighted(terms: FloatArray, weights: FloatArray) -> FloatArray:
    """Return the weighted sum (E,) of terms, not as a product of matrices.

    The rounding of a product would depend on the number of edges, which is smaller online.
    """
    total: FloatArray = np.zeros(len(terms))
    for column, weight in zip(terms.T, weights.tolist(), strict=True):
        total += column * weight
    return total


def _rivals(edges: Edges, family: IntArray) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Return for each edge (E,) the best score of another one from its source, and if it is best.

    family: (E,) equal for edges from one source to one frame.
    """
    order = np.lexsort((-edges.score, family))
    is_first = np.diff(family[order], prepend=-1) != 0
    is_second = np.append(False, is_first[:-1]) & ~is_first
    place = np.cumsum(is_first) - 1  # of the family
    best, second = np.zeros((2, int(is_first.sum())))
    best[place[is_first]] = edges.score[order[is_first]]
    second[place[is_second]] = edges.score[order[is_second]]
    rival, is_best = np.empty(len(edges)), np.empty(len(edges), bool)
    rival[order] = np.where(is_first, second[place], best[place])
    is_best[order] = is_first
    return rival, is_best
