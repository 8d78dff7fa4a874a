"""What does a GPU do: a window against upstream's, frames per second, and how soon is an answer?"""

import json
import shutil
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np

from benchmarks import latency, transformer
from benchmarks.movies import SwingingCells
from benchmarks.network import WINDOW, write_network
from benchmarks.record import write_result
from benchmarks.runs import UPSTREAM_OPTION
from trackastra_engine import Tracker
from trackastra_engine.model import DEFAULT_MODEL, Device

CELL_PX = 31  # a cell has 31 x 31 pixels of a frame


def gpu() -> str | None:
    """Return name, driver and memory of the GPUs of this machine, None if there are none."""
    if shutil.which("nvidia-smi") is None:
        return None
    query = ("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader")
    return subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()


def frames_per_second(tracker: Tracker, n_cells: int, n_frames: int) -> dict[str, Any]:
    """Return how fast a movie in memory becomes tracks, all stages side by side."""
    cells = SwingingCells(n_frames, n_cells, round(CELL_PX * n_cells**0.5))
    masks = np.stack([cells[frame] for frame in range(n_frames)])
    tracker.track(None, masks[: WINDOW + 1])  # warms up
    start = time.perf_counter()
    lineage = tracker.track(None, masks)
    seconds = time.perf_counter() - start
    return {
        "cells": n_cells,
        "frames": n_frames,
        "links": len(lineage.edges),
        "frames_per_s": round(n_frames / seconds, 2),
    }


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of numbers of cells: the window on both sides, frames per second, latency."""
    yield [
        *("cells per frame", "window, published size", "upstream", "times faster"),
        *("tracking, general_2d", "answer to a frame, 50 / 99 %"),
    ]
    waits = {row["cells"]: row for row in result["latency"]}
    for window, movie in zip(result["windows"], result["movies"], strict=True):
        upstream, wait = window.get("upstream"), waits.get(movie["cells"])
        yield [
            f"{movie['cells']:,}",
            f"{1e3 * window['engine']['wall_s']:.1f} ms",
            f"{1e3 * upstream['wall_s']:.1f} ms" if upstream else "",
            f"{window['times_faster']:.1f}" if upstream else "",
            f"{movie['frames_per_s']:.1f} frames/s",
            f"{wait['wall_ms']['p50']:.1f} / {wait['wall_ms']['p99']:.1f} ms" if wait else "",
        ]


@click.command("gpu")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cuda", show_default=True)
@click.option("--sizes", default="100,200,500,1000,4000,10000,20000", show_default=True)
@click.option("--answered", default="200,500,1000", show_default=True, help="Sizes for latency.")
@click.option("--frames", default=20, show_default=True, help="Of the movies.")
@click.option("--pushes", default=300, show_default=True, help="Frames whose latency is taken.")
@UPSTREAM_OPTION
@click.option("--repeats", default=5, show_default=True)
def gpu_benchmark(
    device: Device,
    sizes: str,
    answered: str,
    frames: int,
    pushes: int,
    upstream: str | None,
    repeats: int,
) -> None:
    """Time windows, movies and answers on a GPU; `--device cpu` tries the script without one."""
    tracker = Tracker.load(device=device)
    windows, movies = [], []
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_network(folder)
        for n_cells in map(int, sizes.split(",")):
            n_tokens = WINDOW * n_cells
            windows.append(transformer.measure(folder, n_tokens, upstream, repeats, device))
            movies.append(frames_per_second(tracker, n_cells, frames))
            print(json.dumps({**windows[-1], **movies[-1]}), flush=True)
    answer = {
        "device": tracker.model.device,
        "gpu": gpu(),
        "model": DEFAULT_MODEL,
        "windows": windows,
        "movies": movies,
        "latency": [
            latency.row("session", pushes, n_cells, device)
            for n_cells in map(int, answered.split(","))
        ],
    }
    print(f"written to {write_result('gpu', answer, upstream=upstream)}")
