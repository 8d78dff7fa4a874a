"""Windows aligned as in tracking: their frames are carried along the flow of the cells.

Tracking estimates the flow from detections only, and so does training for some windows. For most,
it computes the flow from a random part of the true links, so that the flow has small errors.
"""

from dataclasses import replace

import numpy as np
from scipy.spatial import cKDTree

from trackastra_engine.detection.detections import FloatArray
from trackastra_engine.motion.alignment import carried, flows_of
from trackastra_engine.simulation import KnownMovie

N_NEIGHBOURS = 15  # links whose median step is the flow, as in tracking
FEWEST_LINKS = 3  # between two frames; fewer do not show a common motion
LEAST_KNOWN = 0.3  # smallest share of the links that are known


def align(window: KnownMovie, rng: np.random.Generator) -> KnownMovie:
    """Return the window with all frames carried along the flow into the last one."""
    frame, centroid = window.detections.frame, window.detections.centroid.copy()
    link = np.flatnonzero(window.parent >= 0)
    link = link[frame[link] - frame[window.parent[link]] == 1]
    link = link[rng.random(len(link)) < rng.uniform(LEAST_KNOWN, 1)]
    start = window.detections.centroid[window.parent[link]]
    step = window.detections.centroid[link] - start
    for source in range(int(frame.max(initial=0))):
        inside = frame[link] == source + 1
        if inside.sum() >= FEWEST_LINKS:
            earlier = frame <= source
            centroid[earlier] += local_median(start[inside], step[inside], centroid[earlier])
    return replace(window, detections=replace(window.detections, centroid=centroid))


def align_as_tracking(window: KnownMovie) -> KnownMovie:
    """Return the window with all frames carried along the flow that its detections show."""
    detections = window.detections
    return replace(window, detections=carried(detections, flows_of(detections)))


def local_median(places: FloatArray, steps: FloatArray, at: FloatArray) -> FloatArray:
    """Return the median (M, D) of the steps (K, D) taken at the places nearest to M others."""
    count = min(N_NEIGHBOURS, len(places))
    nearest = cKDTree(places).query(at, count)[1]
    return np.asarray(np.median(steps[nearest], axis=1))
