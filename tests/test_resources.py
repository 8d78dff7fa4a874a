"""Limits of a process: by affinity, by cgroups of both versions, and by jobs of clusters."""

import os

import pytest

from trackastra_engine import resources
from trackastra_engine.batch import _shares
from trackastra_engine.batch.budget import default_memory_mb
from trackastra_engine.batch.process import Share, _environment

GB = 2**30
V2, V1 = "0::/job/step\n", "3:memory:/job\n2:cpu,cpuacct:/job\n0::/\n"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Return a way to describe a machine of 64 cores and 256 GB by the files of its cgroups."""
    for name in list(os.environ):
        if name.startswith(("SLURM", "PBS", "NCPUS")):
            monkeypatch.delenv(name)
    monkeypatch.setattr("trackastra_engine.batch.cores", lambda: list(range(64)))
    monkeypatch.setattr(resources, "cores", lambda: list(range(64)))
    monkeypatch.setattr(resources, "free_memory_mb", lambda: 256 * 1024.0)
    monkeypatch.setattr(resources, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(resources, "MEMBERSHIPS", tmp_path / "memberships")

    def describe(memberships="", **files):
        (tmp_path / "memberships").write_text(memberships)
        for name, text in files.items():
            path = tmp_path / "cgroup" / name.replace("__", "/").replace("_DOT_", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n")

    return describe


def write(machine, memberships, files):
    machine(
        memberships,
        **{name.replace("/", "__").replace(".", "_DOT_"): files[name] for name in files},
    )


def test_without_limits_all_of_the_machine_is_usable(machine):
    machine("")
    assert (resources.n_usable_cores(), resources.usable_memory_mb()) == (64, 256 * 1024)


@pytest.mark.parametrize(
    ("memberships", "files"),
    [
        (
            V2,  # the job has a limit, its step none
            {
                "job/step/memory.max": "max",
                "job/step/cpu.max": "max 100000",
                "job/memory.max": str(8 * GB),
                "job/memory.current": str(5 * GB),
                "job/memory.stat": f"anon 1\ninactive_file {2 * GB}",
                "job/cpu.max": "250000 100000",
            },
        ),
        (
            V1,
            {
                "memory/job/memory.limit_in_bytes": str(8 * GB),
                "memory/job/memory.usage_in_bytes": str(5 * GB),
                "memory/job/memory.stat": f"cache 1\ntotal_inactive_file {2 * GB}",
                "memory/memory.limit_in_bytes": "9223372036854771712",  # none
                "cpu/job/cpu.cfs_quota_us": "250000",
                "cpu/job/cpu.cfs_period_us": "100000",
                "cpu/cpu.cfs_quota_us": "-1",
                "cpu/cpu.cfs_period_us": "100000",
            },
        ),
        (
            "0::/host/path/of/container\n",  # which sees its own cgroup as the root
            {"memory.max": str(5 * GB), "memory.current": "0", "cpu.max": "250000 100000"},
        ),
    ],
    ids=["version 2", "version 1", "container"],
)
def test_limits_of_cgroups_count(machine, memberships, files):
    write(machine, memberships, files)
    assert resources.usable_memory_mb() == 5 * 1024
    assert resources.n_usable_cores() == 3  # 2.5 cores' time
    assert default_memory_mb() == pytest.approx(0.8 * 5 * 1024)


def test_a_full_container_has_no_free_memory(machine):
    write(machine, V2, {"job/memory.max": str(GB), "job/memory.current": str(2 * GB)})
    assert resources.usable_memory_mb() == 0


@pytest.mark.parametrize(
    ("variables", "n_cores", "memory_gb"),
    [
        ({"SLURM_CPUS_PER_TASK": "8", "SLURM_CPUS_ON_NODE": "16"}, 8, 256),
        ({"SLURM_CPUS_ON_NODE": "16", "SLURM_MEM_PER_NODE": "32768"}, 16, 32),
        ({"SLURM_CPUS_ON_NODE": "4", "SLURM_MEM_PER_CPU": "2048"}, 4, 8),
        ({"SLURM_CPUS_PER_TASK": "many", "SLURM_MEM_PER_NODE": "0"}, 64, 256),
        ({"NCPUS": "12"}, 12, 256),
        ({"PBS_NUM_PPN": "6"}, 6, 256),
        ({"NCPUS": "100"}, 64, 256),
    ],
)
def test_a_job_uses_the_limits_of_its_cluster(machine, monkeypatch, variables, n_cores, memory_gb):
    machine("")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert resources.n_usable_cores() == n_cores
    assert resources.usable_memory_mb() == memory_gb * 1024


def test_jobs_of_a_batch_share_the_usable_cores(machine, monkeypatch):
    machine("")
    assert _shares(3)[1] == Share(tuple(range(1, 64, 3)), 21)
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "8")
    every_core = tuple(range(64))  # the eight idle ones are unknown
    assert _shares(3) == [Share(every_core, 2)] * 3
    assert _shares(20)[0] == Share(every_core, 1)


def test_a_job_gets_its_number_of_threads(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert _environment(4)["OMP_NUM_THREADS"] == "4"
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert _environment(4)["OMP_NUM_THREADS"] == "2"


def test_as_many_threads_compute(machine, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    write(machine, V2, {"job/cpu.max": "700000 100000"})
    assert resources.usable_threads() == 7
