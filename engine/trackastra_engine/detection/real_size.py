"""Warn if the size of a pixel is hardly that of the movie, by the size of its objects."""

import logging

import numpy as np

from trackastra_engine.detection.detections import Detections
from trackastra_engine.errors import option
from trackastra_engine.movie.voxels import VoxelSize, mean_side

logger = logging.getLogger(__name__)

# Median diameters in micrometres: bacteria are 0.5 wide, organoids and small animals up to 1,000.
LEAST_UM, LARGEST_UM = 0.1, 3000.0


def warn_of_odd_size(detections: Detections, voxel_um: VoxelSize | None) -> None:
    """Warn if the objects of a movie are too small or too large to be cells."""
    if voxel_um is None or not len(detections):
        return
    size = float(np.median(detections.features[:, 0])) * mean_side(np.asarray(voxel_um, float))
    if not LEAST_UM <= size <= LARGEST_UM:
        logger.warning(
            "objects are %.3g um wide in the median, as a pixel is %g um; check the size of a "
            "pixel, or give it with %s",
            *(size, voxel_um[-1], option("voxel")),
        )
