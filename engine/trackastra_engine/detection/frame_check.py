"""Report frames without objects, and frames that repeat the one before."""

import logging
from collections.abc import Sequence
from itertools import groupby

import numpy as np

from trackastra_engine.detection.detections import Detections
from trackastra_engine.progress import NOTICE

logger = logging.getLogger(__name__)

SEVERAL = 3  # objects of a frame from which the next is hardly empty, or equal to it
N_SHOWN = 5  # ranges of frames in a message


class FrameWatch:
    """Compares the frames of one movie with those before."""

    def __init__(self) -> None:
        self._last: Detections | None = None  # of the frame before
        self._n_objects: list[int] = []  # of each frame
        self._repeated: list[int] = []  # frames

    def see(self, detections: Detections) -> None:
        """Note the detections of the next frame."""
        if self._last is not None and _are_equal(detections, self._last):
            self._repeated.append(len(self._n_objects))
        self._n_objects.append(len(detections))
        self._last = detections

    def finish(self, name: str) -> None:
        """Report empty and repeated frames; name: of the masks."""
        if empty := self._suddenly_empty():
            frames = f"frame{'s' * (len(empty) > 1)} {in_ranges(empty)}"
            logger.warning("%s has no object in %s; check the segmentation", name, frames)
        if len(self._repeated) + 1 == len(self._n_objects) > 1:
            logger.log(NOTICE, "all frames of %s have the same objects at the same places", name)
        elif self._repeated:
            logger.warning(
                "%s has the same objects as in the frame before in frame%s %s; check that no frame "
                "was saved twice",
                *(name, "s" * (len(self._repeated) > 1), in_ranges(self._repeated)),
            )

    def _suddenly_empty(self) -> list[int]:
        """Return the frames of empty stretches next to a frame with several objects."""
        found, last = list[int](), 0
        for is_empty, stretch in groupby(enumerate(self._n_objects), lambda one: one[1] == 0):
            frames = [frame for frame, _ in stretch]
            following = self._n_objects[frames[-1] + 1 :][:1]
            if is_empty and max([last, *following]) >= SEVERAL:
                found += frames
            last = self._n_objects[frames[-1]]
        return found


def in_ranges(numbers: Sequence[int]) -> str:
    """Return ascending whole numbers as text.

    Examples
    --------
    >>> in_ranges([3, 5, 6, 7])
    '3, 5 to 7'
    """
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    texts = [f"{part[0]} to {part[-1]}" if len(part) > 1 else f"{part[0]}" for part in parts]
    return ", ".join(texts[:N_SHOWN]) + ", ..." * (len(texts) > N_SHOWN)


def _are_equal(detections: Detections, before: Detections) -> bool:
    """Return whether several objects have the shapes and places of those of the frame before."""
    return (
        len(detections) >= SEVERAL
        and np.array_equal(detections.centroid, before.centroid)
        and np.array_equal(detections.features[:, 2:], before.features[:, 2:])
    )
