"""Windows of known movies become training examples: tokens, true associations and weights."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.detections import FloatArray, IntArray
from trackastra_engine.simulation import KnownMovie, count_children
from trackastra_engine.tokens import Tokens, prepare_tokens
from trackastra_training.augmentation import Augmentation, augment, displace

MAX_FRAME_GAP = 2  # Δt of the paper's eq. (7)
DIVISION_WEIGHT = 10.0  # λ_div
CONTINUATION_WEIGHT = 1.0  # λ_cont


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """One window of N tokens with the truth; matrices have sources as rows, targets as columns."""

    tokens: Tokens
    frame: IntArray  # (N,) from 0
    association: NDArray[np.bool_]  # (N, N) one of the two descends from the other
    weight: FloatArray  # (N, N) float32, the paper's eq. (7)


def cut_window(movie: KnownMovie, first_frame: int, size: int) -> KnownMovie:
    """Return the detections of `size` frames, counted from 0; earlier parents are cut off."""
    detections = movie.detections
    first, last = np.searchsorted(detections.frame, [first_frame, first_frame + size])
    inside = detections.rows(slice(first, last))
    parent = np.maximum(movie.parent[first:last] - first, -1)
    return KnownMovie(
        replace(inside, frame=inside.frame - first_frame), parent, movie.n_children[first:last]
    )


def every_nth_frame(movie: KnownMovie, stride: int) -> KnownMovie:
    """Return the movie as if only every `stride`-th frame had been recorded."""
    is_kept = movie.detections.frame % stride == 0
    parent = movie.parent.copy()
    while (skipped := (parent >= 0) & ~is_kept[parent]).any():
        parent[skipped] = movie.parent[parent[skipped]]
    kept = np.flatnonzero(is_kept)
    new_row = np.full(len(is_kept) + 1, -1)  # the last place is for "no parent"
    new_row[kept] = np.arange(len(kept))
    detections = movie.detections.rows(kept)
    detections = replace(detections, frame=detections.frame // stride)
    return KnownMovie(detections, new_row[parent[kept]], count_children(new_row[parent[kept]]))


def association_matrix(window: KnownMovie) -> NDArray[np.bool_]:
    """Return (N, N), True where one detection descends from the other."""
    n_detections = len(window.parent)
    descends = np.zeros((n_detections, n_detections), bool)
    ancestor, row = window.parent, np.arange(n_detections)
    while len(row := row[(has_one := ancestor >= 0)]):
        ancestor = ancestor[has_one]
        descends[ancestor, row] = True
        ancestor = window.parent[ancestor]
    return descends | descends.T


def weight_matrix(frame: IntArray, n_children: IntArray) -> FloatArray:
    """Return the weights (N, N) float32 of the paper's eq. (7), by the source's true children."""
    gap = frame[None, :] - frame[:, None]
    is_used = (gap >= 1) & (gap <= MAX_FRAME_GAP)
    by_source = 1 + np.select(
        [n_children >= 2, n_children == 1], [DIVISION_WEIGHT, CONTINUATION_WEIGHT], 0.0
    )
    return (is_used * by_source[:, None]).astype(np.float32)


def make_example(
    window: KnownMovie, max_tokens: int, augmentation: Augmentation, rng: np.random.Generator
) -> Example:
    """Return a random part of a window, of at most `max_tokens` tokens, randomly changed.

    Weights are 0 for targets whose parent was cut away: what is left of them says nothing.
    """
    association = association_matrix(window)
    weight = weight_matrix(window.detections.frame, window.n_children)
    chosen = random_crop(window.detections.centroid, max_tokens, rng)
    is_orphan = (window.parent >= 0) & ~np.isin(window.parent, chosen)
    weight[:, is_orphan] = 0
    share_dropped = augmentation.dropped * max(0.0, rng.uniform(-1, 1))
    seen = chosen[rng.random(len(chosen)) >= share_dropped]
    chosen = seen if len(seen) else chosen
    detections = augment(window.detections.rows(chosen), augmentation, rng)
    tokens = displace(prepare_tokens(detections, "relative"), augmentation, rng)
    pairs = np.ix_(chosen, chosen)
    return Example(tokens, detections.frame, association[pairs], weight[pairs])


def random_crop(centroid: FloatArray, max_rows: int, rng: np.random.Generator) -> IntArray:
    """Return at most `max_rows` rows, in order: those in a box around a random one of them."""
    if len(centroid) <= max_rows:
        return np.arange(len(centroid))
    center = centroid[rng.integers(len(centroid))]
    distance = np.abs(centroid - center).max(axis=1)
    return np.sort(np.argpartition(distance, max_rows)[:max_rows])


def nearest_parent_share(window: KnownMovie) -> float:
    """Return the share of children whose parent is the nearest detection of the frame before."""
    frame, centroid = window.detections.frame, window.detections.centroid
    right = total = 0
    for target in range(1, int(frame.max(initial=0)) + 1):
        sources = np.flatnonzero(frame == target - 1)
        children = np.flatnonzero((frame == target) & (window.parent >= 0))
        if len(sources) and len(children):
            step = centroid[children, None] - centroid[sources]
            nearest = sources[(step**2).sum(-1).argmin(1)]
            right += int((nearest == window.parent[children]).sum())
            total += len(children)
    return right / total if total else 1.0
