"""A program that tracks a movie, killed repeatedly at random moments, and then to its end.

A run is killed some time after it has cached more than the run before, or when it ends.
Runs are forked from one process that has loaded most modules, which takes longest.
Arguments: masks, output folder, number of kills. Prints how many runs were killed while they ran.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import numba  # noqa: F401  loaded for the runs, like the next ones; ONNX Runtime must not be forked
import tifffile  # noqa: F401

import trackastra_engine.jobs.track  # noqa: F401
from trackastra_engine.cli import main

LONGEST_S = 0.1  # from a new cached chunk to the kill; a chunk takes about as long


def started(masks, output):
    """Start the command in its own process, and return its number."""
    process = os.fork()
    if process == 0:
        os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])  # threads wait on busy machines
        main(["track", "--masks", masks, "-o", output, "--no-report"])
    return process


def cached_files(output):
    return list(Path(output).glob(".trackastra/*.npz"))


def is_running(process):
    return os.waitid(os.P_PID, process, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None


def exit_code(process):
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def track_and_kill(masks, output, n_kills):
    moments = random.Random(n_kills)
    n_killed = 0
    for _ in range(n_kills):
        n_cached = len(cached_files(output))
        process = started(masks, output)
        while len(cached_files(output)) == n_cached and is_running(process):
            time.sleep(0.01)
        time.sleep(moments.uniform(0, LONGEST_S))
        os.kill(process, signal.SIGKILL)
        if exit_code(process) != -signal.SIGKILL:
            return n_killed  # it was done
        n_killed += 1
        left = {path.name for path in Path(output).glob("*")}
        assert "edges.csv" in left or left <= {".trackastra"}, left
    assert exit_code(started(masks, output)) == 0
    return n_killed


if __name__ == "__main__":
    print(track_and_kill(*sys.argv[1:3], int(sys.argv[3])))
