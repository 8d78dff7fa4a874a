"""Markers: detections of equal size, such as points or seeds, independent of the cells."""

from dataclasses import replace

import numpy as np

from trackastra_engine.detection.detections import Detections
from trackastra_engine.detection.spacing import nearest_distance
from trackastra_engine.detection.transform import ball_inertias

# Nine tenths of the diameters of markers are within this; cells of 17 embryos span 13 % or more.
EQUAL_SIZES = 0.05
MARKER_DIAMETER = 0.8  # in the model's input, in distances to the nearest detection


def without_marker_sizes(detections: Detections) -> Detections:
    """Return the detections; markers become discs or balls of a size that suits their distance.

    Markers are equally large, whatever the cells' size. Their size and shape have no meaning, and
    small ones would make the cells seem far apart. The few of another size (two merged markers, or
    half of one) keep their shape, and their size relative to the others.
    """
    diameter = detections.features[:, 0]
    rank = (len(diameter) - 1) * np.array([0.05, 0.95])
    low, high = np.interp(rank, np.arange(len(diameter)), np.sort(diameter))  # 4 x np.quantile
    if high > low * (1 + EQUAL_SIZES):
        return detections
    spacing = nearest_distance(detections)
    if not 0 < spacing < np.inf:
        return detections
    usual = float(np.median(diameter))
    scale = MARKER_DIAMETER * spacing / usual
    is_marker = np.abs(diameter / usual - 1) <= EQUAL_SIZES
    features = detections.features.copy()
    features[is_marker, 0] = MARKER_DIAMETER * spacing
    features[~is_marker, 0] *= scale
    features[~is_marker, 2:-1] *= scale**2
    features[is_marker, 2:-1] = ball_inertias(features[is_marker, 0], detections.ndim)
    return replace(detections, features=features)
