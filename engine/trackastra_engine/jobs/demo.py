"""Simulate a small movie, track it, and compare the tracks with the truth."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trackastra_engine.errors import InputError
from trackastra_engine.evaluation.edge_scores import Counts, Scores, score_edges
from trackastra_engine.files.atomic import check_output_folder, is_of_system, new_folder
from trackastra_engine.jobs.track import Job, JobResult, run_job
from trackastra_engine.model.onnx_model import DEFAULT_MODEL
from trackastra_engine.output.edge_table import edge_ends, write_edges
from trackastra_engine.output.formats import REPORT
from trackastra_engine.output.results import Outputs
from trackastra_engine.progress import Progress, no_progress
from trackastra_engine.simulation import (
    Division,
    Motion,
    Shape,
    SimulationParameters,
    render,
    write_frames,
)

IMAGES, MASKS, TRUTH, TRACKS = "images", "masks", "truth.csv", "tracks"
DEMO_FILES = (IMAGES, MASKS, TRUTH, TRACKS)

SEED = 7
# Nuclei that stream, wander and divide, as in a culture dish imaged every few minutes.
MOVIE = SimulationParameters(
    n_frames=40,
    n_cells=60,
    spacing=1.45,
    motion=Motion(flow=0.12, diffusion=0.04, persistent=0.08, persistence=0.8),
    shape=Shape(diameter_px=22.0, aspect=1.35),
    division=Division(cycle_frames=45.0),
)


@dataclass(frozen=True, slots=True, eq=False)
class DemoResult:
    """The tracks of the demo movie and their scores."""

    folder: Path
    job: JobResult
    scores: Scores

    def __str__(self) -> str:
        edges, divisions = self.scores.edges, self.scores.divisions
        return "\n".join(
            [
                f"{self.job}; see {self.folder / TRACKS}",
                f"Against the truth: edge F1 {edges.f1:.3f} ({_found(edges)}), "
                f"division F1 {divisions.f1:.3f} ({_found(divisions)})",
                f"Look at them: {self.folder / TRACKS / REPORT} (open it in a browser)",
                "Your own data: trackastra-engine track IMAGES MASKS -o RESULTS "
                "(folders of TIFFs or TIFF stacks)",
            ]
        )


def run_demo(
    folder: Path, *, model: str = DEFAULT_MODEL, progress: Progress = no_progress
) -> DemoResult:
    """Write the movie, its truth and its tracks into a new folder or that of an earlier demo.

    Raises InputError, ModelError, MissingDependencyError or OSError; then nothing is written.
    """
    # A folder with images and masks but without our truth contains a user's data.
    is_used = folder.is_dir() and not all(is_of_system(path.name) for path in folder.iterdir())
    if is_used and not (folder / TRUTH).is_file():
        raise InputError(
            f"the folder {folder} is not from an earlier demo; choose another with --output"
        )
    check_output_folder(folder, overwrite=True, ours=DEMO_FILES)
    with new_folder(folder) as partial:
        movie = render(MOVIE, SEED)
        write_frames(movie.images, partial / IMAGES)
        write_frames(movie.masks, partial / MASKS)
        write_edges(movie.edges, np.ones(len(movie.edges)), partial / TRUTH)
        outputs = Outputs(folder=partial / TRACKS)
        job = Job(partial / IMAGES, partial / MASKS, outputs, model=model, title="demo")
        result = run_job(job, progress=progress)
    scores = score_edges(edge_ends(result.lineage), movie.edges)
    return DemoResult(folder, result, scores)


def _found(counts: Counts) -> str:
    return f"{counts.correct} of {counts.expected} found, {counts.found - counts.correct} wrong"
