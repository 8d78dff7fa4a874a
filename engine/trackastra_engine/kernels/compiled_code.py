"""Where the code of compiled loops is kept: where Numba would, else in a temporary folder."""

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

from trackastra_engine.progress import NOTICE

logger = logging.getLogger(__name__)


class CompiledCode:
    """The cache of one loop, as Numba's dispatcher calls it; it never raises.

    Numba's own raises where no folder can be written, such as in a container that runs as another
    user, or where the disk is full.
    """

    cache_path: str | None = None  # Numba's statistics ask for it

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function
        self._usual = _cache_in(None, function)
        self._temporary: Any = None

    def load_overload(self, signature: Any, context: Any) -> Any:
        """Return the compiled code for a signature, or None if none is kept or it is damaged."""
        for kept in self._places(may_create=False):
            try:
                found = kept.load_overload(signature, context)
            # Damaged files make pickle and LLVM raise whatever they lead to.
            except Exception as error:
                logger.info("%s holds damaged code (%s)", kept.cache_path, error)
                with suppress(OSError):
                    kept.flush()  # its index, without which the code is compiled and kept again
                continue
            if found is not None:
                return found
        return None

    def save_overload(self, signature: Any, code: Any) -> None:
        """Keep compiled code in the first place that takes it."""
        for kept in self._places(may_create=True):
            try:
                kept.save_overload(signature, code)
            except Exception as error:  # of the disk, or of an index that stays damaged
                logger.info("%s takes no code (%s)", kept.cache_path, error)
                continue
            if kept is not self._usual:
                _report_once(str(_temporary_folder()))
            return
        _report_once(None)

    def flush(self) -> None:
        """Forget nothing: code is known by its source, and outdated code is never loaded."""

    def _places(self, *, may_create: bool) -> Iterator[Any]:
        if self._usual is not None:
            yield self._usual
        if self._temporary is None:
            folder = _temporary_folder()
            if folder is not None and (may_create or folder.is_dir()):
                self._temporary = _cache_in(folder, self._function)
        if self._temporary is not None:
            yield self._temporary


def _cache_in(folder: Path | None, function: Callable[..., Any]) -> Any:
    """Return Numba's cache of a loop, in a folder or where Numba chooses; None if it cannot be."""
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
    """Return the temporary folder of this user, which may not be there; None if none can be."""
    user = str(os.getuid()) if hasattr(os, "getuid") else "user"  # of Windows, temporary is private
    try:
        return Path(tempfile.gettempdir(), f"trackastra-engine-{user}")
    except OSError:
        return None


def _make_private(folder: Path) -> None:
    """Create a folder that only this user can write; raises OSError if it is anybody else's.

    Compiled code is executed: nobody else may put it there.
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
            "compiled code cannot be kept: every run compiles for some seconds; set "
            "NUMBA_CACHE_DIR to a folder that can be written",
        )
    else:
        logger.log(
            NOTICE,
            "compiled code is kept in %s, as its usual place cannot be written; set "
            "NUMBA_CACHE_DIR to choose another",
            folder,
        )
