"""Movies with objects that are not cells, and with cells missed for a while or as they divide.

Every call returns the same movies, as points.
"""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.movie_variants import SEED, kept_cells
from benchmarks.true_movies import TrueMovie, as_points
from trackastra_engine.detection.transform import transform
from trackastra_engine.simulation import KnownMovie, count_children
from trackastra_training.clutter import margins, room, together
from trackastra_training.invented_measurements import is_round

# Deviations of the logarithms of diameters and intensities, and of shapes, from those of cells.
SIZES, STRAIN = 0.3, 0.2
LEAST_ROOM = 0.25  # diameter, in those of the cell that an object is like
TRIES = 30  # of a place for each object


def with_others(movie: TrueMovie, share: float, n_seen: int) -> TrueMovie:
    """Return the movie with objects that are not cells, at random places in the gaps of cells.

    They do not move, and links between detections of the same object are true. They are like
    random cells, but have other sizes, shapes and intensities, and are as small as the gap.

    share: number per frame, of that of the cells, if there are gaps for as many; n_seen: frames of
    each, of those of the movie.
    """
    rng, found, n_frames = np.random.default_rng(SEED), movie.detections, movie.n_frames
    starts = n_frames + n_seen - 1  # some objects are there before the movie begins
    count = rng.poisson(share * len(found) * starts / n_frames / n_seen)
    drawn = (count * TRIES,)
    first = rng.integers(1 - n_seen, n_frames, drawn)
    place = rng.uniform(
        found.centroid.min(axis=0), found.centroid.max(axis=0), (*drawn, found.ndim)
    )
    cell = rng.integers(len(found), size=drawn)
    seen_in = [np.clip(first + age, 0, n_frames - 1) for age in range(n_seen)]
    largest = np.min([room(found, frame, place) for frame in seen_in], axis=0)
    kept = np.flatnonzero(largest > LEAST_ROOM * found.features[cell, 0])[:count]
    if not len(kept):
        return as_points(movie)
    first, place, cell, largest = first[kept], place[kept], cell[kept], largest[kept]

    like = found.features[cell, 0]
    factor = np.minimum(np.exp(rng.normal(size=len(kept)) * SIZES), largest / like)
    strain = rng.normal(size=(len(kept), found.ndim, found.ndim)) * STRAIN * (not is_round(found))
    strain -= np.trace(strain, axis1=1, axis2=2)[:, None, None] / found.ndim * np.eye(found.ndim)
    objects = transform(found.rows(cell), factor[:, None, None] * (np.eye(found.ndim) + strain))
    objects.features[:, 1] *= np.exp(rng.normal(size=len(kept)) * SIZES)
    age, number = np.divmod(np.arange(len(kept) * n_seen), len(kept))
    frame = first[number] + age
    others = replace(objects.rows(number), frame=frame, centroid=place[number])
    seen_frame = np.clip(frame, 0, n_frames - 1)
    margin = margins(found, seen_frame, others.centroid) - others.features[:, 0] / 2
    others.features[:, -1] = np.maximum(margin, 0)
    parent = np.where(age > 0, np.arange(len(frame)) - len(kept), -1)
    cells = KnownMovie(found, movie.parent, count_children(movie.parent))
    all_seen = together(cells, KnownMovie(others, parent, count_children(parent)))
    seen = replace(as_points(movie), detections=all_seen.detections, parent=all_seen.parent)
    frame = seen.detections.frame
    return kept_cells(seen, (frame >= 0) & (frame < n_frames))


def mothers_missed(movie: TrueMovie, share: float) -> TrueMovie:
    """Return the movie without the last detection before some of the divisions."""
    n_children = count_children(movie.parent)
    drawn = np.random.default_rng(SEED).random(len(n_children))
    return kept_cells(as_points(movie), (n_children < 2) | (drawn >= share))


def missed_for(movie: TrueMovie, share: float, n_frames: int) -> TrueMovie:
    """Return the movie in which a share of the detections is missed, several frames in a row.

    Some of them were missed before the first frame. Of two daughters, the second one of the table
    stays missed.
    """
    rng, frame = np.random.default_rng(SEED), movie.detections.frame
    starts = rng.random(len(frame)) < share / n_frames
    started_before = rng.random(len(frame)) < share * (n_frames - 1) / n_frames
    n_missed = np.where(starts, n_frames, 0)
    n_left = np.where(started_before, rng.integers(1, max(2, n_frames), len(frame)), 0)
    n_missed = np.where(frame == frame[0], np.maximum(n_missed, n_left), n_missed)
    child = np.full(len(frame) + 1, -1)  # the last entry is for -1
    has_parent = np.flatnonzero(movie.parent >= 0)
    child[movie.parent[has_parent]] = has_parent
    is_missed: NDArray[np.bool_] = np.zeros(len(frame), bool)
    row = np.flatnonzero(n_missed)
    n_missed = n_missed[row]
    while len(row):
        is_missed[row] = True
        row, n_missed = child[row], n_missed - 1
        lasts = (row >= 0) & (n_missed > 0)
        row, n_missed = row[lasts], n_missed[lasts]
    return kept_cells(as_points(movie), ~is_missed)
