"""Cells that wander and divide in a cube, and the parents of those of them that are seen."""

from dataclasses import replace

import numpy as np

from trackastra_engine.detection.points import detections_of_points
from trackastra_engine.simulation import KnownMovie, count_children

N_FRAMES, N_CELLS = 4, 60


def wandering_cells(seed=0):
    """Return balls that wander in a cube, some of which divide."""
    rng = np.random.default_rng(seed)
    place, parent, frames, parents = rng.uniform(0, 100, (N_CELLS, 3)), None, [], []
    n_before = 0
    for _ in range(N_FRAMES):
        frames.append(place)
        parents.append(np.full(len(place), -1) if parent is None else parent + n_before)
        n_before = sum(map(len, frames[:-1]))
        parent = np.repeat(np.arange(len(place)), 1 + (rng.random(len(place)) < 0.1))
        place = place[parent] + rng.normal(0, 6, (len(parent), 3))
    frame = np.repeat(np.arange(N_FRAMES), list(map(len, frames)))
    diameter = rng.uniform(8, 16, len(frame))
    found = detections_of_points(frame, np.concatenate(frames), diameter=diameter)
    parent = np.concatenate(parents)
    return KnownMovie(found, parent, count_children(parent))


def in_plane(movie):
    """Return the discs that the balls of a movie are in 2D."""
    found = movie.detections
    discs = detections_of_points(
        found.frame,
        found.centroid[:, 1:],
        label=found.label,
        diameter=found.features[:, 0],
    )
    return replace(movie, detections=discs)


def pairs(found):
    return list(zip(found.frame.tolist(), found.label.tolist(), strict=True))


def rows_of(seen, movie):
    """Return the rows of a movie that are seen."""
    place = {pair: row for row, pair in enumerate(pairs(movie.detections))}
    return np.array([place[pair] for pair in pairs(seen.detections)])


def visible_parents(movie, rows):
    """Return the nearest visible ancestor of each seen row, as a number of `rows`; or -1."""
    is_seen = np.isin(np.arange(len(movie.parent)), rows)
    number = {int(row): place for place, row in enumerate(rows)} | {-1: -1}
    return [number[visible_ancestor(movie, movie.parent[row], is_seen)] for row in rows]


def visible_ancestor(movie, row, is_seen):
    while row >= 0 and not is_seen[row]:
        row = movie.parent[row]
    return row
