"""Our trackers on movies with known tracks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.true_movies import TrueMovie
from trackastra_engine import Tracker
from trackastra_engine.candidates import CandidateGraph
from trackastra_engine.linking import linker
from trackastra_engine.model import AssociationModel

MODES = ("greedy", "ilp", "lap")


@dataclass(frozen=True, slots=True)
class _NoLinker:
    """In place of a linker: returns all candidates, so that several linkers share the scores."""

    is_separable = False

    def __call__(self, graph: CandidateGraph) -> CandidateGraph:
        return graph


def load_model(model: str) -> AssociationModel:
    """Return the model of that name or file, on the CPU."""
    return AssociationModel.load(model, device="cpu")


def candidates(model: AssociationModel, movie: TrueMovie, *, with_images: bool) -> CandidateGraph:
    """Return the scored edges of a movie from which linkers choose."""
    images = movie.images if with_images else None
    return Tracker(model, _NoLinker()).track(images, movie.masks)


def chosen_links(graph: CandidateGraph, mode: str) -> NDArray[np.int64]:
    """Return the links (E, 2) that the linker of a mode chooses."""
    edges = linker(mode)(graph).edges
    return np.column_stack([edges.source, edges.target])
