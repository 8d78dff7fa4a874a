"""Measure the speed of tracking on this machine, stage by stage, and its limits."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from trackastra_engine.bench.machine import measure_machine
from trackastra_engine.bench.report import BenchReport, check_report, write_report
from trackastra_engine.bench.stages import time_movie
from trackastra_engine.model.choice import AUTO
from trackastra_engine.model.devices import Device
from trackastra_engine.model.onnx_model import DEFAULT_MODEL, DEFAULT_MODELS
from trackastra_engine.movie.frames import Movie, open_movie
from trackastra_engine.movie.selection import EVERYTHING, Selection
from trackastra_engine.progress import Progress, no_progress
from trackastra_engine.simulation import Shape, SimulationParameters, render, write_frames
from trackastra_engine.system import peak_memory_mb
from trackastra_engine.tracker import Tracker

__all__ = ["BenchReport", "check_report", "run_bench", "write_report"]

CELLS = (100, 500, 1000)  # per frame of the simulated movies
N_FRAMES = 12
DIAMETER_PX = 16.0
SEED = 1


def run_bench(
    images: Path | None = None,
    masks: Path | None = None,
    *,
    selection: Selection = EVERYTHING,
    cells: tuple[int, ...] = CELLS,
    model: str = AUTO,
    device: Device = "auto",
    progress: Progress = no_progress,
) -> BenchReport:
    """Return the time of each stage for the first frames of a movie.

    Without masks, movies with about `cells` cells per frame are simulated.

    Raises InputError, ModelError or MissingDependencyError if there is nothing to time.
    """
    times = []
    if masks is not None:
        movie = open_movie(images, masks, selection=selection)
        name = DEFAULT_MODELS[movie.ndim] if model == AUTO else model
        tracker = Tracker.load(name, device=device)
        times.append(time_movie(movie, tracker))
    else:
        tracker = Tracker.load(DEFAULT_MODEL if model == AUTO else model, device=device)
        for index, n_cells in enumerate(cells):
            with _simulated(n_cells) as movie:
                times.append(time_movie(movie, tracker))
            progress("bench", (index + 1) * N_FRAMES, len(cells) * N_FRAMES)
    peak_mb = peak_memory_mb()  # before the large arrays of measure_machine
    model_name = tracker.model.spec.name
    return BenchReport(measure_machine(), model_name, tracker.model.device, times, peak_mb)


@contextmanager
def _simulated(n_cells: int) -> Iterator[Movie]:
    """Yield a simulated movie, read from files."""
    parameters = SimulationParameters(
        n_frames=N_FRAMES, n_cells=n_cells, shape=Shape(diameter_px=DIAMETER_PX)
    )
    with TemporaryDirectory() as name:
        images, masks = Path(name) / "images", Path(name) / "masks"
        rendered = render(parameters, SEED)
        write_frames(rendered.images, images)
        write_frames(rendered.masks, masks)
        yield open_movie(images, masks)
