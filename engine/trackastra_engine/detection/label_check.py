"""Warn of masks whose numbers are hardly those of objects, by the shapes of their objects.

The objects of masks that are not labelled are pixels from all over the frame. An object's extent is
the ellipse or ellipsoid with the same second moments, which are measured anyway: cells fill theirs,
and extents of different cells hardly overlap.
"""

import logging
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.detection.detections import Detections, FloatArray
from trackastra_engine.detection.transform import covariances

logger = logging.getLogger(__name__)

# Sum of the extents of all objects, in frames. In 225 simulated images, with 8 or 16 bits and
# smoothed or not, it is 16 or more, as pixels of each intensity are everywhere; for labelled cells
# of sparse1, epidermis and 75 simulated movies it is at most 1.0.
MANY_FRAMES = 5.0
MAX_CLASSES = 3  # objects of a frame that may be classes of pixels, such as "cell" and "background"
WIDE = 0.1  # extent of an object that may be a class, in frames
# Extent per pixel of the object: 1.05 for a rectangle, 1.16 for a binary mask of epidermis, 6.1 for
# one of sparse1; half of the labelled cells of epidermis have more than 1.06.
HOLLOW = 1.1
SEVERAL = 3  # objects of a frame, below which nothing is known of others
# Extent of an object, in frames, from which it may be the background or the outlines of others, if
# the median extent is a small share of it. It then touches most of them.
AS_WIDE, SMALL = 0.5, 0.1
# Objects of a frame from which 8 bits may not suffice, and pieces per object from which they do
# not: of 270 cells, 15 share a number.
MAX_OF_8_BITS, MANY_OF_8_BITS = 255, 200
MORE_PIECES = 1.03
# Share of an object in its largest piece: a cell has more, even with specks or cut in two.
MAIN_PIECE = 0.5
# After interpolation, pixels at the borders of objects get the numbers of others. Of 12 such cells,
# 62 % of the objects or more have this extent per pixel of the object, and of all together, in
# frames.
SCATTERED, WHOLE_FRAME = 2.0, 1.0
N_PIECES = 3  # from which an object is scattered: a cell cut in two has fewer
MOST_SEEN = 50  # objects whose pieces are counted


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """A frame that is checked."""

    detections: Detections
    extent: FloatArray  # (N,) of each object, in frames
    per_pixel: FloatArray  # (N,) the same, in pixels for each pixel of the object
    read_labels: Callable[[], NDArray[np.integer[Any]]]
    name: str  # for warnings


class LabelWatch:
    """Checks the frames of one movie, and warns of each kind of fault once."""

    def __init__(self) -> None:
        self._warned: set[str] = set()  # kinds of faults
        self._n_doubted: Counter[str] = Counter()  # doubtful frames, by the fault

    def see(
        self,
        detections: Detections,
        frame_shape: tuple[int, ...],
        read_labels: Callable[[], NDArray[np.integer[Any]]],
        name: str,
    ) -> None:
        """Check the detections of the next frame; its mask is read only if they are doubtful.

        frame_shape: ([Z,] Y, X), that of the mask; name: of the frame, for the warning.
        """
        extent = _extents(detections)
        in_frames, per_pixel = extent / math.prod(frame_shape), extent / _sizes(detections)
        seen = _Seen(detections, in_frames, per_pixel, read_labels, name)
        checks = (
            ("labels", self._check_labels),
            ("background", self._check_background),
            ("bits", self._check_bits),
        )
        for fault, check in checks:
            if "labels" in self._warned:  # from which the other faults follow
                return
            if fault not in self._warned:
                check(seen)

    def _check_labels(self, seen: _Seen) -> None:
        """Warn of masks that are images, binary or interpolated."""
        label, extent, name = seen.detections.label, seen.extent, seen.name
        if extent.sum() > MANY_FRAMES:
            self._warn(
                "labels",
                f"the {len(label)} objects of {name} are scattered like the pixels of an "
                "image, but a mask needs 0 for the background and a number for each object; "
                "exchange IMAGES and MASKS if they are swapped, segment the movie first, or resize "
                "its masks without interpolation",
            )
        elif len(label) <= MAX_CLASSES:
            is_doubtful = (extent > WIDE) & (seen.per_pixel > HOLLOW)
            if is_doubtful.any() and self._is_turn("labels"):
                self._look(label[is_doubtful].tolist(), seen.read_labels(), name)
        elif (
            extent.sum() > WHOLE_FRAME
            and _are_most(seen.per_pixel > SCATTERED)
            and self._is_turn("labels")
        ):
            labels, chosen = seen.read_labels(), label[:: 1 + len(label) // MOST_SEEN]
            pieces = [_pieces(labels == one)[0] for one in chosen]
            if _are_most(np.array(pieces) >= N_PIECES):
                self._warn(
                    "labels",
                    f"most objects of {name} are in separate pieces, as in masks that were "
                    "smoothed, or resized with interpolation; resize them by the nearest pixel",
                )

    def _look(self, doubtful: list[int], labels: NDArray[np.integer[Any]], name: str) -> None:
        """Warn of the first of some objects of a frame that consists of pieces."""
        for label in doubtful:
            n_pieces, largest = _pieces(labels == label)
            if largest < MAIN_PIECE:
                self._warn(
                    "labels",
                    f"label {label} of {name} has {n_pieces} separate pieces, as in a binary mask, "
                    "and is tracked as one object; give each piece its own number first, for "
                    "example with scipy.ndimage.label",
                )
                return

    def _check_background(self, seen: _Seen) -> None:
        """Warn of an object as wide as the frame that touches most others, which are small."""
        extent = seen.extent
        if len(extent) < SEVERAL:
            return
        widest = int(np.argmax(extent))
        if extent[widest] < AS_WIDE or np.median(extent) > SMALL * extent[widest]:
            return
        label = seen.detections.label[widest]
        if self._is_turn("background") and 2 * _n_touched(seen.read_labels(), label) > len(extent):
            self._warn(
                "background",
                f"label {label} of {seen.name} extends over the frame and touches most other "
                "objects, as the background or outlines do; set it to 0 if it is no object",
            )

    def _check_bits(self, seen: _Seen) -> None:
        """Warn of masks with 8 bits in which several objects have one number."""
        label, count = seen.detections.label, len(seen.detections)
        is_full = count >= MANY_OF_8_BITS and label.max() == MAX_OF_8_BITS
        if not (is_full and self._is_turn("bits")):
            return
        labels = seen.read_labels()
        if labels.dtype.itemsize == 1 and _n_pieces(labels) > MORE_PIECES * count:
            self._warn(
                "bits",
                f"objects of {seen.name} share numbers, which end at {MAX_OF_8_BITS}: 8 bits are "
                "too few for them; save the masks with 16 bits",
            )

    def _is_turn(self, fault: str) -> bool:
        """Return whether to read the pixels of a frame, which is doubtful for a fault.

        They are read in the 1st such frame, the 2nd, the 4th, the 8th and so on: a movie of a
        single ring costs nothing, and a growing colony is still reported.
        """
        self._n_doubted[fault] += 1
        return self._n_doubted[fault].bit_count() == 1

    def _warn(self, fault: str, sentence: str) -> None:
        logger.warning("%s", sentence)
        self._warned.add(fault)


def _extents(detections: Detections) -> FloatArray:
    """Return the area or volume (N,) of the ellipse or ellipsoid with an object's moments."""
    ndim = detections.ndim
    unit_ball = math.pi ** (ndim / 2) / math.gamma(ndim / 2 + 1)
    # 1/12 is the variance of a pixel, without which a line of pixels would have no extent.
    determinant = np.linalg.det(covariances(detections) + np.eye(ndim) / 12)
    return np.asarray(unit_ball * (ndim + 2) ** (ndim / 2) * np.sqrt(determinant))


def _sizes(detections: Detections) -> FloatArray:
    """Return the number of pixels (N,) of each object, from its diameter."""
    ndim = detections.ndim
    return np.asarray(np.pi * detections.features[:, 0] ** ndim / (2 * ndim))


def _are_most(which: NDArray[np.bool_]) -> bool:
    return bool(which.mean() > 0.5)


def _pieces(is_inside: NDArray[np.bool_]) -> tuple[int, float]:
    """Return the number of connected pieces of an object, and the share of the largest."""
    from scipy import ndimage  # 0.1 s, only for doubtful frames

    box = tuple(slice(axis.min(), axis.max() + 1) for axis in np.nonzero(is_inside))
    is_inside = is_inside[box]
    pieces, n_pieces = ndimage.label(is_inside, np.ones((3,) * is_inside.ndim))
    sizes = np.bincount(pieces[is_inside])
    return n_pieces, float(sizes.max() / sizes.sum())


def _n_pieces(labels: NDArray[np.integer[Any]]) -> int:
    """Return the number of pieces of objects, separated from each other where they touch."""
    from scipy import ndimage

    inside = labels > 0
    for axis in range(labels.ndim):
        after = np.diff(labels, axis=axis, append=labels.take([-1], axis)) != 0
        inside &= ~after
    return int(ndimage.label(inside)[1])


def _n_touched(labels: NDArray[np.integer[Any]], label: int) -> int:
    """Return the number of other objects next to an object."""
    from scipy import ndimage

    next_to = labels[ndimage.binary_dilation(labels == label)]
    return len(np.setdiff1d(next_to, [0, label]))
