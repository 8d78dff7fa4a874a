"""Upstream's side of the paired runs, in an environment that has `trackastra`; see serve.py."""

import logging
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import torch
from trackastra.data import build_windows, get_features
from trackastra.model.model import TrackingTransformer
from trackastra.model.predict import predict
from trackastra.tracking import build_graph, track_greedy
from trackastra.tracking.ilp import track_ilp
from trackastra.utils import normalize

from benchmarks.workers.serve import serve


class Window:
    """The scores of one window, as `predict_windows` requests them."""

    def __init__(self, device: str, folder: str, window: str) -> None:
        torch.set_num_threads(1)
        model = TrackingTransformer.from_folder(Path(folder), map_location="cpu")
        self._model = model.eval().to(device)
        arrays = np.load(window)
        self._frame = arrays["coordinates"][:, 0]
        coordinates, features = (
            torch.from_numpy(arrays[name]) for name in ("coordinates", "features")
        )
        self._window = {
            "timepoints": coordinates[:, 0],
            "coords": coordinates[:, 1:],
            "features": features,
        }

    def run(self) -> None:
        """Score the window."""
        self._scores = predict([self._window], self._model)[0]

    def result(self) -> dict[str, np.ndarray]:
        """Return the scores (N, N) between neighbouring frames."""
        is_next = self._frame[None, :] - self._frame[:, None] == 1
        return {"scores": np.where(is_next, self._scores, 0)}


class Features:
    """Coordinates and features of all detections of a movie, from normalised images."""

    def __init__(self, movie: str) -> None:
        self._movie = dict(np.load(movie))

    def run(self) -> None:
        """Measure the movie."""
        images = normalize(self._movie["images"])
        self._features = get_features(
            self._movie["masks"], images, features="wrfeat", ndim=2, progbar_class=without_bar
        )

    def result(self) -> dict[str, np.ndarray]:
        """Return coordinates and features of the detections."""
        everything = build_windows(
            self._features, window_size=len(self._features), progbar_class=without_bar
        )[0]
        return {
            "coordinates": np.column_stack([everything["timepoints"], everything["coords"]]),
            "features": everything["features"],
        }


class Linking:
    """The candidate graph of scored edges, and the edges that linking selects."""

    def __init__(self, graph: str, max_distance: str, mode: str) -> None:
        arrays = dict(np.load(graph))
        detections = (arrays[name].tolist() for name in ("frame", "label", "centroid"))
        self._nodes = [
            {"id": row, "time": frame, "label": label, "coords": tuple(centroid)}
            for row, (frame, label, centroid) in enumerate(zip(*detections, strict=True))
        ]
        edges = (arrays[name].tolist() for name in ("source", "target", "score"))
        self._weights = tuple(
            ((source, target), score) for source, target, score in zip(*edges, strict=True)
        )
        self._max_distance = float(max_distance)
        self._track = {"greedy": track_greedy, "ilp": track_ilp}[mode]

    def run(self) -> None:
        """Build the graph and link."""
        graph = build_graph(
            self._nodes, self._weights, max_distance=self._max_distance, max_neighbors=10
        )
        self._solution: nx.DiGraph = self._track(graph)

    def result(self) -> dict[str, np.ndarray]:
        """Return the selected edges (E, 2)."""
        return {"edges": np.array(sorted(self._solution.edges)).reshape(-1, 2)}


def without_bar(iterable: Any, **_: Any) -> Any:
    """Return the iterable without a progress bar."""
    return iterable


if __name__ == "__main__":
    logging.disable(logging.INFO)
    serve({"window": Window, "features": Features, "linking": Linking})
