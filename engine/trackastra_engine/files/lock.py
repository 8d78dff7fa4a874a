"""A folder of results is for one run at a time: a second one is refused, and mixes nothing in."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from trackastra_engine.errors import InputError
from trackastra_engine.files.atomic import new_parents
from trackastra_engine.files.replace import PRIVATE
from trackastra_engine.progress import NOTICE

logger = logging.getLogger(__name__)

LOCK = "lock"  # in PRIVATE; a run that was killed leaves the file, but does not hold it


@contextmanager
def alone_in(folder: Path | None) -> Iterator[None]:
    """Hold a folder of results, which may yet have to be made; None is nothing to hold.

    Whatever ends the process lets go of it. Where the file system has no locks, as some network
    drives, that is told, and the run goes on. Raises InputError if another run holds it.
    """
    if folder is None:
        yield
        return
    path = folder.resolve() / PRIVATE / LOCK
    with new_parents(path):
        # Not filelock's substitute, a file that a killed run would leave and other machines heed.
        lock = FileLock(path, fallback_to_soft=False)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise InputError(
                f"another run is writing into {folder}; wait for it, or choose another folder with "
                "-o"
            ) from None
        except OSError as error:
            if error.filename is not None:  # the file cannot be made; locking itself names none
                raise
            logger.log(
                NOTICE,
                "%s lies where files cannot be locked (%s); let no other run write there meanwhile",
                folder,
                error.strerror,
            )
        try:
            yield
        finally:
            with suppress(OSError):  # raised by Windows, where it stays
                path.unlink()  # while it is held: later it may be another's
            lock.release()
            with suppress(OSError):  # raised if something is kept there
                path.parent.rmdir()
