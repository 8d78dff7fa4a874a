"""Tables of corrections, written by people, spreadsheets or the report of a result."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from trackastra_engine.errors import InputError
from trackastra_engine.files.atomic import new_file
from trackastra_engine.files.csv_table import open_table, whole_number
from trackastra_engine.linking.corrections import LINK, NO_LINK, Corrections, Decision, Place

COLUMNS = ("source_frame", "source_label", "target_frame", "target_label", "verdict")
MAX_NUMBER = 2**63 - 1


def read_corrections(paths: Sequence[Path]) -> Corrections:
    r"""Return the corrections of all tables.

    Parameters
    ----------
    paths : sequence of Path
        CSV files with the columns `COLUMNS` in any order; other columns are ignored.

    Returns
    -------
    Corrections

    Raises
    ------
    InputError
        If a table cannot be read, or decisions contradict each other; the message names the lines.

    Examples
    --------
    >>> text = "source_frame;source_label;target_frame;target_label;verdict\n2;2;3;4;no-link\n"
    >>> _ = Path("corrections.csv").write_text(text)
    >>> read_corrections([Path("corrections.csv")]).decisions()
    [((2, 2), (3, 4), False)]
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
    table = open_table(path)
    names = [name.lower() for name in table.names]
    if missing := [name for name in COLUMNS if name not in names]:
        raise InputError(
            f"the first line of {path} is not {','.join(COLUMNS)}, as {missing[0]} is missing; "
            "write it above the rows"
        )
    columns = [names.index(name) for name in COLUMNS]
    rows = ((number, [cells[at].strip() for at in columns]) for number, cells in table.rows())
    return [
        (number, _decision(cells, f"line {number} of {path}"))
        for number, cells in rows
        if any(cells)
    ]


def _decision(cells: list[str], name: str) -> Decision:
    if cells[4] not in (LINK, NO_LINK):
        raise InputError(f"{name} has the verdict {cells[4]!r}; give {LINK} or {NO_LINK}")
    return _place(cells[:2], name), _place(cells[2:4], name), cells[4] == LINK


def _place(cells: list[str], name: str) -> Place | None:
    if cells == ["", ""]:
        return None
    try:
        frame, label = map(whole_number, cells)
    except ValueError:
        frame = label = -1
    if not (0 <= frame <= MAX_NUMBER and 0 <= label <= MAX_NUMBER):
        raise InputError(
            f"{name} has frame and label {', '.join(map(repr, cells))}; give whole numbers from 0, "
            "or leave both empty"
        )
    return frame, label
