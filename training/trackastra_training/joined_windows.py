"""Several windows become one: views in depth, and cells that wander past each other."""

from collections.abc import Sequence

import numpy as np

from trackastra_engine.detection.detections import FloatArray
from trackastra_engine.detection.points import detections_of_points
from trackastra_engine.simulation import KnownMovie

MOST_OVERLAID = 3  # further windows
SHIFT = 0.6  # largest one of these along each axis, in halves of the extent of the first


def has_sizes(movie: KnownMovie) -> bool:
    """Return whether the diameters of a movie, which is not empty, are more than one value."""
    return bool(np.ptp(movie.detections.features[:, 0]) > 0)


def overlaid(windows: Sequence[KnownMovie], rng: np.random.Generator) -> KnownMovie:
    """Return the cells of all 2D windows upon each other, turned and shifted at random."""
    places = [window.detections.centroid for window in windows]
    middle, half = places[0].mean(axis=0), np.ptp(places[0], axis=0) / 2
    for number, place in enumerate(places[1:], 1):
        turned = (place - place.mean(axis=0)) @ np.linalg.qr(rng.normal(size=(2, 2)))[0]
        places[number] = turned + middle + rng.uniform(-SHIFT, SHIFT, 2) * half
    return joined(windows, places)


def joined(movies: Sequence[KnownMovie], places: Sequence[FloatArray]) -> KnownMovie:
    """Return the cells of all movies as discs or balls at places (N, D) of each, in one movie.

    Without sizes, diameters are those of points without a diameter.
    """
    first_row = np.cumsum([0, *(len(movie.parent) for movie in movies[:-1])])
    parent = np.concatenate(
        [
            np.where(movie.parent >= 0, movie.parent + first, movie.parent)
            for movie, first in zip(movies, first_row, strict=True)
        ]
    )
    frame = np.concatenate([movie.detections.frame for movie in movies])
    features = np.concatenate([movie.detections.features for movie in movies])
    order = np.argsort(frame, kind="stable")
    new_row = np.argsort(order)
    intensity = features[order, 1]
    found = detections_of_points(
        frame[order],
        np.concatenate(places)[order],
        diameter=features[order, 0] if any(map(has_sizes, movies)) else None,
        intensity=intensity if np.isfinite(intensity).all() else None,
    )
    parent = np.where(parent >= 0, new_row[np.maximum(parent, 0)], parent)[order]
    n_children = np.concatenate([movie.n_children for movie in movies])[order]
    return KnownMovie(found, parent, n_children)
