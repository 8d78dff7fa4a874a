"""The size of voxels: as users give it, and what it means for distances."""

import math

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.errors import InputError

VoxelSize = tuple[float, ...]  # micrometres along ([z,] y, x)


def parse_voxel_size(text: str) -> VoxelSize:
    """Return the size that a text such as "2,0.5,0.5" gives; raises InputError for any other."""
    try:
        return tuple(float(size) for size in text.split(","))
    except ValueError:
        raise InputError(
            f"the voxel size is {text!r}; give z,y,x or y,x in micrometres, such as 2,0.5,0.5"
        ) from None


def check_voxel_size(voxel: VoxelSize, ndim: int) -> None:
    """Raise InputError unless a size that a user gave fits a movie of 2 or 3 spatial axes."""
    axes = ",".join("zyx"[3 - ndim :])
    if len(voxel) != ndim or not _is_possible(voxel):
        raise InputError(
            f"the voxel size is {','.join(f'{size:g}' for size in voxel)}, but the movie is "
            f"{ndim}D; give {axes} as {ndim} positive numbers of micrometres"
        )


def proportions(voxel: VoxelSize | None, ndim: int) -> NDArray[np.float64]:
    """Return how long a voxel is along each axis (D,), in its lengths along x; 1 if not known.

    A movie of planes that is taken as volumes gets a z as long as x.
    """
    if voxel is None:
        return np.ones(ndim)
    missing = ndim - len(voxel)
    return np.array([*[voxel[-1]] * missing, *voxel]) / voxel[-1]


def _is_possible(voxel: VoxelSize) -> bool:
    return all(math.isfinite(size) and size > 0 for size in voxel)
