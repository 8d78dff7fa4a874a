"""The chunks of a movie made in this process, one after the other, where none are kept."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from functools import partial
from itertools import islice
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.association.association import CHUNK_FRAMES, Association, Chunk, WindowScores
from trackastra_engine.association.cache import ChunkCache
from trackastra_engine.association.edge_stream import FrameEdges
from trackastra_engine.association.measured import measure, needs_range
from trackastra_engine.detection.detections import Detections, concatenate, split_frames
from trackastra_engine.detection.intensity import IntensityHistogram, IntensityRange
from trackastra_engine.detection.label_check import LabelWatch
from trackastra_engine.growing_rows import GrowingRows
from trackastra_engine.model.edges import Edges
from trackastra_engine.movie.frames import Movie
from trackastra_engine.prefetch import ITEMS_AHEAD, computed_ahead
from trackastra_engine.progress import Progress


class EdgeKeeper(Protocol):
    """Something that may know the edges of chunks: a cache, or a cluster."""

    def edges(self, chunk: Chunk, intensity_range: IntensityRange | None) -> Edges | None:
        """Return the edges of a chunk, if they are known."""

    def keep_edges(
        self, chunk: Chunk, intensity_range: IntensityRange | None, edges: Edges
    ) -> None:
        """Keep the edges of a chunk, which were not known."""


def edges_of_movie(
    association: Association,
    movie: Movie,
    found: GrowingRows[Detections],
    cache: ChunkCache | None,
    progress: Progress,
) -> Generator[FrameEdges, None, None]:
    """Yield the edges of each chunk of a movie, and add its detections to `found`.

    Frames are read and measured in a thread while windows of earlier ones are scored.
    """
    intensities = IntensityHistogram()
    # A GPU scores a chunk in one go, and meanwhile the next is measured.
    n_ahead = CHUNK_FRAMES if association.model.is_at_once else ITEMS_AHEAD
    with computed_ahead(_measured(association, movie, cache, intensities), n_ahead) as measured:
        frames: Iterable[Detections] = gathered(found, measured, movie, progress)
        if needs_range(association.spec, movie):  # the first window is scored when all were seen
            deque(frames, maxlen=0)
            frames = split_frames(found.whole(), len(movie))
        known = intensities.range()
        yield from edges_of_chunks(association, frames, len(movie), known, cache, progress)
        deque(measured, maxlen=0)  # the thread keeps the last chunk after its last frame


def edges_of_chunks(
    association: Association,
    frames: Iterable[Detections],
    n_frames: int,
    intensity_range: IntensityRange | None,
    cache: EdgeKeeper | None,
    progress: Progress,
) -> Iterator[FrameEdges]:
    """Yield the edges of each chunk of a movie, from the detections of each frame."""
    sliding, first_row = SlidingFrames(frames), 0
    score = WindowScores(association, intensity_range)
    for chunk in association.chunks(n_frames):
        edges = None if cache is None else cache.edges(chunk, intensity_range)
        if edges is None:
            watched = _watched(sliding.between(chunk.reach), chunk, n_frames, progress)
            edges = association.edges(chunk, watched, score)
            if cache is not None:
                cache.keep_edges(chunk, intensity_range, edges)
        first, stop = chunk.frames.start, chunk.frames.stop
        progress("associate", stop, n_frames)
        joined = sliding.between(range(first, min(stop + association.max_gap, n_frames)))
        detections = concatenate(joined, association.spec.ndim)
        yield FrameEdges(first, first_row, detections, edges)
        first_row += int(np.searchsorted(detections.frame, stop))
        sliding.forget(stop + 1 - association.spec.window)


class SlidingFrames:
    """The detections of frames that come one by one, by number, until they are forgotten."""

    def __init__(self, frames: Iterable[Detections]) -> None:
        self._coming = iter(frames)
        self._kept: deque[Detections] = deque()
        self._first = 0  # frame of those that are kept

    def between(self, frames: range) -> Iterator[Detections]:
        """Yield the detections of some frames, of which none was forgotten, as they come."""
        for frame in frames:
            while frame >= self._first + len(self._kept):
                self._kept.append(next(self._coming))
            yield self._kept[frame - self._first]

    def forget(self, stop: int) -> None:
        """Forget the frames before `stop`, all of which came."""
        while self._first < stop:
            self._kept.popleft()
            self._first += 1


def _measured(
    association: Association,
    movie: Movie,
    cache: ChunkCache | None,
    intensities: IntensityHistogram,
) -> Generator[Detections, None, None]:
    """Yield the detections of each frame, and gather intensities if the model needs them."""
    spec, chunks = association.spec, association.chunks(len(movie))
    missing = {chunk for chunk in chunks if cache is None or not cache.has_detections(chunk)}
    # In one go: a stack of many planes is slow to open.
    unread = movie.frames(index for chunk in chunks if chunk in missing for index in chunk.frames)
    for chunk in chunks:
        found = None if cache is None or chunk in missing else cache.detections(chunk)
        if found is None:
            frames = unread if chunk in missing else movie.frames(chunk.frames)
            own = islice(frames, len(chunk.frames))
            found = yield from measure(own, spec.ndim, needs_range=needs_range(spec, movie))
            if cache is not None:
                cache.keep_detections(chunk, found)
        else:
            yield from split_frames(found.detections, len(chunk.frames), chunk.frames.start)
        intensities.merge(found.intensities)


def gathered(
    found: GrowingRows[Detections], frames: Iterable[Detections], movie: Movie, progress: Progress
) -> Iterator[Detections]:
    """Yield the detections of each frame, added to those found; warn of unlabelled masks."""
    watch = LabelWatch()
    for index, detections in enumerate(frames):
        found.add(detections)
        read_labels = partial(_read_mask, movie, index)
        name = f"frame {index} in {movie.masks.name}"
        watch.see(detections, movie.frame_shape, read_labels, name)
        progress("detect", index + 1, len(movie))
        yield detections


def _read_mask(movie: Movie, index: int) -> NDArray[Any]:
    (labels,) = movie.masks.read([index])
    return labels


def _watched(
    frames: Iterable[Detections], chunk: Chunk, n_frames: int, progress: Progress
) -> Iterator[Detections]:
    """Yield the detections of the frames within a chunk's reach, and tell of its own ones."""
    for index, detections in zip(chunk.reach, frames, strict=True):
        yield detections
        if index in chunk.frames:
            progress("associate", index + 1, n_frames)
