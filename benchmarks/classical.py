"""Trackers without learning, as baselines: nearest neighbour and overlap of masks."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from trackastra_engine.detection.detections import Detections

MAX_CHILDREN = 2


def nearest_neighbour(detections: Detections, max_distance: float) -> NDArray[np.int64]:
    """Link every detection to the nearest one of the frame before, within `max_distance` pixels.

    A source keeps its two nearest targets. Returns (E, 2) rows of detections.
    """

    def best(source: slice, target: slice) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        tree = cKDTree(detections.centroid[source])
        distance, nearest = tree.query(detections.centroid[target])
        return nearest, np.where(distance <= max_distance, -distance, -np.inf)

    return _link_frames(detections, best)


def overlap(detections: Detections, masks: NDArray[np.integer]) -> NDArray[np.int64]:
    """Link every detection to the one of the frame before with the largest IoU of their masks.

    A source keeps its two best targets. masks: (T, [Z,] Y, X). Returns (E, 2) rows.
    """

    def best(source: slice, target: slice) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        frame = int(detections.frame[target.start])
        before, after = masks[frame - 1].ravel(), masks[frame].ravel()
        is_both = (before > 0) & (after > 0)
        i = np.searchsorted(detections.label[source], before[is_both])
        j = np.searchsorted(detections.label[target], after[is_both])
        n_source, n_target = source.stop - source.start, target.stop - target.start
        shared = np.zeros((n_source, n_target))
        np.add.at(shared, (i, j), 1)
        area_before = np.bincount(before)[detections.label[source]]
        area_after = np.bincount(after)[detections.label[target]]
        iou = shared / (area_before[:, None] + area_after[None, :] - shared)
        nearest = iou.argmax(axis=0)
        score = iou[nearest, np.arange(n_target)]
        return nearest, np.where(score > 0, score, -np.inf)

    return _link_frames(detections, best)


def _link_frames(
    detections: Detections,
    best: Callable[[slice, slice], tuple[NDArray[np.int64], NDArray[np.float64]]],
) -> NDArray[np.int64]:
    """Apply `best`, which returns each target's source and its quality, to all frame pairs."""
    n_frames = int(detections.frame.max()) + 1
    offsets = np.searchsorted(detections.frame, np.arange(n_frames + 1))
    links = []
    for t in range(1, n_frames):
        source, target = slice(offsets[t - 1], offsets[t]), slice(offsets[t], offsets[t + 1])
        if source.start == source.stop or target.start == target.stop:
            continue
        parent, quality = best(source, target)
        order = np.lexsort((-quality, parent))
        order = order[np.isfinite(quality[order])]
        rank = np.arange(len(order)) - np.searchsorted(parent[order], parent[order])
        kept = order[rank < MAX_CHILDREN]
        links.append(np.column_stack([parent[kept] + source.start, kept + target.start]))
    return np.concatenate(links).astype(np.int64)
