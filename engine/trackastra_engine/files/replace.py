"""Replace the results in a folder; the engine's private files there stay.

A new run prepares its results in a hidden folder inside, and moves them to their places when they
are complete. A run that dies before that leaves the earlier results unchanged; a run that dies
while it moves them leaves a mark that the folder is half filled.
"""

import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from trackastra_engine.files.atomic import is_of_system, new_parents
from trackastra_engine.system import patiently

PRIVATE = ".trackastra"  # in a folder of results: the engine's own files
PREPARED, MOVED = "prepared", "moved"  # in it: results that are prepared, and moved


def is_half_filled(folder: Path) -> bool:
    """Return whether a run died while it moved its results into the folder."""
    return (folder / PRIVATE / MOVED).is_dir()


@contextmanager
def refilled_folder(folder: Path, *, ours: Collection[str], last: str) -> Iterator[Path]:
    """Yield an empty folder whose entries replace those of `folder` named in `ours`.

    They are replaced when all are complete and nothing failed. The entry `last` is removed first
    and moved last.
    """
    folder = folder.resolve()  # replace the target of a link, not the link
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
        with suppress(OSError):  # raised if the folder is not empty
            moved.parent.rmdir()


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        patiently(lambda: shutil.rmtree(path))
    else:
        patiently(lambda: path.unlink(missing_ok=True))
