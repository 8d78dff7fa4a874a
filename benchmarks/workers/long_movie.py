"""A movie of any length, drawn while it is read, from masks to tracks without the transformer."""

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from benchmarks.seeded_movies import SwingingCells
from benchmarks.workers.serve import serve
from trackastra_engine import Tracker
from trackastra_engine.linking import linker
from trackastra_engine.model.edges import Edges
from trackastra_engine.model.onnx_model import AssociationModel
from trackastra_engine.model.spec import ModelSpec
from trackastra_engine.model.tokens import SPACING_UNITS, Tokens

N_TARGETS = 3  # per cell


class LongMovie:
    """Tracks from masks that are drawn when they are read, and scores from distances only."""

    def __init__(self, n_frames: str, n_cells: str, side_px: str) -> None:
        self._masks = _TimedMasks(int(n_frames), int(n_cells), int(side_px))
        self._model = _DistanceModel()

    def run(self) -> None:
        """Track the movie."""
        self._lineage = Tracker(self._model, linker("greedy")).track(None, self._masks)

    def result(self) -> dict[str, NDArray[Any]]:
        """Return the CPU seconds that are not the engine's, and the size of the result."""
        return {
            "drawing_s": np.array(self._masks.seconds),
            "scoring_s": np.array(self._model.seconds),
            "detections": np.array(len(self._lineage.detections)),
            "edges": np.array(len(self._lineage.edges)),
        }


class _TimedMasks(SwingingCells):
    seconds = 0.0

    def __getitem__(self, frame: int) -> NDArray[np.uint16]:
        started = time.thread_time()
        masks = super().__getitem__(frame)
        self.seconds += time.thread_time() - started
        return masks


class _DistanceModel(AssociationModel):
    """Replaces the transformer: scores follow from distances."""

    seconds = 0.0

    def __init__(self) -> None:
        self.spec = ModelSpec("distance", 2, 4, "relative", "window", SPACING_UNITS, "all")
        self.is_at_once = False

    def associate(self, tokens: Tokens, *, max_gap: int = 1) -> Edges:
        """Return edges to the nearest targets in the next frame."""
        started = time.thread_time()
        frame, place = tokens.coordinates[:, 0], tokens.coordinates[:, 1:]
        source, target, score = [], [], []
        for now in range(int(frame[-1])):
            before, after = np.flatnonzero(frame == now), np.flatnonzero(frame == now + 1)
            distance, nearest = cKDTree(place[after]).query(place[before], k=N_TARGETS)
            source.append(np.repeat(before, N_TARGETS))
            target.append(after[nearest].ravel())
            score.append(np.exp(-distance / SPACING_UNITS).ravel())
        edges = Edges(np.concatenate(source), np.concatenate(target), np.concatenate(score))
        self.seconds += time.thread_time() - started
        return edges


if __name__ == "__main__":
    serve({"movie": LongMovie})
