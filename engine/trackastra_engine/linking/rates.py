"""Correct scores for the rates of a movie: of cells without a parent, and of divisions.

A network learns both rates in its training, and its scores are right only for these rates. If new
cells are much rarer, doubtful cells are mostly second daughters; if divisions are rarer, apparent
second daughters are mostly errors of the segmentation. The rates of a movie are estimated from its
scores, without labels, by expectation-maximisation (Saerens, Latinne & Decaestecker 2002, doi
10.1162/089976602753284446). Each target of a frame pair has no parent, is the first child of one,
or the second; cells at the border and inside are counted separately.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.association.edge_stream import FrameEdges
from trackastra_engine.detection.detections import Detections, FloatArray, IntArray
from trackastra_engine.errors import InputError
from trackastra_engine.model.edges import Edges
from trackastra_engine.model.spec import TrainingRates
from trackastra_engine.movie.voxels import mean_side

CHOICES = ("auto", "off")
NONE, FIRST, SECOND = range(3)  # whether a target has no parent, or is a first or second child
BORDER_DIAMETERS = 1.0  # cells closer to the border than their diameter may have entered
N_BINS = 32  # of each share: counts, as the order of a sum of shares would change it
LIKELY_SCORE = 0.5  # a source without an edge of this score ends
MIN_TARGETS = 50  # needed to estimate rates
MIN_LIKELY_SHARE = 0.5  # of targets with a likely parent; with fewer, scores are not reliable
MOST_WITHOUT_PARENT = 0.5  # inferred from the cells that end
LEAST_TRAINED = 1e-4  # share of an outcome in training: models know it to four digits
MAX_STEPS, TOLERANCE = 200, 1e-6  # of the expectation-maximisation


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Limits of the difference between the rates of a movie and those of the training.

    Chosen on five real data sets, with each left out in turn: see benchmarks/README.md.
    """

    # Weight of the reference, in cells: movies of fewer cells have mostly its rates.
    prior_cells: float = 300
    # Least ratio of cells without a parent to cells that end: a cell that is missed, merged or
    # split both ends and begins, and the scores may not show most of these.
    begins_per_end: float = 3
    # The reference is the training with only this share of its cells without a parent: a movie
    # with more of them does not lose any. Few movies have as many as the training, but scores are
    # too sure of wrong parents.
    rare_none: float = 1 / 3
    # Least ratio of a movie's rate to that of the reference: of cells without a parent, and of
    # second daughters. Where divisions are rare, too few of them are left to be sure of the ratio.
    least_none: float = 1 / 50
    least_second: float = 1 / 2


LIMITS = RateLimits()


@dataclass(frozen=True, slots=True, eq=False)
class RateCounts:
    """Counts from which the rates of a movie are estimated, inside and at the border."""

    targets: IntArray  # (2, N_BINS, N_BINS) by their shares of no parent and of second children
    sources: IntArray  # (2, 2) without and with a likely edge to the next frame

    @classmethod
    def none(cls) -> "RateCounts":
        """Return counts of zero."""
        return cls(np.zeros((2, N_BINS, N_BINS), np.int64), np.zeros((2, 2), np.int64))

    def __add__(self, other: "RateCounts") -> "RateCounts":
        return RateCounts(self.targets + other.targets, self.sources + other.sources)


@dataclass(frozen=True, slots=True, eq=False)
class MovieRates:
    """The rates of a movie, and the weights for its scores."""

    counts: RateCounts
    training: FloatArray  # (2, 3) inside and at the border; NONE, FIRST and SECOND
    weights: FloatArray  # (2, 3) of each outcome: at most 1, and 1 for FIRST

    @property
    def found(self) -> FloatArray:
        """Return the rates (2, 3) of the movie, which people see."""
        return _estimated(self.counts, self.training, LIMITS)

    def figures(self) -> dict[str, float]:
        """Return the shares of cells, by name."""
        return {
            f"{outcome}_{place}{origin}": round(float(shares[row, column]), 5)
            for shares, origin in ((self.found, ""), (self.training, "_in_training"))
            for outcome, column in (("no_parent", NONE), ("second_child", SECOND))
            for row, place in enumerate(("inside", "border"))
        }

    def facts(self) -> list[tuple[str, str]]:
        """Return names and values for people."""
        found = self.found
        return [
            (name, _in_words(found[:, column], self.training[:, column]))
            for name, column in (
                ("cells without a parent", NONE),
                ("second daughters", SECOND),
            )
        ]

    def __str__(self) -> str:
        return "; ".join(f"{name}: {value}" for name, value in self.facts())


def rates_to_use(choice: str, training: TrainingRates | None) -> TrainingRates | None:
    """Return the rates of the training, or None if scores are not corrected.

    Raises InputError if `choice` is none of CHOICES.
    """
    if choice not in CHOICES:
        raise InputError(f"rates are {choice!r}; choose one of {', '.join(CHOICES)}")
    return training if choice == "auto" else None


def count_parents(part: FrameEdges, proportions: NDArray[np.float64]) -> RateCounts:
    """Return the counts of the cells that are joined by edges to the next frame.

    proportions: (D,) of a voxel, see voxels.proportions.
    """
    found, edges = part.detections, part.edges
    frame = found.frame
    is_step = np.flatnonzero(frame[edges.target] - frame[edges.source] == 1)
    steps, is_second = edges.rows(is_step), second_children(edges, frame)[is_step]
    total = np.bincount(steps.target, steps.score, minlength=len(found))
    second = np.bincount(steps.target, steps.score * is_second, minlength=len(found))
    best = np.zeros(len(found))
    np.maximum.at(best, steps.source, steps.score)
    # Whether each of these frames, and the next one, has detections.
    is_there = np.isin(np.arange(part.frame, part.stop + 1), frame)
    place = np.minimum(frame - part.frame, part.stop - part.frame)
    is_source = (frame < part.stop) & is_there[np.minimum(place + 1, len(is_there) - 1)]
    is_target = (frame > part.frame) & (frame <= part.stop) & is_there[place - 1]
    kind = at_border(found, proportions).astype(np.int64)
    bins = (kind * N_BINS + _bin(1 - total)) * N_BINS + _bin(second)
    targets = np.bincount(bins[is_target], minlength=2 * N_BINS**2)
    sources = np.bincount((2 * kind + (best >= LIKELY_SCORE))[is_source], minlength=4)
    return RateCounts(targets.reshape(2, N_BINS, N_BINS), sources.reshape(2, 2))


def movie_rates(
    counts: RateCounts, training: TrainingRates, limits: RateLimits = LIMITS
) -> MovieRates | None:
    """Return the rates of a movie, or None if they cannot be estimated."""
    n_targets = counts.targets.sum()
    n_likely = counts.targets.reshape(2, -1)[:, _SHARES[:, NONE] < LIKELY_SCORE].sum()
    if n_targets < MIN_TARGETS or n_likely < MIN_LIKELY_SHARE * n_targets:
        return None
    trained = np.maximum(training.shares(), LEAST_TRAINED)
    reference = _with_rarer_none(trained, limits.rare_none)
    rates = _estimated(counts, reference, limits)
    ends = counts.sources[:, 0] / np.maximum(1, counts.sources.sum(axis=1))
    least_none = np.minimum(limits.begins_per_end * ends, MOST_WITHOUT_PARENT)
    rates[:, NONE] = np.maximum(rates[:, NONE], least_none)
    ratio = rates / reference
    # Higher rates are due to errors of the segmentation or the scores, which other links would not
    # correct: no outcome becomes more likely.
    least = np.array([limits.least_none, 1, limits.least_second])
    weights = np.clip(ratio / ratio[:, [FIRST]], least, 1)
    return MovieRates(counts, trained, weights)


def corrected(
    edges: Edges, detections: Detections, weights: FloatArray, proportions: NDArray[np.float64]
) -> Edges:
    """Return all edges from some frames with scores corrected for the rates of a movie.

    weights: (2, 3) of the movie, see MovieRates; proportions: (D,) of a voxel.
    """
    frame = detections.frame
    is_second = second_children(edges, frame)
    weight = weights[at_border(detections, proportions).astype(np.int64)]
    gap = frame[edges.target] - frame[edges.source] - 1
    # The alternatives are the sources in one frame and no parent: one group per target and gap.
    n_gaps = 1 + int(gap.max(initial=0))
    group = edges.target * np.int64(n_gaps) + gap
    likely = np.where(is_second, weight[edges.target, SECOND], 1.0) * edges.score
    total, rest = np.bincount(group, likely), 1 - np.bincount(group, edges.score)
    none = np.maximum(rest, 0)[group] * weight[edges.target, NONE]
    return Edges(edges.source, edges.target, likely / (total[group] + none))


def second_children(edges: Edges, frame: IntArray) -> NDArray[np.bool_]:
    """Return for each edge (E,) whether its source has a better one to the same frame.

    edges: sorted by source, then target; frame: (N,) of the detections.
    """
    target_frame = frame[edges.target]
    starts: NDArray[np.bool_] = np.diff(edges.source, prepend=-1) != 0
    starts |= np.diff(target_frame, prepend=-1) != 0
    if len(edges) == 0:
        return starts
    group: IntArray = np.cumsum(starts) - 1
    best = np.maximum.reduceat(edges.score, np.flatnonzero(starts))
    is_best = np.flatnonzero(edges.score == best[group])
    is_second = np.ones(len(edges), bool)
    is_second[is_best[np.diff(group[is_best], prepend=-1) > 0]] = False  # one of equal ones
    return is_second


def at_border(detections: Detections, proportions: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return for each detection (N,) whether it may have entered from outside."""
    diameter = detections.features[:, 0] * mean_side(proportions)
    is_near: NDArray[np.bool_] = np.less(detections.features[:, -1], BORDER_DIAMETERS * diameter)
    return is_near


def _with_rarer_none(rates: FloatArray, factor: float) -> FloatArray:
    """Return rates (2, 3) with fewer cells without a parent, and more first children."""
    none = factor * rates[:, NONE]
    return np.column_stack([none, 1 - none - rates[:, SECOND], rates[:, SECOND]])


def _in_words(found: FloatArray, training: FloatArray) -> str:
    inside, border = (f"{share:.2g} %" for share in 100 * found)
    trained = " and ".join(f"{share:.2g}" for share in 100 * training)
    return f"{inside} inside, {border} at the border (training: {trained} %)"


def _estimated(counts: RateCounts, reference: FloatArray, limits: RateLimits) -> FloatArray:
    """Return the rates (2, 3) of a movie whose scores are right at those of the reference."""
    prior = limits.prior_cells
    result = []
    for place, known in zip(counts.targets.reshape(2, -1), reference, strict=True):
        seen = np.flatnonzero(place)
        shares, count, rates = _SHARES[seen], place[seen], known
        for _ in range(MAX_STEPS):
            share = shares * (rates / known)
            share /= share.sum(axis=1, keepdims=True)
            new = (count @ share + prior * known) / (count.sum() + prior)
            is_done = np.abs(new - rates).max() < TOLERANCE
            rates = new
            if is_done:
                break
        result.append(rates)
    return np.array(result)


def _bin(share: NDArray[Any]) -> IntArray:
    """Return the bins of shares; bins of small shares are narrow, as ratios matter."""
    bins: IntArray = (N_BINS * np.cbrt(np.clip(share, 0, 1))).astype(np.int64)
    return np.minimum(bins, N_BINS - 1)


def _shares_of_bins() -> FloatArray:
    """Return the shares (N_BINS ** 2, 3) of NONE, FIRST and SECOND of each bin."""
    middle = ((np.arange(N_BINS) + 0.5) / N_BINS) ** 3
    none, second = map(np.ravel, np.meshgrid(middle, middle, indexing="ij"))
    shares = np.column_stack([none, np.maximum(1 - none - second, 0), second])
    result: FloatArray = shares / shares.sum(axis=1, keepdims=True)
    return result


_SHARES = _shares_of_bins()
