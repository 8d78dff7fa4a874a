"""Random changes of the detections of a window that leave its lineages as they are."""

from dataclasses import dataclass, replace

import numpy as np

from trackastra_engine.detections import Detections, FloatArray
from trackastra_engine.tokens import SPACING_UNITS, Tokens, typical_spacing


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How strong the random changes are; 0 leaves something as it is."""

    stretch: float = 0.15  # standard deviation of the logarithm of the scale along an axis
    shear: float = 0.1  # standard deviation of the shear
    frame_shift: float = 0.1  # standard deviation of a frame's translation, in spacings
    noise: float = 0.03  # largest noise of positions (spacings), and of sizes (logarithm)
    no_intensity: float = 0.15  # chance that a window has no intensities
    intensity_noise: float = 0.2  # largest noise, in standard deviations of the window
    dropped: float = 0.05  # largest share of detections that are missed
    offset: float = 1000.0  # largest translation of the tokens, in their units
    scale: float = 0.1  # standard deviation of the logarithm of the typical spacing


def random_map(augmentation: Augmentation, ndim: int, rng: np.random.Generator) -> FloatArray:
    """Return a random linear map (D, D): flips, shear, stretch and a turn in the (y, x) plane."""
    angle = rng.uniform(0, 2 * np.pi)
    turn = np.eye(ndim)
    turn[-2:, -2:] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    stretch = np.diag(
        rng.choice([-1, 1], ndim) * np.exp(rng.normal(size=ndim) * augmentation.stretch)
    )
    shear = np.eye(ndim)
    shear[-2, -1] = rng.normal() * augmentation.shear
    return turn @ shear @ stretch


def transform(detections: Detections, linear_map: FloatArray) -> Detections:
    """Return the detections of cells whose pixels were moved by a linear map (D, D).

    The covariance C of the pixels becomes M C M^T, the size grows with the determinant of M.
    Margins to the image border scale like sizes, for want of the direction of the border.
    """
    ndim = detections.ndim
    features = detections.features.copy()
    scale = abs(np.linalg.det(linear_map)) ** (1 / ndim)
    features[:, 0] *= scale
    features[:, -1] *= scale
    inertia = features[:, 2:-1].reshape(-1, ndim, ndim)
    identity = np.eye(ndim)
    # trace(I) = (D - 1) trace(C), as I = trace(C) 1 - C
    trace = np.trace(inertia, axis1=1, axis2=2)[:, None, None] / (ndim - 1)
    covariance = linear_map @ (trace * identity - inertia) @ linear_map.T
    trace = np.trace(covariance, axis1=1, axis2=2)[:, None, None]
    features[:, 2:-1] = (trace * identity - covariance).reshape(len(features), -1)
    return replace(detections, centroid=detections.centroid @ linear_map.T, features=features)


def augment(
    detections: Detections, augmentation: Augmentation, rng: np.random.Generator
) -> Detections:
    """Return the detections of a window as another microscope might have seen it."""
    ndim = detections.ndim
    moved = transform(detections, random_map(augmentation, ndim, rng))
    spacing = typical_spacing(moved)
    n_frames = int(moved.frame.max()) + 1
    shift = rng.normal(size=(n_frames, ndim)) * augmentation.frame_shift * rng.random()
    noise = rng.normal(size=moved.centroid.shape) * augmentation.noise * rng.random()
    features = moved.features.copy()
    size_noise = np.exp(rng.normal(size=len(moved)) * augmentation.noise * rng.random())
    features[:, 0] *= size_noise
    features[:, 2:-1] *= size_noise[:, None] ** 2
    features[:, 1] = _other_intensity(features[:, 1], augmentation, rng)
    centroid = moved.centroid + (shift[moved.frame] + noise) * spacing
    return replace(moved, centroid=centroid, features=features)


def _other_intensity(
    intensity: FloatArray, augmentation: Augmentation, rng: np.random.Generator
) -> FloatArray:
    if rng.random() < augmentation.no_intensity or not np.isfinite(intensity).all():
        return np.full(len(intensity), np.nan)
    noise = rng.normal(size=len(intensity)) * augmentation.intensity_noise * rng.random()
    return intensity + noise * intensity.std()


def displace(tokens: Tokens, augmentation: Augmentation, rng: np.random.Generator) -> Tokens:
    """Return the tokens elsewhere and at another scale, so that neither carries meaning."""
    coordinates, features = tokens.coordinates.copy(), tokens.features.copy()
    log_scale = rng.normal() * augmentation.scale
    space = coordinates[:, 1:] * np.exp(log_scale)
    offset = rng.uniform(0, augmentation.offset, space.shape[1])
    coordinates[:, 1:] = space - space.min(axis=0) + offset + rng.uniform(0, SPACING_UNITS)
    features[:, 1] += log_scale
    features[:, -1] **= np.exp(log_scale)  # the logarithm of this feature is a length
    return Tokens(coordinates, features)
