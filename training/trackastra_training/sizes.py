"""Sizes as others measure them: of markers or nuclei instead of cells, or with noise."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.detection.detections import Detections, FloatArray, IntArray
from trackastra_engine.detection.spacing import nearest_distance
from trackastra_engine.detection.transform import SECOND_MOMENT, ball_inertias, inertias
from trackastra_training.configuration import Augmentation

MARKERS = (0.1, 1.0)  # diameters, in distances to the nearest detection
LONGEST_NEEDLE = 8.0  # of a marker along z: a ball of voxels that are not cubes
SCALES = (0.3, 1.6)  # of diameters, in windows with other sizes: nuclei are smaller than cells
EQUALLY_LARGE = 0.01  # largest deviation of the logarithm of the diameters of markers


def change_sizes(
    detections: Detections, augmentation: Augmentation, rng: np.random.Generator
) -> Detections:
    """Return the detections of a window with other sizes: of markers, or scaled and with noise.

    Some become discs or balls of their sizes, but not those of one plane (a 2D movie, seen by a 3D
    model).
    """
    if rng.random() < augmentation.equal_sizes and np.isfinite(nearest_distance(detections)):
        return as_markers(detections, rng)
    factor = np.exp(measurement_noise(detections.frame, rng) * augmentation.size_noise)
    if augmentation.scaled_sizes and rng.random() < augmentation.scaled_sizes:
        factor *= np.exp(rng.uniform(*np.log(SCALES)))
    features = detections.features.copy()
    features[:, 0] *= factor
    features[:, 2:-1] *= (factor**2)[:, None]
    is_round = augmentation.round_shapes and rng.random() < augmentation.round_shapes
    if is_round and not flat_axes(detections).any():
        features[:, 2:-1] = ball_inertias(features[:, 0], detections.ndim)
    return replace(detections, features=features)


def flat_axes(detections: Detections) -> NDArray[np.bool_]:
    """Return (D,) whether all detections are in one plane across an axis, other than y and x."""
    is_flat = np.zeros(detections.ndim, bool)
    is_flat[:-2] = np.ptp(detections.centroid[:, :-2], axis=0) == 0
    return is_flat


def measurement_noise(frame: IntArray, rng: np.random.Generator) -> FloatArray:
    """Return noise (N,) with a deviation of at most 1; frames share a fifth of its variance.

    Most windows have little, so that a model learns to see how reliable a measurement is.
    """
    of_frame = rng.normal(size=int(frame.max(initial=0)) + 1)[frame]
    noise = (2 * rng.normal(size=len(frame)) + of_frame) / np.sqrt(5)
    return np.asarray(noise * rng.random() ** 2)


def as_markers(detections: Detections, rng: np.random.Generator) -> Detections:
    """Return the detections as equal discs or balls, or needles along z."""
    ndim, count = detections.ndim, len(detections)
    width = nearest_distance(detections) * np.exp(rng.uniform(*np.log(MARKERS)))
    length = np.exp(rng.uniform(0, np.log(LONGEST_NEEDLE))) if ndim == 3 else 1.0
    spread = rng.normal(size=count) * EQUALLY_LARGE * rng.random()
    axes = np.array([length, 1.0, 1.0])[-ndim:] * width * np.exp(spread)[:, None]
    features = detections.features.copy()
    features[:, 0] = axes.prod(axis=1) ** (1 / ndim)
    features[:, 2:-1] = inertias(SECOND_MOMENT[ndim] * axes[:, :, None] ** 2 * np.eye(ndim))
    return replace(detections, features=features)
