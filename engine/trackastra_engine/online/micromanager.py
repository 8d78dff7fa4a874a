"""Callbacks that pymmcore-plus and pycro-manager (Micro-Manager) call for each image.

Neither package is imported: their events and metadata are used as they are.
"""

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from trackastra_engine.online.online_tracker import OnlineTracker

Image = NDArray[Any]  # (Y, X)
Metadata = dict[str, Any]  # of an image of pycro-manager; "Axes" is its place in the acquisition


class Event(Protocol):
    """The used part of an event of an acquisition, a useq.MDAEvent."""

    @property
    def index(self) -> Mapping[str, int]:
        """Return the place of the image along those of the axes t, p, c, z and g that exist."""


class MdaHandler:
    """Passes the images of pymmcore-plus to an online tracker, which segments them.

    Use it as output of an acquisition, `core.run_mda(sequence, output=handler)`, also together
    with files, or connect `handler.frameReady` to `core.mda.events.frameReady`. A field of view is
    the number `p` of a position, and in a grid (`p`, `g`); frames are numbered by `t`. Finish
    positions before you acquire them again. If the tracker blocks, images wait in pymmcore-plus
    without a limit.

    Parameters
    ----------
    tracker : OnlineTracker
        With a `segment`.
    select : callable, optional
        Takes an event; only selected images are tracked, for example those of one channel.

    Examples
    --------
    >>> handler = MdaHandler(online, select=lambda event: event.index.get("c") == 0)
    >>> core.run_mda(sequence, output=handler)  # doctest: +SKIP
    """

    def __init__(
        self, tracker: OnlineTracker, *, select: Callable[[Any], bool] | None = None
    ) -> None:
        """Pass on images; see the class."""
        self._tracker = tracker
        self._select = select

    def frameReady(self, image: Image, event: Event) -> None:  # noqa: N802, as pymmcore-plus has it
        """Pass an image to the tracker."""
        if self._select is None or self._select(event):
            place = event.index
            fov: Hashable = place.get("p", 0)
            if "g" in place:
                fov = (fov, place["g"])
            self._tracker.push(image, fov=fov, frame=place.get("t"))


def image_process_fn(
    tracker: OnlineTracker, *, select: Callable[[Metadata], bool] | None = None
) -> Callable[[Image, Metadata], tuple[Image, Metadata]]:
    """Return the image_process_fn of a pycro-manager acquisition, which also tracks the images.

    They are shown and saved as without it. A field of view is the axis `position`, and frames are
    numbered by `time`.

    Parameters
    ----------
    tracker : OnlineTracker
        With a `segment`.
    select : callable, optional
        Takes the metadata of an image; only selected images are tracked.

    Returns
    -------
    callable

    Examples
    --------
    >>> process = image_process_fn(online)
    >>> Acquisition("folder", "name", image_process_fn=process)  # doctest: +SKIP
    """

    def process(image: Image, metadata: Metadata) -> tuple[Image, Metadata]:
        if select is None or select(metadata):
            axes = metadata["Axes"]
            tracker.push(image, fov=axes.get("position", 0), frame=axes.get("time"))
        return image, metadata

    return process
