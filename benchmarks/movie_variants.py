"""Harder versions of a movie with known tracks: filmed rarely, on an unsteady stage, with errors.

Every call returns the same movies.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from benchmarks.spoiled_masks import spoiled
from benchmarks.spoiled_points import spoiled_points
from benchmarks.true_movies import TrueMovie, true_movie, with_nearest_ancestors
from trackastra_engine.detection.detections import Detections, split_frames
from trackastra_engine.detection.points import detections_of_points
from trackastra_engine.simulation import KnownMovie, count_children
from trackastra_training.flat_views import section, side_view

SEED = 0
JUMP_SPACINGS = 2.0
WHOLE = "whole"
ORDINAL = {2: "every 2nd", 3: "every 3rd", 4: "every 4th"}

Variant = Callable[[TrueMovie], TrueMovie]


def variants(ndim: int) -> dict[str, Variant]:
    """Return the functions that make the versions of a movie without errors, by name, itself first.

    Of 3D movies, every third frame; of others, every second and every fourth.
    """
    every = (3,) if ndim == 3 else (2, 4)
    return {
        WHOLE: itself,
        **{ORDINAL[n]: partial(every_nth, n=n) for n in every},
        "jumping": jumping,
        "shifted": shifted,
    }


def flat_variants() -> dict[str, Variant]:
    """Return the functions that make 2D movies of a 3D movie of points, by name."""
    return {"section": partial(flat, seen_by=section), "view": partial(flat, seen_by=side_view)}


def itself(movie: TrueMovie) -> TrueMovie:
    """Return the movie."""
    return movie


def every_nth(movie: TrueMovie, n: int) -> TrueMovie:
    """Return every n-th frame."""
    kept = kept_cells(movie, movie.detections.frame % n == 0)
    return replace(
        kept,
        masks=None if movie.masks is None else movie.masks[::n],
        images=None if movie.images is None else movie.images[::n],
        detections=replace(kept.detections, frame=kept.detections.frame // n),
    )


def kept_cells(movie: TrueMovie, is_kept: NDArray[np.bool_]) -> TrueMovie:
    """Return some detections (N,), with all pixels; parents are the nearest ancestors left."""
    parent = with_nearest_ancestors(movie.parent, is_kept)
    new_row = np.cumsum(is_kept) - 1
    parent = np.where(parent >= 0, new_row[parent], -1)[is_kept]
    return replace(movie, detections=movie.detections.rows(np.flatnonzero(is_kept)), parent=parent)


def flat(
    movie: TrueMovie, seen_by: Callable[[KnownMovie, np.random.Generator], KnownMovie]
) -> TrueMovie:
    """Return the cells of a 3D movie of points that are seen in 2D, from their first frame."""
    known = KnownMovie(movie.detections, movie.parent, count_children(movie.parent))
    seen = seen_by(known, np.random.default_rng(SEED))
    found = seen.detections
    found = replace(found, frame=found.frame - found.frame.min())
    return TrueMovie(None, None, found, seen.parent)


def densest(movie: TrueMovie, n_frames: int) -> TrueMovie:
    """Return the `n_frames` consecutive frames with the most detections."""
    counts = np.bincount(movie.detections.frame, minlength=movie.n_frames)
    n_frames = min(n_frames, movie.n_frames)
    first = int(np.convolve(counts, np.ones(n_frames, int), "valid").argmax())
    frames = slice(first, first + n_frames)
    begin, end = np.searchsorted(movie.detections.frame, [first, first + n_frames]).tolist()
    detections, parent = movie.detections.rows(slice(begin, end)), movie.parent[begin:end]
    return replace(
        movie,
        masks=None if movie.masks is None else movie.masks[frames],
        images=None if movie.images is None else movie.images[frames],
        detections=replace(detections, frame=detections.frame - first),
        parent=np.where(parent >= begin, parent - begin, -1),
    )


def jumping(movie: TrueMovie) -> TrueMovie:
    """Return the movie on a stage that jumps once, in its middle, by two typical spacings."""
    rng = np.random.default_rng(SEED)
    direction = rng.normal(size=movie.detections.ndim)
    direction /= np.linalg.norm(direction)
    offsets = np.zeros((movie.n_frames, movie.detections.ndim))
    offsets[movie.n_frames // 2 :] = JUMP_SPACINGS * typical_spacing(movie.detections) * direction
    return moved(movie, offsets)


def shifted(movie: TrueMovie) -> TrueMovie:
    """Return the movie with each frame shifted at random, by one spacing (s.d. along each axis)."""
    rng = np.random.default_rng(SEED)
    spacing = typical_spacing(movie.detections)
    return moved(movie, rng.normal(0, spacing, (movie.n_frames, movie.detections.ndim)))


def with_errors(movie: TrueMovie) -> TrueMovie:
    """Return the movie with errors of a worse segmentation: see spoiled_masks.py."""
    return (spoiled_points if movie.masks is None else spoiled)(movie, SEED)


def typical_spacing(detections: Detections) -> float:
    """Return the median distance to the nearest neighbour of the same frame, in pixels."""
    n_frames = int(detections.frame.max()) + 1
    places = [part.centroid for part in split_frames(detections, n_frames) if len(part) > 1]
    nearest = [cKDTree(place).query(place, k=2)[0][:, 1] for place in places]
    return float(np.median(np.concatenate(nearest)))


def moved(movie: TrueMovie, offsets: NDArray[np.float64]) -> TrueMovie:
    """Return the movie with frames moved by offsets (T, D) in pixels; no object leaves the view.

    Masks move by whole pixels, in a view that is large enough.
    """
    detections = movie.detections
    if movie.masks is None:
        points = detections_of_points(
            detections.frame,
            detections.centroid + offsets[detections.frame],
            label=detections.label,
            diameter=detections.features[:, 0],
        )
        return replace(movie, detections=points)
    steps = np.rint(offsets).astype(int)
    steps -= steps.min(axis=0)
    masks = _placed(movie.masks, steps)
    images = None if movie.images is None else _placed(movie.images, steps)
    return true_movie(masks, images, movie.parent, movie.z_step)


def _placed(frames: NDArray[np.integer], steps: NDArray[np.int64]) -> NDArray[np.integer]:
    """Return frames (T, ...) in a larger view, each at its offset in pixels."""
    shape = np.array(frames.shape[1:])
    result = np.zeros((len(frames), *(shape + steps.max(axis=0))), frames.dtype)
    for frame, place, step in zip(frames, result, steps, strict=True):
        place[tuple(slice(a, a + b) for a, b in zip(step, shape, strict=True))] = frame
    return result
