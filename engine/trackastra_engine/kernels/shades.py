"""Loops that draw a frame smaller, in shades of grey."""

import numpy as np

from trackastra_engine.kernels import kernel

WHITE = np.float32(255)


@kernel
def draw_shades(pixels, rows, columns, low, factor, line, shades):
    """Fill `shades` (H, W) uint8 with the mean of each block of float32 `pixels` (Y, X).

    Block i, j has the rows from rows[i] to rows[i + 1] and the columns from columns[j] to
    columns[j + 1]. A mean m has the shade factor * (m - low), within 0 (also for NaN) and 255.
    line: (X,) float32 scratch.
    """
    for i in range(shades.shape[0]):
        line[:] = 0
        for row in range(rows[i], rows[i + 1]):
            for x in range(pixels.shape[1]):
                line[x] += pixels[row, x]
        n_rows = rows[i + 1] - rows[i]
        for j in range(shades.shape[1]):
            total = np.float32(0)
            for x in range(columns[j], columns[j + 1]):
                total += line[x]
            shade = factor * (total / np.float32(n_rows * (columns[j + 1] - columns[j])) - low)
            # A comparison with NaN is false.
            shades[i, j] = np.uint8(min(shade, WHITE)) if shade > 0 else 0
