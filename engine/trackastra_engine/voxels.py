"""The size of voxels: what TIFF files say of it, and what it means for distances."""

import math
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.errors import InputError

if TYPE_CHECKING:
    import tifffile

VoxelSize = tuple[float, ...]  # micrometres along ([z,] y, x)

# As ImageJ and OME write them; ImageJ escapes the micro sign.
UM_PER_UNIT = {
    "m": 1e6, "cm": 1e4, "mm": 1e3, "nm": 1e-3,
    "um": 1.0, "\u00b5m": 1.0, "\u03bcm": 1.0, "\\u00b5m": 1.0,
    "micron": 1.0, "microns": 1.0, "micrometer": 1.0, "micrometre": 1.0,
}  # fmt: skip


def read_voxel_size(file: "tifffile.TiffFile", ndim: int) -> VoxelSize | None:
    """Return what a TIFF of ImageJ or in OME's form says, or None; ndim: 2 or 3 spatial axes.

    The resolution of other TIFFs is not believed: programs write 72 or 96 dots per inch there.
    """
    description = file.pages[0].description
    sizes = _ome_sizes(description) if "<OME" in description else _imagej_sizes(file)
    voxel = tuple(sizes.get(axis, math.nan) for axis in "zyx"[3 - ndim :])
    return voxel if _is_possible(voxel) else None


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


def _imagej_sizes(file: "tifffile.TiffFile") -> dict[str, float]:
    metadata = file.imagej_metadata if file.is_imagej else None
    unit = UM_PER_UNIT.get(str((metadata or {}).get("unit", "")).lower())
    if metadata is None or unit is None:
        return {}
    sizes = {"z": _number(metadata.get("spacing")) * unit}
    for axis, name in (("y", "YResolution"), ("x", "XResolution")):
        tag = file.pages[0].tags.get(name)
        if tag is not None and tag.value[0] > 0:  # voxels in so many units
            sizes[axis] = tag.value[1] / tag.value[0] * unit
    return sizes


def _ome_sizes(description: str) -> dict[str, float]:
    try:
        pixels = ElementTree.fromstring(description).find(".//{*}Pixels")
    except ElementTree.ParseError:
        return {}
    if pixels is None:
        return {}
    sizes = {}
    for axis in "zyx":
        name = f"PhysicalSize{axis.upper()}"
        unit = UM_PER_UNIT.get(pixels.get(f"{name}Unit", "um").lower(), math.nan)
        sizes[axis] = _number(pixels.get(name)) * unit
    return sizes


def _number(text: object) -> float:
    try:
        return float(str(text))
    except ValueError:
        return math.nan
