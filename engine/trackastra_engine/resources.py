"""The cores and memory that this process may use.

A container (cgroup) or a job of a cluster (SLURM, PBS) may get less than the system shows.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

from trackastra_engine.system import cores, free_memory_mb

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIPS = Path("/proc/self/cgroup")
UNLIMITED_BYTES = 2**60  # larger limits of cgroup v1 mean no limit
# Cores of a job, set by its cluster for each process; the first that exists counts.
CORES_OF_JOB = (
    "SLURM_CPUS_PER_TASK",
    "SLURM_CPUS_ON_NODE",
    "NCPUS",  # PBS Professional and OpenPBS
    "PBS_NUM_PPN",  # Torque
)


def n_usable_cores() -> int:
    """Return the number of cores that this process may use, by affinity, quotas and its job."""
    limits = [float(len(cores())), *_cpu_quotas()]
    given = next((value for name in CORES_OF_JOB if (value := _number(name))), None)
    if given is not None:
        limits.append(given)
    return max(1, math.ceil(min(limits)))


def usable_threads() -> int:
    """Return the number of usable cores, or OMP_NUM_THREADS if that is less."""
    given = os.environ.get("OMP_NUM_THREADS", "")  # which Dask sets for its workers
    n_cores = n_usable_cores()
    return min(n_cores, max(1, int(given))) if given.isdecimal() else n_cores


def usable_memory_mb() -> float | None:
    """Return the memory that this process and its children may still use; None if not known."""
    known = [*_memory_left_mb(), *_memory_of_job_mb()]
    free = free_memory_mb()
    if free is not None:
        known.append(free)
    return max(0.0, min(known)) if known else None


def _cpu_quotas() -> Iterator[float]:
    """Yield the number of cores that each cgroup of this process may use."""
    for folder in _folders_v2():
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        if quota.isdecimal() and period.isdecimal():
            yield int(quota) / int(period)
    for folder in _folders_v1("cpu"):
        quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
        if quota.isdecimal() and period.isdecimal():  # -1 is no quota
            yield int(quota) / int(period)


def _memory_left_mb() -> Iterator[float]:
    """Yield the free memory of each cgroup of this process; cached files count as free."""
    for folder in _folders_v2():
        yield from _left_mb(folder, "memory.max", "memory.current", "inactive_file")
    for folder in _folders_v1("memory"):
        yield from _left_mb(
            folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
        )


def _left_mb(folder: Path, limit_file: str, used_file: str, reclaimable: str) -> Iterator[float]:
    limit, used = _text(folder / limit_file), _text(folder / used_file)
    if not limit.isdecimal() or int(limit) > UNLIMITED_BYTES:
        return
    lines = (line.split() for line in _text(folder / "memory.stat").splitlines())
    cached = next((int(line[1]) for line in lines if line[0] == reclaimable), 0)
    in_use = int(used) - cached if used.isdecimal() else 0
    yield (int(limit) - max(0, in_use)) / 2**20


def _memory_of_job_mb() -> Iterator[float]:
    """Yield the memory of a job of SLURM on this machine; PBS limits it by a cgroup, if at all."""
    per_node, per_core = _number("SLURM_MEM_PER_NODE"), _number("SLURM_MEM_PER_CPU")
    if per_node:  # 0 is all memory of the machine
        yield per_node
    elif per_core:
        yield per_core * (_number("SLURM_CPUS_ON_NODE") or n_usable_cores())


def _number(name: str) -> float | None:
    """Return the number in a variable of the environment, or None."""
    text = os.environ.get(name, "").strip()
    return float(text) if text.isdecimal() else None


def _folders_v2() -> Iterator[Path]:
    """Yield the folders of the cgroup (version 2) of this process, and of those above it."""
    yield from _up_from(CGROUPS, _memberships().get(""))


def _folders_v1(controller: str) -> Iterator[Path]:
    """Yield the folders of the cgroups (version 1) of this process for a controller."""
    yield from _up_from(CGROUPS / controller, _memberships().get(controller))


def _up_from(root: Path, place: str | None) -> Iterator[Path]:
    """Yield a folder and those above it, up to the root; fewer in a container."""
    if place is None:
        return
    folder = root / place.strip("/")
    yield from (one for one in (folder, *folder.parents) if one.is_relative_to(root))


def _memberships() -> dict[str, str]:
    """Return the cgroup of this process for each controller, and for "" that of version 2."""
    lines = (line.split(":", 2) for line in _text(MEMBERSHIPS).splitlines())
    return {name: place for _, names, place in lines for name in names.split(",")}


def _text(path: Path) -> str:
    """Return the text of a small file; empty if it does not exist."""
    try:
        return path.read_text("ascii").strip()
    except OSError:
        return ""
