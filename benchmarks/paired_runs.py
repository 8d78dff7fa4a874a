"""Runs of the engine and of upstream, in turn, each in its own process on one core."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Literal

import click
import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parent.parent
LAUNCHER = ROOT / "benchmarks" / "workers" / "launch.py"
THREAD_COUNTS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
Arrays = dict[str, NDArray[Any]]
Clock = Literal["cpu_s", "wall_s"]

UPSTREAM_OPTION = click.option("--upstream", help="A Python that has trackastra installed.")
DEVICE_OPTION = click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True
)


@dataclass(frozen=True, slots=True)
class Run:
    """Time and memory of one run."""

    cpu_s: float
    wall_s: float
    peak_mb: float  # largest memory of the process so far
    loaded_mb: float = 0.0  # of this, before the first run


Program = Callable[[], Run]


def command(
    *arguments: str | Path,
    all_cores: bool = False,
    cores: int | None = None,
    first_core: int = 0,
    **environment: str,
) -> Program:
    """Return a program that runs a command from its start to its end, in the project's folder.

    It runs on one core, with one thread for libraries; or on all cores, or on `cores` of them from
    `first_core` on, with their default threads, as users run it.
    """
    n_cores = len(os.sched_getaffinity(0)) if all_cores else cores or 1

    def run() -> Run:
        # No site packages: the launcher must be small.
        launcher = [sys.executable, "-S", str(LAUNCHER), *map(str, arguments)]
        done = subprocess.run(
            _on_cores(launcher, n_cores, first_core),
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**_environment(all_cores or cores is not None), **environment},
            check=False,
        )
        if done.returncode:
            raise click.ClickException(f"{' '.join(map(str, arguments))} failed:\n{done.stderr}")
        return Run(**json.loads(done.stdout))

    return run


@contextmanager
def worker(python: str, side: str, task: str, *arguments: str | Path) -> Iterator[Program]:
    """Give a program that runs a task repeatedly in one process; its result is written last.

    side: a module of benchmarks.workers; the last argument is the file of the result.
    """
    module = f"benchmarks.workers.{side}"
    process = subprocess.Popen(
        _on_cores([python, "-m", module, task, *map(str, arguments)], 1),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=_environment(),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    requests, answers = process.stdin, process.stdout

    def run() -> Run:
        requests.write("\n")
        requests.flush()
        answer = answers.readline()
        if not answer:
            raise click.ClickException(f"{python} -m {module} {task} failed")
        return Run(**json.loads(answer))

    with process:
        yield run
    if process.returncode:
        raise click.ClickException(f"{python} -m {module} {task} failed")


def compared(
    engine: Program,
    upstream: Program | None,
    *,
    repeats: int,
    warm_up: int = 1,
    clock: Clock = "cpu_s",
) -> dict[str, Any]:
    """Return times of both, run in turn after some runs to warm up; upstream may be left out.

    The speed-up is the median over the pairs of neighbouring runs.
    """
    pairs = [(engine(), upstream() if upstream else None) for _ in range(warm_up + repeats)]
    pairs = pairs[warm_up:]
    row = {"engine": summary([own for own, _ in pairs])}
    theirs = [other for _, other in pairs if other is not None]
    if theirs:
        ratios = [
            getattr(other, clock) / getattr(own, clock) for own, other in pairs if other is not None
        ]
        row["upstream"] = summary(theirs)
        row["times_faster"] = round(median(ratios), 2)
        row["times_faster_range"] = [round(min(ratios), 2), round(max(ratios), 2)]
    return row


def compared_task(
    task: str, *arguments: str | Path, upstream: str | None, repeats: int, clock: Clock = "cpu_s"
) -> tuple[dict[str, Any], list[Arrays]]:
    """Return the times of a task of the workers on both sides, and both results."""
    with TemporaryDirectory() as name:
        results = [Path(name) / "engine.npz"]
        with ExitStack() as stack:
            ours = worker(sys.executable, "engine", task, *arguments, results[0])
            engine, other = stack.enter_context(ours), None
            if upstream:
                results.append(Path(name) / "upstream.npz")
                theirs = worker(upstream, "upstream", task, *arguments, results[1])
                other = stack.enter_context(theirs)
            row = compared(engine, other, repeats=repeats, clock=clock)
        return row, [dict(np.load(path)) for path in results]


def summary(runs: list[Run]) -> dict[str, Any]:
    """Return median and spread of some runs."""
    seconds = [run.cpu_s for run in runs]
    return {
        "cpu_s": round(median(seconds), 4),
        "cpu_s_range": [round(min(seconds), 4), round(max(seconds), 4)],
        "wall_s": round(median(run.wall_s for run in runs), 4),
        "peak_mb": round(max(run.peak_mb for run in runs)),
    }


def _on_cores(arguments: list[str], n_cores: int, first_core: int = 0) -> list[str]:
    chosen = sorted(os.sched_getaffinity(0))[first_core : first_core + n_cores]
    return ["taskset", "--cpu-list", ",".join(map(str, chosen)), *arguments]


def _environment(all_cores: bool = False) -> dict[str, str]:
    # Without these variables, libraries choose the number of threads.
    # Nor do installed programs compile their modules at each start.
    left_out = (*THREAD_COUNTS, "PYTHONDONTWRITEBYTECODE")
    given = {name: value for name, value in os.environ.items() if name not in left_out}
    one_thread = {} if all_cores else dict.fromkeys(THREAD_COUNTS, "1")
    return {**given, **one_thread, "TQDM_DISABLE": "1"}
