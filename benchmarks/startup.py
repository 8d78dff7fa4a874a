"""How long does the command line take to start?"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import click

from benchmarks.paired_runs import DEVICE_OPTION, UPSTREAM_OPTION, Program, command
from benchmarks.record import write_result
from benchmarks.seeded_movies import simulated_movie
from trackastra_engine.simulation import write_frames

CELLS, SHAPE, N_FRAMES = 160, (700, 1100), 20


def seconds(program: Program, repeats: int) -> float:
    """Return the CPU time of a program, after one run to warm up."""
    program()
    return round(median(program().cpu_s for _ in range(repeats)), 3)


def before_first_window(folder: Path, repeats: int, device: str) -> dict[str, float]:
    """Return the CPU time of `track` until it scores, of a first run and of later ones."""
    images, masks = simulated_movie(CELLS, SHAPE, N_FRAMES)
    movie = (folder / "images", folder / "masks")
    write_frames(images, movie[0])
    write_frames(masks, movie[1])
    out = ("-o", folder / "out", "--device", device)
    track = (sys.executable, "-m", "benchmarks.workers.first_window", *movie, *out)
    nothing_compiled = command(*track, NUMBA_CACHE_DIR=str(folder / "cache"))
    return {
        "first_track_s": round(nothing_compiled().cpu_s, 3),
        "later_track_s": seconds(nothing_compiled, repeats),
    }


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of commands: CPU time."""
    yield ["until", "CPU time"]
    names = {
        "help_s": "the help is printed",
        "upstreams_help_s": "the help is printed, upstream",
        "first_track_s": "the first window of a first `track`, which compiles",
        "later_track_s": "the first window of a later `track`",
    }
    for key, name in names.items():
        if key in result:
            yield [name, f"{result[key]:.2f} s"]


@click.command()
@UPSTREAM_OPTION
@DEVICE_OPTION
@click.option("--repeats", default=5, show_default=True)
def startup(upstream: str | None, device: str, repeats: int) -> None:
    """Time the help of the command line, and `track` before its first window."""
    with TemporaryDirectory() as name:
        answer = {
            "help_s": seconds(command(sys.executable, "-m", "trackastra_engine", "-h"), repeats),
            **before_first_window(Path(name), repeats, device),
        }
    if upstream:
        theirs = command(upstream, "-m", "trackastra.cli", "track", "-h")
        answer["upstreams_help_s"] = seconds(theirs, repeats)
    print(answer)
    print(f"written to {write_result('startup', answer, upstream=upstream)}")
