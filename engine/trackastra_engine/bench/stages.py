"""Time the stages of tracking, one after the other instead of overlapping."""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from trackastra_engine.association.edge_stream import SMALL_WINDOW, associate_movie
from trackastra_engine.association.measured import needs_range
from trackastra_engine.detection.detections import Detections, concatenate, detect
from trackastra_engine.detection.intensity import IntensityHistogram, IntensityRange
from trackastra_engine.errors import InputError
from trackastra_engine.linking.candidates import candidate_graph
from trackastra_engine.linking.review import Review
from trackastra_engine.model.edges import Edges
from trackastra_engine.movie.frames import Movie
from trackastra_engine.output.formats import Results
from trackastra_engine.output.results import Outputs, write_outputs
from trackastra_engine.tracker import Tracker

MAX_FRAMES = 20  # to read
SCORING_S = 10.0  # fewer frames are tracked if scoring their windows would need longer
STAGES = ("read", "detect", "score", "link", "write")


@dataclass(frozen=True, slots=True)
class MovieTimes:
    """Times of the stages for a frame of a movie, and of all stages together, overlapping."""

    frame_shape: tuple[int, ...]  # ([Z,] Y, X) pixels
    n_frames: int  # tracked
    cells: float  # per frame
    frame_bytes: int  # of mask and image
    window_flop: float  # of all weights with all tokens of a window
    stage_s: dict[str, float]  # seconds per frame, by STAGES
    together_s: float  # seconds per frame


@dataclass(slots=True)
class _Stopwatch:
    """Adds up the time spent in its contexts, by name."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    @contextmanager
    def running(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - started


def time_movie(movie: Movie, tracker: Tracker) -> MovieTimes:
    """Return the times of the stages for the first frames of a movie.

    Raises InputError if these contain no object or do not fit the model.
    """
    tracker.check_fit(movie)
    movie = movie.first(MAX_FRAMES)
    watch = _Stopwatch()
    found, intensity_range = _detected(movie, tracker, watch)
    per_read = {name: watch.seconds[name] / len(movie) for name in ("read", "detect")}
    movie = movie.first(_affordable(found, tracker, intensity_range))
    detections = concatenate(found[: len(movie)], tracker.model.spec.ndim)
    _link_and_write(movie, detections, tracker, intensity_range, watch)
    per_tracked = {name: watch.seconds[name] / len(movie) for name in ("score", "link", "write")}
    review = Review()
    together = Tracker(tracker.model, review.watch(tracker.link))
    with TemporaryDirectory() as name, watch.running("together"):
        lineage = together.track_movie(movie)
        write_outputs(Results(lineage, movie, review.links), Outputs(folder=Path(name) / "out"))
    cells = len(detections) / len(movie)
    pixel_bytes = sum(s.dtype.itemsize for s in (movie.masks, movie.images) if s is not None)
    return MovieTimes(
        frame_shape=movie.frame_shape,
        n_frames=len(movie),
        cells=cells,
        frame_bytes=pixel_bytes * int(np.prod(movie.frame_shape)),
        window_flop=2.0 * tracker.model.spec.n_parameters * tracker.model.spec.window * cells,
        stage_s={**per_read, **per_tracked},
        together_s=watch.seconds["together"] / len(movie),
    )


def _detected(
    movie: Movie, tracker: Tracker, watch: _Stopwatch
) -> tuple[list[Detections], IntensityRange | None]:
    """Return the detections of each frame, and the intensities of all if the model needs them."""
    ndim = tracker.model.spec.ndim
    intensities = IntensityHistogram()
    found: list[Detections] = []
    frames = iter(movie)
    for _ in range(len(movie)):
        with watch.running("read"):
            frame = next(frames)
        if not found:
            detect(frame, ndim)  # compiles the kernels, or reads them from their cache
        with watch.running("detect"):
            found.append(detect(frame, ndim))
            if frame.image is not None and needs_range(tracker.model.spec, movie):
                intensities.add(frame.image)
    return found, intensities.range()


def _affordable(
    found: list[Detections], tracker: Tracker, intensity_range: IntensityRange | None
) -> int:
    """Return the number of frames that can be scored in SCORING_S, at least a window.

    This also warms up scoring and linking.
    """
    window = tracker.model.spec.window
    first = concatenate(found[:window], tracker.model.spec.ndim)
    if not len(first):
        raise InputError("the first frames contain no object; choose a movie that begins with some")
    spec, max_gap = tracker.model.spec, tracker.link.max_gap
    score = tracker.association(None).score(intensity_range)
    tracker.link(candidate_graph(first, associate_movie(score, spec, first, max_gap=max_gap)))
    watch = _Stopwatch()
    with watch.running("window"):
        score(first)
    stride = 1 if len(first) <= SMALL_WINDOW else tracker.stride
    return min(len(found), window + stride * int(SCORING_S / watch.seconds["window"]))


def _link_and_write(
    movie: Movie,
    detections: Detections,
    tracker: Tracker,
    intensity_range: IntensityRange | None,
    watch: _Stopwatch,
) -> None:
    score = tracker.association(None).score(intensity_range)

    def timed_score(window: Detections) -> Edges:
        with watch.running("score"):
            return score(window)

    review = Review()
    link = review.watch(tracker.link)
    spec, options = tracker.model.spec, {"stride": tracker.stride, "max_gap": link.max_gap}
    with watch.running("score and link"):
        edges = associate_movie(timed_score, spec, detections, **options)
        lineage = link(candidate_graph(detections, edges))
    watch.seconds["link"] = watch.seconds["score and link"] - watch.seconds["score"]
    for run in ("first write", "write"):  # the first compiles the kernels that draw the report
        with TemporaryDirectory() as name, watch.running(run):
            write_outputs(Results(lineage, movie, review.links), Outputs(folder=Path(name) / "out"))
