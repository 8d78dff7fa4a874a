"""A folder of results that is filled again: what the engine keeps there for itself stays.

A new run prepares its results inside, out of sight, and moves them to their places when they are
complete. A run that dies before leaves the earlier results as they were; one that dies while it
moves them leaves a sign that the folder is half filled.
"""

import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from trackastra_engine.files.atomic import is_of_system, new_parents
from trackastra_engine.system import patiently

PRIVATE = ".trackastra"  # of a folder of results: what the engine keeps there
PREPARED, MOVED = "prepared", "moved"  # in it: results in the making, and on their way


def is_half_filled(folder: Path) -> bool:
    """Return whether a run died while it moved its results into the folder."""
    return (folder / PRIVATE / MOVED).is_dir()


@contextmanager
def refilled_folder(folder: Path, *, ours: Collection[str], last: str) -> Iterator[Path]:
    """Give an empty folder whose entries take the place of those of `folder` named in `ours`.

    They do when all are complete, if nothing fails; the entry `last` leaves first and comes last.
    """
    folder = folder.resolve()  # the place of what a link points to, not of the link
    prepared, moved = (folder / PRIVATE / name for name in (PREPARED, MOVED))
    with new_parents(prepared):
        _remove(prepared)  # of a run that died
        prepared.mkdir()
        try:
            yield prepared
            _remove(moved)
            patiently(lambda: prepared.rename(moved))
        except BaseException:
            _remove(prepared)
            raise
        for name in sorted(ours, key=last.__ne__):
            _remove(folder / name)
        for entry in sorted(moved.iterdir(), key=lambda entry: entry.name == last):
            if not is_of_system(entry.name):
                patiently(partial(entry.rename, folder / entry.name))
        _remove(moved)
        with suppress(OSError):  # raised if something is kept there
            moved.parent.rmdir()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        patiently(lambda: shutil.rmtree(path))
    else:
        patiently(lambda: path.unlink(missing_ok=True))
