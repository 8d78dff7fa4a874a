"""Differences between Linux, macOS and Windows; no other module checks the system.

Linux is tested. The code for macOS and Windows follows the documentation of Python and Windows, and
is tested with a simulated system.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import subprocess

Result = TypeVar("Result")

ON_WINDOWS = os.name == "nt"
CHILD_FLAGS = 0x200 if ON_WINDOWS else 0  # CREATE_NEW_PROCESS_GROUP, which `ask_to_end` reaches
# Signals that ask a program to end; `ask_to_end` sends the second one on Windows.
STOP_SIGNALS: tuple[int, ...] = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGBREAK") if hasattr(signal, name)
)
# After this time a server checks for Ctrl-C, which does not interrupt a wait on Windows.
WAIT_FOR_CLIENT_S = 1.0 if ON_WINDOWS else None
KILLED = -int(getattr(signal, "SIGKILL", 0)) or None  # the exit code of a killed process, if known
# A virus scanner or indexer opens new files for a moment.
WAITS_S = (0.05, 0.1, 0.2, 0.5, 1.0)
LONGEST_PATH = 259  # characters on Windows, unless its registry says otherwise (MAX_PATH)
DEVICES = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{kind}{n}" for kind in ("com", "lpt") for n in range(10)),
}


def cores() -> list[int]:
    """Return the cores that the system lets this process run on."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def bind(process_id: int, chosen: Iterable[int]) -> None:
    """Let a process run only on some cores, if the system can do that."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(process_id, chosen)


def ask_to_end(process: "subprocess.Popen[Any]") -> None:
    """Ask a child that was started with CHILD_FLAGS to end, so that it can clean up.

    On Windows `terminate` ends it at once; a program there gets the signal of Ctrl-Break instead,
    if it shares the console.
    """
    if ON_WINDOWS and hasattr(signal, "CTRL_BREAK_EVENT"):
        try:
            process.send_signal(signal.CTRL_BREAK_EVENT)
            return
        except OSError:  # there is no console
            pass
    process.terminate()


def is_mount(path: Path) -> bool:
    """Return whether another file system or drive begins at a path.

    Not `Path.is_mount`, which Windows has since Python 3.12 only.
    """
    try:
        return os.path.ismount(path)
    except OSError:  # on Windows, for a drive that does not exist
        return False


def patiently(operation: Callable[[], Result]) -> Result:
    """Return the result of a file operation, repeated while Windows has the files open."""
    for wait_s in WAITS_S if ON_WINDOWS else ():
        try:
            return operation()
        except PermissionError:
            time.sleep(wait_s)
    return operation()


def why_not(error: OSError) -> str:
    """Return the reason why a file could not be read or written."""
    reason = str(error.strerror or error)
    if ON_WINDOWS and isinstance(error, PermissionError):
        return f"{reason}; close it in all programs that have it open"
    return reason


def longest_path() -> int | None:
    """Return the largest number of characters of a path; None without a limit."""
    if not ON_WINDOWS:
        return None
    registry = import_module("winreg")
    place = r"SYSTEM\CurrentControlSet\Control\FileSystem"
    try:
        with registry.OpenKey(registry.HKEY_LOCAL_MACHINE, place) as key:
            allows_more = registry.QueryValueEx(key, "LongPathsEnabled")[0]
    except OSError:
        allows_more = 0
    return None if allows_more else LONGEST_PATH


def can_be_name(name: str) -> bool:
    """Return whether a file can have this name here; characters that any system rejects count."""
    is_device = name.split(".")[0].strip().lower() in DEVICES
    is_special = ON_WINDOWS and (is_device or name.endswith((".", " ")))
    return bool(name) and not set(name) & set('/\\:*?"<>|') and not is_special


def peak_memory_mb() -> float | None:
    """Return the peak memory of this process so far; None if the system does not report it."""
    try:
        resource: Any = import_module("resource")
    except ImportError:  # on Windows
        return None
    peak = float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10  # bytes or kilobytes


def free_memory_mb() -> float | None:
    """Return the free memory; all memory if the system does not report the free part."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        lines = meminfo.read_text("ascii").splitlines()
        free = next(line for line in lines if line.startswith("MemAvailable"))
        return float(free.split()[1]) / 2**10
    if ON_WINDOWS:
        return _free_on_windows_mb()
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20
    except (AttributeError, ValueError, OSError):
        return None


def _free_on_windows_mb() -> float | None:
    import ctypes  # only on Windows

    # MEMORYSTATUSEX of Windows (sysinfoapi.h) as eight-byte words: its length and, in the upper
    # half, the load; all memory; free memory; five others.
    status = (ctypes.c_uint64 * 8)(64)
    windows: Any = getattr(ctypes, "windll", None)
    if windows is None or not windows.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None
    return float(status[2]) / 2**20
