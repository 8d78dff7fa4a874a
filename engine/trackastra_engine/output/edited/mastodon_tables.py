"""Read the two tables that Mastodon exports: spots and links, with three header lines each."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from trackastra_engine.errors import InputError
from trackastra_engine.files.csv_table import Table, open_table
from trackastra_engine.output.edited import UNKNOWN_LABEL, EditedTracks, links_of_ids

ID, FRAME = "ID", "Spot frame"
POSITION = ("Spot position Z", "Spot position Y", "Spot position X")
ENDS = ("Link target IDs Source spot id", "Link target IDs Target spot id")


def read_mastodon(path: Path) -> EditedTracks:
    """Return the tracks of a table of spots, whose table of links is next to it.

    The two have the same name, except for Spot and Link. Raises InputError if there is none, a
    column is missing, or a cell of it is not a number.
    """
    companion = path.with_name("Link".join(path.name.rsplit("Spot", 1)))
    if companion == path or not companion.is_file():
        raise InputError(
            f"{path} has no table of links next to it; export both tables from Mastodon and give "
            "the one whose name ends in Spot.csv"
        )
    spots, links = (open_table(table, may_have_units=True) for table in (path, companion))
    number, time, *axes = _columns(spots, (ID, FRAME, *POSITION))
    ids, frame, *place = spots.numbers((number, time, *axes), whole=(number, time))
    if not all(np.isfinite(along).all() for along in place):
        raise InputError(f"{path} has a spot without a position; export it again")
    ends = _columns(links, ENDS)
    pairs = np.column_stack(links.numbers(ends, whole=ends))
    label = np.full(len(ids), UNKNOWN_LABEL)
    return EditedTracks(frame, np.column_stack(place), label, links_of_ids(ids, pairs, path))


def _columns(table: Table, wanted: Sequence[str]) -> list[int]:
    """Return where columns are; raises InputError if one is missing."""
    names = [name.lower() for name in table.names]
    for name in wanted:
        if name.lower() not in names:
            raise InputError(
                f"{table.path} has no column {name!r}; export it with all features of Mastodon"
            )
    return [names.index(name.lower()) for name in wanted]
