"""The results of a bench: a small table for people, and JSON for programs."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from trackastra_engine.bench.machine import Machine
from trackastra_engine.bench.stages import MovieTimes
from trackastra_engine.files.figures import check_figures_file, write_figures

GIGA = 1e9


@dataclass(frozen=True, slots=True)
class BenchReport:
    """The speed of one model on one machine."""

    machine: Machine
    model: str
    device: str
    movies: list[MovieTimes]
    peak_memory_mb: float | None  # None if the system does not report it

    def __str__(self) -> str:
        machine = self.machine
        peak = f"{self.peak_memory_mb:,.0f} MB" if self.peak_memory_mb else "not known here"
        return "\n".join(
            [
                f"{machine.processor}, {machine.cores} cores; {self.model} on {self.device}",
                f"memory {machine.memory_gb_s:.1f} GB/s, "
                f"matrix products {machine.product_gflop_s:,.0f} GFLOP/s (float32)",
                *(
                    f"{_table(movie, self.bounds(movie))}\nnext: {self.advice(movie)}"
                    for movie in self.movies
                ),
                "",
                f"peak memory {peak}",
            ]
        )

    def bounds(self, movie: MovieTimes) -> dict[str, float]:
        """Return the seconds per frame that the machine needs for the least possible work.

        To detect: read mask and image once. To score: multiply each token of each window with
        each weight, without attention.
        """
        bounds = {"detect": movie.frame_bytes / (self.machine.memory_gb_s * GIGA)}
        if self.device == "cpu":
            bounds["score"] = movie.window_flop / (self.machine.product_gflop_s * GIGA)
        return bounds

    def as_dict(self) -> dict[str, Any]:
        """Return all figures by name, for JSON."""
        movies = [{**asdict(movie), "bound_s": self.bounds(movie)} for movie in self.movies]
        return {**asdict(self), "movies": movies}

    def advice(self, movie: MovieTimes) -> str:
        """Return advice to track a movie faster: by the disk, cores or a GPU.

        One thread reads, and all share the rest; a GPU scores.
        """
        stage_s, cores = movie.stage_s, self.machine.cores
        shared_s = sum(stage_s.values()) - stage_s["read"]
        if stage_s["read"] > shared_s / cores:
            return "a faster disk, or files that are read faster: reading is the slowest stage"
        more = f"more cores: {cores} share {1e3 * shared_s:.0f} ms per frame"
        if self.device == "cpu" and stage_s["score"] > shared_s / 2:
            return f"a GPU, or {more}"
        return more


def _table(movie: MovieTimes, bounds: dict[str, float]) -> str:
    size = " x ".join(map(str, movie.frame_shape))
    lines = [
        f"\n{movie.cells:,.0f} cells per frame of {size} pixels, {movie.n_frames} frames",
        f"{'':<10}{'ms per frame':>14}{'frames/s':>10}{'cells/s':>12}{'bound, ms':>13}",
    ]
    for name, seconds in {**movie.stage_s, "together": movie.together_s}.items():
        bound = f"{1e3 * bounds[name]:>13.2f}" if name in bounds else ""
        rates = f"{1 / seconds:>10,.1f}{movie.cells / seconds:>12,.0f}"
        lines.append(f"{name:<10}{1e3 * seconds:>14.2f}{rates}{bound}")
    return "\n".join(lines)


def check_report(path: Path) -> None:
    """Raise InputError if a report cannot be written, or would replace another kind of file."""
    check_figures_file(path, "machine")


def write_report(report: BenchReport, path: Path) -> None:
    """Write all figures as JSON; the file appears when it is complete."""
    write_figures(report.as_dict(), path)
