"""Store the code of compiled loops on disk: in Numba's folder, or else in a temporary one."""

import logging
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache
from numba.core.runtime import rtsys

from trackastra_engine.progress import NOTICE

logger = logging.getLogger(__name__)


class CompiledCode:
    """The cache of one loop, as Numba's dispatcher calls it; it never raises.

    Numba's own cache raises if no folder can be written, as in a container that runs as another
    user, or if the disk is full.
    """

    cache_path: str | None = None  # Numba's statistics ask for it

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._usual = _cache_in(None, function)
        self._temporary: Any = None

    def load_overload(self, signature: Any, context: Any) -> Any:
        """Return the compiled code for a signature, or None if none is stored or it is damaged."""
        for stored in self._places(may_create=False):
            try:
                found = _load(stored, signature, context)
            # Damaged files make pickle and LLVM raise any kind of error.
            except Exception as error:
                logger.info("%s contains damaged code (%s)", stored.cache_path, error)
                with suppress(OSError):
                    stored.flush()  # its index: the code is then compiled again
                continue
            if found is not None:
                return found
        return None

    def save_overload(self, signature: Any, code: Any) -> None:
        """Store compiled code in the first folder that can be written."""
        for stored in self._places(may_create=True):
            try:
                stored.save_overload(signature, code)
            except Exception as error:  # of the disk, or a damaged index
                logger.info("%s cannot store code (%s)", stored.cache_path, error)
                continue
            if stored is not self._usual:
                _report_once(str(_temporary_folder()))
            return
        _report_once(None)

    def flush(self) -> None:
        """Do nothing: code is identified by its source, and outdated code is never loaded."""

    def _places(self, *, may_create: bool) -> Iterator[Any]:
        if self._usual is not None:
            yield self._usual
        if self._temporary is None:
            folder = _temporary_folder()
            if folder is not None and (may_create or folder.is_dir()):
                self._temporary = _cache_in(folder, self._function)
        if self._temporary is not None:
            yield self._temporary


def _load(stored: Any, signature: Any, context: Any) -> Any:
    """Return the stored code for a signature, or None.

    Numba's own function first imports all that compiling needs, which takes as long as `numba`.
    """
    try:
        rtsys.initialize(context)  # for loops that allocate arrays
        return stored._load_overload(signature, context)
    except Exception:  # another version of Numba, or damaged code
        return stored.load_overload(signature, context)


def _cache_in(folder: Path | None, function: Callable[..., Any]) -> Any:
    """Return Numba's cache of a loop, in a folder or where Numba chooses; None if impossible."""
    chosen = numba.config.CACHE_DIR
    try:
        if folder is not None:
            _make_private(folder)
            numba.config.CACHE_DIR = str(folder)
        return FunctionCache(function)
    except (RuntimeError, OSError):  # Numba: "no locator available"
        return None
    finally:
        numba.config.CACHE_DIR = chosen


@cache
def _temporary_folder() -> Path | None:
    """Return the temporary folder of this user, which may not exist yet; None if there is none."""
    # On Windows, the temporary folder is private.
    user = str(os.getuid()) if hasattr(os, "getuid") else "user"
    try:
        return Path(tempfile.gettempdir(), f"trackastra-engine-{user}")
    except OSError:
        return None


def _make_private(folder: Path) -> None:
    """Create a folder that only this user can write; raises OSError if another user can.

    Compiled code is executed: no other user may store it there.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    if not hasattr(os, "getuid"):
        return
    status = folder.lstat()
    is_open = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or is_open:
        raise PermissionError(f"{folder} belongs to another user")


@cache
def _report_once(folder: str | None) -> None:
    if folder is None:
        logger.log(
            NOTICE,
            "compiled code cannot be stored, so every run compiles for some seconds; set "
            "NUMBA_CACHE_DIR to a folder that can be written",
        )
    else:
        logger.log(
            NOTICE,
            "compiled code is stored in %s, as its usual folder cannot be written; set "
            "NUMBA_CACHE_DIR to choose another",
            folder,
        )
