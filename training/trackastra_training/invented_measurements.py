"""Intensities and shapes for movies without them, so that no window looks simulated.

Most real movies with known tracks are tables or masks, while simulated ones have intensities and,
in 3D, shapes. A model that learned from both as they are takes real movies with images, or with
masks of nuclei in 3D, for simulated ones.
"""

from dataclasses import replace

import numpy as np

from trackastra_engine.detection.detections import Detections, FloatArray
from trackastra_engine.detection.transform import covariances, transform
from trackastra_engine.simulation import KnownMovie
from trackastra_training.configuration import Augmentation
from trackastra_training.segmentation_errors import is_born, near_division

CONTRAST = 0.3  # largest deviation of the logarithm of an intensity, by each cause
STRAIN = 0.35  # largest deviation of the logarithm of an axis in 2D; 0.45 in 3D
ROUND = 1e-3  # largest relative difference of the axes of a disc or ball, squared


def with_invented_measurements(
    window: KnownMovie, augmentation: Augmentation, rng: np.random.Generator
) -> KnownMovie:
    """Return a window with some of the measurements that it lacks."""
    found = window.detections
    if not len(found):
        return window
    intensities, shapes = augmentation.invented_intensities, augmentation.invented_shapes
    if intensities and np.isnan(found.features[:, 1]).all() and rng.random() < intensities:
        window = with_invented_intensities(window, rng)
    if shapes and is_round(found) and rng.random() < shapes:
        window = with_invented_shapes(window, rng)
    return window


def with_invented_intensities(window: KnownMovie, rng: np.random.Generator) -> KnownMovie:
    """Return a window with intensities in 0..1 that say much, little or nothing about lineages.

    Each window has its own shares of what a lineage inherits, of its changes, of dividing cells, of
    newborn ones, of sizes, of a gradient across the field, of a change of each frame, and of noise.
    Daughters may differ from each other more than a cell from itself in the frame before.
    """
    found = window.detections
    count, place = len(found), found.centroid - found.centroid.mean(axis=0)
    of_lineage, of_division, of_size, of_place, of_frame, of_noise = rng.random(6)
    of_birth, change, more_at_birth = rng.random(3)
    born = is_born(window)
    changes = np.where(born, change + (1 - change) * more_at_birth, change)
    inherited = _inherited(window, rng.normal(size=(2, count)), changes)
    gradient = place / (place.std() + 1e-12) @ rng.normal(size=found.ndim)
    value = of_lineage * inherited
    value += of_division * rng.normal() * near_division(window)
    value += of_birth * rng.normal() * born
    value += of_size * rng.normal() * _standard(np.log(found.features[:, 0]))
    value += of_place * 0.5 * gradient
    value += of_frame * 0.5 * rng.normal(size=int(found.frame.max()) + 1)[found.frame]
    value += of_noise * rng.normal(size=count)
    features = found.features.copy()
    features[:, 1] = np.exp(CONTRAST * (value - value.max()))
    return replace(window, detections=replace(found, features=features))


def with_invented_shapes(window: KnownMovie, rng: np.random.Generator) -> KnownMovie:
    """Return a window with ellipses or ellipsoids of the same sizes, more or less inherited."""
    found = window.detections
    count, ndim = len(found), found.ndim
    changes = np.full(count, rng.random())
    strain = _inherited(window, rng.normal(size=(2, count, ndim, ndim)), changes)
    strain = 0.5 * (strain + strain.transpose(0, 2, 1))
    strain -= np.trace(strain, axis1=1, axis2=2)[:, None, None] / ndim * np.eye(ndim)
    value, axis = np.linalg.eigh(STRAIN * rng.random() * strain)
    maps = np.einsum("nij,nj,nkj->nik", axis, np.exp(value), axis)
    features = transform(found, maps).features.copy()
    features[:, [0, 1, -1]] = found.features[:, [0, 1, -1]]
    return replace(window, detections=replace(found, features=features))


def _inherited(window: KnownMovie, drawn: FloatArray, changes: FloatArray) -> FloatArray:
    """Return values (N, ...) with a deviation of 1, like those of the parents up to changes.

    drawn: (2, N, ...) normal numbers; changes: (N,) from the parent, 0 to 1.
    """
    (value, new), frame = drawn, window.detections.frame
    changes = changes.reshape(-1, *[1] * (value.ndim - 1))
    for target in range(1, int(frame.max(initial=0)) + 1):  # parents come first
        row = np.flatnonzero((frame == target) & (window.parent >= 0))
        kept = np.sqrt(1 - changes[row] ** 2) * value[window.parent[row]]
        value[row] = kept + changes[row] * new[row]
    return np.asarray(value)


def _standard(value: FloatArray) -> FloatArray:
    return np.asarray((value - value.mean()) / (value.std() + 1e-12))


def is_round(detections: Detections) -> bool:
    """Return whether all detections are discs or balls."""
    axes = np.linalg.eigvalsh(covariances(detections))
    return bool((axes[:, 0] > (1 - ROUND) * axes[:, -1]).all())
