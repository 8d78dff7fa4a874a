"""The detections of some frames in a row, of a movie that comes frame by frame."""

from collections import deque
from collections.abc import Iterable, Iterator

from trackastra_engine.detection.detections import Detections


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
