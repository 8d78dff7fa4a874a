"""How long does a microscope wait for the tracks of a frame, and how long at worst?"""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.cells_per_second import per_second
from benchmarks.paired_runs import DEVICE_OPTION, worker
from benchmarks.record import write_result
from trackastra_engine.model.onnx_model import DEFAULT_MODEL

CELLS, SIDE_PX = (50, 200, 500, 1000), 1024
SERVED_CELLS = (50, 200)
N_FIRST = 8  # frames; a session that is not warm is slow in these
PERCENTILES = {"p50": 50, "p90": 90, "p99": 99, "max": 100}


def pushed(way: str, n_frames: int, n_cells: int, side_px: int, device: str) -> dict[str, Any]:
    """Return the measurements of a worker; way: a task of workers/online.py."""
    size = map(str, (n_frames, n_cells, side_px))
    with TemporaryDirectory() as name:
        result = Path(name) / "result.npz"
        with worker(sys.executable, "online", way, *size, device, result) as run:
            run()
        return dict(np.load(result))


def percentiles_ms(seconds: NDArray[np.float64]) -> dict[str, float]:
    """Return percentiles of some times in milliseconds."""
    return {
        name: round(1e3 * float(np.percentile(seconds, percent)), 2)
        for name, percent in PERCENTILES.items()
    }


def row(way: str, n_frames: int, n_cells: int, device: str) -> dict[str, Any]:
    """Return the percentiles of the time from pushing a frame to its update."""
    found = pushed(way, n_frames, n_cells, SIDE_PX, device)
    times = {"wall_ms": percentiles_ms(found["wall_s"])}
    if way == "session":  # else another process does the work
        times["cpu_ms"] = percentiles_ms(found["cpu_s"])
    first = round(1e3 * float(found["wall_s"][:N_FIRST].max()), 2)
    about = {"way": way, "cells": n_cells, "frames": n_frames}
    return {**about, **times, "slowest_of_the_first_ms": first}


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of numbers of cells: percentiles, and the first frames."""
    names = {"session": "`session.push`", "serve": "`trackastra-engine serve`"}
    yield ["cells per frame", "through", *PERCENTILES, f"slowest of the first {N_FIRST}", "at p50"]
    for one in result["rows"]:
        times = [one["wall_ms"][name] for name in PERCENTILES]
        yield [
            f"{one['cells']:,}",
            names[one["way"]],
            *(f"{time:.0f} ms" for time in [*times, one["slowest_of_the_first_ms"]]),
            per_second(one["cells"], 1, one["wall_ms"]["p50"] / 1e3),
        ]


@click.command()
@click.option("--frames", default=1000, show_default=True)
@click.option("--cells", default=",".join(map(str, CELLS)), show_default=True)
@DEVICE_OPTION
def latency(frames: int, cells: str, device: str) -> None:
    """Time each frame from its push to its update, on one core, in a session and a server."""
    rows = []
    for way, numbers in (("session", [int(n) for n in cells.split(",")]), ("serve", SERVED_CELLS)):
        for n_cells in numbers:
            rows.append(row(way, frames, n_cells, device))
            print(json.dumps(rows[-1]), flush=True)
    answer = {"model": DEFAULT_MODEL, "device": device, "side_px": SIDE_PX, "rows": rows}
    print(f"written to {write_result('latency', answer)}")
