"""btrack's links of detections: each line of the input is DETECTIONS.npz<tab>LINKS.npz.

Runs where btrack is installed, and imports nothing of ours. The default cell model is the one that
`btrack.datasets` fetches once and stores in the user's cache folder.
"""

import os
import sys
from itertools import pairwise

import btrack
import numpy as np
from btrack import datasets
from btrack.btypes import PyTrackObject


def main(given: str, found: str) -> None:
    """Track the detections of one file and write their links, rows (E, 2), to another."""
    data = np.load(given)
    centroid = data["centroid"] - np.minimum(data["centroid"].min(axis=0), 0)
    with btrack.BayesianTracker(verbose=False) as tracker:
        tracker.configure(datasets.cell_config())
        tracker.append(objects(data["frame"], centroid))
        edge = centroid.max(axis=0) + 1
        tracker.volume = tuple((0.0, float(size)) for size in edge[::-1])
        tracker.track()
        was_optimised = len(tracker.optimise()) > 0
        result = {"links": links(tracker.tracks), "was_optimised": was_optimised}
    np.savez(f"{found}.part.npz", **result)
    os.replace(f"{found}.part.npz", found)


def objects(frame: np.ndarray, centroid: np.ndarray) -> list[PyTrackObject]:
    """Return the detections as btrack's objects, whose ID is their row."""
    result = []
    for row, (t, position) in enumerate(zip(frame.tolist(), centroid.tolist(), strict=True)):
        place = dict(zip("xyz", position[::-1], strict=False))
        result.append(PyTrackObject.from_dict({"ID": row, "t": t, "z": 0.0, **place}))
    return result


def links(tracks: list) -> np.ndarray:
    """Return the links between neighbouring frames, within tracks and from mothers to daughters."""
    ends = {track.ID: (track.t[0], track.refs[0]) for track in tracks}
    chains = [list(zip(track.t, track.refs, strict=True)) for track in tracks]
    chains += [
        [(track.t[-1], track.refs[-1]), ends[child]]
        for track in tracks
        for child in track.children or []
    ]
    # Objects that btrack inserted in gaps have negative numbers.
    pairs = [
        (source, target)
        for chain in chains
        for (t, source), (u, target) in pairwise(chain)
        if u - t == 1 and source >= 0 and target >= 0
    ]
    return np.array(pairs, np.int64).reshape(-1, 2)


if __name__ == "__main__":
    for line in sys.stdin:
        main(*line.rstrip("\n").split("\t"))
