"""Tables of text: CSV with any delimiter, quotes and header.

The delimiter is the one that splits the line of names into the most cells. Empty lines and lines
that begin with # are skipped. If commas are not the delimiter, they may be decimal marks.
"""

import csv
import math
import re
from array import array
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.errors import InputError, first_line

DELIMITERS = ",;\t "
MOST_HEADER_LINES = 4  # as TrackMate's: names, long names, short names, units
SHOWN_CHARACTERS = 120  # of a line, in a message


@dataclass(frozen=True, slots=True)
class Table:
    """A table whose header was read."""

    path: Path
    names: tuple[str, ...]  # of the C columns, as written
    units: tuple[str, ...]  # (C,) the last of several header lines; empty if there is only one
    delimiter: str
    n_header: int  # header lines that have cells

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Yield the number of each line and its cells, as many as there are columns.

        Raises InputError if a line has more or fewer cells.
        """
        for number, cells in islice(_lines(self.path, self.delimiter), self.n_header, None):
            while len(cells) > len(self.names) and not cells[-1].strip():
                cells.pop()
            if len(cells) != len(self.names):
                raise InputError(
                    f"line {number} of {self.path} has {len(cells)} cells, the line of names "
                    f"{len(self.names)}; put cells with a {_named(self.delimiter)} in quotes"
                )
            yield number, cells

    def numbers(self, columns: Sequence[int], *, whole: Collection[int] = ()) -> list[NDArray[Any]]:
        """Return the numbers (N,) of some columns: float64, empty cells as NaN.

        whole: columns of whole numbers, which are returned as int64. Raises InputError at the first
        line with another value.
        """
        found = [array("q" if column in whole else "d") for column in columns]
        real = _number if self.delimiter == "," else _number_with_comma
        plan: list[tuple[Any, int, Callable[[str], Any]]] = [
            (into.append, column, whole_number if column in whole else real)
            for into, column in zip(found, columns, strict=True)
        ]
        for number, cells in self.rows():
            try:
                for append, column, parsed in plan:
                    append(parsed(cells[column]))
            except (ValueError, OverflowError):
                shown = self.delimiter.join(cells)[:SHOWN_CHARACTERS]
                kind = "a whole number" if column in whole else "a number"
                raise InputError(
                    f"line {number} of {self.path} is {shown!r}; expected {kind} for "
                    f"{self.names[column]}"
                ) from None
        # The type by its name: numpy's own for "q" is another 64-bit type, which Zarr rejects.
        kinds = (np.int64 if column in whole else np.float64 for column in columns)
        return [np.array(column, kind) for column, kind in zip(found, kinds, strict=True)]


def open_table(path: Path, *, may_have_units: bool = False) -> Table:
    """Read the header of a file and return its table.

    may_have_units: whether lines without a number may follow the names, as in exports of TrackMate
    (explanations and units) and Mastodon (second parts of the names).

    An empty file gives a table without columns. Raises InputError if the file cannot be read, or
    is not text.
    """
    try:
        delimiter = _delimiter(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from None
    lines = [cells for _, cells in islice(_lines(path, delimiter), MOST_HEADER_LINES + 1)]
    if not lines:
        return Table(path, (), (), delimiter, 0)
    commented = _comment_header(path, delimiter, lines[0])
    if commented is not None:
        return Table(path, commented, (), delimiter, 0)
    names = tuple(cell.strip() for cell in lines[0])
    table = Table(path, names, (), delimiter, 1)
    more = lines[1:] if may_have_units else []
    n_more = next((at for at, cells in enumerate(more) if any(map(_is_number, cells))), 0)
    if n_more == 0:
        return table
    below = [cells + [""] * (len(names) - len(cells)) for cells in more[:n_more]]
    # Mastodon writes one name for x, y and z, or only for the first, and their own names below.
    whole: list[str] = []
    for name in names:
        whole.append(name or (whole[-1] if whole else name))
    full_names = [
        f"{name} {below[0][at]}" if whole.count(name) > 1 else name for at, name in enumerate(whole)
    ]
    units = tuple(cell.strip() for cell in below[-1])
    return replace(table, names=tuple(full_names), units=units, n_header=1 + n_more)


def lines_of_numbers(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and the values of each line of a table without names.

    Values are separated by spaces, tabs, commas or semicolons; lines without a value are skipped.
    """
    with path.open(encoding=_encoding(path), errors="replace") as file:
        for number, line in enumerate(file, 1):
            if values := re.findall(r"[^\s,;]+", line):
                yield number, values


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def _lines(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the number and cells of each line that is neither empty nor a comment."""
    # Bytes that are not UTF-8 occur in units and comments (µm from Windows), not in numbers.
    with path.open(encoding=_encoding(path), errors="replace", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True)
        try:
            for cells in reader:
                if not any(cells) or cells[0].startswith("#"):
                    continue
                if not any(map(str.strip, cells)) or cells[0].lower().startswith("sep="):
                    continue
                yield reader.line_num, cells
        except csv.Error as error:
            raise InputError(
                f"{path} is not a table of text ({first_line(error)}); save it as CSV"
            ) from None


def _delimiter(path: Path) -> str:
    counts = [len(next(_lines(path, sign), (0, []))[1]) for sign in DELIMITERS[:-1]]
    if max(counts) <= 1:
        return " " if len(next(_lines(path, " "), (0, []))[1]) > 1 else ","
    return DELIMITERS[counts.index(max(counts))]


def _comment_header(path: Path, delimiter: str, cells: list[str]) -> tuple[str, ...] | None:
    """Return the column names in a comment, as numpy.savetxt writes them, or None."""
    if not all(map(_is_number, cells)):
        return None
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        comments = [line for line in islice(file, MOST_HEADER_LINES) if line.startswith("#")]
    if not comments:
        return None
    names = re.split(rf"\s*{re.escape(delimiter)}\s*", comments[-1].lstrip("#").strip())
    return tuple(names) if len(names) == len(cells) else None


def _is_number(cell: str) -> bool:
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return False
    return True


def _number(cell: str) -> float:
    return float(cell) if cell and not cell.isspace() else math.nan


def _number_with_comma(cell: str) -> float:
    return _number(cell.replace(",", "."))


def whole_number(cell: str) -> int:
    """Return the whole number of a cell, also if it is written as 3.0; else raise ValueError."""
    try:
        return int(cell)
    except ValueError:
        value = float(cell)
        if not value.is_integer() or abs(value) > 2**53:
            raise ValueError(cell) from None
        return int(value)


def _named(delimiter: str) -> str:
    return {"\t": "tab", " ": "space", ",": "comma"}.get(delimiter, delimiter)
