"""How much time does the cache cost and save, and how much faster are more workers?"""

import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import click

from benchmarks.cells_per_second import per_second
from benchmarks.paired_runs import command
from benchmarks.record import write_result
from benchmarks.seeded_movies import SwingingCells
from trackastra_engine import Tracker
from trackastra_engine.movie.frames import open_movie
from trackastra_engine.simulation import write_frames

SIDE_PX = 700
MEASURED_WORKERS, MODELLED_WORKERS = (1, 2), (2, 10, 100)


def cache_times(folder: Path, n_frames: int, n_cells: int, repeats: int) -> dict[str, Any]:
    """Return the CPU time of the command without and with a cache, in turn, and of its uses."""
    program = (sys.executable, "-m", "trackastra_engine")
    track = (*program, "track", "--masks", folder / "masks", "--device", "cpu")
    plain = command(*track, "--output-edge-table", folder / "edges.csv")
    pairs = []
    for turn in range(repeats):
        cache = ("--cache", folder / f"cache{turn}")
        kept = command(*track, "--output-edge-table", folder / "edges.csv", *cache)
        pairs.append((plain().cpu_s, kept().cpu_s))
    files = list((folder / "cache0").iterdir())
    out = (*("-o", folder / "out"), "--no-report")
    command(*track, *out, "--cache", folder / "cache0")()
    linked = command(*program, "link", folder / "out", "-o", folder / "linked", "--no-report")
    return {
        "plain_cpu_s": round(median(without for without, _ in pairs), 2),
        "share_more": round(median(with_ / without for without, with_ in pairs) - 1, 4),
        "again_cpu_s": round(kept().cpu_s, 2),
        "link_cpu_s": round(linked().cpu_s, 2),
        "bytes_per_detection": round(
            sum(file.stat().st_size for file in files) / (n_frames * n_cells), 1
        ),
    }


def with_workers(folder: Path, n_workers: int) -> dict[str, Any]:
    """Return the time from masks to tracks with a number of workers that have started.

    Of it, `serial_s` is what this process does, the scheduler included: it limits the speed-up by
    many workers.
    """
    from distributed import Client, LocalCluster

    tracker, movie = Tracker.load(device="cpu"), open_movie(None, folder / "masks")
    with (
        LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster),
    ):
        address = cluster.scheduler_address
        tracker.track_movie(movie.first(32 * n_workers), dask=address)  # loads and compiles
        began_s, began_cpu_s = time.perf_counter(), time.process_time()
        tracker.track_movie(movie, dask=address)
        return {
            "workers": n_workers,
            "wall_s": round(time.perf_counter() - began_s, 2),
            "serial_s": round(time.process_time() - began_cpu_s, 2),
        }


def modelled(measured: Sequence[dict[str, Any]], n_workers: int) -> float:
    """Return the seconds with more workers by Amdahl's law: the serial part stays."""
    one = measured[0]
    shared: float = one["wall_s"] - one["serial_s"]
    return round(one["serial_s"] + shared / n_workers, 2)


def cache_table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield the row of the costs and savings of the cache."""
    kept = result["keeping"]
    yield [
        *("frames", "cells", "track", "", "keeping"),
        *("the same again", "`link`", "bytes a detection"),
    ]
    yield [
        f"{result['frames']:,}",
        str(result["cells"]),
        f"{kept['plain_cpu_s']:.1f} s",
        per_second(result["cells"], result["frames"], kept["plain_cpu_s"]),
        f"{100 * kept['share_more']:+.1f} %",
        f"{kept['again_cpu_s']:.1f} s",
        f"{kept['link_cpu_s']:.1f} s",
        f"{kept['bytes_per_detection']:.0f}",
    ]


def workers_table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of numbers of workers: seconds, and speed-up over one worker."""
    yield ["workers", "from masks to tracks", "", "times faster", ""]
    measured = result["dask"]
    rows = [(row["workers"], row["wall_s"], "measured") for row in measured]
    rows += [
        (n_workers, modelled(measured, n_workers), "modelled") for n_workers in MODELLED_WORKERS
    ]
    for n_workers, seconds, how in rows:
        faster = measured[0]["wall_s"] / seconds
        speed = per_second(result["cells"], result["frames"], seconds)
        yield [str(n_workers), f"{seconds:.1f} s", speed, f"{faster:.1f}", how]


@click.command()
@click.option("--frames", default=640, show_default=True)
@click.option("--cells", default=500, show_default=True)
@click.option("--repeats", default=3, show_default=True)
def scaling(frames: int, cells: int, repeats: int) -> None:
    """Track with a cache and without, link again, and track with one and two Dask workers."""
    movie = SwingingCells(frames, cells, SIDE_PX)
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_frames((movie[frame] for frame in range(frames)), folder / "masks")
        answer: dict[str, Any] = {
            "frames": frames,
            "cells": cells,
            "keeping": cache_times(folder, frames, cells, repeats),
            "dask": [with_workers(folder, n_workers) for n_workers in MEASURED_WORKERS],
        }
    for table in (cache_table, workers_table):
        for line in table(answer):
            print("  ".join(f"{cell:20s}" for cell in line))
    print(f"written to {write_result('scaling', answer)}")
