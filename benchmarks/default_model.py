"""How many frames per second does a user without a GPU get, and which stages need the time?"""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np

from benchmarks.cells_per_second import per_second
from benchmarks.paired_runs import DEVICE_OPTION, command, summary
from benchmarks.record import write_result
from trackastra_engine.evaluation.edge_scores import score_edges
from trackastra_engine.model.onnx_model import DEFAULT_MODEL
from trackastra_engine.simulation import (
    Division,
    Motion,
    RenderedMovie,
    Shape,
    SimulationParameters,
    render,
    write_frames,
)

STRIDES = (1, 2, 3)
# A movie on which strides differ: dense cells that move by a third of their distance and often
# divide.
HARD_MOVIE = SimulationParameters(
    n_frames=24,
    n_cells=500,
    spacing=1.3,
    motion=Motion(flow=0.25, diffusion=0.15, persistent=0.15),
    shape=Shape(diameter_px=14.0),
    division=Division(cycle_frames=25.0),
)
STAGES = ("read", "detect", "score", "link", "write")


def measured_speed(device: str, *, all_cores: bool) -> dict[str, Any]:
    """Return the report of `trackastra-engine bench`."""
    with TemporaryDirectory() as name:
        report = Path(name) / "bench.json"
        program = (sys.executable, "-m", "trackastra_engine", "bench", "--device", device)
        command(*program, "--json", report, all_cores=all_cores)()
        found: dict[str, Any] = json.loads(report.read_text())
    return found


def compare_strides(repeats: int, device: str) -> list[dict[str, Any]]:
    """Return time and accuracy of the command `track` with each stride."""
    movie = render(HARD_MOVIE, seed=0)
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_frames(movie.images, folder / "images")
        write_frames(movie.masks, folder / "masks")
        return [with_stride(stride, movie, folder, repeats, device) for stride in STRIDES]


def with_stride(
    stride: int, movie: RenderedMovie, folder: Path, repeats: int, device: str
) -> dict[str, Any]:
    """Return time and accuracy of tracking with windows `stride` frames apart."""
    table = folder / "edges.csv"
    run = command(
        *(sys.executable, "-m", "trackastra_engine", "track", folder / "images", folder / "masks"),
        *("--output-edge-table", table, "--stride", str(stride), "--device", device),
    )
    runs = [run() for _ in range(1 + repeats)][1:]
    found = np.loadtxt(table, delimiter=",", skiprows=1, usecols=range(4), dtype=int, ndmin=2)
    scores = score_edges(found, movie.edges)
    return {
        "stride": stride,
        "engine": summary(runs),
        "edge_f1": round(scores.edges.f1, 4),
        "division_f1": round(scores.divisions.f1, 3),
    }


def speed_table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of numbers of cells: time per frame of each stage, and frames per second."""
    yield [
        "cells per frame",
        *(f"{stage}, ms" for stage in STAGES),
        "one core",
        f"{result['all_cores']['machine']['cores']} cores",
    ]
    movies = zip(result["one_core"]["movies"], result["all_cores"]["movies"], strict=True)
    for one, several in movies:
        yield [
            f"{one['cells']:,.0f}",
            *(f"{1e3 * one['stage_s'][stage]:.1f}" for stage in STAGES),
            *(per_second(times["cells"], 1, times["together_s"]) for times in (one, several)),
        ]


def stride_table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of strides: time and accuracy."""
    yield ["`--stride`", "CPU time", "edge F1", "division F1"]
    for row in result["strides"]:
        yield [
            str(row["stride"]),
            f"{row['engine']['cpu_s']:.1f} s",
            f"{row['edge_f1']:.4f}",
            f"{row['division_f1']:.3f}",
        ]


@click.command("default-model")
@DEVICE_OPTION
@click.option("--repeats", default=3, show_default=True)
def default_model(device: str, repeats: int) -> None:
    """Time the stages of tracking with the default model, and its strides."""
    answer = {
        "model": DEFAULT_MODEL,
        "device": device,
        "one_core": measured_speed(device, all_cores=False),
        "all_cores": measured_speed(device, all_cores=True),
        "strides": compare_strides(repeats, device),
    }
    print(json.dumps(answer, indent=1))
    print(f"written to {write_result('default_model', answer)}")
