"""The typical distance between neighbouring detections."""

from functools import lru_cache

import numpy as np

from trackastra_engine.detection.detections import Detections, FloatArray

MIN_SPACING_DIAMETERS, MAX_SPACING_DIAMETERS = 1.0, 3.0  # bounds for sparse and crowded frames


def typical_spacing(detections: Detections) -> float:
    """Return the median distance to the nearest detection of the same frame, in pixels.

    It is limited to 1 to 3 median diameters; 3 diameters if all frames have one detection.
    """
    size = float(np.median(detections.features[:, 0]))
    low, high = MIN_SPACING_DIAMETERS * size, MAX_SPACING_DIAMETERS * size
    return float(np.clip(nearest_distance(detections), low, high))


def nearest_distance(detections: Detections) -> float:
    """Return the median distance to the nearest detection of the same frame; inf without one."""
    starts = np.flatnonzero(np.diff(detections.frame, prepend=detections.frame[0] - 1))
    nearest = [
        _nearest_distances(points.tobytes(), detections.ndim)
        for points in np.split(detections.centroid, starts[1:])
        if len(points) > 1
    ]
    return float(np.median(np.concatenate(nearest))) if nearest else np.inf


@lru_cache(maxsize=8)  # each frame is in several windows, which are scored one after the other
def _nearest_distances(places: bytes, ndim: int) -> FloatArray:
    """Return the distances (N,) to the nearest other one of N places, given as float64."""
    from scipy.spatial import cKDTree  # 0.3 s, not needed for models that see pixels

    points = np.frombuffer(places).reshape(-1, ndim)
    distances: FloatArray = cKDTree(points).query(points, k=[2])[0][:, 0]
    return distances
