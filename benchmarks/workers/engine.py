"""The engine's side of the paired runs; see serve.py."""

from pathlib import Path

import numpy as np

from benchmarks.workers.serve import serve
from trackastra_engine.detection.detections import Detections, concatenate, detect
from trackastra_engine.detection.intensity import IntensityHistogram
from trackastra_engine.linking import linker
from trackastra_engine.linking.candidates import candidate_graph
from trackastra_engine.model.edges import Edges
from trackastra_engine.model.onnx_model import AssociationModel
from trackastra_engine.model.tokens import Tokens, prepare_tokens
from trackastra_engine.movie.frames import Frame

MODEL_FILE = "model.onnx"
MAX_COMPARED = 5000  # largest number of tokens whose scores are written


class Window:
    """The scores of one window."""

    def __init__(self, device: str, folder: str, window: str) -> None:
        self._model = AssociationModel.load(Path(folder) / MODEL_FILE, device=device)
        arrays = np.load(window)
        self._tokens = Tokens(arrays["coordinates"], arrays["features"])
        few = Tokens(self._tokens.coordinates[::50], self._tokens.features[::50])
        self._model.associate(few)  # compiles the kernels, or reads them from their cache

    def run(self) -> None:
        """Score the window."""
        self._edges = self._model.associate(self._tokens)

    def result(self) -> dict[str, np.ndarray]:
        """Return the scores (N, N) between neighbouring frames, unless N is large."""
        n_tokens = len(self._tokens.coordinates)
        if n_tokens > MAX_COMPARED:
            return {}
        scores = np.zeros((n_tokens, n_tokens), np.float32)
        scores[self._edges.source, self._edges.target] = self._edges.score
        return {"scores": scores}


class Features:
    """Coordinates and features of all detections of a movie, from normalised images."""

    def __init__(self, movie: str) -> None:
        self._movie = dict(np.load(movie))

    def run(self) -> None:
        """Measure the movie."""
        histogram = IntensityHistogram()
        parts = []
        for index, (image, labels) in enumerate(
            zip(self._movie["images"], self._movie["masks"], strict=True)
        ):
            parts.append(detect(Frame(index, image, labels), 2))
            histogram.add(image)
        self._detections = concatenate(parts, 2)
        self._tokens = prepare_tokens(self._detections, "upstream", histogram.range())

    def result(self) -> dict[str, np.ndarray]:
        """Return coordinates and features of the detections."""
        found = self._detections
        return {
            "coordinates": np.column_stack([found.frame, found.centroid]),
            "features": self._tokens.features,
        }


class Masks:
    """The detections of a movie without its images."""

    def __init__(self, movie: str) -> None:
        self._masks = np.load(movie)["masks"]

    def run(self) -> None:
        """Measure the masks."""
        self._found = [detect(Frame(t, None, labels), 2) for t, labels in enumerate(self._masks)]

    def result(self) -> dict[str, np.ndarray]:
        """Return the number of detections of each frame."""
        return {"detections": np.array([len(found) for found in self._found])}


class Pixels:
    """The least time to measure a movie: its pixels are read once, for their maximum."""

    def __init__(self, movie: str) -> None:
        self._movie = dict(np.load(movie))

    def run(self) -> None:
        """Read all pixels, frame by frame."""
        self._highest = [
            (image.max(), labels.max())
            for image, labels in zip(self._movie["images"], self._movie["masks"], strict=True)
        ]

    def result(self) -> dict[str, np.ndarray]:
        """Return the highest pixel (T, 2) of each image and mask."""
        return {"highest": np.array(self._highest)}


class Linking:
    """The candidate graph of scored edges, and the edges that linking selects."""

    def __init__(self, graph: str, max_distance: str, mode: str) -> None:
        arrays = dict(np.load(graph))
        frame, centroid = arrays["frame"], arrays["centroid"]
        self._detections = Detections(frame, arrays["label"], centroid, np.zeros((len(frame), 0)))
        self._edges = Edges(arrays["source"], arrays["target"], arrays["score"])
        self._max_distance = float(max_distance)
        self._link = linker(mode)

    def run(self) -> None:
        """Build the graph and link."""
        graph = candidate_graph(self._detections, self._edges, max_distance=self._max_distance)
        self._lineage = self._link(graph)

    def result(self) -> dict[str, np.ndarray]:
        """Return the selected edges (E, 2)."""
        edges = self._lineage.edges
        ends = np.column_stack([edges.source, edges.target])
        return {"edges": ends[np.lexsort(ends.T[::-1])]}


if __name__ == "__main__":
    tasks = {"features": Features, "masks": Masks, "pixels": Pixels}
    serve({"window": Window, **tasks, "linking": Linking})
