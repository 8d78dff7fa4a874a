"""A folder of results is for one run at a time: a second one is refused, and mixes nothing in."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from trackastra_engine.errors import InputError
from trackastra_engine.output.atomic import new_parents
from trackastra_engine.output.refilled import PRIVATE

LOCK = "lock"  # in PRIVATE; a run that was killed leaves the file, but does not hold it


@contextmanager
def alone_in(folder: Path | None) -> Iterator[None]:
    """Hold a folder of results, which may yet have to be made; None is nothing to hold.

    Whatever ends the process lets go of it. Raises InputError if another run holds it.
    """
    if folder is None:
        yield
        return
    path = folder.resolve() / PRIVATE / LOCK
    with new_parents(path):
        lock = FileLock(path)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise InputError(
                f"another run is writing into {folder}; wait for it, or choose another folder with "
                "-o"
            ) from None
        try:
            yield
        finally:
            with suppress(OSError):  # raised by Windows, where it stays
                path.unlink()  # while it is held: later it may be another's
            lock.release()
            with suppress(OSError):  # raised if something is kept there
                path.parent.rmdir()
