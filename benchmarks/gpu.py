"""How fast is a GPU: a window compared with upstream, frames per second, and latency?

ONNX Runtime for CUDA works only without the CPU package: after installing this project with its
tests, and `onnxruntime-gpu[cuda,cudnn]`, uninstall both runtimes and install that one again.
"""

import json
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np

from benchmarks import latency, transformer
from benchmarks.gpu_bound import bound, device_rates
from benchmarks.gpu_profile import profile
from benchmarks.paired_runs import UPSTREAM_OPTION
from benchmarks.random_network import WINDOW, write_network
from benchmarks.record import write_result
from benchmarks.seeded_movies import SwingingCells
from benchmarks.workers.engine import MODEL_FILE
from trackastra_engine import Tracker
from trackastra_engine.model.devices import Device
from trackastra_engine.model.onnx_model import DEFAULT_MODEL

CELL_PX = 31  # a cell has 31 x 31 pixels of a frame


def gpu() -> str | None:
    """Return name, driver and memory of the GPUs of this machine, None if there are none."""
    if shutil.which("nvidia-smi") is None:
        return None
    query = ("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
    return subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()


@contextmanager
def peak_gpu_mb() -> Iterator[list[int]]:
    """Give a list that receives the peak of the GPU memory in use by all processes.

    It is measured twice a second; the list stays empty without a GPU.
    """
    peak: list[int] = []
    if shutil.which("nvidia-smi") is None:
        yield peak
        return
    query = ("nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", "-lms=500")
    with subprocess.Popen(query, stdout=subprocess.PIPE, text=True) as watch:
        try:
            yield peak
        finally:
            watch.terminate()
            said, _ = watch.communicate()
            peak += sorted(int(number) for number in said.split() if number.isdecimal())[-1:]


def frames_per_second(tracker: Tracker, n_cells: int, n_frames: int) -> dict[str, Any]:
    """Return the tracking speed of a movie in memory, with all stages in parallel."""
    cells = SwingingCells(n_frames, n_cells, round(CELL_PX * n_cells**0.5))
    masks = np.stack([cells[frame] for frame in range(n_frames)])
    tracker.track(None, masks[: WINDOW + 1])  # warms up
    with peak_gpu_mb() as peak:
        start = time.perf_counter()
        lineage = tracker.track(None, masks)
        seconds = time.perf_counter() - start
    return {
        "cells": n_cells,
        "frames": n_frames,
        "links": len(lineage.edges),
        "frames_per_s": round(n_frames / seconds, 2),
        "cells_per_s": round(n_frames * n_cells / seconds),
        "gpu_peak_mb": peak[0] if peak else None,
    }


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of numbers of cells: the window on both sides, frames per second, latency."""
    yield [
        *("cells per frame", "window, published size", "its bound", "upstream", "times faster"),
        *("tracking, general_2d", "GPU memory", "answer to a frame, 50 / 99 %"),
    ]
    waits = {row["cells"]: row for row in result["latency"]}
    for window, movie in zip(result["windows"], result["movies"], strict=True):
        upstream, wait = window.get("upstream"), waits.get(movie["cells"])
        yield [
            f"{movie['cells']:,}",
            f"{1e3 * window['engine']['wall_s']:.1f} ms",
            f"{sum(window['bound'].values()):.1f} ms",
            f"{1e3 * upstream['wall_s']:.1f} ms" if upstream else "",
            f"{window['times_faster']:.1f}" if upstream else "",
            f"{movie['frames_per_s']:.1f} frames/s, {movie['cells_per_s']:,} cells/s",
            f"{movie['gpu_peak_mb']:,} MB" if movie["gpu_peak_mb"] is not None else "",
            f"{wait['wall_ms']['p50']:.1f} / {wait['wall_ms']['p99']:.1f} ms" if wait else "",
        ]


@click.command("gpu")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cuda", show_default=True)
@click.option("--sizes", default="100,500,1000,4000,20000", show_default=True)
@click.option("--answered", default="500", show_default=True, help="Sizes for latency.")
@click.option("--profiled", default="500,4000", show_default=True, help="Sizes to profile.")
@click.option("--frames", default=20, show_default=True, help="Of the movies.")
@click.option("--pushes", default=500, show_default=True, help="Frames whose latency is measured.")
@UPSTREAM_OPTION
@click.option("--repeats", default=5, show_default=True)
def gpu_benchmark(
    device: Device,
    sizes: str,
    answered: str,
    profiled: str,
    frames: int,
    pushes: int,
    upstream: str | None,
    repeats: int,
) -> None:
    """Time windows, movies and answers on a GPU; `--device cpu` tries the script without one."""
    tracker = Tracker.load(device=device)
    windows, movies, profiles, rates = [], [], [], device_rates(device)
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_network(folder)
        for n_cells in map(int, sizes.split(",")):
            n_tokens = WINDOW * n_cells
            window = transformer.random_window(n_tokens)
            row = transformer.measure(folder, n_tokens, upstream, repeats, device)
            windows.append({**row, "bound": bound(window["coordinates"], rates)})
            movies.append(frames_per_second(tracker, n_cells, frames))
            print(json.dumps({**windows[-1], **movies[-1]}), flush=True)
        for n_cells in map(int, profiled.split(",")):
            window = transformer.random_window(WINDOW * n_cells)
            profiles.append({"cells": n_cells, **profile(folder / MODEL_FILE, window, device)})
    answer = {
        "device": tracker.model.device,
        "gpu": gpu(),
        "model": DEFAULT_MODEL,
        "rates": rates,
        "windows": windows,
        "movies": movies,
        "profiles": profiles,
        "latency": [
            latency.row("session", pushes, n_cells, device)
            for n_cells in map(int, answered.split(","))
        ],
    }
    print(f"written to {write_result('gpu', answer, upstream=upstream)}")
