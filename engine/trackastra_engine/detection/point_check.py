"""Warn of points that are hardly those of a movie: wrong units, or each object twice."""

import logging

import numpy as np

from trackastra_engine.detection.detections import Detections, FloatArray
from trackastra_engine.movie.voxels import VoxelSize, mean_side, proportions
from trackastra_engine.progress import NOTICE

logger = logging.getLogger(__name__)

FRAMES_SEEN = 10  # of a movie, about
FEWEST_POINTS = 20  # with two neighbours, below which nothing is decided
# Median distance to the nearest point over that to the second: 0.66 to 0.91 in embryos and
# colonies, 0.15 or more for a few sister cells of MCF10A, near 0 if each object is there twice.
OF_PAIRS = 0.05
# Median distance to the nearest point, in diameters: 0.66 or more in the same movies.
WITHIN_EACH_OTHER = 0.2


def check_points(
    detections: Detections, name: str, voxel_um: VoxelSize | None, *, has_diameters: bool
) -> None:
    """Warn of positions and diameters in other units than pixels, and of repeated points.

    name: of the table; voxel_um: size of a voxel, if known; has_diameters: whether diameters are
    given, and not assumed. Logs the first frame without points.
    """
    position, n_points = detections.centroid, len(detections)
    places = np.unique(np.column_stack([detections.frame, position]), axis=0)
    if len(places) < n_points:
        logger.warning(
            "%d points of %s have the frame and position of another one; remove them if the "
            "points are there twice",
            *(n_points - len(places), name),
        )
    if n_points > 2 and 0 < np.abs(position[:, -2:]).max() <= 1:
        logger.warning(
            "all positions of %s are within one pixel; check that their unit is pixels", name
        )
    # Without the size of voxels, lengths in 3D are not known.
    is_measurable = has_diameters and (detections.ndim == 2 or voxel_um is not None)
    distances = _distances(detections, proportions(voxel_um, detections.ndim))
    if len(distances) >= FEWEST_POINTS and len(places) == n_points:
        nearest, second, diameter = np.median(distances, axis=0)
        is_near = nearest < WITHIN_EACH_OTHER * diameter
        if nearest < OF_PAIRS * second and (is_near or not is_measurable):
            logger.warning(
                "most points of %s have another one close by, %.2g pixels away; check that each "
                "object is there once",
                *(name, nearest),
            )
        elif is_near and is_measurable:
            logger.warning(
                "points of %s are %.2g pixels apart, but their diameters are %.2g; check that "
                "positions and diameters are in pixels",
                *(name, nearest, diameter),
            )
    _report_gaps(detections, name)


def _distances(detections: Detections, sides: FloatArray) -> FloatArray:
    """Return (N, 3) distances to the nearest and second nearest point, and the diameter.

    N points of some frames, without those of fewer than three points. Lengths are in pixels of x;
    sides: (D,) of a voxel, in these.
    """
    from scipy.spatial import cKDTree  # 0.3 s

    starts = np.flatnonzero(np.diff(detections.frame, prepend=-1))
    filled = [rows for rows in np.split(np.arange(len(detections)), starts[1:]) if len(rows) > 2]
    every = max(1, len(filled) // FRAMES_SEEN)
    found = [np.empty((0, 3))]
    for rows in filled[::every]:
        places = detections.centroid[rows] * sides
        nearest = cKDTree(places).query(places, k=[2, 3])[0]
        diameter = detections.features[rows, 0] * mean_side(sides)
        found.append(np.column_stack([nearest, diameter]))
    return np.concatenate(found)


def _report_gaps(detections: Detections, name: str) -> None:
    """Log the first of the frames that are missing between others."""
    frames = np.unique(detections.frame)
    gaps = np.flatnonzero(np.diff(frames) > 1)
    if len(gaps):
        n_others = int(frames[-1] - frames[0]) - len(frames)
        others = f" and {n_others} more" if n_others else ""
        logger.log(NOTICE, "no points of %s are in frame %d%s", name, frames[gaps[0]] + 1, others)
