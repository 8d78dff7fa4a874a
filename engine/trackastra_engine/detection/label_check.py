"""Warn if masks are not labelled, but binary masks or images, by the shapes of their objects.

The objects of such masks are pixels from all over the frame. An object's extent is the ellipse or
ellipsoid with the same second moments, which are measured anyway: cells fill theirs, and extents
of different cells hardly overlap.
"""

import logging
import math
from collections.abc import Callable
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
# Share of an object in its largest piece: a cell has more, even with specks or cut in two.
MAIN_PIECE = 0.5
# After interpolation, pixels at the borders of objects get the numbers of others. Of 12 such cells,
# 62 % of the objects or more have this extent per pixel of the object, and of all together, in
# frames.
SCATTERED, WHOLE_FRAME = 2.0, 1.0
N_PIECES = 3  # from which an object is scattered: a cell cut in two has fewer


class LabelWatch:
    """Checks the frames of one movie, and warns once if their masks are not labelled."""

    def __init__(self) -> None:
        self._has_warned = False
        self._n_doubted = 0  # doubtful frames

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
        if self._has_warned:
            return
        extent, n_pixels = _extents(detections), math.prod(frame_shape)
        if extent.sum() > MANY_FRAMES * n_pixels:
            self._warn(
                f"the {len(detections)} objects of {name} are scattered like the pixels of an "
                "image, but a mask needs 0 for the background and a number for each object; "
                "exchange IMAGES and MASKS if they are swapped, segment the movie first, or resize "
                "its masks without interpolation"
            )
        elif len(detections) <= MAX_CLASSES:
            is_doubtful = (extent > WIDE * n_pixels) & (extent > HOLLOW * _sizes(detections))
            if is_doubtful.any() and self._is_turn():
                self._look(detections.label[is_doubtful].tolist(), read_labels(), name)
        elif extent.sum() > WHOLE_FRAME * n_pixels:
            is_scattered = extent > SCATTERED * _sizes(detections)
            if _are_most(is_scattered) and self._is_turn():
                labels = read_labels()
                pieces = [_pieces(labels == label)[0] for label in detections.label]
                if _are_most(np.array(pieces) >= N_PIECES):
                    self._warn(
                        f"most objects of {name} are in separate pieces, as in masks that were "
                        "smoothed, or resized with interpolation; resize them by the nearest pixel"
                    )

    def _is_turn(self) -> bool:
        """Return whether to read the pixels of a doubtful frame.

        They are read in the 1st such frame, the 2nd, the 4th, the 8th and so on: a movie of a
        single ring costs nothing, and a growing colony is still reported.
        """
        self._n_doubted += 1
        return self._n_doubted.bit_count() == 1

    def _look(self, doubtful: list[int], labels: NDArray[np.integer[Any]], name: str) -> None:
        """Warn of the first of some objects of a frame that consists of pieces."""
        for label in doubtful:
            n_pieces, largest = _pieces(labels == label)
            if largest < MAIN_PIECE:
                self._warn(
                    f"label {label} of {name} has {n_pieces} separate pieces, as in a binary mask, "
                    "and is tracked as one object; give each piece its own number first, for "
                    "example with scipy.ndimage.label"
                )
                return

    def _warn(self, sentence: str) -> None:
        logger.warning("%s", sentence)
        self._has_warned = True


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

    pieces, n_pieces = ndimage.label(is_inside, np.ones((3,) * is_inside.ndim))
    sizes = np.bincount(pieces[is_inside])
    return n_pieces, float(sizes.max() / sizes.sum())
