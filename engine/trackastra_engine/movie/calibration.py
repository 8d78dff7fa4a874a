"""Read the voxel size and the time between frames from files, in one unit each."""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from trackastra_engine.errors import InputError
from trackastra_engine.movie.axes import space_axes
from trackastra_engine.movie.voxels import VoxelSize

if TYPE_CHECKING:
    import tifffile

# Units of ImageJ, OME-XML and OME-Zarr, in lower case; ImageJ escapes the micro sign.
UM_PER_UNIT = {
    "m": 1e6, "cm": 1e4, "mm": 1e3, "nm": 1e-3,
    "um": 1.0, "\u00b5m": 1.0, "\u03bcm": 1.0, "\\u00b5m": 1.0,
    "micron": 1.0, "microns": 1.0, "micrometer": 1.0, "micrometre": 1.0,
    "meter": 1e6, "centimeter": 1e4, "millimeter": 1e3, "nanometer": 1e-3, "angstrom": 1e-4,
}  # fmt: skip
S_PER_UNIT = {
    "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0,
    "ms": 1e-3, "msec": 1e-3, "millisecond": 1e-3, "milliseconds": 1e-3,
    "\u00b5s": 1e-6, "\u03bcs": 1e-6, "us": 1e-6, "microsecond": 1e-6,
    "min": 60.0, "minute": 60.0, "minutes": 60.0,
    "h": 3600.0, "hr": 3600.0, "hour": 3600.0, "hours": 3600.0, "d": 86400.0, "day": 86400.0,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Calibration:
    """Voxel size and frame interval of a file; None if missing or not a positive number."""

    voxel_um: VoxelSize | None = None
    frame_interval_s: float | None = None

    @classmethod
    def of(cls, sizes: dict[str, float], ndim: int) -> "Calibration":
        """Return it from the known sizes: micrometres along z, y and x, and seconds along t."""
        voxel = tuple(sizes.get(axis, math.nan) for axis in space_axes(ndim))
        interval = sizes.get("t", math.nan)
        return cls(
            voxel if all(map(_is_possible, voxel)) else None,
            interval if _is_possible(interval) else None,
        )

    def along(self, ndim: int) -> "Calibration":
        """Return it for 2 or 3 spatial axes: planes read as volumes get the z size of x."""
        voxel = self.voxel_um
        if voxel is None or len(voxel) == ndim:
            return self
        return replace(self, voxel_um=(voxel[-1], *voxel))

    def at_level(self, step: tuple[float, float]) -> "Calibration":
        """Return it for a level of a pyramid.

        step: size of its pixels along y and x, in pixels of the finest level.
        """
        if self.voxel_um is None or step == (1.0, 1.0):
            return self
        *depth, y, x = self.voxel_um
        return replace(self, voxel_um=(*depth, y * step[0], x * step[1]))


UNKNOWN = Calibration()


def check_interval(interval_s: float) -> None:
    """Raise InputError unless a time between frames from the user is positive and finite."""
    if not _is_possible(interval_s):
        raise InputError(f"the time between frames is {interval_s} s; give a positive number")


def tiff_calibration(file: "tifffile.TiffFile", ndim: int, image: int = 0) -> Calibration:
    """Return the calibration of one image of an ImageJ TIFF or OME-TIFF.

    ndim: 2 or 3 spatial axes; image: its number, from 0.

    The resolution of other TIFFs is ignored: many programs write 72 or 96 dots per inch.
    """
    description = file.pages[0].description
    sizes = _ome_sizes(description, image) if "<OME" in description else _imagej_sizes(file)
    return Calibration.of(sizes, ndim)


def in_unit(axis: str, value: object, unit: object) -> float:
    """Return a length in micrometres, or along t a time in seconds; NaN for any other value."""
    known = S_PER_UNIT if axis == "t" else UM_PER_UNIT
    return _number(value) * known.get(str(unit).lower(), math.nan)


def _imagej_sizes(file: "tifffile.TiffFile") -> dict[str, float]:
    metadata = file.imagej_metadata if file.is_imagej else None
    if metadata is None:
        return {}
    unit = metadata.get("unit")
    sizes = {
        "t": in_unit("t", metadata.get("finterval"), metadata.get("tunit", "sec")),
        "z": in_unit("z", metadata.get("spacing"), unit),
    }
    for axis, name in (("y", "YResolution"), ("x", "XResolution")):
        tag = file.pages[0].tags.get(name)
        if tag is not None and tag.value[0] > 0:  # a ratio: pixels, units
            sizes[axis] = in_unit(axis, tag.value[1] / tag.value[0], unit)
    return sizes


def _ome_sizes(description: str, image: int) -> dict[str, float]:
    try:
        pixels = ElementTree.fromstring(description).findall("./{*}Image/{*}Pixels")[image]
    except (ElementTree.ParseError, IndexError):
        return {}
    names = {axis: (f"PhysicalSize{axis.upper()}", "um") for axis in "zyx"}
    names["t"] = ("TimeIncrement", "s")
    return {
        axis: in_unit(axis, pixels.get(name), pixels.get(f"{name}Unit", default))
        for axis, (name, default) in names.items()
    }


def _number(text: object) -> float:
    try:
        return float(str(text))
    except ValueError:
        return math.nan


def _is_possible(size: float) -> bool:
    return math.isfinite(size) and size > 0
