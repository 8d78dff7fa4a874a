"""Frames pushed one by one, each timed from the call to its update."""

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.seeded_movies import SwingingCells, images_of
from benchmarks.workers.serve import memory_mb, serve
from trackastra_engine import Tracker
from trackastra_engine.online import Session
from trackastra_engine.online.field_of_view import FieldOfView
from trackastra_engine.serving.examples.client import Client

Frame = NDArray[np.uint16]
Push = Callable[[Frame, Frame], object]  # of image and mask
SAMPLE_FRAMES = 100  # between two measurements of memory


class Pushes:
    """A session in this process."""

    def __init__(self, n_frames: str, n_cells: str, side_px: str, device: str) -> None:
        self._masks = SwingingCells(int(n_frames), int(n_cells), int(side_px))
        mask = self._masks[0]
        tracker = Tracker.load(device=device)
        self._session = Session(tracker, like=(images_of(mask), mask))

    def run(self) -> None:
        """Push all frames."""
        self._session.fields.clear()
        self._found = timed_pushes(self._masks, self._session.push)

    def result(self) -> dict[str, NDArray[Any]]:
        """Return seconds by frame, and megabytes: of the process by sample, and of the tracks."""
        return {**self._found, "tracks_mb": np.array(stored_bytes(self._session.fields[0]) / 1e6)}


class Served:
    """A client of `trackastra-engine serve`, which runs on the same core."""

    def __init__(self, n_frames: str, n_cells: str, side_px: str, device: str) -> None:
        self._masks = SwingingCells(int(n_frames), int(n_cells), int(side_px))
        command = (sys.executable, "-m", "trackastra_engine", "serve", "--listen", "127.0.0.1:0")
        self._process = subprocess.Popen(
            [*command, "--device", device], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        self._client = Client(port=int(said.rpartition(":")[2]))
        mask = self._masks[0]
        self._client.ask("prepare", {"image": images_of(mask), "mask": mask})

    def run(self) -> None:
        """Push all frames."""

        def push(image: Frame, mask: Frame) -> object:
            return self._client.ask("push", {"image": image, "mask": mask})

        self._found = timed_pushes(self._masks, push)
        self._client.ask("finish", {})

    def result(self) -> dict[str, NDArray[Any]]:
        """Return seconds by frame, and end the server."""
        self._client.close()
        self._process.terminate()
        self._process.wait()
        return self._found


def timed_pushes(masks: SwingingCells, push: Push) -> dict[str, NDArray[Any]]:
    """Push the frames of a movie, which are drawn in between; return the time of each."""
    wall_s, cpu_s, memory = [], [], []
    for frame in range(len(masks)):
        mask = masks[frame]
        image = images_of(mask, seed=frame)
        wall, cpu = time.perf_counter(), time.process_time()
        push(image, mask)
        wall_s.append(time.perf_counter() - wall)
        cpu_s.append(time.process_time() - cpu)
        if frame % SAMPLE_FRAMES == SAMPLE_FRAMES - 1:
            memory.append(memory_mb())
    return {"wall_s": np.array(wall_s), "cpu_s": np.array(cpu_s), "memory_mb": np.array(memory)}


def stored_bytes(field: FieldOfView) -> int:
    """Return the bytes of the arrays that a field stores: detections, edges, links, tracks."""
    tables = [*field.found, *field.edges, *field.links]
    columns = [getattr(table, column.name) for table in tables for column in fields(table)]
    return sum(map(sys.getsizeof, [*columns, *field._tracks]))


if __name__ == "__main__":
    serve({"session": Pushes, "serve": Served})
