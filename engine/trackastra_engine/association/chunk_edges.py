"""The edges of a movie's chunks in order, read from a cache or computed."""

from collections import deque
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Protocol

from trackastra_engine.association.association import Association, Chunk, WindowScores, joined_edges
from trackastra_engine.association.edge_stream import FrameEdges
from trackastra_engine.association.sliding_frames import SlidingFrames
from trackastra_engine.association.window_threads import WindowThreads
from trackastra_engine.detection.intensity import IntensityRange
from trackastra_engine.model.edges import Edges


class EdgeStore(Protocol):
    """A source of edges of chunks: a cache, or a cluster."""

    def edges(self, chunk: Chunk, intensity_range: IntensityRange | None) -> Edges | None:
        """Return the edges of a chunk, or None if they are not available."""

    def store_edges(
        self, chunk: Chunk, intensity_range: IntensityRange | None, edges: Edges
    ) -> None:
        """Store the edges of a chunk that were not available."""


class ChunkEdges:
    """Yields the edges of each chunk of a movie.

    One stream computes consecutive missing chunks and scores several windows at a time, so the
    first windows of a chunk start before the last ones of the chunk before end. A GPU scores the
    windows of a chunk together, and chunks one after the other.
    """

    def __init__(
        self,
        association: Association,
        chunks: list[Chunk],
        frames: SlidingFrames,
        intensity_range: IntensityRange | None,
        store: EdgeStore | None,
        final: Callable[[int], None],
    ) -> None:
        """Read edges from a store, if given; report the number of finished frames to `final`."""
        self._association = association
        self._coming = iter(chunks)
        self._frames = frames
        self._intensity_range = intensity_range
        self._store = store
        self._final = final
        self._score = WindowScores(association, intensity_range)
        self._missing: deque[Chunk] = deque()  # consecutive
        self._known: tuple[Chunk, Edges] | None = None  # the chunk after these

    def given(self, threads: WindowThreads) -> Iterator[tuple[Chunk, Edges]]:
        """Yield each chunk with its edges, whose row 0 is the chunk's first detection."""
        make = self._together if self._association.model.is_at_once else self._streamed
        while (chunk := self._looked_up()) is not None or self._known is not None:
            if chunk is not None:
                for made, edges in make(chunk, threads):
                    if self._store is not None:
                        self._store.store_edges(made, self._intensity_range, edges)
                    yield made, edges
            if self._known is not None:
                known, self._known = self._known, None
                self._final(known[0].frames.stop)
                yield known

    def _looked_up(self) -> Chunk | None:
        """Read the edges of the next chunk; return the chunk if they are missing."""
        chunk = next(self._coming, None)
        if chunk is None:
            return None
        edges = None if self._store is None else self._store.edges(chunk, self._intensity_range)
        if edges is not None:
            self._known = chunk, edges
            return None
        self._missing.append(chunk)
        return chunk

    def _together(self, chunk: Chunk, _: WindowThreads) -> Iterator[tuple[Chunk, Edges]]:
        frames = self._frames.between(chunk.reach)
        edges = self._association.edges(chunk, frames, self._score)
        self._final(chunk.frames.stop)
        yield self._missing.popleft(), edges

    def _streamed(self, chunk: Chunk, threads: WindowThreads) -> Iterator[tuple[Chunk, Edges]]:
        """Yield a missing chunk, and those after it, as soon as their frames are final."""
        parts = []
        for part in self._parts(chunk, threads):
            if self._missing and part.frame in self._missing[0].frames:
                parts.append(part)
                self._final(part.frame + 1)
                if part.frame == self._missing[0].frames[-1]:
                    yield self._missing.popleft(), joined_edges(parts)
                    parts = []

    def _parts(self, chunk: Chunk, threads: WindowThreads) -> Iterator[FrameEdges]:
        """Yield the edges of the frames from a missing chunk to the last one before a known one."""
        begin, last = chunk.reach.start, chunk
        stream = self._association.stream(self._score, begin, threads)
        for last in chain([chunk], iter(self._looked_up, None)):
            for detections in self._frames.between(range(begin, last.reach.stop)):
                yield from stream.push(detections)
            begin = last.reach.stop
        yield from stream.finish() if last.ends_movie else stream.close(last.frames.stop)
