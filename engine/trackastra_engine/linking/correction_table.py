"""Corrections as a table, which people, spreadsheets and the page of a result write."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from trackastra_engine.errors import InputError
from trackastra_engine.files.atomic import new_file
from trackastra_engine.linking.corrections import LINK, NO_LINK, Corrections, Decision, Place

COLUMNS = ("source_frame", "source_label", "target_frame", "target_label", "verdict")
MAX_NUMBER = 2**63 - 1


def read_corrections(paths: Sequence[Path]) -> Corrections:
    """Return the corrections of tables, all together.

    Raises InputError if one cannot be read, or they contradict themselves; lines are named.
    """
    decisions: list[Decision] = []
    origin: list[str] = []
    for path in paths:
        for number, decision in _read(path):
            decisions.append(decision)
            origin.append(f"line {number} of {path}")
    return Corrections.of(decisions, origin)


def write_corrections(corrections: Corrections, path: Path) -> None:
    """Write one line for each decision: COLUMNS; the cells of an open end are empty."""
    with new_file(path) as partial, partial.open("w", encoding="ascii", newline="\n") as file:
        file.write(",".join(COLUMNS) + "\n")
        file.writelines(",".join(map(str, cells)) + "\n" for cells in cells_of(corrections))


def cells_of(corrections: Corrections) -> Iterator[tuple[int | str, ...]]:
    """Yield the cells of each decision."""
    for source, target, is_link in corrections.decisions():
        yield *(source or ("", "")), *(target or ("", "")), LINK if is_link else NO_LINK


def _read(path: Path) -> list[tuple[int, Decision]]:
    """Return the decisions of a table with their lines."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise InputError(f"the corrections {path} cannot be read ({error})") from None
    expected = ",".join(COLUMNS)
    names = tuple(cell.strip() for cell in _cells(lines[:1]))
    if names != COLUMNS:
        raise InputError(f"the first line of {path} is not {expected}; write it above the rows")
    return [
        (number, _decision([cell.strip() for cell in _cells([line])], f"line {number} of {path}"))
        for number, line in enumerate(lines[1:], 2)
        if line.strip(" ,;\t")
    ]


def _cells(lines: Iterable[str]) -> list[str]:
    return next(csv.reader(lines), [])


def _decision(cells: list[str], name: str) -> Decision:
    if len(cells) != len(COLUMNS):
        raise InputError(f"{name} has {len(cells)} cells; give {len(COLUMNS)}: {','.join(COLUMNS)}")
    if cells[4] not in (LINK, NO_LINK):
        raise InputError(f"{name} has the verdict {cells[4]!r}; give {LINK} or {NO_LINK}")
    return _place(cells[:2], name), _place(cells[2:4], name), cells[4] == LINK


def _place(cells: list[str], name: str) -> Place | None:
    if cells == ["", ""]:
        return None
    if not all(cell.isascii() and cell.isdigit() and int(cell) <= MAX_NUMBER for cell in cells):
        raise InputError(
            f"{name} has frame and label {', '.join(map(repr, cells))}; give whole numbers from 0, "
            "or leave both empty"
        )
    return int(cells[0]), int(cells[1])
