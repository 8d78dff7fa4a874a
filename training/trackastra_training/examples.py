"""Windows of known movies become training examples: tokens, true associations and weights."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.detection.detections import Detections, FloatArray, IntArray
from trackastra_engine.detection.intensity import IntensityRange
from trackastra_engine.detection.transform import in_true_proportion
from trackastra_engine.model.spec import ModelSpec, Recipe
from trackastra_engine.model.tokens import Tokens, prepare_tokens
from trackastra_engine.simulation import (
    KnownMovie,
    SimulationParameters,
    count_children,
    simulate,
    voxel_size,
)
from trackastra_training.augmentation import augment, displace
from trackastra_training.clutter import with_clutter
from trackastra_training.configuration import Augmentation
from trackastra_training.segmentation_errors import keep_rows, spoil

MAX_FRAME_GAP = 2  # Δt of the paper's eq. (7)
DIVISION_WEIGHT = 10.0  # λ_div
CONTINUATION_WEIGHT = 1.0  # λ_cont
NO_PARENT, PARENT_CUT_AWAY, PARENT_UNKNOWN = -1, -2, -3  # instead of a parent's row


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
    parent = movie.parent[first:last]
    is_before = (parent >= 0) & (parent < first)
    within = np.where(parent >= 0, parent - first, parent)
    within[is_before] = NO_PARENT
    return KnownMovie(
        replace(inside, frame=inside.frame - first_frame), within, movie.n_children[first:last]
    )


def every_nth_frame(movie: KnownMovie, stride: int) -> KnownMovie:
    """Return the movie as if only every `stride`-th frame had been recorded.

    If frames are left out, children whose parent is unknown do not count as children of any.
    """
    if stride == 1:
        return movie
    kept = keep_rows(movie, np.flatnonzero(movie.detections.frame % stride == 0))
    detections = replace(kept.detections, frame=kept.detections.frame // stride)
    return KnownMovie(detections, kept.parent, count_children(kept.parent))


def association_matrix(window: KnownMovie) -> NDArray[np.bool_]:
    """Return (N, N), True where one detection descends from the other (paper, sec. 1.1)."""
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
    return np.asarray(is_used * by_source[:, None], np.float32)


def known_from(window: KnownMovie) -> IntArray:
    """Return (N,) the first frame from which the descent of each detection is known; 0: all."""
    frame = window.detections.frame
    first = np.where(window.parent == PARENT_UNKNOWN, frame, 0)
    ancestor, row = window.parent, np.arange(len(frame))
    while len(row := row[(has_one := ancestor >= 0)]):
        ancestor = ancestor[has_one]
        is_end = window.parent[ancestor] == PARENT_UNKNOWN
        first[row[is_end]] = frame[ancestor[is_end]]
        ancestor = window.parent[ancestor]
    return first


def make_example(
    window: KnownMovie,
    recipe: Recipe,
    max_tokens: int,
    augmentation: Augmentation,
    rng: np.random.Generator,
) -> Example:
    """Return a random part of a window, of about `max_tokens` tokens at most, randomly changed.

    Weights are 0 for targets whose parent was cut away: their remaining pairs mean nothing; and
    for sources in frames from which the descent of a target is not known.
    """
    cropped = crop(window, random_crop(window.detections.centroid, max_tokens, rng))
    seen = spoil(cropped, augmentation, rng)
    if augmentation.clutter and rng.random() < 0.5:  # as for the other errors
        seen = with_clutter(seen, augmentation.clutter * rng.random(), rng)
    weight = weight_matrix(seen.detections.frame, seen.n_children)
    weight[:, seen.parent == PARENT_CUT_AWAY] = 0
    weight[seen.detections.frame[:, None] < known_from(seen)[None, :]] = 0
    detections = augment(seen.detections, augmentation, rng)
    tokens = displace(model_tokens(detections, recipe), recipe, augmentation, rng)
    return Example(tokens, detections.frame, association_matrix(seen), weight)


def model_tokens(detections: Detections, recipe: Recipe) -> Tokens:
    """Return the tokens of a window; for `upstream` ones, intensities are already in 0..1."""
    has_intensity = bool(np.isfinite(detections.features[:, 1]).all())
    return prepare_tokens(detections, recipe, IntensityRange(0, 1) if has_intensity else None)


def simulate_for(
    spec: ModelSpec, parameters: SimulationParameters, seed: int, *, knows_voxels: bool = True
) -> KnownMovie:
    """Return a simulated movie in the units in which a model sees movies.

    Intensities are in 0..1 for `upstream` tokens; voxels become cubes for models that use their
    size, as in tracking if it is not known.
    """
    movie = simulate(parameters, seed)
    detections = movie.detections
    if spec.recipe == "upstream":
        features = detections.features.copy()
        features[:, 1] /= features[:, 1].max(initial=1e-6)
        detections = replace(detections, features=features)
    if spec.uses_voxel_size:
        voxel = voxel_size(parameters) if knows_voxels else None
        detections = in_true_proportion(detections, voxel)
    return replace(movie, detections=detections)


def crop(window: KnownMovie, rows: IntArray) -> KnownMovie:
    """Return some detections; the parent of those whose parent is missing is PARENT_CUT_AWAY.

    Descent is cut with it: other ancestors count as unrelated, but without weight.
    """
    new_row = np.full(len(window.parent) + 1, PARENT_CUT_AWAY)
    new_row[rows] = np.arange(len(rows))
    parent = np.where(window.parent >= 0, new_row[np.maximum(window.parent, 0)], window.parent)
    return KnownMovie(window.detections.rows(rows), parent[rows], window.n_children[rows])


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
