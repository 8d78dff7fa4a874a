"""Trackers that a user could install instead: laptrack, and btrack from its own environment."""

import subprocess
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.detection.detections import Detections

BTRACK_SCRIPT = Path(__file__).with_name("btrack_links.py")


def laptrack_links(detections: Detections, max_distance: float) -> NDArray[np.int64]:
    """Return the links (E, 2) of laptrack with divisions, none longer than `max_distance` pixels.

    Links over gaps are left out.
    """
    from laptrack import LapTrack  # several seconds

    tracker = LapTrack(
        cutoff=max_distance**2,
        gap_closing_cutoff=max_distance**2,
        splitting_cutoff=max_distance**2,
    )
    first_row = np.searchsorted(detections.frame, np.arange(int(detections.frame[-1]) + 2))
    tree = tracker.predict(np.split(detections.centroid, first_row[1:-1]))
    links = [
        (first_row[t] + i, first_row[u] + j)
        for (t, i), (u, j) in (sorted(edge) for edge in tree.edges)
        if u - t == 1
    ]
    return np.array(links, np.int64).reshape(-1, 2)


def btrack_links(python: str, detections: Detections) -> tuple[NDArray[np.int64], bool]:
    """Return the links (E, 2) of btrack with its default cell model, and whether it optimised them.

    The step that finds divisions gives up after a minute. python: an interpreter whose environment
    holds btrack.
    """
    with tempfile.TemporaryDirectory() as folder:
        given, found = Path(folder, "detections.npz"), Path(folder, "links.npz")
        np.savez(given, frame=detections.frame, centroid=detections.centroid)
        subprocess.run([python, BTRACK_SCRIPT, given, found], check=True, capture_output=True)
        result = np.load(found)
        return result["links"], bool(result["was_optimised"])
