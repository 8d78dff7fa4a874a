"""Stage 3: slide a window over the frames of a movie."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from trackastra_engine.detections import Detections


@dataclass(frozen=True, slots=True)
class Window:
    """A few consecutive frames, whose detections are scored together."""

    first_frame: int
    rows: slice  # of the movie's Detections


def windows(detections: Detections, n_frames: int, size: int) -> Iterator[Window]:
    """Yield every window of `size` frames; a shorter movie is one window.

    Windows in which no two frames hold detections are left out: there is nothing to associate.
    """
    size = min(size, n_frames)
    offsets = np.searchsorted(detections.frame, np.arange(n_frames + 1))
    is_filled = np.diff(offsets) > 0
    for first in range(n_frames - size + 1):
        if is_filled[first : first + size].sum() >= 2:
            yield Window(first, slice(int(offsets[first]), int(offsets[first + size])))
