"""A microscope that looks closer at cells that divide, on Micro-Manager's demo camera.

    pip install ".[cpu,micromanager]" mm-test-adapters && python tests/closed_loop.py

The camera is simulated (DemoCamera), and cells are painted into its noise before the image is
processed. The rest is as on a real microscope: images are segmented and tracked during the
acquisition. When a cell divides, the next event is a close-up of its daughters: another channel,
with the stage moved to them.
"""

import queue
from collections.abc import Iterator

import numpy as np
import pymmcore
from mm_test_adapters import device_adapter_path
from pymmcore_plus import CMMCorePlus
from pymmcore_plus.mda import MDAEngine
from scipy import ndimage
from useq import MDAEvent

from trackastra_engine import Tracker
from trackastra_engine.online import OnlineTracker, Session, Update
from trackastra_engine.online.micromanager import MdaHandler

N_FRAMES = 12
N_CELLS = 9
DIVISIONS = {3: 4, 7: 1}  # by frame: the cell that has two daughters there
THE_END = None  # in the queue of events


class Cells:
    """Discs that drift, and sometimes divide."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(1)
        rows, columns = np.divmod(np.arange(N_CELLS), 3)
        self.places = 110.0 + 140 * np.column_stack([rows, columns])  # (N, 2) pixels, (y, x)
        self.radii = np.full(N_CELLS, 18.0)

    def grow(self, frame: int) -> None:
        """Advance to a frame."""
        self.places += self.rng.normal(0, 1, self.places.shape)
        if frame in DIVISIONS:
            mother = DIVISIONS[frame]
            self.places = np.vstack([self.places, self.places[mother] + (0, 26)])
            self.places[mother] -= (0, 26)
            self.radii[mother] *= 0.75
            self.radii = np.append(self.radii, self.radii[mother])

    def light(self, shape: tuple[int, int]) -> np.ndarray:
        """Return the light of the cells, to be added to an image."""
        grid = np.indices(shape)[:, None]
        distance = np.hypot(*(grid - self.places.T[:, :, None, None]))
        return 2000 * (distance < self.radii[:, None, None]).any(axis=0)


def is_overview(event: MDAEvent) -> bool:
    """Return whether an image is to be tracked, and not a close-up."""
    return "what" not in event.metadata


class PaintingEngine(MDAEngine):
    """Acquires, and paints the cells of the time point into the image."""

    cells = Cells()

    def exec_event(self, event: MDAEvent) -> Iterator:
        for image, done, meta in super().exec_event(event):
            if is_overview(event):
                self.cells.grow(event.index["t"])
            yield image + self.cells.light(image.shape).astype(image.dtype), done, meta


def segment(image: np.ndarray) -> np.ndarray:
    """Return the mask of an image: its bright connected regions."""
    return ndimage.label(ndimage.gaussian_filter(image.astype(float), 1) > 1500)[0]


class ClosedLoop:
    """Decides on the next event when a frame was tracked."""

    def __init__(self, core: CMMCorePlus) -> None:
        self.core, self.events = core, queue.Queue()
        self.events.put(MDAEvent(index={"t": 0}))

    def react(self, update: Update) -> None:
        """Request a close-up of new daughters, then the next frame."""
        for mother, one, other in update.divisions.centroid.reshape(-1, 3, 2):
            y, x = (one + other) / 2
            print(f"frame {update.frame}: the cell at ({mother[0]:.0f}, {mother[1]:.0f}) divided")
            self.events.put(self.close_up(update.frame, y, x))
        is_last = update.frame == N_FRAMES - 1
        self.events.put(THE_END if is_last else MDAEvent(index={"t": update.frame + 1}))

    def close_up(self, frame: int, y: float, x: float) -> MDAEvent:
        """Return an event with the stage at the place of a pixel."""
        pixel_um = self.core.getPixelSizeUm()
        height, width = self.core.getImageHeight(), self.core.getImageWidth()
        return MDAEvent(
            index={"t": frame},
            channel="FITC",
            x_pos=(x - width / 2) * pixel_um,
            y_pos=(y - height / 2) * pixel_um,
            metadata={"what": "close-up"},
        )

    def stop(self, fov: object, frame: int, error: BaseException) -> None:
        """End the acquisition after an error."""
        print(f"frame {frame}: {error}")
        self.events.put(THE_END)


class Listener:
    """Prints the position of each image, like other outputs of an acquisition."""

    def frameReady(self, image: np.ndarray, event: MDAEvent) -> None:  # noqa: N802
        what = event.metadata.get("what", "overview")
        place = "" if event.x_pos is None else f" at ({event.y_pos:.0f}, {event.x_pos:.0f}) um"
        print(f"acquired {what} {event.index['t']}{place}")


def main() -> None:
    """Acquire, track, react."""
    core = CMMCorePlus(mm_path=device_adapter_path())
    core.loadSystemConfiguration()
    core.setProperty("Camera", "Mode", "Noise")
    core.setProperty("Camera", "PixelType", "16bit")
    core.mda.set_engine(PaintingEngine(core))
    loop, session = ClosedLoop(core), Session(Tracker.load("general_2d", device="cpu"))
    with OnlineTracker(session, loop.react, loop.stop, segment=segment) as tracker:
        handler = MdaHandler(tracker, select=is_overview)
        events = iter(loop.events.get, THE_END)
        core.run_mda(events, output=[Listener(), handler]).join()
        lineage = tracker.finish()
    print(f"{len(lineage.tracklets)} tracks, {lineage.n_divisions} divisions")
    # Without this, some versions sometimes abort when the interpreter ends.
    pymmcore.CMMCore.registerCallback(core, None)


if __name__ == "__main__":
    main()
