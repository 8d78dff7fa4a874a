"""Convert points, such as spots or particles, to detections.

Models also use shapes and borders: points are discs or balls in true proportion, and the border is
the box around all of them. Without diameters, all are half as wide as the typical distance to the
nearest point of the same frame, a density like that of most training movies. A point whose diameter
is unknown (0) has the median diameter of its frame.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trackastra_engine.detection.detections import Detections, FloatArray
from trackastra_engine.detection.transform import SECOND_MOMENT, inertias
from trackastra_engine.errors import InputError
from trackastra_engine.movie.voxels import VoxelSize, check_voxel_size, mean_side, proportions

MAX_FRAME = 2**31 - 1  # frames are stored as int32
MAX_LABEL = 2**53 - 1  # larger labels are not exact as floats
# Of positions and diameters: the ratio of two lengths must fit into float32, the type of tokens.
LEAST_LENGTH, MOST_LENGTH = 1e-15, 1e15
DIAMETER_PER_SPACING = 0.5
LONE_DIAMETER_PX = 10.0  # if no frame has two points


def detections_of_points(
    frame: ArrayLike,
    position: ArrayLike,
    *,
    label: ArrayLike | None = None,
    diameter: ArrayLike | None = None,
    intensity: ArrayLike | None = None,
    voxel_um: VoxelSize | None = None,
) -> Detections:
    """Return the detections of N points, in any order.

    Parameters
    ----------
    frame : (N,)
        From 0.
    position : (N, 2) or (N, 3)
        Pixels, ([z,] y, x).
    label : (N,), optional
        Positive numbers below 2^53, each once in its frame; by default points are numbered in
        their order.
    diameter : (N,), optional
        Pixels along x; 0 if unknown.
    intensity : (N,), optional
        Of the image.
    voxel_um : tuple of float, optional
        Size of a voxel along ([z,] y, x), by which points are round; without it, they are in
        pixels.

    Returns
    -------
    Detections

    Raises
    ------
    InputError
        At the first point that cannot be used, or if the voxel size does not fit.

    Examples
    --------
    >>> detections_of_points([1, 0], [[5, 40], [6, 41]]).centroid.tolist()
    [[6.0, 41.0], [5.0, 40.0]]
    """
    places = np.asarray(position, float)
    if places.shape == (0,):
        raise InputError(
            "there are no positions; a frame without points needs positions of shape (0, 2) or "
            "(0, 3), such as numpy.empty((0, 2))"
        )
    if places.ndim != 2 or places.shape[1] not in (2, 3):
        raise InputError(f"positions are of shape {places.shape}; expected (N, 2) or (N, 3)")
    n_points, ndim = places.shape
    if voxel_um is not None:
        check_voxel_size(voxel_um, ndim)
    side = proportions(voxel_um, ndim)
    is_possible = (np.abs(places) <= MOST_LENGTH).all(axis=1)  # also not NaN
    _check("position", places.sum(axis=1), is_possible, f"finite numbers up to {MOST_LENGTH:g}")
    frames = _column("frame", frame, n_points)
    _check("frame", frames, (frames >= 0) & (frames == np.rint(frames)), "a number from 0")
    too_late = f"a number from 0 to {MAX_FRAME}; it is too large"
    _check("frame", frames, frames <= MAX_FRAME, too_late)
    labels = _numbered(frames) if label is None else _column("label", label, n_points)
    _check("label", labels, (labels >= 1) & (labels == np.rint(labels)), "a number from 1")
    too_large = f"a number from 1 to {MAX_LABEL}; renumber the points"
    _check("label", labels, labels <= MAX_LABEL, too_large)
    order = np.lexsort((labels, frames))
    frames, labels, places = frames[order], labels[order], places[order]
    again = np.flatnonzero((np.diff(frames) == 0) & (np.diff(labels) == 0))
    if len(again):
        first = again[0]
        raise InputError(
            f"frame {frames[first]:g} has two points of label {labels[first]:.0f}; "
            "give each its own label"
        )
    if diameter is None:
        widths = np.full(n_points, _typical_diameter(frames, places * side))
    else:
        widths = _column("diameter", diameter, n_points)
        is_possible = (widths == 0) | (widths >= LEAST_LENGTH) & (widths <= MOST_LENGTH)
        _check("diameter", widths, is_possible, "0 if unknown, or a length from 1e-15 to 1e15")
        widths = _with_known_diameters(frames, places * side, widths[order])
    if intensity is None:
        brightness = np.full(n_points, np.nan)
    else:
        brightness = _column("intensity", intensity, n_points)
        _check("intensity", brightness, np.isfinite(brightness), "a finite number")
        brightness = brightness[order]
    features = _features(places, widths, brightness, side)
    return Detections(frames.astype(np.int32), labels.astype(np.int64), places, features)


def _column(name: str, values: ArrayLike, n_points: int) -> FloatArray:
    column = np.asarray(values, float)
    if column.shape != (n_points,):
        raise InputError(
            f"there are {n_points} positions, but the {name}s are of shape {column.shape}; "
            "give one per position"
        )
    return column


def _check(name: str, values: FloatArray, is_right: NDArray[np.bool_], expected: str) -> None:
    if not is_right.all():
        row = int(np.argmin(is_right))
        raise InputError(f"point {row + 1} has the {name} {values[row]:.15g}; expected {expected}")


def _numbered(frames: FloatArray) -> FloatArray:
    """Return the numbers from 1 of the points in their frames, in the order given."""
    order = np.argsort(frames, kind="stable")
    ranked = frames[order]
    numbers = np.empty(len(frames))
    numbers[order] = np.arange(len(frames)) - np.searchsorted(ranked, ranked) + 1
    return numbers


def _with_known_diameters(
    frames: FloatArray, places: FloatArray, diameter: FloatArray
) -> FloatArray:
    """Return the diameters (N,); unknown ones are the median of their frame's; frames ascend."""
    result = diameter.copy()
    for frame in np.unique(frames[diameter == 0]):
        inside = frames == frame
        known = diameter[inside & (diameter > 0)]
        typical = _typical_diameter(frames[inside], places[inside])
        result[inside & (diameter == 0)] = np.median(known) if len(known) else typical
    return result


def _typical_diameter(frames: FloatArray, places: FloatArray) -> float:
    """Return half the median distance to the nearest point of the same frame; frames ascend."""
    from scipy.spatial import cKDTree  # 0.3 s, only for points without a diameter

    groups = np.split(places, np.flatnonzero(np.diff(frames)) + 1)
    nearest = [cKDTree(group).query(group, k=2)[0][:, 1] for group in groups if len(group) > 1]
    spacing = float(np.median(np.concatenate(nearest))) if nearest else 0.0
    return DIAMETER_PER_SPACING * spacing if spacing > 0 else LONE_DIAMETER_PX


def _features(
    places: FloatArray, diameter: FloatArray, intensity: FloatArray, side: FloatArray
) -> FloatArray:
    """Return (N, F) features in the order of `feature_names`, of discs or balls.

    diameter: (N,) pixels along x; side: (D,) lengths of a voxel, see voxels.proportions.
    """
    ndim = places.shape[1]
    width = diameter[:, None] / side  # pixels along each axis
    covariance = SECOND_MOMENT[ndim] * width[:, :, None] ** 2 * np.eye(ndim)
    size = diameter / mean_side(side)  # of a round object of the same size in pixels
    plane = places[:, -2:]  # as for objects in masks, z has no border
    low, high = plane.min(axis=0, initial=np.inf), plane.max(axis=0, initial=-np.inf)
    margin = np.minimum(plane - low, high - plane).min(axis=1)
    return np.column_stack([size, intensity, inertias(covariance), margin])
