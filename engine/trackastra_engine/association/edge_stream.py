"""Compute edges with mean scores from detections, frame by frame.

A window slides over the frames as they arrive; its detections are scored together, and each edge's
score is averaged over the windows that contain it. A whole movie is processed like a growing one,
except that several of its windows may be scored at a time.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.association.window_threads import IN_TURN, WindowThreads
from trackastra_engine.detection.detections import (
    Detections,
    FloatArray,
    IntArray,
    concatenate,
    split_frames,
)
from trackastra_engine.errors import InputError
from trackastra_engine.model.edges import MIN_SCORE, Edges, concatenate_edges
from trackastra_engine.model.spec import ModelSpec

# On real movies, links are nearly as good as with a window for every frame, in 0.7 of the time.
USUAL_STRIDE = 2
# Frames from source to target of the longest links. Where mothers are missed in 3D, links over one
# missed frame prevent a third to half of the errors; elsewhere they change few
# (benchmarks/README.md, missed cells).
USUAL_GAP = 2
# Detections of windows that begin at every frame, whatever the stride: they cost little, and where
# few cells are seen, means over more windows have fewer errors (benchmarks/README.md, stride).
SMALL_WINDOW = 100
NEGLIGIBLE_SCORE = 1e-4  # lower scores are left out of means, which changes them by at most this

Score: TypeAlias = Callable[[Detections], Edges]  # of the detections of a window


@dataclass(frozen=True, slots=True, eq=False)
class FrameEdges:
    """All edges from the detections of one frame or consecutive frames, and these detections."""

    frame: int  # the first one
    stop: int  # the one after the last
    first_row: int  # of `detections`, among those of the movie
    detections: Detections  # of these frames, and of those of the targets
    edges: Edges  # rows of `detections`, sorted by source, then target


@dataclass(frozen=True, slots=True, eq=False)
class _Window:
    """A window whose scoring has started."""

    start: int  # its first frame
    frames: list[Detections]
    edges: Callable[[], Edges]  # waits for the edges that count

    @property
    def n_detections(self) -> int:
        """Return the number of detections."""
        return sum(map(len, self.frames))


def check_gap(max_gap: int, spec: ModelSpec) -> None:
    """Raise InputError if the model was not trained for links over `max_gap` frames."""
    if not 1 <= max_gap <= spec.max_frame_gap:
        learned = "1 frame" if spec.max_frame_gap == 1 else f"1 to {spec.max_frame_gap} frames"
        raise InputError(
            f"the longest gap is {max_gap}, but the model {spec.name} has learned links over "
            f"{learned}; choose one of these"
        )


def usual_gap(spec: ModelSpec, stride: int | None = None) -> int:
    """Return the longest link, in frames, where none is chosen: 1 for upstream's models, as there.

    Other models find cells again that were missed in one frame, if their windows cover such links
    at the stride; see benchmarks/clutter.py for the choice.
    """
    if spec.recipe == "upstream":
        return 1
    covered = spec.window - (USUAL_STRIDE if stride is None else stride)
    return max(1, min(USUAL_GAP, spec.max_frame_gap, covered))


def usual_stride(spec: ModelSpec, *, max_gap: int = 1) -> int:
    """Return the stride where none is chosen: 1 for upstream's models, whose edges must not change.

    See benchmarks/strides.py for its choice.
    """
    return 1 if spec.recipe == "upstream" else min(USUAL_STRIDE, spec.window - max_gap)


def check_stride(stride: int, spec: ModelSpec, *, max_gap: int = 1) -> None:
    """Raise InputError if windows at this stride leave out pairs of frames."""
    if not 1 <= stride <= spec.window - max_gap:
        raise InputError(
            f"the stride is {stride}, but windows of {spec.window} frames cover every pair of "
            f"frames{'' if max_gap == 1 else f' up to {max_gap} apart'} only at strides of 1 to "
            f"{spec.window - max_gap}; choose one of these"
        )


class EdgeStream:
    """Computes edges of frames that arrive one by one; returns each when its mean is final.

    A mean is final when all windows that contain its source have been scored; a movie shorter than
    the window is one window. The mean (paper, eq. 8) counts every window that contains both
    detections, or, with the averaging "above_threshold", only those that scored the edge at least
    MIN_SCORE, as in upstream (predict.py). Edges whose mean is below MIN_SCORE are left out.
    """

    def __init__(
        self,
        score: Score,
        spec: ModelSpec,
        *,
        stride: int = 1,
        max_gap: int = 1,
        first_frame: int = 0,
        threads: WindowThreads = IN_TURN,
    ) -> None:
        """Begin a movie, or a part of one.

        score: returns the edges, 1 to `max_gap` frames long, between the detections of a window;
        stride: windows begin at its multiples, small ones at every frame, see SMALL_WINDOW; the
            last one always ends with the movie;
        first_frame: the number of the first frame that will arrive;
        threads: score several windows at a time, so that edges are returned some frames later.

        Raises InputError if windows at this stride leave out pairs of frames.
        """
        check_stride(stride, spec, max_gap=max_gap)
        self._score = score
        self._spec = spec
        self._stride = stride
        self._max_gap = max_gap
        self._begin = first_frame  # no window begins before
        self._n_frames = first_frame  # frames that arrived, or are left out
        self._threads = threads
        self._begun: deque[_Window] = deque()  # those not scored yet, in order
        self._starts: deque[int] = deque(maxlen=spec.window)  # of the latest windows scored
        # Results that are not final, from this frame and row: detections by frame, and the edges
        # from them, of each window; rows count from the first detection of the frame.
        self._first_frame = first_frame
        self._first_row = 0
        self._frames: list[Detections] = []
        self._scored: list[list[Edges]] = []

    def push(self, detections: Detections) -> list[FrameEdges]:
        """Add the next frame, and return the edges of frames that are now final."""
        self._frames.append(detections)
        self._scored.append([])
        self._n_frames += 1
        start = self._n_frames - self._spec.window
        return self._begin_window(start) if start >= self._begin and self._is_due(start) else []

    def finish(self) -> list[FrameEdges]:
        """End the movie, and return the edges of all frames that were not final."""
        start, latest = max(self._begin, self._n_frames - self._spec.window), self._latest_start
        closed = self._begin_window(start) if latest is None or latest < start else []
        return closed + self.close(self._n_frames)

    def copy(self) -> "EdgeStream":
        """Return an independent stream in the same state."""
        stream = copy(self)
        stream._begun, stream._starts = self._begun.copy(), self._starts.copy()
        stream._frames = self._frames.copy()
        stream._scored = [parts.copy() for parts in self._scored]
        return stream

    @property
    def n_final(self) -> int:
        """Return the number of frames, from the first, whose edges were returned."""
        return self._first_frame

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the arrays that `restore` needs besides the detections of the frames."""
        by_frame = [concatenate_edges(parts) for parts in self._scored]
        edges = concatenate_edges(by_frame)
        return {
            "starts": np.array(self._starts, np.int64),
            "n_scored": np.array([len(part) for part in by_frame], np.int64),
            "source": edges.source,
            "target": edges.target,
            "score": edges.score,
        }

    def restore(self, state: Mapping[str, NDArray[Any]], frames: Sequence[Detections]) -> None:
        """Continue from a state; frames: the detections of all frames that arrived.

        Raises ValueError if the two do not match.
        """
        n_scored = state["n_scored"].tolist()
        self._n_frames = len(frames)
        self._first_frame = len(frames) - len(n_scored)
        self._first_row = sum(map(len, frames[: self._first_frame]))
        self._frames = list(frames[self._first_frame :])
        self._starts.extend(state["starts"].tolist())
        edges = Edges(state["source"], state["target"], state["score"])
        if self._first_frame < 0 or sum(n_scored) != len(edges):
            raise ValueError("edges belong to missing frames")
        ends = np.cumsum([0, *map(len, self._frames)])
        for offset, own in enumerate(np.split(np.arange(len(edges)), np.cumsum(n_scored)[:-1])):
            scored = edges.rows(own)
            n_rows = ends[offset : offset + self._max_gap + 2] - ends[offset]
            if not (
                _lie_in(scored.source, 0, n_rows[1]) and _lie_in(scored.target, *n_rows[[1, -1]])
            ):
                raise ValueError("edges lead to missing detections")
            self._scored.append([scored])

    def _is_due(self, start: int) -> bool:
        """Return whether the window from a frame to the latest one is scored."""
        frames = self._frames[start - self._first_frame :]
        return start % self._stride == 0 or sum(map(len, frames)) <= SMALL_WINDOW

    @property
    def _latest_start(self) -> int | None:
        """Return the first frame of the latest window; None before the first."""
        if self._begun:
            return self._begun[-1].start
        return self._starts[-1] if self._starts else None

    def _begin_window(self, start: int) -> list[FrameEdges]:
        """Start to score the window from a frame on; finish windows above the limits."""
        frames = self._frames[start - self._first_frame :]
        window = concatenate(frames, self._spec.ndim)
        free = self._threads.max_detections - len(window)
        closed = []
        while self._begun and sum(begun.n_detections for begun in self._begun) > free:
            closed += self._end_window()
        self._begun.append(_Window(start, frames, self._threads.begin(self._score_window, window)))
        while len(self._begun) > self._threads.max_windows:
            closed += self._end_window()
        return closed

    def _score_window(self, window: Detections) -> Edges:
        """Return the edges of a window that count; none if it has detections in one frame only."""
        if not len(window) or window.frame[0] == window.frame[-1]:
            return concatenate_edges([])
        edges = self._score(window)
        floor = NEGLIGIBLE_SCORE if self._spec.averaging == "all" else MIN_SCORE
        return edges.rows(np.flatnonzero(edges.score >= floor))

    def _end_window(self) -> list[FrameEdges]:
        """Add the edges of the first window that was started; return those of frames now final."""
        window = self._begun.popleft()
        edges = window.edges()
        self._starts.append(window.start)
        ends = np.cumsum([len(detections) for detections in window.frames])
        source_frame = np.searchsorted(ends, edges.source, side="right")
        first = window.start - self._first_frame
        for offset, detections in enumerate(window.frames):
            own = edges.rows(np.flatnonzero(source_frame == offset))
            self._scored[first + offset].append(own.shifted(len(detections) - int(ends[offset])))
        return self._close(min(window.start + 1, self._n_frames))

    def close(self, stop: int) -> list[FrameEdges]:
        """Return the edges of the frames before `stop`, which no later window may contain."""
        closed = []
        while self._begun:
            closed += self._end_window()
        return closed + self._close(stop)

    def _close(self, stop: int) -> list[FrameEdges]:
        """Return the edges of the frames before `stop`, whose windows are all finished."""
        closed = []
        while self._first_frame < stop:
            closed.append(self._mean_edges())
            self._first_row += len(self._frames.pop(0))
            self._scored.pop(0)
            self._first_frame += 1
        return closed

    def _mean_edges(self) -> FrameEdges:
        """Return the edges of the first frame that is not final, with their means so far."""
        detections = concatenate(self._frames[: self._max_gap + 1], self._spec.ndim)
        scored = concatenate_edges(self._scored[0])
        n_rows = max(1, len(detections))
        key = scored.source.astype(np.int64) * n_rows + scored.target
        key, edge = np.unique(key, return_inverse=True)
        source, target = (rows.astype(np.int32) for rows in np.divmod(key, n_rows))
        total = np.bincount(edge, scored.score, minlength=len(key))
        if self._spec.averaging == "all":
            count = self._n_windows_with(detections.frame[target])
        else:
            count = np.bincount(edge, minlength=len(key))
        score: FloatArray = total / count
        edges = Edges(source, target, score).rows(np.flatnonzero(score >= MIN_SCORE))
        first, row = self._first_frame, self._first_row
        return FrameEdges(first, first + 1, row, detections, edges)

    def _n_windows_with(self, frame: IntArray) -> IntArray:
        """Return the number of windows with the first frame that is not final and each `frame`."""
        starts = np.array(self._starts)
        n_begun = int(np.searchsorted(starts, self._first_frame, side="right"))
        return n_begun - np.searchsorted(starts, frame - self._spec.window, side="right")


def _lie_in(rows: IntArray, first: int, stop: int) -> bool:
    return bool(((rows >= first) & (rows < stop)).all())


def associate_movie(
    score: Score, spec: ModelSpec, detections: Detections, *, stride: int = 1, max_gap: int = 1
) -> Edges:
    """Return the edges of a whole movie, sorted by source, then target; see EdgeStream."""
    stream = EdgeStream(score, spec, stride=stride, max_gap=max_gap)
    n_frames = int(detections.frame.max(initial=-1)) + 1
    parts: list[FrameEdges] = []
    for frame in split_frames(detections, n_frames):
        parts += stream.push(frame)
    parts += stream.finish()
    return concatenate_edges(part.edges.shifted(part.first_row) for part in parts)
