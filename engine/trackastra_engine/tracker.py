"""The way of one movie through the engine, from frames to a lineage."""

import logging
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

import numpy as np

from trackastra_engine.ahead import computed_ahead
from trackastra_engine.association import EdgeStream, FrameEdges, Score, check_stride
from trackastra_engine.candidates import CandidateGraph, candidate_graph
from trackastra_engine.detections import Detections, concatenate, detect, split_frames
from trackastra_engine.edges import Edges, concatenate_edges
from trackastra_engine.errors import InputError
from trackastra_engine.frames import ArrayOrPath, Movie, open_movie
from trackastra_engine.growing import GrowingRows
from trackastra_engine.intensity import IntensityHistogram
from trackastra_engine.lineage import Lineage, build_lineage
from trackastra_engine.linking import Linker, linker
from trackastra_engine.model import DEFAULT_MODEL, AssociationModel, Device
from trackastra_engine.progress import Progress, no_progress
from trackastra_engine.tokens import IntensityRange, prepare_tokens

logger = logging.getLogger(__name__)


class Tracker:
    """Tracks movies with one model and one linker."""

    def __init__(
        self,
        model: AssociationModel,
        link: Linker,
        *,
        max_distance: float | None = None,
        stride: int = 1,
    ) -> None:
        check_stride(stride, model.spec)
        self.model = model
        self.link = link
        self.max_distance = max_distance
        self.stride = stride

    @classmethod
    def load(
        cls,
        model: str | Path = DEFAULT_MODEL,
        *,
        mode: str = "greedy",
        max_distance: float | None = None,
        stride: int = 1,
        device: Device = "auto",
    ) -> "Tracker":
        """Return a tracker with the model of that name or file.

        mode: the linker, one of linking.MODES; max_distance: longest edge in pixels; stride:
        frames from a window to the next, more than 1 for speed at some loss in accuracy.

        Raises InputError, ModelError or MissingDependencyError with what to do.
        """
        link = linker(mode)
        if max_distance is not None and not max_distance > 0:
            raise InputError(
                f"the maximum distance is {max_distance}; give a positive number of pixels"
            )
        loaded = AssociationModel.load(model, device=device)
        return cls(loaded, link, max_distance=max_distance, stride=stride)

    def track(
        self, images: ArrayOrPath | None, masks: ArrayOrPath, *, progress: Progress = no_progress
    ) -> Lineage:
        """Return the lineage of a movie, from arrays (T, [Z,] Y, X) or paths of TIFFs.

        images: None if there are only masks; masks: integers, 0 is background.

        Raises InputError if the movie cannot be read, holds no object or does not fit the model.
        """
        return self.track_movie(open_movie(images, masks), progress=progress)

    def track_movie(self, movie: Movie, *, progress: Progress = no_progress) -> Lineage:
        """Return the lineage of an opened movie; see `track`.

        Frames are read and measured in a thread while windows of earlier ones are scored, and are
        linked as soon as that is possible.
        """
        self.check_fit(movie)
        found = GrowingRows(concatenate([], self.model.spec.ndim))
        kept = GrowingRows(concatenate_edges([]))
        intensities = IntensityHistogram()
        with computed_ahead(self._detect(movie, intensities)) as measured:
            frames: Iterable[Detections] = _gathered(found, measured, len(movie), progress)
            if self._needs_range(movie):
                deque(frames, maxlen=0)
                frames = split_frames(found.whole(), len(movie))
            score = self.scoring(intensities.range())
            stream = EdgeStream(score, self.model.spec, stride=self.stride)
            for index, detections in enumerate(frames):
                for part in stream.push(detections):
                    kept.add(self._keep(part))
                progress("associate", index + 1, len(movie))
            for part in stream.finish():
                kept.add(self._keep(part))
        if len(found) == 0:
            raise InputError(
                f"none of the {len(movie)} masks holds an object; segment the movie first"
            )
        return self._lineage(found.whole(), kept.whole())

    def check_fit(self, movie: Movie) -> None:
        """Raise InputError if the model cannot take a movie of these dimensions."""
        spec = self.model.spec
        takes_planes = spec.ndim == 3 and spec.accepts_planes and movie.ndim == 2
        if movie.ndim != spec.ndim and not takes_planes:
            raise InputError(
                f"the movie is {movie.ndim}D but the model {spec.name} takes {spec.ndim}D movies; "
                "choose another model"
            )

    def _needs_range(self, movie: Movie) -> bool:
        """Return whether the first window can be scored only when all frames were seen."""
        return self.model.spec.normalisation == "movie" and movie.images is not None

    def _detect(
        self, movie: Movie, intensities: IntensityHistogram
    ) -> Generator[Detections, None, None]:
        """Yield the detections of each frame, and gather intensities if the model needs them."""
        for frame in movie:
            detections = detect(frame, self.model.spec.ndim)
            if frame.image is not None and not np.isfinite(detections.features).all():
                raise InputError(
                    f"the image of frame {frame.index} holds pixels inside objects that are not "
                    "finite numbers; replace NaN and infinity, by the background for example"
                )
            if frame.image is not None and self._needs_range(movie):
                intensities.add(frame.image)
            yield detections

    def scoring(self, intensity_range: IntensityRange | None) -> Score:
        """Return how the detections of a window are scored, given the intensities of the movie."""

        def score(detections: Detections) -> Edges:
            tokens = prepare_tokens(detections, self.model.spec.recipe, intensity_range)
            return self.model.associate(tokens)

        return score

    def _keep(self, part: FrameEdges) -> Edges:
        """Return the links from a frame, or what the linker must see of it with all others."""
        graph = candidate_graph(part.detections, part.edges, max_distance=self.max_distance)
        edges = graph.edges
        if self.link.is_separable:
            edges = edges.rows(self.link.choose(graph))
        return edges.shifted(part.first_row)

    def _lineage(self, detections: Detections, kept: Edges) -> Lineage:
        if self.link.is_separable:
            return build_lineage(detections, kept)
        return self.link(CandidateGraph(detections, kept))


def _gathered(
    found: GrowingRows[Detections], frames: Iterable[Detections], n_frames: int, progress: Progress
) -> Iterator[Detections]:
    """Yield the detections of each frame, added to those found."""
    for index, detections in enumerate(frames):
        found.add(detections)
        progress("detect", index + 1, n_frames)
        yield detections
