"""Does memory grow with the length of a movie in OME-Zarr that is larger than memory?"""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np

from benchmarks.cells_per_second import per_second
from benchmarks.paired_runs import DEVICE_OPTION, command
from benchmarks.record import write_result
from benchmarks.seeded_movies import SwingingCells

CELLS, SIDE_PX = 500, 2048
CHUNK_PX = 512
FULL_FRAMES = 2000  # 67 GB of pixels: two channels of 16 bits and masks of 32
GB = 1e9


def write_movie(path: Path, n_frames: int, n_cells: int, side_px: int) -> None:
    """Write an OME-Zarr 0.5 of two channels, and its masks as labels.

    Without noise, so that it is small on disk and fast to write.
    """
    import zarr

    cells = SwingingCells(n_frames, n_cells, side_px)
    image = zarr.create_group(path)
    labels = image.create_group("labels")
    masks = labels.create_group("cells")
    plane = (1, min(CHUNK_PX, side_px), min(CHUNK_PX, side_px))
    pixels = image.create_array(
        "0", shape=(n_frames, 2, side_px, side_px), chunks=(1, *plane), dtype=np.uint16
    )
    numbers = masks.create_array("0", shape=cells.shape, chunks=plane, dtype=np.uint32)
    for group, axes in ((image, "tcyx"), (masks, "tyx")):
        group.attrs["ome"] = {"version": "0.5", "multiscales": [_multiscale(axes)]}
    labels.attrs["ome"] = {"version": "0.5", "labels": ["cells"]}
    for frame in range(n_frames):
        drawn = cells[frame]
        numbers[frame] = drawn
        seen = np.where(drawn > 0, np.uint16(1000), np.uint16(300))
        pixels[frame] = np.stack([seen // 2, seen])


def _multiscale(axes: str) -> dict[str, Any]:
    kinds = {"t": {"type": "time", "unit": "second"}, "c": {"type": "channel"}}
    space = {"type": "space", "unit": "micrometer"}
    scale = [{"t": 300.0, "c": 1.0}.get(axis, 0.5) for axis in axes]
    return {
        "axes": [{"name": axis, **kinds.get(axis, space)} for axis in axes],
        "datasets": [
            {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": scale}]}
        ],
    }


def track_movie(
    folder: Path, n_frames: int, n_cells: int, side_px: int, device: str
) -> dict[str, Any]:
    """Return time and memory of the command `track` with all files, which are checked."""
    movie, found = folder / "movie.zarr", folder / "found.json"
    write_movie(movie, n_frames, n_cells, side_px)
    program = ("-m", "trackastra_engine", "track", movie, movie, "--channel", "1")
    files = ("-o", folder / "out", "--json", found)
    took = command(sys.executable, *program, "--device", device, *files, all_cores=True)()
    detections = json.loads(found.read_text())["detections"]
    if detections != n_frames * n_cells:
        raise click.ClickException(f"{detections} detections of {n_frames * n_cells} were found")
    n_bytes = n_frames * side_px**2 * (2 * np.dtype(np.uint16).itemsize + 4)
    return {
        "frames": n_frames,
        "cells": n_cells,
        "side_px": side_px,
        "raw_gb": round(n_bytes / GB, 3),
        "on_disk_gb": round(_size(movie) / GB, 3),
        "results_gb": round(_size(folder / "out") / GB, 3),
        "cpu_s": round(took.cpu_s, 1),
        "wall_s": round(took.wall_s, 1),
        "peak_mb": round(took.peak_mb),
    }


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of lengths: sizes, time and memory."""
    yield ["frames", "pixels", "on disk", "results", "CPU time", "", "peak memory"]
    for row in result["movies"]:
        yield [
            f"{row['frames']:,}",
            f"{row['raw_gb']:.1f} GB",
            f"{row['on_disk_gb']:.2f} GB",
            f"{row['results_gb']:.2f} GB",
            f"{row['cpu_s']:,.0f} s",
            per_second(row["cells"], row["frames"], row["cpu_s"]),
            f"{row['peak_mb']:,} MB",
        ]


@click.command()
@click.option(
    "--frames",
    default="50,200",
    show_default=True,
    help=f"Lengths, with a comma between; {FULL_FRAMES} is the full size, of 67 GB.",
)
@DEVICE_OPTION
def large(frames: str, device: str) -> None:
    """Track OME-Zarr movies of several lengths, 2048 x 2048 pixels, 500 cells a frame."""
    rows = []
    for n_frames in map(int, frames.split(",")):
        with TemporaryDirectory() as name:
            rows.append(track_movie(Path(name), n_frames, CELLS, SIDE_PX, device))
        print(json.dumps(rows[-1]), flush=True)
    answer = {"device": device, "full_frames": FULL_FRAMES, "movies": rows}
    print(f"written to {write_result('large', answer)}")
