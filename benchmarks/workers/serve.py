"""A process that runs one task per request, and answers with its time and memory.

Run as `python -m benchmarks.workers.{engine | upstream} TASK INPUT... RESULT.npz`. Each line on
the standard input is a request, answered by a line of JSON; at the end of the input the result
of the last request goes to RESULT.npz.
"""

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np


class Task(Protocol):
    """A task to be timed, with its input loaded."""

    def run(self) -> None:
        """Run the timed part."""

    def result(self) -> dict[str, np.ndarray]:
        """Return the result of the last run, in a form that both sides share."""


def serve(tasks: Mapping[str, Callable[..., Task]]) -> None:
    """Answer requests until the input ends."""
    name, *inputs, result_path = sys.argv[1:]
    answers, sys.stdout = sys.stdout, sys.stderr  # other output is not an answer
    task = tasks[name](*inputs)
    loaded_mb = peak_mb()
    for _ in sys.stdin:
        wall, processor = time.perf_counter(), time.process_time()
        task.run()
        answer = {
            "cpu_s": time.process_time() - processor,
            "wall_s": time.perf_counter() - wall,
            "peak_mb": peak_mb(),
            "loaded_mb": loaded_mb,
        }
        print(json.dumps(answer), file=answers, flush=True)
    np.savez(result_path, **task.result())


def peak_mb() -> float:
    """Return the largest resident memory so far; Linux only.

    `ru_maxrss` would start at the memory of the process that started this one.
    """
    return _status_mb("VmHWM")


def memory_mb() -> float:
    """Return the resident memory; Linux only."""
    return _status_mb("VmRSS")


def _status_mb(name: str) -> float:
    status = Path("/proc/self/status").read_text().splitlines()
    line = next(line for line in status if line.startswith(name))
    return int(line.split()[1]) / 1024
