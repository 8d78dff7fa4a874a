"""Movies with objects that are not cells, and with cells missed for a while or as they divide.

Every call returns the same movies, as points.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.movie_variants import SEED, kept_cells
from benchmarks.true_movies import TrueMovie, as_points
from trackastra_engine.detection.detections import Detections
from trackastra_engine.simulation import KnownMovie, count_children
from trackastra_training.clutter import room, together

SIZES = 0.3  # deviation of the logarithm of the diameters of other objects, against those of cells


def with_others(movie: TrueMovie, share: float, n_seen: int) -> TrueMovie:
    """Return the movie with other objects, at random places of the field, in the gaps of cells.

    They do not move, and links between two frames of the same object are true. Their sizes and
    shapes are those of random cells, some larger or smaller, or smaller ones that fit.

    share: number per frame, of that of the cells; n_seen: frames of each, of those of the movie.
    """
    rng, found = np.random.default_rng(SEED), movie.detections
    low, high = found.centroid.min(axis=0), found.centroid.max(axis=0)
    count = rng.poisson(
        share * len(found) * (movie.n_frames + n_seen - 1) / movie.n_frames / n_seen
    )
    first = rng.integers(1 - n_seen, movie.n_frames, count)
    place = rng.uniform(low, high, (count, found.ndim))
    cell = rng.integers(len(found), size=count)
    wanted = found.features[cell, 0] * np.exp(rng.normal(size=count) * SIZES)
    largest = room(found, np.maximum(first, found.frame[0]), place)
    factor = np.minimum(wanted, largest) / found.features[cell, 0]
    frame, number = np.divmod(np.arange(count * n_seen), count)
    frame += first[number]
    features = found.features[cell[number]]
    features[:, 0] *= factor[number]
    features[:, 2:-1] *= (factor[number] ** 2)[:, None]
    others = Detections(frame, number, place[number], features)
    parent = np.where(frame > first[number], np.arange(len(frame)) - count, -1)
    lasting = KnownMovie(others, parent, count_children(parent))
    cells = KnownMovie(found, movie.parent, count_children(movie.parent))
    all_frames = together(cells, lasting)
    seen = replace(as_points(movie), detections=all_frames.detections, parent=all_frames.parent)
    frame = seen.detections.frame
    return kept_cells(seen, (frame >= 0) & (frame < movie.n_frames))


def mothers_missed(movie: TrueMovie, share: float) -> TrueMovie:
    """Return the movie without the last detection before some of the divisions."""
    n_children = count_children(movie.parent)
    drawn = np.random.default_rng(SEED).random(len(n_children))
    return kept_cells(as_points(movie), (n_children < 2) | (drawn >= share))


def missed_for(movie: TrueMovie, share: float, n_frames: int) -> TrueMovie:
    """Return the movie in which a share of the detections is missed, several frames in a row.

    Of two daughters, the second one of the table stays missed.
    """
    drawn = np.random.default_rng(SEED).random(len(movie.parent))
    is_missed: NDArray[np.bool_] = np.zeros(len(drawn), bool)
    child = np.full(len(drawn) + 1, -1)  # the last entry is for -1
    has_parent = np.flatnonzero(movie.parent >= 0)
    child[movie.parent[has_parent]] = has_parent
    row = np.flatnonzero(drawn < share / n_frames)
    for _ in range(n_frames):
        is_missed[row[row >= 0]] = True
        row = child[row]
    return kept_cells(as_points(movie), ~is_missed)
