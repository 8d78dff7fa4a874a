"""Masks that are not labelled, noticed by the shapes of their objects: binary ones, or images.

The objects of such masks are pixels from all over the frame. An object's extent is the ellipse or
ellipsoid that has its second moments, which are measured in any case: cells fill theirs, and
extents of different cells hardly overlap.
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

# Extents of all objects together, in frames. Those of 225 simulated images, with 8 bits or 16 and
# smoothed or not, have 16 and more, as pixels of each intensity are everywhere; labelled cells of
# sparse1, epidermis and 75 simulated movies have at most 1.0.
MANY_FRAMES = 5.0
MAX_CLASSES = 3  # objects of a frame that may be classes of pixels: "cell", "background" and such
WIDE = 0.1  # extent of an object that may be a class, in frames
# Extent per pixel of the object. A rectangle has 1.05, a binary mask of epidermis 1.16, one of
# sparse1 6.1; half of the labelled cells of epidermis have more than 1.06.
HOLLOW = 1.1
# Share of an object in its largest piece: a cell has more, with specks or cut in two, too.
MAIN_PIECE = 0.5


class LabelWatch:
    """Sees the frames of one movie pass, and warns once if their masks are not labelled."""

    def __init__(self) -> None:
        self._has_told = False
        self._n_doubted = 0  # frames that raised doubts

    def see(
        self,
        detections: Detections,
        frame_shape: tuple[int, ...],
        read_labels: Callable[[], NDArray[np.integer[Any]]],
        name: str,
    ) -> None:
        """Take the detections of the next frame; its mask is read only if they raise doubts.

        frame_shape: ([Z,] Y, X), that of the mask; name: what the warning calls the frame.
        """
        if self._has_told:
            return
        extent, n_pixels = _extents(detections), math.prod(frame_shape)
        if extent.sum() > MANY_FRAMES * n_pixels:
            self._tell(
                f"the {len(detections)} objects of {name} lie scattered among each other, like the "
                "pixels of an image, but masks hold 0 for the background and a number for each "
                "object: exchange IMAGES and MASKS if they are swapped, or segment the movie first"
            )
        elif len(detections) <= MAX_CLASSES:
            is_doubtful = (extent > WIDE * n_pixels) & (extent > HOLLOW * _sizes(detections))
            self._look(detections.label[is_doubtful].tolist(), read_labels, name)

    def _look(
        self, doubtful: list[int], read_labels: Callable[[], NDArray[np.integer[Any]]], name: str
    ) -> None:
        """Tell of the first of some objects of a frame that lies in pieces."""
        if not doubtful:
            return
        self._n_doubted += 1
        # Pixels are looked at in the 1st such frame, the 2nd, the 4th, the 8th and so on: a movie
        # of a single ring costs nothing, and a colony that grows is told of all the same.
        if self._n_doubted.bit_count() != 1:
            return
        labels = read_labels()
        for label in doubtful:
            n_pieces, largest = _pieces(labels == label)
            if largest < MAIN_PIECE:
                self._tell(
                    f"label {label} of {name} lies in {n_pieces} separate pieces, as if the masks "
                    "only told cells from background, and is tracked as one object: give each "
                    "piece its own number first, for example with scipy.ndimage.label"
                )
                return

    def _tell(self, sentence: str) -> None:
        logger.warning("%s", sentence)
        self._has_told = True


def _extents(detections: Detections) -> FloatArray:
    """Return the area or volume (N,) of the ellipse or ellipsoid with an object's moments."""
    ndim = detections.ndim
    unit_ball = math.pi ** (ndim / 2) / math.gamma(ndim / 2 + 1)
    # 1/12: of a pixel itself, without which a line of pixels would have no extent.
    determinant = np.linalg.det(covariances(detections) + np.eye(ndim) / 12)
    return np.asarray(unit_ball * (ndim + 2) ** (ndim / 2) * np.sqrt(determinant))


def _sizes(detections: Detections) -> FloatArray:
    """Return the number of pixels (N,) of each object, from its diameter."""
    ndim = detections.ndim
    return np.asarray(np.pi * detections.features[:, 0] ** ndim / (2 * ndim))


def _pieces(is_inside: NDArray[np.bool_]) -> tuple[int, float]:
    """Return the number of connected pieces of an object, and the share of the largest."""
    from scipy import ndimage  # 0.1 s, only where there is doubt

    pieces, n_pieces = ndimage.label(is_inside, np.ones((3,) * is_inside.ndim))
    sizes = np.bincount(pieces[is_inside])
    return n_pieces, float(sizes.max() / sizes.sum())
