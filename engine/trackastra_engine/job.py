"""One movie tracked from files to files: what the commands `track` and `demo` run."""

import time
from dataclasses import dataclass
from pathlib import Path

from trackastra_engine.frames import open_movie
from trackastra_engine.lineage import Lineage
from trackastra_engine.model import Device
from trackastra_engine.output.results import Outputs, check_outputs, write_outputs
from trackastra_engine.progress import Progress, no_progress
from trackastra_engine.review import Review
from trackastra_engine.tracker import Tracker


@dataclass(frozen=True, slots=True)
class Job:
    """A movie, how to track it, and where the results go."""

    images: Path | None
    masks: Path
    outputs: Outputs
    model: str = "general_2d"
    mode: str = "greedy"
    max_distance: float | None = None  # pixels
    stride: int = 1  # frames
    device: Device = "auto"


@dataclass(frozen=True, slots=True, eq=False)
class JobResult:
    """What a job made and how long it took."""

    lineage: Lineage
    n_frames: int
    seconds: float

    def __str__(self) -> str:
        lineage = self.lineage
        return (
            f"Tracked {self.n_frames} frames with {len(lineage.detections)} detections: "
            f"{len(lineage.tracklets)} tracks, {lineage.n_divisions} divisions, "
            f"{self.seconds:.1f} s"
        )


def run_job(job: Job, *, progress: Progress = no_progress) -> JobResult:
    """Track a movie and write the results; checks come first, results last.

    Raises InputError, ModelError, MissingDependencyError or OSError, and then leaves nothing.
    """
    started = time.perf_counter()
    check_outputs(job.outputs, [path for path in (job.images, job.masks) if path is not None])
    movie = open_movie(job.images, job.masks)
    tracker = Tracker.load(
        job.model,
        mode=job.mode,
        max_distance=job.max_distance,
        stride=job.stride,
        device=job.device,
    )
    review = Review()
    tracker.link = review.watch(tracker.link)
    lineage = tracker.track_movie(movie, progress=progress)
    write_outputs(lineage, movie, review.links, job.outputs, progress=progress)
    return JobResult(lineage, len(movie), time.perf_counter() - started)
