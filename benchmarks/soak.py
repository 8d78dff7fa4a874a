"""Does a session grow or slow down while a microscope runs for days?"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import click
import numpy as np

from benchmarks.cells_per_second import per_second
from benchmarks.latency import percentiles_ms, pushed
from benchmarks.paired_runs import DEVICE_OPTION
from benchmarks.record import write_result
from benchmarks.workers.online import SAMPLE_FRAMES

N_FRAMES, N_CELLS, SIDE_PX = 20_000, 10, 128
N_PARTS = 10  # of the movie, whose times are compared


def soaked(n_frames: int, device: str) -> dict[str, Any]:
    """Return times by part of a long movie, and the growth of memory and tracks."""
    found = pushed("session", n_frames, N_CELLS, SIDE_PX, device)
    cpu_s, wall_s = (np.array_split(found[name], N_PARTS) for name in ("cpu_s", "wall_s"))
    memory_mb = found["memory_mb"]
    begin = len(memory_mb) // N_PARTS  # everything is loaded
    share = (begin + 1) / len(memory_mb)
    return {
        "frames": n_frames,
        "cells": N_CELLS,
        "cpu_ms_by_part": [percentiles_ms(part) for part in cpu_s],
        "wall_ms_by_part": [percentiles_ms(part) for part in wall_s],
        "memory_at_frames": [(begin + 1) * SAMPLE_FRAMES, n_frames],
        "memory_mb": np.round(memory_mb[[begin, -1]], 1).tolist(),
        "tracks_mb": np.round(found["tracks_mb"] * [share, 1], 1).tolist(),
    }


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of the comparison: times, and memory."""
    yield ["", "first tenth of the frames", "last tenth"]
    first, last = (result["wall_ms_by_part"][part] for part in (0, -1))
    for name in ("p50", "p99", "max"):
        yield [f"{name} from push to update", *(f"{part[name]:.1f} ms" for part in (first, last))]
    speeds = (per_second(result["cells"], 1, part["p50"] / 1e3) for part in (first, last))
    yield ["at p50", *speeds]
    yield ["memory, at its end", *(f"{megabytes:.0f} MB" for megabytes in result["memory_mb"])]
    yield ["of it, tracks", *(f"{megabytes:.0f} MB" for megabytes in result["tracks_mb"])]


@click.command()
@click.option("--frames", default=N_FRAMES, show_default=True)
@DEVICE_OPTION
def soak(frames: int, device: str) -> None:
    """Push a very long movie of few cells, and measure growth and drift."""
    answer = {"device": device, **soaked(frames, device)}
    print(json.dumps(answer, indent=1))
    print(f"written to {write_result('soak', answer)}")
