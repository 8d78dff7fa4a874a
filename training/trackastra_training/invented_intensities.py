"""Intensities for movies without images, so that a model does not see which windows are simulated.

Most real movies with known tracks are tables or masks, while simulated ones have intensities. A
model that learned from both without these took real movies with images for simulated ones.
"""

from dataclasses import replace

import numpy as np

from trackastra_engine.detection.detections import FloatArray
from trackastra_engine.simulation import KnownMovie

CONTRAST = 0.3  # of intensities, as the deviation of their logarithm


def with_invented_intensities(window: KnownMovie, rng: np.random.Generator) -> KnownMovie:
    """Return a window with intensities in 0..1 that say much, little or nothing about lineages.

    Each window has its own shares of what a lineage inherits, of its changes, of dividing cells, of
    sizes, of a gradient across the field, of a change of each frame, and of noise.
    """
    found = window.detections
    count, place = len(found), found.centroid
    of_lineage, of_division, of_size, of_place, of_frame, of_noise = rng.random(6)
    inherited = _inherited(window, rng.random(), rng)
    gradient = (place - place.mean(axis=0)) / (place.std() + 1e-12) @ rng.normal(size=found.ndim)
    value = of_lineage * inherited
    value += of_division * rng.normal() * _divides(window)
    value += of_size * rng.normal() * _standard(np.log(found.features[:, 0]))
    value += of_place * 0.5 * gradient
    value += of_frame * 0.5 * rng.normal(size=int(found.frame.max()) + 1)[found.frame]
    value += of_noise * rng.normal(size=count)
    features = found.features.copy()
    features[:, 1] = np.exp(CONTRAST * (value - value.max()))
    return replace(window, detections=replace(found, features=features))


def _inherited(window: KnownMovie, change: float, rng: np.random.Generator) -> FloatArray:
    """Return values (N,) with a deviation of 1, like those of the parents up to a change."""
    value, new = rng.normal(size=(2, len(window.parent)))
    for row in np.flatnonzero(window.parent >= 0):  # parents come first
        value[row] = np.sqrt(1 - change**2) * value[window.parent[row]] + change * new[row]
    return np.asarray(value)


def _divides(window: KnownMovie) -> FloatArray:
    """Return 1 for cells (N,) that divide, or whose parent did, else 0."""
    is_mother = window.n_children >= 2
    return np.asarray(is_mother | ((window.parent >= 0) & is_mother[window.parent]), float)


def _standard(value: FloatArray) -> FloatArray:
    return np.asarray((value - value.mean()) / (value.std() + 1e-12))
