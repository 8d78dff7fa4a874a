"""The detections of consecutive frames, of a movie that arrives frame by frame."""

from collections import deque
from collections.abc import Iterable, Iterator

from trackastra_engine.detection.detections import Detections


class SlidingFrames:
    """The detections of frames that arrive one by one, by number, until they are removed."""

    def __init__(self, frames: Iterable[Detections]) -> None:
        self._coming = iter(frames)
        self._stored: deque[Detections] = deque()
        self._first = 0  # of the stored frames

    def between(self, frames: range) -> Iterator[Detections]:
        """Yield the detections of some frames, none of which was removed, as they arrive."""
        for frame in frames:
            while frame >= self._first + len(self._stored):
                self._stored.append(next(self._coming))
            yield self._stored[frame - self._first]

    def forget(self, stop: int) -> None:
        """Remove the frames before `stop`, all of which have arrived."""
        while self._first < stop:
            self._stored.popleft()
            self._first += 1
