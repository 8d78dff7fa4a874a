"""Dataclasses of arrays that grow at their end, without a second copy in memory."""

from dataclasses import fields
from typing import Any, Generic, TypeVar

from numpy.typing import NDArray

Rows = TypeVar("Rows")  # a dataclass of arrays with equal numbers of rows

SPARE = 1.2  # times the current rows; bounds both copies and unused memory


class GrowingRows(Generic[Rows]):
    """The rows of many parts as one.

    A list of parts would need twice their memory at the end, when they are joined. Here arrays are
    resized in place, which moves pages of memory and copies nothing on Linux.
    """

    def __init__(self, empty: Rows) -> None:
        """Begin without rows; `empty` gives types and shapes, and must not be used later."""
        self._rows = empty
        self._n_rows = 0

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._n_rows

    def add(self, part: Rows) -> None:
        """Append the rows of a part."""
        start = self._n_rows
        for array, new in zip(_arrays(self._rows), _arrays(part), strict=True):
            self._n_rows = start + len(new)
            if self._n_rows > len(array):
                _resize(array, int(SPARE * self._n_rows))
            array[start : self._n_rows] = new

    def whole(self) -> Rows:
        """Return all rows; nothing may be added after that."""
        for array in _arrays(self._rows):
            _resize(array, self._n_rows)
        return self._rows


def _arrays(rows: Any) -> list[NDArray[Any]]:
    return [getattr(rows, field.name) for field in fields(rows)]


def _resize(array: NDArray[Any], n_rows: int) -> None:
    # No other code has the array, so no view of it becomes invalid.
    array.resize((n_rows, *array.shape[1:]), refcheck=False)
