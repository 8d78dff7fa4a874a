"""Our trackers on movies with known tracks."""

import numpy as np
from numpy.typing import NDArray

from benchmarks.true_movies import TrueMovie
from trackastra_engine import Tracker
from trackastra_engine.association.edge_stream import usual_gap
from trackastra_engine.linking import Linker, linker
from trackastra_engine.linking.candidates import CandidateGraph
from trackastra_engine.linking.split_objects import without_split_objects
from trackastra_engine.model.onnx_model import AssociationModel
from trackastra_engine.motion import flow
from trackastra_engine.motion.alignment import Align

MODES = ("greedy", "ilp", "lap")


def load_model(model: str) -> AssociationModel:
    """Return the model of that name or file, on the CPU."""
    return AssociationModel.load(model, device="cpu")


def greedy_links(
    model: AssociationModel,
    movie: TrueMovie,
    *,
    stride: int | None = None,
    max_gap: int | None = None,
) -> NDArray[np.int64]:
    """Return the links (E, 2) of greedy linking from detections, on one core.

    stride, max_gap: the usual ones if None.

    Flows that were found in earlier movies are forgotten, so that times can be compared.
    """
    flow._MEMORY = flow.new_memory()
    link = linker(
        "greedy",
        max_gap=usual_gap(model.spec) if max_gap is None else max_gap,
        probabilities=model.spec.scores_are_probabilities,
    )
    voxel = (movie.z_step, 1.0, 1.0)[-movie.detections.ndim :]
    tracker = Tracker(model, link, stride=stride, threads=1)
    edges = tracker.track_detections(movie.detections, voxel_um=voxel).edges
    return np.column_stack([edges.source, edges.target])


def candidates(
    model: AssociationModel,
    movie: TrueMovie,
    *,
    with_images: bool,
    align: Align = "auto",
    max_gap: int | None = None,
) -> CandidateGraph:
    """Return the candidate edges of a movie with their scores; max_gap: the usual one if None."""
    seen: list[CandidateGraph] = []

    def keep_nothing(graph: CandidateGraph) -> NDArray[np.int64]:
        seen.append(graph)
        return np.empty(0, np.int64)

    images = movie.images if with_images else None
    voxel = (movie.z_step, 1.0, 1.0)[-movie.detections.ndim :]
    gap = usual_gap(model.spec) if max_gap is None else max_gap
    tracker = Tracker(model, Linker(keep_nothing, is_pairwise=False, max_gap=gap), align=align)
    if movie.masks is None:
        tracker.track_detections(movie.detections, voxel_um=voxel)
    else:
        tracker.track(images, movie.masks, voxel_um=voxel)
    return seen[0]


def chosen_links(
    graph: CandidateGraph,
    mode: str,
    *,
    knows_rates: bool = True,
    min_division_score: float | None = None,
) -> NDArray[np.int64]:
    """Return the links (E, 2) of a mode; with known rates, without those of split cells.

    min_division_score: the usual one if None.
    """
    lineage = linker(mode, probabilities=True, min_division_score=min_division_score)(graph)
    edges = (without_split_objects(lineage) if knows_rates else lineage).edges
    return np.column_stack([edges.source, edges.target])
