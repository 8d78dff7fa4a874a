"""Adapt the scores of a model to decisions by a small penalised fit, and test the result.

Each decision excludes alternatives: a given link all others, a rejected link itself. The weights
make the remaining ones likely. Two terms limit the weights: a penalty on their squares, and the
whole movie, in which each detection counts as one decision for the original scores. Without the
second term, decisions that only correct errors of the engine, as from editing tracks, reduced edge
F1 of other links by up to 0.06. The weights are useful if decisions that are left out are likelier
with weights that were fitted to the others, and more of them are likelier than their alternatives:
likelier decisions by themselves did not make better links.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.detection.detections import FloatArray, IntArray, find_rows
from trackastra_engine.errors import InputError
from trackastra_engine.linking.adaptation import N_TERMS, Evidence
from trackastra_engine.linking.candidates import CandidateGraph
from trackastra_engine.linking.corrections import OPEN, Corrections, are_among
from trackastra_engine.model.spec import Adaptation

BoolArray = NDArray[np.bool_]

# Of 1, 3, 10, 30 and 100, on the training and validation parts of four real data sets: the largest
# with at least nine tenths of the best mean gain in edge F1 of the second halves of the movies.
PENALTY = 3.0
MAX_ANCHORS = 10_000  # detections of a movie that limit the weights; the most in measurements
MIN_DECISIONS = 20
N_FOLDS = 5
MIN_GAIN = 2.0  # standard errors of the mean over the decisions: the usual 95 %
# Left-out decisions that become likelier than their alternatives, less those that no longer are.
# With 0, on training and validation parts of five real sets, second halves of movies got worse by
# up to 0.0054 in edge F1; with 1 or 2, no pair lost more than 0.0001, but with 1 another movie of
# the test parts lost 0.0061; with 3, no pair was left.
MIN_MORE_RIGHT = 2
EVEN = np.log(2)  # loss if all that is not excluded is as likely as the rest
SMALLEST = 1e-12  # probability


@dataclass(frozen=True, slots=True, eq=False)
class Decided:
    """Alternatives, of which some are excluded."""

    evidence: Evidence
    edge: BoolArray  # (E,) not excluded
    none: BoolArray  # (G,) no parent is not excluded

    def __len__(self) -> int:
        """Return the number of groups G."""
        return len(self.none)

    def groups(self, chosen: IntArray) -> "Decided":
        """Return some groups (K,), in that order."""
        part, rows = self.evidence.groups(chosen)
        return Decided(part, self.edge[rows], self.none[chosen])

    def losses(self, weights: FloatArray) -> FloatArray:
        """Return (G,) minus the logarithm of the probability of all that is not excluded."""
        edge, none = self.evidence.shares(weights)
        likely = np.bincount(self.evidence.group, edge * self.edge, minlength=len(self))
        losses: FloatArray = -np.log(np.maximum(likely + none * self.none, SMALLEST))
        return losses

    def gradient(self, weights: FloatArray) -> FloatArray:
        """Return the gradient (N_TERMS,) of the sum of the losses."""
        seen = self.evidence
        edge, none = seen.shares(weights)
        right = np.exp(-self.losses(weights))
        excess = edge * (1 - self.edge / right[seen.group]), none * (1 - self.none / right)
        gradient: FloatArray = excess[0] @ seen.edge_terms + excess[1] @ seen.none_terms
        return gradient


@dataclass(frozen=True, slots=True, eq=False)
class Anchor:
    """Groups whose probabilities should stay as the model gives them."""

    evidence: Evidence
    edge: FloatArray  # (E,) probabilities of the model
    none: FloatArray  # (G,)

    @classmethod
    def of(cls, evidence: Evidence) -> "Anchor":
        """Return the anchor of some groups."""
        return cls(evidence, *evidence.shares(np.zeros(N_TERMS)))

    def loss(self, weights: FloatArray) -> tuple[float, FloatArray]:
        """Return the cross-entropy, summed, and its gradient (N_TERMS,)."""
        edge, none = self.evidence.shares(weights)
        loss = -(self.edge @ np.log(edge + SMALLEST) + self.none @ np.log(none + SMALLEST))
        excess = (edge - self.edge) @ self.evidence.edge_terms
        gradient: FloatArray = excess + (none - self.none) @ self.evidence.none_terms
        return float(loss), gradient


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """Weights, and the effect of such weights on decisions that were left out of their fit."""

    adaptation: Adaptation
    n_decisions: int
    gain: float  # mean difference of losses, in nats
    error: float  # standard error of this mean
    n_more_right: int  # decisions that become right, less those that no longer are

    @property
    def is_proven(self) -> bool:
        """Return whether the gain is significant and more decisions are right."""
        return self.gain > MIN_GAIN * self.error and self.n_more_right >= MIN_MORE_RIGHT


def decided_groups(graph: CandidateGraph, evidence: Evidence, corrections: Corrections) -> Decided:
    """Return the groups of alternatives that corrections decide.

    Given links that are not candidates and decisions on other frames are ignored.
    """
    found, edges, n_groups = graph.detections, graph.edges, len(evidence.none)
    source, target = find_rows(found, corrections.source), find_rows(found, corrections.target)
    is_whole, is_link = (source >= 0) & (target >= 0), corrections.is_link
    pairs = np.column_stack([source, target])
    is_given = are_among(edges, pairs[is_whole & is_link], len(found))
    is_rejected = are_among(edges, pairs[is_whole & ~is_link], len(found))
    begins = target[(corrections.source[:, 0] == OPEN) & (target >= 0)]
    ends = source[(corrections.target[:, 0] == OPEN) & (source >= 0)]
    is_out = is_rejected | np.isin(edges.target, begins) | np.isin(edges.source, ends)
    has_given = np.bincount(evidence.group, is_given, minlength=n_groups) > 0
    has_out = np.bincount(evidence.group, is_out, minlength=n_groups) > 0
    is_allowed = np.where(has_given[evidence.group], is_given, ~is_out)
    chosen = np.flatnonzero(has_given | has_out)
    return Decided(evidence, is_allowed, ~has_given).groups(chosen)


def joined(parts: Iterable[Decided]) -> Decided:
    """Return the groups of several parts of a movie as one."""
    listed = list(parts)
    evidence = joined_evidence(part.evidence for part in listed)
    edge, none = ([getattr(part, name) for part in listed] for name in ("edge", "none"))
    return Decided(evidence, np.concatenate(edge), np.concatenate(none))


def joined_evidence(parts: Iterable[Evidence]) -> Evidence:
    """Return the groups of several parts of a movie as one."""
    listed = list(parts)
    first = np.cumsum([0, *(len(part.none) for part in listed)]).tolist()
    group = [part.group + start for part, start in zip(listed, first, strict=False)]
    names = ("edge", "none", "edge_terms", "none_terms")
    rest = (np.concatenate([getattr(part, name) for part in listed]) for name in names)
    return Evidence(np.concatenate(group), *rest)


def fit(decided: Decided, everything: Evidence) -> Fit:
    """Return the weights for some decisions, in the order of their frames, in a movie.

    everything: the groups of the whole movie. Raises InputError if there are fewer than
    MIN_DECISIONS.
    """
    if len(decided) < MIN_DECISIONS:
        raise InputError(
            f"the corrections decide {len(decided)} scored links, too few to learn from; decide at "
            f"least {MIN_DECISIONS}, the least certain first"
        )
    n_groups = len(everything.none)
    some = np.unique(np.linspace(0, n_groups - 1, min(n_groups, MAX_ANCHORS)).astype(np.int64))
    anchor, gains, n_more_right = Anchor.of(everything.groups(some)[0]), [], 0
    for left_out in np.array_split(np.arange(len(decided)), N_FOLDS):
        others = np.setdiff1d(np.arange(len(decided)), left_out)
        tried, weights = decided.groups(left_out), _weights(decided.groups(others), anchor)
        before, after = tried.losses(np.zeros(N_TERMS)), tried.losses(weights)
        gains.append(before - after)
        n_more_right += int((after < EVEN).sum() - (before < EVEN).sum())
    gain = np.concatenate(gains)
    error = float(gain.std(ddof=1) / np.sqrt(len(gain)))
    adaptation = Adaptation(*_weights(decided, anchor).round(4).tolist())
    return Fit(adaptation, len(decided), float(gain.mean()), error, n_more_right)


def _weights(decided: Decided, anchor: Anchor) -> FloatArray:
    """Return the weights (N_TERMS,) with the least sum of losses and penalty."""
    from scipy.optimize import minimize  # imported in 0.2 s

    def cost(weights: FloatArray) -> tuple[float, FloatArray]:
        loss, gradient = anchor.loss(weights)
        loss += float(decided.losses(weights).sum() + PENALTY / 2 * weights @ weights)
        return loss, gradient + decided.gradient(weights) + PENALTY * weights

    weights: FloatArray = minimize(cost, np.zeros(N_TERMS), jac=True, method="L-BFGS-B").x
    return weights
