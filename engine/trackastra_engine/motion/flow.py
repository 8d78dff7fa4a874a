"""Find how cells move together from one frame to the next, from these two frames only.

A flow is a motion of cells that is smooth in space. It is refined in iterations: the counterparts
of cells after one flow define a better flow. Iterations start without motion, and if that does not
fit, from the motion for which most pairs of cells vote and from that of the middle of all cells. A
flow is used only if cells fit much better with it than without: a wrong flow does more harm than
none.
"""

import hashlib
from dataclasses import dataclass

import numpy as np

from trackastra_engine.detection.detections import Detections, FloatArray
from trackastra_engine.detection.markers import without_marker_sizes
from trackastra_engine.motion.counterparts import (
    Counterparts,
    FramePair,
    find_counterparts,
    gain_of_same,
)
from trackastra_engine.motion.remembered import Remembered
from trackastra_engine.motion.smooth import linear_motion, quick_move, smooth_move
from trackastra_engine.motion.votes import Votes, field_move, group_moves, middle_move

MIN_CELLS = 3  # in either frame
# Shares of the cells that have a counterpart. For pairs of frames of five real sets (whole, every
# 2nd to 6th frame, shifted, turned, sheared), the fits of those that gained rose by .08 to .9
# and by more than 4 cells; wrong flows rose by up to .06, or .11 where there were 5 cells. Sizes
# and shapes had half the present deviations then.
# From this fit, models need no flow of detections: see benchmarks/README.md, constants.
STILL_FIT = 0.65
MIN_GAIN = 0.08  # of a flow over none, and of a local flow over a simpler one
MIN_GAIN_BETWEEN = 0.05  # of a flow from another first guess over one from no motion
MIN_GAIN_CELLS = 4.0  # of either
# Unrelated frames have fits of .02 to .1, those of packed cells .3. True flows in noisy masks have
# .3, too, and a wrong flow between unrelated frames costs no link.
MIN_FIT = 0.25
# From this fit without a flow, motion is small: no guesses are needed, and one iteration is enough.
# Later ones raised the fit by at most .008 in 92 pairs of frames of all sets and their versions.
VOTED_FIT = 0.4
GOOD_FIT = 0.9  # from this fit, no other flow can be much better
MAX_TURNS, MIN_RISE = 8, 1.05  # the last iteration is one that raises the fit by less
INTERPOLATED = 4  # nearest cells, from which moves at other places are interpolated
# Flows are cached, as each pair of frames is in several windows and in the report. The limit is in
# cells of frames that move, of 32 bytes in 2D; each pair needs as much memory as some more cells.
REMEMBERED_CELLS, CELLS_OF_A_PAIR = 2**18, 32


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """The motion of the N cells of a frame to the next frame."""

    place: FloatArray  # (N, D) pixels
    move: FloatArray  # (N, D) pixels
    fit: float  # share of the cells of the next frame that have a counterpart, 0 to 1

    @classmethod
    def still(cls, n_axes: int, fit: float) -> "Flow":
        """Return the flow without motion, which has no cells, with the fit of the cells."""
        return cls(np.zeros((0, n_axes)), np.zeros((0, n_axes)), fit)

    @property
    def is_still(self) -> bool:
        """Return whether nothing moves."""
        return not self.move.any()

    def at(self, places: FloatArray) -> FloatArray:
        """Return the moves (P, D) at other places (P, D), from the nearest cells."""
        from scipy.spatial import cKDTree

        n_nearest = min(INTERPOLATED, len(self.place))
        # A list of ranks: of one neighbour, too, an axis is left.
        distance, cell = cKDTree(self.place).query(places, k=list(range(1, n_nearest + 1)))
        weight = 1 / np.maximum(distance, 1e-6) ** 2
        weight /= weight.sum(axis=1)[:, None]
        moves: FloatArray = (weight[:, :, None] * self.move[cell]).sum(axis=1)
        return moves


def new_memory() -> Remembered[Flow]:
    """Return a cache of flows; its keys are digests of the detections of a pair of frames."""
    return Remembered(REMEMBERED_CELLS, lambda flow: CELLS_OF_A_PAIR + len(flow.place))


_MEMORY = new_memory()


def flow_between(detections: Detections, n_before: int) -> Flow:
    """Return the flow between two frames; the first contains `n_before` of the detections.

    It is zero if cells move little, or if their motion is not clear; if no cells can be compared,
    its fit is 1. It depends on these detections only. Flows of recent pairs of frames are cached.
    """
    if min(n_before, len(detections) - n_before) < MIN_CELLS:
        return Flow.still(detections.ndim, 1.0)
    seen = hashlib.blake2b(np.int64(n_before).tobytes())
    seen.update(detections.centroid.tobytes())
    seen.update(detections.features.tobytes())
    return _MEMORY.found(seen.digest(), lambda: _find_flow(detections, n_before))


def _find_flow(detections: Detections, n_before: int) -> Flow:
    place = detections.centroid[:n_before]
    if not (np.isfinite(detections.centroid).all() and (detections.features[:, 0] > 0).all()):
        return Flow.still(detections.ndim, 1.0)
    pair = FramePair.of(without_marker_sizes(detections), n_before)
    if pair.spacing <= 0:
        return Flow.still(detections.ndim, 1.0)
    still = find_counterparts(pair, np.zeros_like(place))
    if still.fit >= STILL_FIT:
        return Flow.still(detections.ndim, still.fit)
    if still.fit >= VOTED_FIT:
        quick = quick_move(place, pair.spacing, still)
        if gain_of_same(pair, still, quick) < MIN_GAIN:
            return Flow.still(detections.ndim, still.fit)
        best_move = smooth_move(place, pair.spacing, still)
        best = find_counterparts(pair, best_move)
    else:
        best_move, best = _voted(pair, still)
    if best.fit < MIN_FIT or not _gains(best, still, len(detections) - n_before, MIN_GAIN):
        return Flow.still(detections.ndim, still.fit)
    move = _simplest(pair, best_move, best)
    return Flow(place.copy(), move, find_counterparts(pair, move).fit)


def _voted(pair: FramePair, still: Counterparts) -> tuple[FloatArray, Counterparts]:
    """Return the moves (N, D) that fit best after iterations from no motion and other guesses."""
    n_after = len(pair.after.place)
    best_move, best = _refined(pair, np.zeros_like(pair.place), still)
    votes = Votes.of(pair)
    for first_move in (field_move, group_moves, middle_move):
        if best.fit >= GOOD_FIT:
            break
        move = first_move(pair, votes)
        found = find_counterparts(pair, move)
        if found.fit <= still.fit:  # as of votes for no motion
            continue
        move, found = _refined(pair, move, found)
        if _gains(found, best, n_after, MIN_GAIN_BETWEEN):
            best_move, best = move, found
    return best_move, best


def _gains(found: Counterparts, other: Counterparts, n_after: int, min_gain: float) -> bool:
    gain = found.fit - other.fit
    return gain >= min_gain and gain * n_after >= MIN_GAIN_CELLS


def _refined(
    pair: FramePair, move: FloatArray, found: Counterparts
) -> tuple[FloatArray, Counterparts]:
    """Return the moves (N, D) with the best fit of an iteration, and their counterparts."""
    for _ in range(MAX_TURNS):
        if len(found.place) < MIN_CELLS:
            break
        new_move = smooth_move(pair.place, pair.spacing, found)
        new = find_counterparts(pair, new_move)
        is_last = new.fit < MIN_RISE * found.fit
        if new.fit > found.fit:
            move, found = new_move, new
        if is_last:
            break
    return move, found


def _simplest(pair: FramePair, move: FloatArray, found: Counterparts) -> FloatArray:
    """Return the moves (N, D) of a shift or a linear motion if they fit nearly as well."""
    shift = np.broadcast_to(np.median(found.move, axis=0), move.shape)
    linear = linear_motion(found, pair.spacing)(pair.place)
    for simple in (shift, linear):
        if found.fit - find_counterparts(pair, simple).fit < MIN_GAIN:
            return simple
    return move
