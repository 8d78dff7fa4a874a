"""Masks of points: balls of their diameters, for trackers that need masks."""

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.detection.detections import Detections, split_frames

VOXELS = 8  # per typical spacing, enough for shapes and overlaps


def drawn_balls(detections: Detections, voxel: float) -> NDArray[np.int32]:
    """Return masks (T, Z, Y, X) of points in 3D, with voxels of a size in pixels.

    Labels count the points of each frame from 1. A voxel in several balls belongs to the one whose
    center is nearest, in radii.
    """
    radius = detections.features[:, 0].max() / 2
    first = detections.centroid.min(axis=0) - radius
    n_voxels = np.ceil((detections.centroid.max(axis=0) + radius - first) / voxel).astype(int) + 1
    n_frames = int(detections.frame.max()) + 1
    masks = np.zeros((n_frames, *n_voxels), np.int32)
    for mask, frame in zip(masks, split_frames(detections, n_frames), strict=True):
        _draw(mask, (frame.centroid - first) / voxel, frame.features[:, 0] / (2 * voxel))
    return masks


def _draw(
    mask: NDArray[np.int32], center: NDArray[np.float64], radius: NDArray[np.float64]
) -> None:
    """Draw balls at centers (N, 3) with radii (N,), in voxels, into the mask of their frame."""
    nearest = np.full(mask.shape, np.inf)
    for label, (place, size) in enumerate(zip(center, radius.tolist(), strict=True), start=1):
        begin, end = np.floor(place - size).astype(int), np.ceil(place + size).astype(int) + 1
        box = tuple(slice(max(0, a), b) for a, b in zip(begin, end, strict=True))
        offset = [axis - p for axis, p in zip(np.ogrid[box], place, strict=True)]
        length = np.sqrt(sum(part**2 for part in offset)) / size
        is_own = (length <= 1) & (length < nearest[box])
        mask[box][is_own] = label
        nearest[box][is_own] = length[is_own]
