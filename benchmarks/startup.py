"""How soon does the command line begin to work?"""

import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import click

from benchmarks.movies import simulated_movie
from benchmarks.record import write_result
from benchmarks.runs import UPSTREAM_OPTION, Program, command
from trackastra_engine.simulation import write_frames

CELLS, SHAPE, N_FRAMES = 160, (700, 1100), 20


def seconds(program: Program, repeats: int) -> float:
    """Return the CPU time of a program, after one run to warm up."""
    program()
    return round(median(program().cpu_s for _ in range(repeats)), 3)


def before_first_window(folder: Path, repeats: int) -> dict[str, float]:
    """Return the CPU time of `track` until it scores, of a first run and of later ones."""
    images, masks = simulated_movie(CELLS, SHAPE, N_FRAMES)
    movie = (folder / "images", folder / "masks")
    write_frames(images, movie[0])
    write_frames(masks, movie[1])
    out = ("-o", folder / "out", "--device", "cpu")
    track = (sys.executable, "-m", "benchmarks.workers.first_window", *movie, *out)
    nothing_compiled = command(*track, NUMBA_CACHE_DIR=str(folder / "cache"))
    return {
        "first_track_s": round(nothing_compiled().cpu_s, 3),
        "later_track_s": seconds(nothing_compiled, repeats),
    }


@click.command()
@UPSTREAM_OPTION
@click.option("--repeats", default=5, show_default=True)
def startup(upstream: str | None, repeats: int) -> None:
    """Time the help of the command line, and `track` before its first window."""
    with TemporaryDirectory() as name:
        answer = {
            "help_s": seconds(command(sys.executable, "-m", "trackastra_engine", "-h"), repeats),
            **before_first_window(Path(name), repeats),
        }
    if upstream:
        theirs = command(upstream, "-m", "trackastra.cli", "track", "-h")
        answer["upstreams_help_s"] = seconds(theirs, repeats)
    print(answer)
    print(f"written to {write_result('startup', answer)}")
