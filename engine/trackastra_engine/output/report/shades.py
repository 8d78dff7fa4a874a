"""A frame for the page: smaller, and in shades of grey."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.kernels.shades import draw_shades


def shades(
    pixels: NDArray[Any], shape: tuple[int, int], levels: tuple[float, float]
) -> NDArray[np.uint8]:
    """Return the means of the pixels (Y, X) in each shown pixel, from black (0) to white (255).

    shape: of the result, at most that of the pixels; levels: intensities of black and white. Means
    outside of these are cut; those of NaN are black.
    """
    rows, columns = (
        np.arange(shown + 1) * size // shown
        for size, shown in zip(pixels.shape, shape, strict=True)
    )
    low, high = levels
    factor = 255 / (high - low if high > low else 1.0)
    grey = np.empty(shape, np.uint8)
    line = np.empty(pixels.shape[1], np.float32)
    # Always a copy, so that the loop is compiled for one type only.
    copy = np.array(pixels, np.float32, order="C")
    draw_shades(copy, rows, columns, np.float32(low), np.float32(factor), line, grey)
    return grey
