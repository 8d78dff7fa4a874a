"""Compare the results of two programs on one movie, stage by stage."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from trackastra_engine.detection.detections import FloatArray, IntArray, feature_names
from trackastra_engine.linking.greedy import MIN_LINK_SCORE
from trackastra_engine.model.edges import MIN_SCORE

ALLOWED_MEASURE = 1e-4  # of a centroid or feature, relative where it is above 1; 2e-6 was seen
ALLOWED_SCORE = 1e-4  # float32 rounding gave up to 1e-5 on the golden models

Pair = tuple[int, int]  # rows of the source and the target


@dataclass(frozen=True, slots=True, eq=False)
class Computed:
    """The results of a program on a movie; rows are sorted by frame, then label."""

    frame: IntArray  # (N,)
    label: IntArray  # (N,)
    centroid: FloatArray  # (N, D) pixels
    features: FloatArray  # (N, F) in the form of upstream's model
    scores: Mapping[Pair, float]  # of the candidate edges
    tracks: Mapping[str, frozenset[Pair]]  # edges that each linker selected


@dataclass(frozen=True, slots=True)
class Check:
    """One result of both programs, and its difference."""

    subject: str
    compared: int  # number of values
    difference: float  # the largest, or the number that rounding does not explain
    allowed: float
    passed: bool
    note: str = ""

    def __str__(self) -> str:
        """Return the check in one line."""
        note = f" ({self.note})" if self.note else ""
        return (
            f"{self.subject:<20} {self.compared:>8,} compared, difference {self.difference:.2g}, "
            f"allowed {self.allowed:.2g}{note}"
        )


def compare(ours: Computed, reference: Computed) -> Iterator[Check]:
    """Yield the checks of all stages; only the first if the detections are not the same."""
    known = [set(zip(c.frame.tolist(), c.label.tolist(), strict=True)) for c in (ours, reference)]
    yield _check("detections", len(known[1]), len(known[0] ^ known[1]), 0)
    if known[0] != known[1]:
        return
    yield _measures("centroids", ours.centroid, reference.centroid, ("z", "y", "x"))
    names = feature_names(ours.centroid.shape[1])
    yield _measures("features", ours.features, reference.features, names)
    both = ours.scores.keys() & reference.scores.keys()
    apart = max((abs(ours.scores[pair] - reference.scores[pair]) for pair in both), default=0.0)
    yield _check("scores", len(both), apart, ALLOWED_SCORE)
    yield _candidates(ours.scores, reference.scores)
    for mode, kept in reference.tracks.items():
        wrong, excused = unexplained(ours.tracks[mode], kept, reference.scores)
        yield _check(f"tracks, {mode}", len(kept), len(wrong), 0, _excuse(len(excused)))


def _check(subject: str, compared: int, difference: float, allowed: float, note: str = "") -> Check:
    # NaN is not allowed.
    return Check(subject, compared, difference, allowed, difference <= allowed, note)


def _measures(
    subject: str, ours: FloatArray, reference: FloatArray, names: tuple[str, ...]
) -> Check:
    apart = np.abs(ours - reference) / np.maximum(np.abs(reference), 1)
    worst = apart.max(axis=0, initial=0.0)
    name = names[-len(worst) :][int(worst.argmax())]
    note = f"the largest is of {name}"
    return _check(subject, len(reference), float(worst.max()), ALLOWED_MEASURE, note)


def _candidates(ours: Mapping[Pair, float], reference: Mapping[Pair, float]) -> Check:
    """Check that the same edges are candidates, except those with a score at the threshold."""
    different = ours.keys() ^ reference.keys()
    scores = {**ours, **reference}
    excused = {pair for pair in different if abs(scores[pair] - MIN_SCORE) <= ALLOWED_SCORE}
    wrong = len(different - excused)
    return _check("candidate edges", len(reference), wrong, 0, _excuse(len(excused)))


def _excuse(n_excused: int) -> str:
    return f"{n_excused} more differ by rounding of scores" if n_excused else ""


def unexplained(
    ours: Iterable[Pair],
    reference: Iterable[Pair],
    scores: Mapping[Pair, float],
    *,
    near: float = ALLOWED_SCORE,
    tied: float = ALLOWED_SCORE,
) -> tuple[set[Pair], set[Pair]]:
    """Return the edges of only one set: those that rounding does not explain, and those it does.

    Rounding explains a difference if the score is `near` the linkers' threshold, or `tied` with
    that of another edge of the same target or source, or if the edge shares a detection with an
    explained one, since a different decision changes the decisions on its neighbours. An edge
    without a score is not explained.
    """
    different = set(ours) ^ set(reference)
    rivals = _Rivals(scores)
    excused = {
        pair
        for pair in different
        if pair in scores
        and (abs(scores[pair] - MIN_LINK_SCORE) <= near or rivals.nearest(pair) <= tied)
    }
    before = -1
    while len(excused) > before:
        before = len(excused)
        sources, targets = {source for source, _ in excused}, {target for _, target in excused}
        excused |= {(s, t) for s, t in different if s in sources or t in targets}
    return different - excused, excused


class _Rivals:
    """The scores of the edges that share a detection with an edge."""

    def __init__(self, scores: Mapping[Pair, float]) -> None:
        self._scores = scores
        self._of_source: dict[int, list[Pair]] = {}
        self._of_target: dict[int, list[Pair]] = {}
        for source, target in scores:
            self._of_source.setdefault(source, []).append((source, target))
            self._of_target.setdefault(target, []).append((source, target))

    def nearest(self, pair: Pair) -> float:
        """Return the smallest difference of a rival's score."""
        rivals = [*self._of_source[pair[0]], *self._of_target[pair[1]]]
        score = self._scores[pair]
        return min((abs(score - self._scores[r]) for r in rivals if r != pair), default=np.inf)
