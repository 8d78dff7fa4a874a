"""Measure the detections of a frame in one pass over its pixels."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.errors import InputError
from trackastra_engine.kernels.pixels import N_SUMS, measure_runs
from trackastra_engine.movie.axes import space_axes
from trackastra_engine.movie.frames import Frame

IntArray = NDArray[np.integer[Any]]
FloatArray = NDArray[np.floating[Any]]

MOST_EMPTY_FRAMES = 1000  # for each frame with a detection
INITIAL_CAPACITY = 4096  # expected objects of a frame; doubled until they fit
NO_LIMIT = 2**63
PIXEL_TYPES = (np.uint8, np.uint16, np.float32, np.float64)  # the others fit into these


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """N detections of D = 2 or 3 spatial axes, sorted by frame, then label.

    Parameters
    ----------
    frame : (N,) int32
        From 0.
    label : (N,) int64
        The number of the object in the mask of its frame.
    centroid : (N, D) float64
        Pixels, ([z,] y, x).
    features : (N, F) float64
        The columns of `feature_names(D)`, in pixels and raw intensities.

    Examples
    --------
    >>> found = lineage.detections
    >>> len(found), found.ndim, found.centroid[0].tolist()
    (15, 2, [6.5, 6.5])
    """

    frame: IntArray  # (N,) int32, from 0
    label: IntArray  # (N,) int64, the object's number in the mask of its frame
    centroid: FloatArray  # (N, D) float64, pixels, ([z,] y, x)
    features: FloatArray  # (N, F) float64

    def __len__(self) -> int:
        """Return the number of detections."""
        return len(self.frame)

    @property
    def ndim(self) -> int:
        """Return the number of spatial axes, 2 or 3."""
        return int(self.centroid.shape[1])

    def rows(self, index: slice | IntArray) -> "Detections":
        """Return the detections of some rows; a slice copies nothing."""
        return Detections(
            self.frame[index], self.label[index], self.centroid[index], self.features[index]
        )


def feature_names(ndim: int) -> tuple[str, ...]:
    """Return the names of the columns of `Detections.features`: 7 in 2D, 12 in 3D.

    `diameter` of the circle or ball of the same size (pixels); raw mean `intensity` (NaN without
    an image); the `inertia` tensor, row by row (pixels squared); `margin`, the pixels between the
    object and the nearest y or x border of the image. As upstream's `regionprops2`
    (wrfeat.py), except for the intensity, which upstream normalises first.
    """
    axes = space_axes(ndim)
    inertia = tuple(f"inertia_{a}{b}" for a in axes for b in axes)
    return ("diameter", "intensity", *inertia, "margin")


def concatenate(parts: Iterable[Detections], ndim: int) -> Detections:
    """Return the detections of several frames, given in the order of the frames, as one."""
    listed = list(parts)
    if not listed:
        return Detections(
            np.empty(0, np.int32),
            np.empty(0, np.int64),
            np.empty((0, ndim)),
            np.empty((0, len(feature_names(ndim)))),
        )
    return Detections(
        np.concatenate([part.frame for part in listed]),
        np.concatenate([part.label for part in listed]),
        np.concatenate([part.centroid for part in listed]),
        np.concatenate([part.features for part in listed]),
    )


def split_frames(detections: Detections, n_frames: int, first_frame: int = 0) -> list[Detections]:
    """Return the detections of each frame of a movie, or of some in a row; this copies nothing."""
    frames = np.arange(first_frame, first_frame + n_frames + 1)
    bounds = np.searchsorted(detections.frame, frames).tolist()
    return [detections.rows(slice(first, stop)) for first, stop in pairwise(bounds)]


def check_frames(detections: Detections) -> None:
    """Raise InputError if the frames of detections cannot be those of a movie, numbered from 0."""
    frames = np.unique(detections.frame)
    if len(frames) < 2:
        raise InputError(
            f"all {len(detections)} detections are in one frame; tracking needs at least two"
        )
    if frames[-1] >= MOST_EMPTY_FRAMES * len(frames):
        raise InputError(
            f"frame {frames[-1]} is too large, as only {len(frames)} frames have detections; "
            "number the frames from 0"
        )
    if np.diff(frames).min() > 1:
        listed = ", ".join(map(str, frames[:3]))
        raise InputError(
            f"the frames {listed}, ... do not follow each other; number them 0, 1, 2, ..."
        )


def find_rows(detections: Detections, places: IntArray) -> IntArray:
    """Return (P,) the rows of the detections at some places, (P, 2) frame and label, or -1."""
    rows = np.full(len(places), -1, np.int64)
    frames, place_frame = np.unique(places[:, 0], return_inverse=True)
    bounds = np.searchsorted(detections.frame, [frames, frames + 1]).T
    by_frame = np.split(np.argsort(place_frame, kind="stable"), np.bincount(place_frame).cumsum())
    for (first, stop), own in zip(bounds.tolist(), by_frame, strict=False):  # the last is empty
        labels, wanted = detections.label[first:stop], places[own, 1]
        row = np.searchsorted(labels, wanted)
        is_there = row < len(labels)
        is_there[is_there] = labels[row[is_there]] == wanted[is_there]
        rows[own[is_there]] = first + row[is_there]
    return rows


def detect(frame: Frame, ndim: int, *, max_objects: int = NO_LIMIT) -> Detections:
    """Return the detections of one frame, measured in one pass over its pixels.

    Values equal those of skimage's `regionprops` (moments are summed as exact integers relative
    to the object).

    Parameters
    ----------
    frame : Frame
        Image, or None, and labels ([Z,] Y, X).
    ndim : {2, 3}
        Spatial axes; with 3, a frame (Y, X) is a volume of one plane.
    max_objects : int
        The most objects that a frame may have.

    Returns
    -------
    Detections

    Raises
    ------
    InputError
        If there are more than `max_objects`; no memory is allocated for them.

    Examples
    --------
    >>> from trackastra_engine.movie.frames import Frame
    >>> detect(Frame(0, images[0], masks[0]), 2).label.tolist()
    [1, 2]
    """
    labels = _volume(frame.labels)
    labels = labels.view(f"u{labels.itemsize}")  # none is negative
    image = None if frame.image is None else _pixels(_volume(frame.image))
    objects = _measure(labels, image, max_objects)
    order = np.argsort(objects.label)
    features = _features(objects, labels.shape, ndim)
    return Detections(
        np.full(len(order), frame.index, np.int32),
        objects.label[order],
        objects.centroid[order, 3 - ndim :],
        features[order],
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Objects:
    """Measurements of the objects of a frame, as a volume, from one pass over its pixels."""

    label: IntArray  # (N,)
    count: FloatArray  # (N,) pixels
    centroid: FloatArray  # (N, 3)
    covariance: FloatArray  # (N, 3, 3) of the pixels' positions
    intensity: FloatArray  # (N,) mean, NaN without an image
    box: IntArray  # (N, 4) first and last y, first and last x


def _volume(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return (Z, Y, X) contiguous pixels in native byte order, which the kernels need."""
    volume = pixels[None] if pixels.ndim == 2 else pixels
    if volume.dtype == bool:
        volume = volume.view(np.uint8)
    return np.ascontiguousarray(volume, dtype=volume.dtype.newbyteorder("="))


def _pixels(image: NDArray[Any]) -> NDArray[Any]:
    """Return an image in one of a few types: kernels need a second to compile for a new one."""
    if image.dtype in PIXEL_TYPES:
        return image
    return image.astype(np.float32 if image.itemsize <= 2 else np.float64)


def check_number(n_objects: int, max_objects: int) -> None:
    """Raise InputError if a frame contains too many objects."""
    if n_objects > max_objects:
        raise InputError(
            f"a frame contains more than {max_objects} objects, the limit here; check that they "
            "are cells of a segmentation"
        )


def check_intensities(detections: Detections, image: str) -> None:
    """Raise InputError if objects contain pixels that are not finite; image: its name."""
    if not np.isfinite(detections.features).all():
        raise InputError(
            f"{image} has NaN or infinity inside objects; replace these pixels, for example by the "
            "background"
        )


def _measure(labels: NDArray[Any], image: NDArray[Any] | None, max_objects: int) -> _Objects:
    pixels = labels if image is None else image
    has_image = image is not None
    capacity, n_objects = INITIAL_CAPACITY // 2, -1
    while n_objects == -1:
        capacity *= 2
        keys, slots = np.empty(2 * capacity, np.int64), np.full(2 * capacity, -1, np.int64)
        found = np.empty(capacity, np.int64)
        first = np.empty((capacity, 3), np.int64)
        sums = np.zeros((capacity, N_SUMS), np.int64)
        is_exact = has_image and pixels.dtype.kind == "u"
        intensity = np.zeros(capacity, np.int64 if is_exact else np.float64)
        box = np.empty((capacity, 4), np.int64)
        n_objects = measure_runs(
            labels, pixels, has_image, keys, slots, found, first, sums, intensity, box
        )
        check_number(capacity + 1 if n_objects == -1 else n_objects, max_objects)
    moments = sums[:n_objects].astype(float)
    count = moments[:, 0]
    mean = moments[:, 1:4] / count[:, None]
    zz, yy, xx, zy, zx, yx = moments[:, 4:].T / count
    second = np.array([[zz, zy, zx], [zy, yy, yx], [zx, yx, xx]]).transpose(2, 0, 1)
    return _Objects(
        label=found[:n_objects],
        count=count,
        centroid=first[:n_objects] + mean,
        covariance=second - mean[:, :, None] * mean[:, None, :],
        intensity=intensity[:n_objects] / count if has_image else np.full(n_objects, np.nan),
        box=box[:n_objects],
    )


def _features(objects: _Objects, shape: tuple[int, ...], ndim: int) -> FloatArray:
    """Return (N, F) features in the order of `feature_names`."""
    diameter = (2 * ndim * objects.count / np.pi) ** (1 / ndim)
    covariance = objects.covariance[:, 3 - ndim :, 3 - ndim :]
    trace = np.trace(covariance, axis1=1, axis2=2)
    inertia = trace[:, None, None] * np.eye(ndim) - covariance
    y0, y1, x0, x1 = objects.box.T
    margin = np.minimum(np.minimum(y0, shape[1] - 1 - y1), np.minimum(x0, shape[2] - 1 - x1))
    return np.column_stack([diameter, objects.intensity, inertia.reshape(-1, ndim * ndim), margin])
