"""The size of voxels: parsing, checking, and the proportions of its axes."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.errors import InputError
from trackastra_engine.movie.axes import space_axes

VoxelSize = tuple[float, ...]  # micrometres along ([z,] y, x)


def parse_voxel_size(text: str) -> VoxelSize:
    """Return the size in a text such as "2,0.5,0.5"; raises InputError for any other text."""
    try:
        return tuple(float(size) for size in text.split(","))
    except ValueError:
        raise InputError(
            f"the voxel size is {text!r}; give z,y,x or y,x in micrometres, such as 2,0.5,0.5"
        ) from None


def check_voxel_size(voxel: VoxelSize, ndim: int) -> None:
    """Raise InputError unless a size from the user fits a movie of 2 or 3 spatial axes."""
    axes = ",".join(space_axes(ndim))
    sizes = np.asarray(voxel)
    are_numbers = sizes.shape == (ndim,) and sizes.dtype.kind in "iuf"
    if not (are_numbers and bool(np.all(np.isfinite(sizes) & (sizes > 0)))):
        raise InputError(
            f"the voxel size is {voxel!r}, but the movie is {ndim}D; give {axes} as {ndim} "
            "positive numbers of micrometres"
        )


def proportions(voxel: VoxelSize | None, ndim: int) -> NDArray[np.float64]:
    """Return the size of a voxel along each axis (D,), relative to x; 1 if unknown.

    For planes read as volumes, z is as long as x.
    """
    if voxel is None:
        return np.ones(ndim)
    missing = ndim - len(voxel)
    return np.array([*[voxel[-1]] * missing, *voxel]) / voxel[-1]


def mean_side(voxel: NDArray[np.floating[Any]]) -> float:
    """Return the side of the square or cube that is as large as a voxel of the sides (D,).

    Diameters in pixels are those of circles or balls of as many pixels: times this, they are in the
    unit of the sides.
    """
    return float(voxel.prod() ** (1 / len(voxel)))
