"""How much faster is the whole command on more cores, and how many cells a second does it track?"""

import json
import os
import sys
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import click
import onnxruntime

from benchmarks.paired_runs import Run, command
from benchmarks.record import write_result
from benchmarks.whole import write_long_movie
from trackastra_engine.model.devices import PROVIDERS
from trackastra_engine.model.onnx_model import DEFAULT_MODEL

# Cells per frame, and frames: a small movie, and some as long as those for which cores are needed.
MOVIES = ((565, 40), (119, 600), (565, 150), (1140, 80))
START = (119, 4)  # one window: nearly all of its time are the start and the end of the command
MODELLED_CORES = (4, 8, 16, 32)
TABLE = "edges.csv"


def powers_of_two(most: int) -> list[int]:
    """Return 1, 2, 4 and so on, and the most itself."""
    below = [2**power for power in range(most.bit_length()) if 2**power < most]
    return [*below, most]


def tracked(
    movie: Path, n_cores: int, device: str = "cpu", first_core: int = 0
) -> tuple[Run, bytes]:
    """Return the run of the whole command, with its report, and the table of links."""
    out, cache = movie / f"{device}{n_cores}-{first_core}", movie / f"cache{first_core}"
    program = (sys.executable, "-m", "trackastra_engine", "track", movie / "images")
    options = ("-o", out, "--device", device, "--cache", cache, "--overwrite")
    # The cache must not serve the next run.
    for cached in cache.glob("*.npz"):
        cached.unlink()
    run = command(*program, movie / "masks", *options, cores=n_cores, first_core=first_core)()
    return run, (out / TABLE).read_bytes()


def tracked_at_once(movie: Path, n_cores: int) -> float:
    """Return the seconds of as many commands as cores, started at once, each on its own core."""
    with ThreadPoolExecutor(n_cores) as pool:
        start = perf_counter()
        runs = [pool.submit(tracked, movie, 1, first_core=core) for core in range(n_cores)]
        for run in runs:
            run.result()
        return perf_counter() - start


def on_cores(movie: Path, counts: Sequence[int], repeats: int) -> list[dict[str, Any]]:
    """Return the times of a movie on each number of cores, in turn; stop if links differ.

    Speed-ups are medians over the rounds. The limit is the speed-up of as many commands as cores,
    each of which has one core: of two, it is 2 if they do not slow each other down.
    """
    rounds, at_once = [], []
    for _ in range(repeats):
        runs = [tracked(movie, n_cores) for n_cores in counts]
        if len({table for _, table in runs}) > 1:
            raise click.ClickException("links differ with the number of cores")
        rounds.append([run for run, _ in runs])
        at_once.append(
            [runs[0][0].wall_s, *(tracked_at_once(movie, n_cores) for n_cores in counts[1:])]
        )
    rows = []
    for place, n_cores in enumerate(counts):
        runs = [one[place] for one in rounds]
        faster = [one[0].wall_s / one[place].wall_s for one in rounds]
        limits = [n_cores * times[0] / times[place] for times in at_once]
        rows.append(
            {
                "cores": n_cores,
                "wall_s": round(median(run.wall_s for run in runs), 3),
                "cpu_s": round(median(run.cpu_s for run in runs), 3),
                "peak_mb": round(max(run.peak_mb for run in runs)),
                "times_faster": round(median(faster), 2),
                "times_faster_range": [round(min(faster), 2), round(max(faster), 2)],
                "limit": round(median(limits), 2),
                "limit_range": [round(min(limits), 2), round(max(limits), 2)],
            }
        )
    return rows


def modelled(rows: Sequence[dict[str, Any]], n_cores: int) -> float:
    """Return the speed-up of more cores by Amdahl's law, fitted to the first and last row.

    A part of the time on one core is serial, and the cores share the rest.
    """
    last = rows[-1]
    if last["cores"] == 1:
        return 1.0
    share = (1 / last["times_faster"] - 1 / last["cores"]) / (1 - 1 / last["cores"])
    serial = min(1.0, max(0.0, share))
    return round(1 / (serial + (1 - serial) / n_cores), 1)


def with_rates(about: dict[str, Any], wall_s: float) -> dict[str, float]:
    """Return frames and cells per second of the whole command."""
    frames_per_s = about["frames"] / wall_s
    cells_per_s = round(frames_per_s * about["cells"])
    return {"frames_per_s": round(frames_per_s, 2), "cells_per_s": cells_per_s}


def cores_table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of movies and cores, and the modelled speed-up of more cores."""
    head = ["cells per frame, frames", "cores", "whole command", "", "cells/s", "times faster"]
    yield [*head, "of commands side by side"]
    for movie in result["movies"]:
        name = f"{movie['cells']:,}, {movie['frames']}"
        for row in movie["cores"]:
            yield [
                name,
                str(row["cores"]),
                f"{row['wall_s']:.1f} s",
                f"{row['frames_per_s']:.1f} frames/s",
                f"{row['cells_per_s']:,}",
                f"{row['times_faster']:.2f}",
                f"{row['limit']:.2f}",
            ]
        for n_cores in MODELLED_CORES:
            last = movie["cores"][-1]
            if n_cores > last["cores"] > 1 and last["times_faster"] > 1:
                faster = modelled(movie["cores"], n_cores)
                yield [name, str(n_cores), "", "", "", f"{faster:.1f} modelled", ""]


def throughput_table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield a row for each movie: cells per second of the whole command."""
    devices = {row["on"]: None for movie in result["movies"] for row in movie["runs"]}
    yield ["cells per frame", "frames", "pixels", *devices]
    for movie in result["movies"]:
        runs = {row["on"]: row for row in movie["runs"]}
        yield [
            f"{movie['cells']:,}",
            str(movie["frames"]),
            " x ".join(map(str, movie["shape"])),
            *(
                f"{runs[on]['cells_per_s']:,} cells/s, {runs[on]['frames_per_s']:.1f} frames/s"
                for on in devices
            ),
        ]


@click.command()
@click.option("--repeats", default=2, show_default=True)
@click.option("--frames", default=1.0, show_default=True, help="Factor on the number of frames.")
def cores(repeats: int, frames: float) -> None:
    """Track movies with the whole command on 1, 2, 4 and more cores, in turn."""
    counts = powers_of_two(len(os.sched_getaffinity(0)))
    movies = []
    with TemporaryDirectory() as name:
        for n_cells, n_frames in (START, *MOVIES):
            folder = Path(name) / f"{n_cells}-{n_frames}"
            about = write_long_movie(folder, n_cells, max(START[1], round(frames * n_frames)))
            if not movies:
                tracked(folder, counts[-1])  # compiles, and fills the caches of the disk
            rows = on_cores(folder, counts, repeats)
            rows = [{**row, **with_rates(about, row["wall_s"])} for row in rows]
            movies.append({**about, "cores": rows})
            print(json.dumps(movies[-1]), flush=True)
    answer = {"model": DEFAULT_MODEL, "movies": movies}
    print(f"written to {write_result('cores', answer)}")


@click.command()
@click.option("--repeats", default=2, show_default=True)
@click.option("--frames", default=1.0, show_default=True, help="Factor on the number of frames.")
def throughput(repeats: int, frames: float) -> None:
    """Count cells per second of the whole command on one core, all cores, and a GPU if present."""
    n_cores = len(os.sched_getaffinity(0))
    places = {"one core": (1, "cpu"), f"{n_cores} cores": (n_cores, "cpu")}
    if PROVIDERS["cuda"] in onnxruntime.get_available_providers():
        places["GPU"] = (n_cores, "cuda")
    movies = []
    with TemporaryDirectory() as name:
        for n_cells, n_frames in MOVIES:
            folder = Path(name) / f"{n_cells}-{n_frames}"
            about = write_long_movie(folder, n_cells, max(START[1], round(frames * n_frames)))
            rounds = [
                [tracked(folder, *place)[0].wall_s for place in places.values()]
                for _ in range(1 + repeats)
            ]
            seconds = [min(times) for times in zip(*rounds[1:], strict=True)]
            rows = [
                {"on": on, "wall_s": round(wall_s, 3), **with_rates(about, wall_s)}
                for on, wall_s in zip(places, seconds, strict=True)
            ]
            movies.append({**about, "runs": rows})
            print(json.dumps(movies[-1]), flush=True)
    answer = {"model": DEFAULT_MODEL, "movies": movies}
    print(f"written to {write_result('throughput', answer)}")
