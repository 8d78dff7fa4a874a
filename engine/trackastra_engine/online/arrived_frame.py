"""A frame that arrives in arrays, as a movie of one frame with the checks of a whole movie."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.errors import InputError
from trackastra_engine.movie.array_source import ArraySource
from trackastra_engine.movie.frames import Movie
from trackastra_engine.movie.pixels import check_image_type, unmasked

SMALL_SIDE = 64  # pixels of a small frame


def arrived_frame(
    image: NDArray[Any] | None,
    mask: NDArray[Any],
    number: int,
    *,
    field: str,
    shape: tuple[int, ...] | None,
) -> Movie:
    """Return the movie that contains only one frame, of this number.

    field: of view, for messages; shape: ([Z,] Y, X) of its earlier frames, if there are any. Raises
    InputError if the mask is empty or no array (y, x) or (z, y, x), or the image has no real
    numbers; other faults are found when the frame is read.
    """
    if mask.ndim not in (2, 3):
        raise InputError(f"the mask of frame {number} of {field} is no array (y, x) or (z, y, x)")
    if 0 in mask.shape:
        raise InputError(f"the mask of frame {number} of {field} has no pixels")
    shape = shape or mask.shape
    images = None
    if image is not None:
        image = unmasked(image, "images")
        check_image_type(image.dtype, field)
        images = ArraySource(field, 1, shape, image.dtype, {number: image})
    return Movie(ArraySource(field, 1, shape, mask.dtype, {number: mask}), images)


def small_mask(ndim: int) -> NDArray[np.uint16]:
    """Return a mask with a few cells, of 2 or 3 axes."""
    mask = np.zeros((SMALL_SIDE,) * ndim, np.uint16)
    for label, start in enumerate(range(8, SMALL_SIDE - 8, 8), start=1):
        mask[(slice(start, start + 4),) * ndim] = label
    return mask
