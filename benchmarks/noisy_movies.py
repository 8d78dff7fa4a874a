"""Movies with other sizes, shapes or intensities, often noisy ones, at the same places.

Every call returns the same movies, as points.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.movie_variants import SEED
from benchmarks.true_movies import TrueMovie, as_points
from trackastra_engine.detection.transform import ball_inertias, transform


def with_strain(
    movie: TrueMovie, strain: Callable[[np.random.Generator, int, int], NDArray[np.float64]]
) -> TrueMovie:
    """Return the detections with other sizes and shapes at the same places, as points.

    strain: returns linear maps (N, D, D).
    """
    found = movie.detections
    changed = transform(found, strain(np.random.default_rng(SEED), len(found), found.ndim))
    features = changed.features.copy()
    features[:, -1] = found.features[:, -1]  # the distance to the border
    return replace(as_points(movie), detections=replace(found, features=features))


def noisy_sizes(movie: TrueMovie, deviation: float) -> TrueMovie:
    """Return the movie with noise of the logarithm of the diameters."""

    def strain(rng: np.random.Generator, count: int, ndim: int) -> NDArray[np.float64]:
        factor = np.exp(rng.normal(size=count) * deviation)
        return np.asarray(factor[:, None, None] * np.eye(ndim))

    return with_strain(movie, strain)


def noisy_shapes(movie: TrueMovie, deviation: float) -> TrueMovie:
    """Return the movie with a random strain of each object."""

    def strain(rng: np.random.Generator, count: int, ndim: int) -> NDArray[np.float64]:
        return np.asarray(np.eye(ndim) + rng.normal(size=(count, ndim, ndim)) * deviation)

    return with_strain(movie, strain)


def other_sizes(movie: TrueMovie, factor: float) -> TrueMovie:
    """Return the movie with all diameters times a factor, as of nuclei instead of cells."""

    def strain(_: np.random.Generator, count: int, ndim: int) -> NDArray[np.float64]:
        return np.asarray(np.tile(factor * np.eye(ndim), (count, 1, 1)))

    return with_strain(movie, strain)


def without_shapes(movie: TrueMovie) -> TrueMovie:
    """Return the movie with discs or balls of the same diameters."""
    found = movie.detections
    features = found.features.copy()
    features[:, 2:-1] = ball_inertias(features[:, 0], found.ndim)
    return replace(as_points(movie), detections=replace(found, features=features))


def noisy_intensities(movie: TrueMovie, deviation: float) -> TrueMovie:
    """Return the movie with noise of the mean intensities of the objects."""
    features = movie.detections.features.copy()
    noise = np.random.default_rng(SEED).normal(size=len(features))
    features[:, 1] += noise * deviation * features[:, 1].std()
    return replace(as_points(movie), detections=replace(movie.detections, features=features))


def random_intensities(movie: TrueMovie) -> TrueMovie:
    """Return the movie with intensities that say nothing about the lineages."""
    features = movie.detections.features.copy()
    features[:, 1] = np.random.default_rng(SEED).uniform(1, 2, len(features))
    return replace(as_points(movie), detections=replace(movie.detections, features=features))
