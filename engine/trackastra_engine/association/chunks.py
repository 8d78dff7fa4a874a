"""Compute the chunks of a movie in this process if they are not cached; yield edges in order."""

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from functools import partial
from importlib import import_module
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.association.association import CHUNK_FRAMES, Association
from trackastra_engine.association.cache import ChunkCache
from trackastra_engine.association.chunk_edges import ChunkEdges, EdgeStore
from trackastra_engine.association.edge_stream import FrameEdges
from trackastra_engine.association.measured import measure, needs_range
from trackastra_engine.association.sliding_frames import SlidingFrames
from trackastra_engine.association.window_threads import window_threads
from trackastra_engine.detection.detections import Detections, concatenate, split_frames
from trackastra_engine.detection.frame_check import FrameWatch
from trackastra_engine.detection.intensity import IntensityHistogram, IntensityRange
from trackastra_engine.detection.label_check import LabelWatch
from trackastra_engine.growing_rows import GrowingRows
from trackastra_engine.movie.frames import Movie
from trackastra_engine.prefetch import ITEMS_AHEAD, computed_ahead
from trackastra_engine.progress import Progress


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
    # While a GPU scores a chunk, the next one is measured.
    n_ahead = CHUNK_FRAMES if association.model.is_at_once else ITEMS_AHEAD
    with computed_ahead(_measured(association, movie, cache, intensities), n_ahead) as measured:
        if association.aligned:
            import_module("scipy.spatial")  # 0.3 s, while the first frames are read and measured
        frames: Iterable[Detections] = gathered(found, measured, movie, progress)
        if needs_range(association.spec, movie):  # it is known only after the last frame
            deque(frames, maxlen=0)
            frames = split_frames(found.whole(), len(movie))
        known = intensities.range()
        yield from edges_of_chunks(association, frames, len(movie), known, cache, progress)
        deque(measured, maxlen=0)  # the thread stores the last chunk after its last frame


def edges_of_chunks(
    association: Association,
    frames: Iterable[Detections],
    n_frames: int,
    intensity_range: IntensityRange | None,
    cache: EdgeStore | None,
    progress: Progress,
) -> Iterator[FrameEdges]:
    """Yield the edges of each chunk of a movie, from the detections of each frame."""
    sliding, first_row = SlidingFrames(frames), 0
    chunks = association.chunks(n_frames)

    def final(n_final: int) -> None:
        progress("associate", n_final, n_frames)

    by_chunk = ChunkEdges(association, chunks, sliding, intensity_range, cache, final)
    with window_threads(association.threads) as threads:
        for chunk, edges in by_chunk.given(threads):
            first, stop = chunk.frames.start, chunk.frames.stop
            joined = sliding.between(range(first, min(stop + association.max_gap, n_frames)))
            detections = concatenate(joined, association.ndim)
            yield FrameEdges(first, stop, first_row, detections, edges)
            first_row += int(np.searchsorted(detections.frame, stop))
            sliding.forget(stop + 1 - association.spec.window)


def _measured(
    association: Association,
    movie: Movie,
    cache: ChunkCache | None,
    intensities: IntensityHistogram,
) -> Generator[Detections, None, None]:
    """Yield the detections of each frame, and gather intensities if the model needs them."""
    spec, chunks = association.spec, association.chunks(len(movie))
    threads = movie.threads(association.threads)
    missing = {chunk for chunk in chunks if cache is None or not cache.has_detections(chunk)}
    # One iterator for all, as a stack of many planes is slow to open.
    unread = movie.frames(index for chunk in chunks if chunk in missing for index in chunk.frames)
    for chunk in chunks:
        found = None if cache is None or chunk in missing else cache.detections(chunk)
        if found is None:
            frames = unread if chunk in missing else movie.frames(chunk.frames)
            own = islice(frames, len(chunk.frames))
            ranged = needs_range(spec, movie)
            found = yield from measure(own, association.ndim, needs_range=ranged, threads=threads)
            if cache is not None:
                cache.store_detections(chunk, found)
        else:
            yield from split_frames(found.detections, len(chunk.frames), chunk.frames.start)
        intensities.merge(found.intensities)


def gathered(
    found: GrowingRows[Detections], frames: Iterable[Detections], movie: Movie, progress: Progress
) -> Iterator[Detections]:
    """Yield the detections of each frame, and add them to `found`; warn of odd masks."""
    labels_watch, frames_watch = LabelWatch(), FrameWatch()
    for index, detections in enumerate(frames):
        found.add(detections)
        read_labels = partial(_read_mask, movie, index)
        name = f"frame {index} in {movie.masks.name}"
        labels_watch.see(detections, movie.frame_shape, read_labels, name)
        frames_watch.see(detections)
        if index + 1 == len(movie):  # nobody asks for a frame after the last
            frames_watch.finish(movie.masks.name)
        progress("detect", index + 1, len(movie))
        yield detections


def _read_mask(movie: Movie, index: int) -> NDArray[Any]:
    (labels,) = movie.masks.read([index])
    return labels
