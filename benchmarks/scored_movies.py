"""Movies with known tracks whose edges are scored once, to be linked in many ways."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.true_movies import TrueMovie
from trackastra_engine import Tracker
from trackastra_engine.association.chunks import edges_of_chunks
from trackastra_engine.association.edge_stream import FrameEdges
from trackastra_engine.detection.detections import split_frames
from trackastra_engine.linking import linker
from trackastra_engine.linking.candidates import CandidateGraph, candidate_graph
from trackastra_engine.linking.rates import (
    LIMITS,
    MovieRates,
    RateCounts,
    RateLimits,
    corrected,
    count_parents,
    movie_rates,
)
from trackastra_engine.model.edges import concatenate_edges
from trackastra_engine.model.onnx_model import AssociationModel
from trackastra_engine.model.spec import TrainingRates
from trackastra_engine.movie.voxels import proportions
from trackastra_engine.progress import no_progress

MAX_GAP = 2


@dataclass(frozen=True, slots=True, eq=False)
class ScoredMovie:
    """A movie and its edges over up to MAX_GAP frames, with the scores of the network."""

    movie: TrueMovie
    parts: list[FrameEdges]
    proportions: NDArray[np.float64]  # (D,) of a voxel
    counts: RateCounts
    training: TrainingRates

    def rates(self, limits: RateLimits = LIMITS) -> MovieRates | None:
        """Return the rates of the movie, None if it does not reveal them."""
        return movie_rates(self.counts, self.training, limits)

    def graph(self, weights: NDArray[np.float64] | None, max_gap: int = 1) -> CandidateGraph:
        """Return the candidates of linkers; weights: (2, 3) of outcomes, see MovieRates."""
        kept = []
        for part in self.parts:
            edges, frame = part.edges, part.detections.frame
            edges = edges.rows(np.flatnonzero(frame[edges.target] - frame[edges.source] <= max_gap))
            if weights is not None:
                edges = corrected(edges, part.detections, weights, self.proportions)
            graph = candidate_graph(part.detections, edges, proportions=self.proportions)
            kept.append(graph.edges.shifted(part.first_row))
        return CandidateGraph(self.movie.detections, concatenate_edges(kept))


def scored(model: AssociationModel, movie: TrueMovie) -> ScoredMovie:
    """Return the movie with its edges, scored by a model that knows rates of its training."""
    tracker = Tracker(model, linker("greedy", max_gap=MAX_GAP, probabilities=True))
    detections = movie.detections
    voxel = tracker.relevant_voxel(detections.ndim, (movie.z_step, 1.0, 1.0)[-detections.ndim :])
    shape = proportions(voxel, detections.ndim)
    frames = split_frames(detections, movie.n_frames)
    parts = list(
        edges_of_chunks(tracker.association(voxel), frames, movie.n_frames, None, None, no_progress)
    )
    counts = sum((count_parents(part, shape) for part in parts), RateCounts.none())
    assert model.spec.training_rates is not None
    return ScoredMovie(movie, parts, shape, counts, model.spec.training_rates)
