"""Random changes of the detections of a window that do not change its lineages."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.detection.detections import Detections, FloatArray
from trackastra_engine.detection.spacing import typical_spacing
from trackastra_engine.detection.transform import transform
from trackastra_engine.model.spec import Recipe
from trackastra_engine.model.tokens import Tokens
from trackastra_training.configuration import Augmentation
from trackastra_training.sizes import change_sizes, flat_axes, measurement_noise

WIDEST = 1.5  # spacing that counts for noise of positions, in median diameters
PLANE_DISTANCES = (0.1, 1.2)  # least and largest of coarse depths, in typical spacings
N_WAVES, WAVELENGTHS = 4, (4.0, 24.0)  # of a Flow; the lengths in typical spacings


def random_map(augmentation: Augmentation, ndim: int, rng: np.random.Generator) -> FloatArray:
    """Return a random linear map (D, D): flips, shear, stretch and a turn in the (y, x) plane."""
    stretch = np.diag(
        rng.choice([-1, 1], ndim) * np.exp(rng.normal(size=ndim) * augmentation.stretch)
    )
    shear = rng.normal() * augmentation.shear
    return _plane_map(rng.uniform(0, 2 * np.pi), shear, ndim) @ stretch


def random_frame_maps(
    augmentation: Augmentation, n_frames: int, ndim: int, rng: np.random.Generator
) -> FloatArray:
    """Return a small random linear map (T, D, D) for each frame: shear and a turn in (y, x)."""
    strength = rng.random()
    turn = rng.normal(size=n_frames) * augmentation.frame_turn * strength
    shear = rng.normal(size=n_frames) * augmentation.frame_shear * strength
    return np.stack([_plane_map(*pair, ndim) for pair in zip(turn, shear, strict=True)])


def _plane_map(angle: float, shear: float, ndim: int) -> FloatArray:
    turn, slant = np.eye(ndim), np.eye(ndim)
    turn[-2:, -2:] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    slant[-2, -1] = shear
    return turn @ slant


@dataclass(frozen=True, slots=True, eq=False)
class Flow:
    """A smooth displacement of space in each of T frames: a sum of K plane waves."""

    wave: FloatArray  # (K, D) radians per pixel
    phase: FloatArray  # (K,) radians
    amplitude: FloatArray  # (T, K, D) pixels

    def move(self, detections: Detections) -> Detections:
        """Return the detections moved; each is stretched and turned as space is at its position."""
        angle = detections.centroid @ self.wave.T + self.phase
        amplitude = self.amplitude[detections.frame]
        gradient = np.einsum("nkd,ke,nk->nde", amplitude, self.wave, np.cos(angle))
        moved = transform(detections, np.eye(detections.ndim) + gradient)
        step = np.einsum("nkd,nk->nd", amplitude, np.sin(angle))
        return replace(moved, centroid=detections.centroid + step)


def random_flow(
    augmentation: Augmentation,
    n_frames: int,
    spacing: float,
    is_flat: NDArray[np.bool_],
    rng: np.random.Generator,
) -> Flow:
    """Return a flow that warps the window, and each of its frames a little.

    spacing: typical spacing, in pixels; is_flat: (D,) axes along which nothing moves.
    """
    direction = rng.normal(size=(N_WAVES, len(is_flat))) * ~is_flat
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    length = spacing * np.exp(rng.uniform(*np.log(WAVELENGTHS), N_WAVES))
    of_window, of_frame = rng.normal(size=(2, n_frames, N_WAVES, len(is_flat)))
    strain = of_window[:1] * augmentation.warp + of_frame * augmentation.frame_warp
    strain *= rng.random() * N_WAVES**-0.5 * ~is_flat
    wave = direction * (2 * np.pi / length)[:, None]
    amplitude = strain * (length / (2 * np.pi))[:, None]
    return Flow(wave, rng.uniform(0, 2 * np.pi, N_WAVES), amplitude)


def augment(
    detections: Detections, augmentation: Augmentation, rng: np.random.Generator
) -> Detections:
    """Return the detections of a window as another microscope might have recorded it.

    An axis along which all detections are in one plane does not change (a 2D movie, seen by a 3D
    model).
    """
    ndim, n_frames = detections.ndim, int(detections.frame.max()) + 1
    is_flat = flat_axes(detections)
    joint = random_map(augmentation, ndim, rng)
    joint[is_flat] = np.eye(ndim)[is_flat]
    moved = transform(detections, joint)
    middle = moved.centroid.mean(axis=0)
    moved = replace(moved, centroid=moved.centroid - middle)  # frames turn around the middle
    moved = transform(moved, random_frame_maps(augmentation, n_frames, ndim, rng)[moved.frame])
    spacing = typical_spacing(moved)
    moved = random_flow(augmentation, n_frames, spacing, is_flat, rng).move(moved)
    own = rng.normal(size=(len(moved), ndim, ndim)) * augmentation.shape_noise * rng.random() ** 2
    own[:, is_flat], own[:, :, is_flat] = 0, 0
    centroid, margin = moved.centroid, moved.features[:, -1]
    if augmentation.protrusions:  # a cell extends towards some side, or draws back from it
        reach = own @ rng.normal(size=(len(moved), ndim, 1)) * augmentation.protrusions
        centroid = centroid + rng.random() * moved.features[:, :1] * reach[:, :, 0]
    moved = transform(moved, np.eye(ndim) + own)
    shift = rng.normal(size=(n_frames, ndim)) * augmentation.frame_shift * rng.random()
    noise = rng.normal(size=centroid.shape) * augmentation.noise * rng.random()
    if augmentation.depth_noise and ndim == 3:
        depth = rng.normal(size=len(noise)) * augmentation.depth_noise * rng.random() ** 2
        noise[:, 0] += depth
    unit = min(spacing, WIDEST * float(np.median(moved.features[:, 0])))
    step = (shift[moved.frame] + noise) * unit * ~is_flat
    features = moved.features.copy()
    features[:, -1] = margin
    features[:, 1] = _other_intensity(moved, augmentation, rng)
    centroid = centroid + middle + step
    if augmentation.coarse_depth and ndim == 3 and rng.random() < augmentation.coarse_depth:
        centroid[:, 0] = _in_planes(centroid[:, 0], spacing, rng)
    return change_sizes(replace(moved, centroid=centroid, features=features), augmentation, rng)


def _in_planes(depth: FloatArray, spacing: float, rng: np.random.Generator) -> FloatArray:
    """Return depths (N,), each in the nearest of planes; spacing: typical one, in pixels."""
    distance = spacing * np.exp(rng.uniform(*np.log(PLANE_DISTANCES)))
    first = rng.random()
    return np.asarray((np.rint(depth / distance - first) + first) * distance)


def _other_intensity(
    detections: Detections, augmentation: Augmentation, rng: np.random.Generator
) -> FloatArray:
    intensity = detections.features[:, 1]
    if rng.random() < augmentation.no_intensity or not np.isfinite(intensity).all():
        return np.full(len(intensity), np.nan)
    deviation = intensity.std()
    scale = np.exp(rng.normal() * augmentation.brightness)
    shift = rng.normal() * augmentation.brightness * deviation
    noise = measurement_noise(detections.frame, rng) * augmentation.intensity_noise
    return np.asarray(scale * intensity + shift + noise * deviation)


def displace(
    tokens: Tokens, recipe: Recipe, augmentation: Augmentation, rng: np.random.Generator
) -> Tokens:
    """Return `relative` tokens scaled, and others shifted: scale and position have no meaning.

    Relative tokens begin at 0 in use, so they do in training.
    """
    coordinates, features = tokens.coordinates.copy(), tokens.features.copy()
    space = coordinates[:, 1:] - coordinates[:, 1:].min(axis=0)
    if recipe == "relative":
        log_scale = rng.normal() * augmentation.scale
        coordinates[:, 1:] = space * np.exp(log_scale)
        features[:, 1] += log_scale
        features[:, -1] **= np.exp(log_scale)  # the logarithm of this feature is a length
    else:
        offset = rng.uniform(0, augmentation.offset, space.shape[1])
        offset[np.ptp(space, axis=0) == 0] = 0  # planes of a 2D movie lie at 0
        coordinates[:, 1:] = space + offset
    return Tokens(coordinates, features)
