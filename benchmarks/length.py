"""How long may a movie be? Time from masks to tracks, and growth of memory."""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np

from benchmarks.cells_per_second import per_second
from benchmarks.paired_runs import DEVICE_OPTION, command, worker
from benchmarks.record import write_result
from benchmarks.seeded_movies import SwingingCells
from trackastra_engine.detection.detections import Detections, feature_names
from trackastra_engine.simulation import write_frames

LONG = (1441, 500, 700)  # frames, cells, pixels a side; as in upstream's issue 72
CELLS, SIDE_PX = 200, 512  # of the movies whose memory is compared
MB = 1e6


def without_transformer(n_frames: int, n_cells: int, side_px: int) -> dict[str, Any]:
    """Return time and memory from masks to tracks, with scores from distances only."""
    size = (n_frames, n_cells, side_px)
    with TemporaryDirectory() as name:
        result = Path(name) / "result.npz"
        with worker(sys.executable, "long_movie", "movie", *map(str, size), result) as run:
            took = run()
        found = {key: value.item() for key, value in np.load(result).items()}
    not_ours = found["drawing_s"] + found["scoring_s"]
    return {
        **about(*size),
        "cpu_s": round(took.cpu_s - not_ours, 2),
        "peak_mb": round(took.peak_mb),
        "wall_s": round(took.wall_s, 2),
        "drawing_masks_s": round(found["drawing_s"], 2),
        "scores_from_distances_s": round(found["scoring_s"], 2),
        "detections": found["detections"],
        "edges": found["edges"],
    }


def whole_command(
    folder: Path, n_frames: int, n_cells: int, side_px: int, device: str
) -> dict[str, Any]:
    """Return time and memory of the command `track`, with the default model and all files."""
    cells = SwingingCells(n_frames, n_cells, side_px)
    write_frames((cells[frame] for frame in range(n_frames)), folder / "masks")
    program = ("-m", "trackastra_engine", "track", "--masks", folder / "masks", "--device", device)
    took = command(sys.executable, *program, "-o", folder / "out")()
    return {
        **about(n_frames, n_cells, side_px),
        "cpu_s": round(took.cpu_s, 2),
        "peak_mb": round(took.peak_mb),
    }


def about(n_frames: int, n_cells: int, side_px: int) -> dict[str, Any]:
    """Return the size of a movie, and of its detections."""
    megabytes = n_frames * n_cells * bytes_of_a_detection() / MB
    return {
        "frames": n_frames,
        "cells": n_cells,
        "side_px": side_px,
        "detections_mb": round(megabytes, 1),
    }


def bytes_of_a_detection() -> int:
    """Return the memory of a detection of a 2D movie."""
    one = Detections(
        frame=np.zeros(1, np.int32),
        label=np.zeros(1, np.int64),
        centroid=np.zeros((1, 2)),
        features=np.zeros((1, len(feature_names(2)))),
    )
    return sum(array.nbytes for array in (one.frame, one.label, one.centroid, one.features))


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of movies: time and memory."""
    yield ["frames", "cells", "what runs", "CPU time", "", "peak memory", "of it, detections"]
    kinds = {"without the transformer": [result["without_transformer"]]}
    kinds["the whole command"] = result["whole_command"]
    for kind, rows in kinds.items():
        for row in rows:
            yield [
                f"{row['frames']:,}",
                str(row["cells"]),
                kind,
                f"{row['cpu_s']:,.0f} s",
                per_second(row["cells"], row["frames"], row["cpu_s"]),
                f"{row['peak_mb']:,} MB",
                f"{row['detections_mb']:,.0f} MB",
            ]


@click.command()
@click.option("--long", default=LONG[0], show_default=True, help="Frames of the long movie.")
@click.option("--frames", default="100,1000,5000", show_default=True, help="Frames of the others.")
@DEVICE_OPTION
def length(long: int, frames: str, device: str) -> None:
    """Track a long movie without the transformer, and movies of several lengths with it."""
    answer: dict[str, Any] = {
        "device": device,
        "without_transformer": without_transformer(long, *LONG[1:]),
    }
    print(json.dumps(answer["without_transformer"]), flush=True)
    rows = answer["whole_command"] = []
    for n_frames in map(int, frames.split(",")):
        with TemporaryDirectory() as name:
            rows.append(whole_command(Path(name), n_frames, CELLS, SIDE_PX, device))
        print(json.dumps(rows[-1]), flush=True)
    print(f"written to {write_result('length', answer)}")
