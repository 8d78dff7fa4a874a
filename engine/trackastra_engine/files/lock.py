"""A lock that lets only one run at a time write into a folder of results."""

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

LOCK = "lock"  # in PRIVATE; a killed run leaves the file, but not the lock


@contextmanager
def alone_in(folder: Path | None) -> Iterator[None]:
    """Lock a folder of results, which need not exist yet; None locks nothing.

    The lock ends with the process. If the file system has no locks, as on some network drives, a
    notice is logged and the run continues. Raises InputError if another run has the lock.
    """
    if folder is None:
        yield
        return
    path = folder.resolve() / PRIVATE / LOCK
    with new_parents(path):
        # Not filelock's fallback: a killed run would leave its file, which other machines obey.
        lock = FileLock(path, fallback_to_soft=False)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise InputError(
                f"another run is writing into {folder}; wait for it, or choose another folder with "
                "-o"
            ) from None
        except OSError as error:
            if error.filename is not None:  # from creating the file; locking names none
                raise
            logger.log(
                NOTICE,
                "files in %s cannot be locked (%s); start no other run that writes there",
                folder,
                error.strerror,
            )
        try:
            yield
        finally:
            with suppress(OSError):  # raised by Windows, where the file stays
                path.unlink()  # while locked: later another run may use the file
            lock.release()
            with suppress(OSError):  # raised if the folder is not empty
                path.parent.rmdir()
