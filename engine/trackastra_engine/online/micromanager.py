"""Acquisition with Micro-Manager: what pymmcore-plus and pycro-manager call for each image.

Neither of them is imported: their events and metadata are taken as they come.
"""

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from trackastra_engine.online.online_tracker import OnlineTracker

Image = NDArray[Any]  # (Y, X)
Metadata = dict[str, Any]  # of an image of pycro-manager; "Axes" tells its place in the acquisition


class Event(Protocol):
    """What is used of an event of an acquisition, a useq.MDAEvent."""

    @property
    def index(self) -> Mapping[str, int]:
        """Return the place of the image along the axes t, p, c, z and g, where they are."""


class MdaHandler:
    """Passes the images of pymmcore-plus on to an online tracker, which segments them.

    Give it as output of an acquisition, `core.run_mda(sequence, output=handler)`, beside files if
    you like, or connect `handler.frameReady` to `core.mda.events.frameReady`. A field of view is
    the number `p` of a position, and in a grid (`p`, `g`); frames are numbered by `t`. To acquire
    the same positions once more, finish them first. A tracker that blocks lets the images wait in
    pymmcore-plus, without a limit.
    """

    def __init__(
        self, tracker: OnlineTracker, *, select: Callable[[Any], bool] | None = None
    ) -> None:
        """Pass on all images, or those whose event is selected: one channel, for example."""
        self._tracker = tracker
        self._select = select

    def frameReady(self, image: Image, event: Event) -> None:  # noqa: N802, as pymmcore-plus has it
        """Hand an image over."""
        if self._select is None or self._select(event):
            place = event.index
            fov: Hashable = place.get("p", 0)
            if "g" in place:
                fov = (fov, place["g"])
            self._tracker.push(image, fov=fov, frame=place.get("t"))


def image_process_fn(
    tracker: OnlineTracker, *, select: Callable[[Metadata], bool] | None = None
) -> Callable[[Image, Metadata], tuple[Image, Metadata]]:
    """Return the image_process_fn of a pycro-manager acquisition, which passes images on.

    They are tracked all, or those whose metadata are selected, and go on to be shown and saved as
    they are. A field of view is the axis `position`, and frames are numbered by `time`.
    """

    def process(image: Image, metadata: Metadata) -> tuple[Image, Metadata]:
        if select is None or select(metadata):
            axes = metadata["Axes"]
            tracker.push(image, fov=axes.get("position", 0), frame=axes.get("time"))
        return image, metadata

    return process
