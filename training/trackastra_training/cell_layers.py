"""Windows of 2D movies as a 3D model sees them: layers of cells, as on a dish, in stacks of images.

Many stacks show such layers, while the 3D movies with known tracks show embryos.
"""

from dataclasses import replace

import numpy as np

from trackastra_engine.detection.detections import FloatArray
from trackastra_engine.detection.spacing import typical_spacing
from trackastra_engine.detection.transform import covariances, inertias
from trackastra_engine.simulation import KnownMovie
from trackastra_training.invented_measurements import inherited

HIGH_SHARE = 0.3  # of the windows: cells are as high as wide
HEIGHTS = (0.15, 1.0)  # of the cells of other windows, in median diameters
HEIGHT_SPREAD = 0.25  # largest deviation of the logarithm of a cell's height
PLANES = (0.1, 1.0)  # distance of two images of a stack, in median diameters
SLOPE = 0.1  # deviation of the slope of the layer along each axis
WAVY_SHARE = 0.4  # of the windows: the layer has waves
WAVES, WAVELENGTHS = 1.0, (6.0, 30.0)  # largest amplitude, and lengths, in typical spacings
UNEVENNESS = 0.3  # largest deviation of a cell from the layer, in typical spacings
UNRELATED = 0.3  # largest share of this deviation that is new in each frame


def as_layer(window: KnownMovie, rng: np.random.Generator) -> KnownMovie:
    """Return the cells of a 2D window, which is not empty, as cylinders in 3D.

    Positions, areas and shapes in the plane stay as they are. Heights and depths are whole numbers
    of planes, as in segmented stacks.
    """
    found = window.detections
    diameter, count = found.features[:, 0], len(found)
    size, spacing = float(np.median(diameter)), typical_spacing(found)
    plane = size * _log_uniform(rng, PLANES)
    height = diameter if rng.random() < HIGH_SHARE else size * _log_uniform(rng, HEIGHTS)
    own = inherited(window, rng.normal(size=(2, count, 2)), UNRELATED * rng.random())
    height = height * np.exp(HEIGHT_SPREAD * rng.random() * own[:, 0])
    depth = _surface(found.centroid, spacing, rng) + spacing * UNEVENNESS * rng.random() * own[:, 1]
    n_planes = np.maximum(np.rint(height / plane), 1)
    middle = (n_planes - 1) / 2
    depth = plane * (np.rint(depth / plane - middle) + middle)
    covariance = np.zeros((count, 3, 3))
    covariance[:, 1:, 1:] = covariances(found)
    covariance[:, 0, 0] = (n_planes**2 - 1) / 12 * plane**2
    volume = np.pi / 4 * diameter**2 * n_planes * plane
    features = np.column_stack(
        [
            (6 / np.pi * volume) ** (1 / 3),
            found.features[:, 1],
            inertias(covariance),
            found.features[:, -1],
        ]
    )
    centroid = np.column_stack([depth, found.centroid])
    return replace(window, detections=replace(found, centroid=centroid, features=features))


def _surface(place: FloatArray, spacing: float, rng: np.random.Generator) -> FloatArray:
    """Return the depth (N,) of a layer at places (N, 2); it slopes, and may have waves."""
    depth = (place - place.mean(axis=0)) @ rng.normal(size=2) * SLOPE
    if rng.random() < WAVY_SHARE:
        direction = rng.normal(size=2)
        length = spacing * _log_uniform(rng, WAVELENGTHS) * np.linalg.norm(direction)
        phase = place @ direction * (2 * np.pi / length) + rng.uniform(0, 2 * np.pi)
        depth += WAVES * spacing * rng.random() * np.sin(phase)
    return np.asarray(depth)


def _log_uniform(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    return float(np.exp(rng.uniform(*np.log(limits))))
