"""Read the two tables that Mastodon exports: spots and links, with three header lines each."""

import csv
from pathlib import Path

import numpy as np

from trackastra_engine.errors import InputError
from trackastra_engine.output.edited import UNKNOWN_LABEL, EditedTracks, links_of_ids

N_NAMES = 3  # lines: names, names of components, units
POSITION = ("Spot position Z", "Spot position Y", "Spot position X")
ENDS = ("Link target IDs Source spot id", "Link target IDs Target spot id")

Table = dict[str, list[str]]  # columns by their names


def read_mastodon(path: Path) -> EditedTracks:
    """Return the tracks of a table of spots and the table of links next to it.

    Their names differ only by Spot and Link. Raises InputError if the table of links or a column
    is missing.
    """
    companion = path.with_name("Link".join(path.name.rsplit("Spot", 1)))
    if companion == path or not companion.is_file():
        raise InputError(
            f"{path} has no table of links next to it; export both tables from Mastodon and give "
            "the one whose name ends in Spot.csv"
        )
    spots, links = _read(path), _read(companion)
    ids = _numbers(spots, "ID", path).astype(np.int64)
    frame = _numbers(spots, "Spot frame", path).astype(np.int64)
    place = np.column_stack([_numbers(spots, name, path) for name in POSITION])
    ends = np.column_stack([_numbers(links, name, companion) for name in ENDS]).astype(np.int64)
    label = np.full(len(ids), UNKNOWN_LABEL)
    return EditedTracks(frame, place, label, links_of_ids(ids, ends, path))


def _read(path: Path) -> Table:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.reader(file))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path} cannot be read ({error})") from None
    names = [
        " ".join(filter(None, map(str.strip, parts))) for parts in zip(*rows[:2], strict=False)
    ]
    body = [row for row in rows[N_NAMES:] if row]
    return {name: [row[place] for row in body] for place, name in enumerate(names)}


def _numbers(table: Table, name: str, path: Path) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    if name not in table:
        raise InputError(f"{path} has no column {name!r}; export it with all features of Mastodon")
    try:
        return np.array(table[name], float)
    except ValueError:
        raise InputError(
            f"{path} has a cell in {name!r} that is not a number; export it again"
        ) from None
