"""Stages 4 and 5: scores of windows become edges, averaged over the windows that saw them."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from trackastra_engine.detections import FloatArray, IntArray
from trackastra_engine.spec import Averaging
from trackastra_engine.windows import Window

MIN_SCORE = 0.05  # the paper's alpha: weaker associations are no candidates
NEGLIGIBLE_SCORE = 1e-4  # weaker ones are not even counted in a mean: at most this is lost
MERGE_SIZE = 1_000_000  # edges gathered before equal ones are summed, which bounds the memory


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """E edges between detections, from a source to a target in a later frame."""

    source: IntArray  # (E,) rows of the movie's Detections, or of a window's tokens
    target: IntArray  # (E,)
    score: FloatArray  # (E,) 0 to 1

    def __len__(self) -> int:
        """Return the number of edges."""
        return len(self.source)

    def rows(self, index: IntArray) -> "Edges":
        """Return the edges of some rows, in their order."""
        return Edges(self.source[index], self.target[index], self.score[index])


def window_edges(edges: Edges, window: Window, averaging: Averaging) -> Edges:
    """Return the edges between a window's tokens as edges of the movie, without negligible ones."""
    floor = NEGLIGIBLE_SCORE if averaging == "all" else MIN_SCORE
    kept = edges.rows(np.flatnonzero(edges.score >= floor))
    first = window.rows.start
    return Edges(kept.source + first, kept.target + first, kept.score)


def average(
    parts: Iterable[Edges], frame: IntArray, *, n_frames: int, window: int, averaging: Averaging
) -> Edges:
    """Average the score of every edge over windows (paper, eq. 8); sorted by source, then target.

    frame: (N,) of the movie's detections. With "all", every window that holds both frames counts;
    with "above_threshold" only those that scored the edge at least MIN_SCORE, as upstream does
    (predict.py). Edges whose mean lies below MIN_SCORE are dropped.
    """
    n_detections = len(frame)
    key: IntArray = np.empty(0, np.int64)
    total: FloatArray = np.empty(0)
    count: FloatArray = np.empty(0)
    pending: list[Edges] = []
    n_pending = 0
    for part in parts:
        pending.append(part)
        n_pending += len(part)
        if n_pending >= MERGE_SIZE:
            key, total, count = _merge(key, total, count, pending, n_detections)
            pending, n_pending = [], 0
    key, total, count = _merge(key, total, count, pending, n_detections)
    source, target = np.divmod(key, n_detections)
    if averaging == "all":
        count = _windows_with(frame[source], frame[target], n_frames, min(window, n_frames))
    score = total / count
    return Edges(source, target, score).rows(np.flatnonzero(score >= MIN_SCORE))


def _merge(
    key: IntArray, total: FloatArray, count: FloatArray, parts: list[Edges], n_detections: int
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return the sums and counts of equal edges, sorted by key = source * n_detections + target."""
    # int64: 60 000 detections squared overflow int32.
    new_keys = [part.source.astype(np.int64) * n_detections + part.target for part in parts]
    keys = np.concatenate([key, *new_keys])
    totals = np.concatenate([total, *(part.score for part in parts)])
    counts = np.concatenate([count, *(np.ones(len(part)) for part in parts)])
    unique, inverse = np.unique(keys, return_inverse=True)
    return (
        unique,
        np.bincount(inverse, totals, minlength=len(unique)).astype(float, copy=False),
        np.bincount(inverse, counts, minlength=len(unique)).astype(float, copy=False),
    )


def _windows_with(first: IntArray, last: IntArray, n_frames: int, window: int) -> FloatArray:
    """Return the number of windows that hold both frames, for each pair."""
    latest = np.minimum(first, n_frames - window)
    earliest = np.maximum(0, last - window + 1)
    return (latest - earliest + 1).astype(float)
