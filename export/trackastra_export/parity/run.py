"""Track one movie with the engine and with upstream."""

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.detection.detections import Detections, FloatArray, IntArray
from trackastra_engine.detection.intensity import IntensityHistogram
from trackastra_engine.errors import InputError, MissingDependencyError, ModelError
from trackastra_engine.linking import Linker, linker
from trackastra_engine.linking.candidates import CandidateGraph
from trackastra_engine.linking.max_distance import MaxDistance
from trackastra_engine.model.edges import Edges
from trackastra_engine.model.onnx_model import AssociationModel
from trackastra_engine.model.tokens import prepare_tokens
from trackastra_engine.movie.frames import Movie
from trackastra_engine.progress import Progress, no_progress
from trackastra_engine.tracker import Tracker
from trackastra_export.parity import upstream_run
from trackastra_export.parity.comparison import Computed, Pair


def check_comparable(model: AssociationModel, movie: Movie) -> None:
    """Raise InputError if upstream cannot run a model or track a movie."""
    if model.spec.recipe != "upstream":
        raise InputError(
            f"upstream cannot run the model {model.spec.name}; give one that trackastra-engine "
            "import wrote from a model folder of upstream"
        )
    if movie.images is None:
        raise InputError("upstream does not track without images; give images and masks")


def run_engine(
    model: AssociationModel,
    movie: Movie,
    *,
    max_distance: float,
    modes: Sequence[str],
    progress: Progress = no_progress,
) -> Computed:
    """Return the engine's results on a movie with images."""
    graph = _candidate_graph(model, movie, max_distance, progress)
    found = graph.detections
    return Computed(
        found.frame,
        found.label,
        found.centroid,
        _features(found, movie),
        dict(zip(_pairs(graph.edges), graph.edges.score.tolist(), strict=True)),
        {mode: frozenset(_pairs(linker(mode)(graph).edges)) for mode in modes},
    )


def run_upstream(
    python: str, folder: Path, movie: Movie, *, max_distance: float, modes: Sequence[str]
) -> tuple[Computed, Computed, list[str]]:
    """Return upstream's results in float32 and in float64, and the versions of its packages.

    python: a Python that has upstream installed; folder: the checkpoint. The movie must fit into
    memory, as upstream needs it.

    Raises MissingDependencyError if that Python lacks upstream, ModelError if upstream fails.
    """
    with tempfile.TemporaryDirectory() as place:
        given, result = Path(place) / "movie.npz", Path(place) / "result.npz"
        frames = list(movie)
        images = np.stack([frame.image for frame in frames if frame.image is not None])
        np.savez(given, images=images, masks=np.stack([frame.labels for frame in frames]))
        command = [python, upstream_run.__file__, folder, given, result, str(max_distance), *modes]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        if done.returncode == upstream_run.NO_UPSTREAM:
            raise MissingDependencyError(
                f"{python} lacks trackastra; install it there, or choose another "
                "Python with --upstream"
            )
        if done.returncode or not result.is_file():
            reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
            raise ModelError(f"upstream cannot track the movie with {folder} ({reason})")
        with np.load(result) as stored:
            found = dict(stored)
    single, double = (_of_upstream(found, precision, modes) for precision in ("f32", "f64"))
    return single, double, found["versions"].tolist()


def _candidate_graph(
    model: AssociationModel, movie: Movie, max_distance: float, progress: Progress
) -> CandidateGraph:
    seen: list[CandidateGraph] = []

    def look(graph: CandidateGraph) -> IntArray:
        seen.append(graph)
        return np.empty(0, np.int64)

    looking = Linker(look, is_pairwise=False)
    tracker = Tracker(model, looking, max_distance=MaxDistance(max_distance))
    tracker.track_movie(movie, progress=progress)
    return seen[0]


def _features(detections: Detections, movie: Movie) -> FloatArray:
    intensities = IntensityHistogram()
    for frame in movie:
        assert frame.image is not None
        intensities.add(frame.image)
    return prepare_tokens(detections, "upstream", intensities.range()).features


def _pairs(edges: Edges) -> list[Pair]:
    return list(zip(edges.source.tolist(), edges.target.tolist(), strict=True))


def _of_upstream(
    found: dict[str, NDArray[np.generic]], precision: str, modes: Sequence[str]
) -> Computed:
    edges = map(tuple, found[f"edges_{precision}"].tolist())
    scores = dict(zip(edges, found[f"scores_{precision}"].tolist(), strict=True))
    candidates = map(tuple, found[f"candidates_{precision}"].tolist())
    return Computed(
        found["frame"],
        found["label"],
        found["centroid"],
        found["features"],
        {pair: scores[pair] for pair in candidates},
        {mode: frozenset(map(tuple, found[f"{mode}_{precision}"].tolist())) for mode in modes},
    )
