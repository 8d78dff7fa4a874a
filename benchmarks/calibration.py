"""Is an edge of score 0.8 right in 80 of 100 cases?"""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy_sets import Wanted, accuracy_sets
from benchmarks.our_trackers import candidates, load_model
from benchmarks.real_movies import DATA_OPTION
from benchmarks.record import write_result
from benchmarks.true_movies import TrueMovie
from trackastra_engine.model.onnx_model import AssociationModel

N_BINS = 10  # of equal width


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """How often edges are right, by their score."""

    score: NDArray[np.float64]  # (B,) mean in each bin with edges
    share_right: NDArray[np.float64]  # (B,)
    n_edges: NDArray[np.int64]  # (B,)

    @property
    def expected_error(self) -> float:
        """Return the expected calibration error: the mean distance of the two, by edge."""
        return float(np.average(np.abs(self.score - self.share_right), weights=self.n_edges))


def reliability(score: NDArray[np.floating[Any]], is_right: NDArray[np.bool_]) -> Reliability:
    """Return the reliability of E edges with scores (E,) from 0 to 1."""
    bin_of = np.minimum((score * N_BINS).astype(int), N_BINS - 1)
    n_edges = np.bincount(bin_of, minlength=N_BINS)
    filled = n_edges > 0
    total = np.bincount(bin_of, score, N_BINS)[filled]
    right = np.bincount(bin_of, is_right, N_BINS)[filled]
    return Reliability(total / n_edges[filled], right / n_edges[filled], n_edges[filled])


def scored_edges(
    model: AssociationModel, movie: TrueMovie
) -> tuple[NDArray[np.floating[Any]], NDArray[np.bool_]]:
    """Return the scores of the candidate edges of a movie, and which of them are true."""
    edges = candidates(model, movie, with_images=movie.images is not None, max_gap=1).edges
    key = np.array([len(movie.detections), 1])
    links = np.column_stack([edges.source, edges.target]) @ key
    return edges.score, np.isin(links, movie.links @ key)


@click.command()
@click.argument("movies", nargs=-1)
@DATA_OPTION
@click.option(
    "--model", "models", multiple=True, default=("general_2d", "general_3d"), show_default=True
)
@click.option("--frames", type=int, help="Only so many frames of each real movie, the fullest.")
def calibration(
    movies: tuple[str, ...], data: Path | None, models: tuple[str, ...], frames: int | None
) -> None:
    """Compare the scores of edges with how often these are right.

    On the test parts of --data and MOVIES, each NAME=FOLDER:FIRST-LAST, and on rendered movies
    with images. Edges are those from which linkers choose, of all models together.
    """
    found: dict[str, list[Any]] = defaultdict(list)
    for model in map(load_model, models):
        wanted = Wanted({model.spec.ndim}, movies, data, harder=False, n_frames=frames)
        for case in accuracy_sets(wanted):
            name = f"{case.kind} movies" + (", with errors" if case.has_errors else "")
            found[name].append(scored_edges(model, case.movie))
            print(f"{model.spec.name}: {case}", flush=True)
    curves = {
        name: reliability(*map(np.concatenate, zip(*parts, strict=True)))
        for name, parts in found.items()
    }
    for name, curve in curves.items():
        print(f"{name}: expected calibration error {curve.expected_error:.4f}")
    answer = {
        name: {
            "expected_calibration_error": round(curve.expected_error, 4),
            "score": curve.score.round(4).tolist(),
            "share_right": curve.share_right.round(4).tolist(),
            "edges": curve.n_edges.tolist(),
        }
        for name, curve in curves.items()
    }
    path = write_result("calibration", {"models": list(models), "curves": answer})
    print(f"written to {path}")
