"""Convert the detections of a window to tokens, the input of a model.

There are two recipes. `upstream` is for models trained with upstream: pixels and measured values.
`relative` is ours: lengths in units of the typical spacing, sizes relative to the typical size,
intensities relative to the window's, so that neither magnification nor exposure matters. Tokens
depend only on the window, so that tracking online equals tracking offline.
"""

from dataclasses import dataclass

import numpy as np

from trackastra_engine.detection.detections import Detections, FloatArray
from trackastra_engine.detection.intensity import IntensityRange
from trackastra_engine.detection.markers import without_marker_sizes
from trackastra_engine.detection.spacing import typical_spacing
from trackastra_engine.model.spec import Recipe

SPACING_UNITS = 16.0  # the typical spacing in the units of `relative` coordinates
BORDER_WIDTH_PX = 5  # distance at which upstream's border feature reaches 0
MAX_INTENSITY_DEVIATION = 5.0  # standard deviations at which the relative intensity is cut


@dataclass(frozen=True, slots=True, eq=False)
class Tokens:
    """The N detections of one window as input of a model of D spatial axes."""

    coordinates: FloatArray  # (N, 1 + D) float32, (t, [z,] y, x), t from the window's first frame
    features: FloatArray  # (N, F) float32, F = token_feature_count(recipe, D)


def token_feature_count(recipe: Recipe, ndim: int) -> int:
    """Return the number of features of a token: 7 or 12 (upstream), 9 or 14 (relative)."""
    return ndim * ndim + (3 if recipe == "upstream" else 5)


def prepare_tokens(
    detections: Detections, recipe: Recipe, intensity_range: IntensityRange | None = None
) -> Tokens:
    """Return the tokens of the detections of one window (at least one detection).

    `intensity_range` is used by `upstream` tokens only; without it, as without images, every
    intensity is 1, as if the image were the foreground.
    """
    if recipe == "upstream":
        return _upstream_tokens(detections, intensity_range)
    return _relative_tokens(detections)


def _upstream_tokens(detections: Detections, intensity_range: IntensityRange | None) -> Tokens:
    # Upstream's `coords - min_time` broadcasts: it moves every axis by the frame number, and the
    # published weights were trained with that (model.py, TrackingTransformer.forward).
    coordinates = np.column_stack([detections.frame, detections.centroid]) - detections.frame.min()
    features = detections.features.copy()
    # In float32, as upstream rounds here and its weights were trained with these values.
    margin = np.minimum(features[:, -1], BORDER_WIDTH_PX).astype(np.float32)
    features[:, -1] = 1 - margin / np.float32(BORDER_WIDTH_PX)
    if intensity_range is None:
        features[:, 1] = 1.0
    else:
        low, high = intensity_range.low, intensity_range.high
        features[:, 1] = (features[:, 1] - low) / (high - low + 1e-8)
    return Tokens(coordinates.astype(np.float32), features.astype(np.float32))


def _relative_tokens(detections: Detections) -> Tokens:
    detections = without_marker_sizes(detections)
    diameter, intensity = detections.features[:, 0], detections.features[:, 1]
    inertia, margin = detections.features[:, 2:-1], detections.features[:, -1]
    size = float(np.median(diameter))
    spacing = typical_spacing(detections)
    time = detections.frame - detections.frame.min()
    # From the outermost cell along each axis: a network learns nearly, not exactly, that the origin
    # does not matter.
    place = detections.centroid - detections.centroid.min(axis=0)
    coordinates = np.column_stack([time, place * (SPACING_UNITS / spacing)])
    features = np.column_stack(
        [
            np.log(diameter / size),
            np.full(len(detections), np.log(size / spacing)),
            inertia / (diameter**2)[:, None],
            *_relative_intensity(intensity),
            np.exp(-margin / spacing),  # near the border, cells enter and leave
        ]
    )
    return Tokens(coordinates.astype(np.float32), features.astype(np.float32))


def _relative_intensity(intensity: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the z-score within the window (N,), and 1 where there is an intensity (N,)."""
    present = np.isfinite(intensity)
    score = np.zeros(len(intensity))
    if present.any():
        values = intensity[present]
        deviation = (values - values.mean()) / (values.std() + 1e-6 * abs(values.mean()) + 1e-12)
        score[present] = np.clip(deviation, -MAX_INTENSITY_DEVIATION, MAX_INTENSITY_DEVIATION)
    return score, present.astype(float)
