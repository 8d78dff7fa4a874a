"""Write columns of numbers as lines of a CSV table."""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

PORTION = 10_000  # rows converted to Python's numbers at a time: about 200 bytes each
LINES_AT_ONCE = 1000  # other threads wait for 2 to 5 ms while they are formatted


def in_portions(rows: NDArray[Any]) -> list[NDArray[Any]]:
    """Return rows (N,) in portions that are written one after the other."""
    return np.array_split(rows, len(rows) // PORTION + 1)


def csv_lines(columns: Sequence[NDArray[Any]], forms: Sequence[str]) -> Iterator[str]:
    """Yield the lines of the rows of some columns (N,), many at a time; NaN is an empty cell.

    forms: the %-format of each column, such as "%d"; the first column has no NaN. To format many
    numbers at once takes half to two thirds of the time of formatting each.
    """
    line = ",".join(forms) + "\n"
    for first in range(0, len(columns[0]), LINES_AT_ONCE):
        cells = [column[first : first + LINES_AT_ONCE].tolist() for column in columns]
        numbers = tuple(chain.from_iterable(zip(*cells, strict=True)))
        yield (line * len(cells[0]) % numbers).replace(",nan", ",")
