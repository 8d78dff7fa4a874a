"""What of the machine this process may use, and what it took."""

import os
import sys
from pathlib import Path


def usable_cores() -> list[int]:
    """Return the cores that this process may use, which may be fewer than it has."""
    if sys.platform == "linux":
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def usable_threads() -> int:
    """Return how many threads may compute: OMP_NUM_THREADS if it is less than the usable cores."""
    told = os.environ.get("OMP_NUM_THREADS", "")  # as Dask tells each of its workers
    n_cores = len(usable_cores())
    return min(n_cores, max(1, int(told))) if told.isdecimal() else n_cores


def peak_memory_mb() -> float | None:
    """Return the largest memory of this process so far; None where the system does not tell."""
    if sys.platform == "win32":
        return None
    import resource  # not on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10  # bytes or kilobytes


def free_memory_mb() -> float | None:
    """Return what programs may still take; all there is where the system does not tell more."""
    if sys.platform == "win32":
        return None
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20
    lines = meminfo.read_text().splitlines()
    free = next(line for line in lines if line.startswith("MemAvailable"))
    return float(free.split()[1]) / 2**10
