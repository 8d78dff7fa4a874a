"""How many frames per second does a user without a GPU get, and which stages need the time?"""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from benchmarks.cells_per_second import per_second
from benchmarks.paired_runs import DEVICE_OPTION, command
from benchmarks.record import write_result
from trackastra_engine.model.onnx_model import DEFAULT_MODEL

STAGES = ("read", "detect", "score", "link", "write")


def measured_speed(device: str, *, all_cores: bool) -> dict[str, Any]:
    """Return the report of `trackastra-engine bench`."""
    with TemporaryDirectory() as name:
        report = Path(name) / "bench.json"
        program = (sys.executable, "-m", "trackastra_engine", "bench", "--device", device)
        command(*program, "--json", report, all_cores=all_cores)()
        found: dict[str, Any] = json.loads(report.read_text())
    return found


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


@click.command("default-model")
@DEVICE_OPTION
def default_model(device: str) -> None:
    """Time the stages of tracking with the default model."""
    answer = {
        "model": DEFAULT_MODEL,
        "device": device,
        "one_core": measured_speed(device, all_cores=False),
        "all_cores": measured_speed(device, all_cores=True),
    }
    print(json.dumps(answer, indent=1))
    print(f"written to {write_result('default_model', answer)}")
