"""How long does the whole command take, from start to files written, compared with upstream?"""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np

from benchmarks.cells_per_second import per_second
from benchmarks.paired_runs import DEVICE_OPTION, UPSTREAM_OPTION, Program, Run, command, compared
from benchmarks.random_network import CUTOFF_PX, write_network
from benchmarks.record import write_result
from benchmarks.seeded_movies import (
    SwingingCells,
    cells_per_frame,
    images_of,
    simulated_movie,
)
from benchmarks.workers.engine import MODEL_FILE
from trackastra_engine.model.onnx_model import DEFAULT_MODEL
from trackastra_engine.simulation import write_frames

CELL_PX = 69  # a cell has 69 x 69 pixels, so that 160 have 700 x 1100
N_FRAMES = 20
SIMULATED_FRAMES = 40  # of long movies: later, streams have carried many cells away
MANY_CELLS, MANY_SIDE_PX = 5000, 2214  # 31 x 31 pixels a cell
# Scores differ by upstream's rounding of distances (by 4e-3 from those in float64, ours by 2e-5, as
# `transformer` shows), so that edges with nearly equal scores may swap: 30 of 13,549 edges at 1,025
# cells were in one result only.
MAX_SHARE_OF_OTHER_EDGES = 3e-3


def frame_shape(n_cells: int) -> tuple[int, int]:
    """Return the size in pixels of a frame for some cells, in the proportions of 7 to 11."""
    area = n_cells * CELL_PX**2
    return round((area * 7 / 11) ** 0.5), round((area * 11 / 7) ** 0.5)


def write_simulated_movie(folder: Path, n_cells: int, n_frames: int) -> dict[str, Any]:
    """Write images and masks of a simulated movie into a new folder; return its size."""
    folder.mkdir()
    images, masks = simulated_movie(n_cells, frame_shape(n_cells), n_frames)
    write_frames(images, folder / "images")
    write_frames(masks, folder / "masks")
    return {"cells": cells_per_frame(masks), "frames": n_frames, "shape": masks.shape[1:]}


def write_long_movie(folder: Path, n_cells: int, n_frames: int) -> dict[str, Any]:
    """Write images and masks of a movie of any length; in a simulated one, cells leave in time.

    It goes forwards and backwards through a simulated one.
    """
    folder.mkdir()
    images, masks = simulated_movie(n_cells, frame_shape(n_cells), min(n_frames, SIMULATED_FRAMES))
    order = there_and_back(len(masks), n_frames)
    # Each time brighter: flows of pairs of frames that were seen before would not be found again.
    write_frames((images[frame] + np.uint16(turn) for turn, frame in order), folder / "images")
    write_frames((masks[frame] for _, frame in order), folder / "masks")
    return {"cells": cells_per_frame(masks), "frames": n_frames, "shape": masks.shape[1:]}


def there_and_back(n_frames: int, length: int) -> list[tuple[int, int]]:
    """Return the turn and frame of each step, forwards and backwards through some frames."""
    steps = [divmod(step, n_frames - 1) for step in range(length)]
    return [(turn, n_frames - 1 - place if turn % 2 else place) for turn, place in steps]


def write_large_movie(folder: Path, n_cells: int, n_frames: int) -> dict[str, Any]:
    """Write images and masks of many swinging cells into a new folder."""
    folder.mkdir()
    cells = SwingingCells(n_frames, n_cells, round(MANY_SIDE_PX * (n_cells / MANY_CELLS) ** 0.5))
    masks = np.stack([cells[index] for index in range(n_frames)])
    write_frames(masks, folder / "masks")
    write_frames(np.stack([images_of(frame) for frame in masks]), folder / "images")
    return {"cells": n_cells, "frames": n_frames, "shape": masks.shape[1:]}


def engine_program(movie: Path, model: str | Path, device: str) -> Program:
    """Return the program that tracks a movie with the engine into a new folder each time."""
    run = command(
        *(sys.executable, "-m", "trackastra_engine", "track", movie / "images", movie / "masks"),
        *("--output-ctc", movie / "engine", "--output-edge-table", movie / "engine.csv"),
        *("--model", model, "--max-distance", str(CUTOFF_PX), "--device", device, "--overwrite"),
    )

    def run_in_new_folder() -> Run:
        rmtree(movie / "engine", ignore_errors=True)
        return run()

    return run_in_new_folder


def upstream_command(movie: Path, python: str, model: Path, device: str) -> list[str | Path]:
    """Return the program that tracks a movie with upstream."""
    return [
        *(python, "-m", "trackastra.cli", "track", "-i", movie / "images", "-m", movie / "masks"),
        *("--output-ctc", movie / "upstream", "--output-edge-table", movie / "upstream.csv"),
        *("--model-custom", model, "--max-distance", str(CUTOFF_PX), "--device", device),
    ]


def compare_edges(movie: Path) -> dict[str, int]:
    """Return the numbers of edges in both results and in only one; stop if the latter is large."""
    ours, theirs = (read_edges(movie / f"{side}.csv") for side in ("engine", "upstream"))
    n_other = len(ours ^ theirs)
    if n_other > MAX_SHARE_OF_OTHER_EDGES * len(theirs):
        raise click.ClickException(f"{n_other} of {len(theirs)} edges are in one result only")
    return {"edges": len(theirs), "edges_of_one_alone": n_other}


def read_edges(path: Path) -> set[tuple[int, ...]]:
    """Return the edges of a table: source frame and label, target frame and label."""
    rows = np.loadtxt(path, delimiter=",", skiprows=1, usecols=range(4), dtype=int, ndmin=2)
    return set(map(tuple, rows.tolist()))


def measure(
    movie: Path, model: Path, upstream: str | None, repeats: int, device: str
) -> dict[str, Any]:
    """Return time and memory of both commands with the network of the published size."""
    ours = engine_program(movie, model / MODEL_FILE, device)
    theirs = command(*upstream_command(movie, upstream, model, device)) if upstream else None
    row = compared(ours, theirs, repeats=repeats, clock="cpu_s" if device == "cpu" else "wall_s")
    return {**row, **(compare_edges(movie) if upstream else {})}


def table(result: dict[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of movies: time and memory of the whole command on both sides."""
    yield ["cells per frame", "model", "engine", "", "peak memory", "upstream", "times faster"]
    for row in result["movies"]:
        engine, upstream = row["engine"], row.get("upstream")
        yield [
            f"{row['cells']:,}",
            row["model"],
            f"{engine['cpu_s']:.1f} s",
            per_second(row["cells"], row["frames"], engine["cpu_s"]),
            f"{engine['peak_mb']:,} MB",
            f"{upstream['cpu_s']:.1f} s, {upstream['peak_mb']:,} MB" if upstream else "",
            f"{row['times_faster']:.1f}" if upstream else "",
        ]


@click.command()
@click.option("--sizes", default="160,1000", show_default=True, help="Cells per frame.")
@click.option("--many", default=MANY_CELLS, show_default=True, help="Cells for the default model.")
@click.option("--frames", default=N_FRAMES, show_default=True)
@UPSTREAM_OPTION
@DEVICE_OPTION
@click.option("--repeats", default=3, show_default=True, help="Pairs of runs at the first size.")
def whole(
    sizes: str, many: int, frames: int, upstream: str | None, device: str, repeats: int
) -> None:
    """Time the command `track` on one core, with a network of the published size (d = 256)."""
    rows = []
    with TemporaryDirectory() as name:
        folder, model = Path(name), Path(name) / "model"
        write_network(model)
        for index, n_cells in enumerate(map(int, sizes.split(","))):
            movie = folder / str(n_cells)
            about = write_simulated_movie(movie, n_cells, frames)
            # One pair of the larger sizes takes minutes.
            times = measure(movie, model, upstream, 1 if index else repeats, device)
            rows.append({**about, "model": "published size", **times})
            print(json.dumps(rows[-1]), flush=True)
        about = write_large_movie(folder / "many", many, frames)
        run = engine_program(folder / "many", DEFAULT_MODEL, device)
        rows.append({**about, "model": DEFAULT_MODEL, **compared(run, None, repeats=1, warm_up=0)})
        print(json.dumps(rows[-1]), flush=True)
    answer = {"device": device, "movies": rows}
    print(f"written to {write_result('whole', answer, upstream=upstream)}")
