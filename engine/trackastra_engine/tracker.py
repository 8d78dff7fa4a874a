"""The way of one movie through the engine, from frames to a lineage."""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from trackastra_engine.candidates import candidate_graph
from trackastra_engine.detections import Detections, concatenate, detect
from trackastra_engine.edges import Edges, average, window_edges
from trackastra_engine.errors import InputError
from trackastra_engine.frames import ArrayOrPath, Movie, open_movie
from trackastra_engine.intensity import IntensityHistogram
from trackastra_engine.lineage import Lineage
from trackastra_engine.linking import Linker, linker
from trackastra_engine.model import DEFAULT_MODEL, AssociationModel, Device
from trackastra_engine.progress import Progress, no_progress
from trackastra_engine.tokens import IntensityRange, prepare_tokens
from trackastra_engine.windows import windows

logger = logging.getLogger(__name__)


class Tracker:
    """Tracks movies with one model and one linker."""

    def __init__(
        self, model: AssociationModel, link: Linker, *, max_distance: float | None = None
    ) -> None:
        self.model = model
        self.link = link
        self.max_distance = max_distance

    @classmethod
    def load(
        cls,
        model: str | Path = DEFAULT_MODEL,
        *,
        mode: str = "greedy",
        max_distance: float | None = None,
        device: Device = "auto",
    ) -> "Tracker":
        """Return a tracker with the model of that name or file.

        mode: the linker, one of linking.MODES; max_distance: longest edge in pixels.

        Raises InputError, ModelError or MissingDependencyError with what to do.
        """
        link = linker(mode)
        if max_distance is not None and not max_distance > 0:
            raise InputError(
                f"the maximum distance is {max_distance}; give a positive number of pixels"
            )
        return cls(AssociationModel.load(model, device=device), link, max_distance=max_distance)

    def track(
        self, images: ArrayOrPath | None, masks: ArrayOrPath, *, progress: Progress = no_progress
    ) -> Lineage:
        """Return the lineage of a movie, from arrays (T, [Z,] Y, X) or paths of TIFFs.

        images: None if there are only masks; masks: integers, 0 is background.

        Raises InputError if the movie cannot be read, holds no object or does not fit the model.
        """
        return self.track_movie(open_movie(images, masks), progress=progress)

    def track_movie(self, movie: Movie, *, progress: Progress = no_progress) -> Lineage:
        """Return the lineage of an opened movie; see `track`."""
        self.check_fit(movie)
        detections, intensity_range = self._detect(movie, progress)
        scored = self._associate(detections, len(movie), intensity_range, progress)
        spec = self.model.spec
        edges = average(
            scored,
            detections.frame,
            n_frames=len(movie),
            window=spec.window,
            averaging=spec.averaging,
        )
        graph = candidate_graph(detections, edges, max_distance=self.max_distance)
        lineage = self.link(graph)
        logger.info("kept %d of %d candidate edges", len(lineage.edges), len(graph.edges))
        return lineage

    def check_fit(self, movie: Movie) -> None:
        """Raise InputError if the model cannot take a movie of these dimensions."""
        spec = self.model.spec
        takes_planes = spec.ndim == 3 and spec.accepts_planes and movie.ndim == 2
        if movie.ndim != spec.ndim and not takes_planes:
            raise InputError(
                f"the movie is {movie.ndim}D but the model {spec.name} takes {spec.ndim}D movies; "
                "choose another model"
            )

    def _detect(self, movie: Movie, progress: Progress) -> tuple[Detections, IntensityRange | None]:
        histogram = IntensityHistogram()
        parts = []
        for frame in movie:
            parts.append(detect(frame, self.model.spec.ndim))
            if frame.image is not None and not np.isfinite(parts[-1].features).all():
                raise InputError(
                    f"the image of frame {frame.index} holds pixels inside objects that are not "
                    "finite numbers; replace NaN and infinity, by the background for example"
                )
            if self.model.spec.normalisation == "movie" and frame.image is not None:
                histogram.add(frame.image)
            progress("detect", frame.index + 1, len(movie))
        detections = concatenate(parts, self.model.spec.ndim)
        if len(detections) == 0:
            raise InputError(
                f"none of the {len(movie)} masks holds an object; segment the movie first"
            )
        return detections, histogram.range()

    def _associate(
        self,
        detections: Detections,
        n_frames: int,
        intensity_range: IntensityRange | None,
        progress: Progress,
    ) -> Iterator[Edges]:
        spec = self.model.spec
        for window in windows(detections, n_frames, spec.window):
            tokens = prepare_tokens(detections.rows(window.rows), spec.recipe, intensity_range)
            yield window_edges(self.model.associate(tokens), window, spec.averaging)
            progress("associate", window.first_frame + spec.window, n_frames)
