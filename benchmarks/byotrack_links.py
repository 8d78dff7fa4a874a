"""ByoTrack's links of detections: each line of the input is DETECTIONS.npz<tab>LINKS.npz.

Runs where byotrack is installed, and imports nothing of ours. Two linkers, each at several longest
distances: of nearest neighbours, and with a Kalman filter whose noises ByoTrack estimates from the
sizes of objects. Tracks may split; there are no links over gaps.
"""

import os
import sys
from collections import defaultdict
from itertools import pairwise

import byotrack
import numpy as np
import torch
from byotrack.implementation.linker.frame_by_frame.kalman_linker import (
    KalmanLinker,
    KalmanLinkerParameters,
)
from byotrack.implementation.linker.frame_by_frame.nearest_neighbor import (
    NearestNeighborLinker,
    NearestNeighborParameters,
)

COMMON = {"n_valid": 1, "n_gap": 0, "split_factor": 1.0}


def main(given: str, found: str) -> None:
    """Link the detections of one file, and write LINKER_N, (E, 2), at its N-th distance."""
    torch.set_num_threads(1)
    data = np.load(given)
    radius = float(data["diameter"].mean()) / 2
    result = {}
    for number, distance in enumerate(data["distances"].tolist()):
        nearest = NearestNeighborLinker(NearestNeighborParameters(distance, **COMMON))
        kalman = kalman_linker(distance, radius)
        for name, linker in (("nearest", nearest), ("kalman", kalman)):
            result[f"{name}_{number}"] = links(linker, data["frame"], data["centroid"])
    np.savez(f"{found}.part.npz", **result)
    os.replace(f"{found}.part.npz", found)


def kalman_linker(distance: float, radius: float) -> KalmanLinker:
    """Return the linker with a Kalman filter of constant velocity."""
    parameters = KalmanLinkerParameters(
        distance,
        detection_std=radius / 2,
        process_std=radius,
        cost="euclidean",
        track_building="detection",
        **COMMON,
    )
    return KalmanLinker(parameters)


def links(linker, frame: np.ndarray, centroid: np.ndarray) -> np.ndarray:
    """Return the links between neighbouring frames, within tracks and from mothers to daughters."""
    first_row = np.searchsorted(frame, np.arange(frame[-1] + 2))
    linker.reset(centroid.shape[1])
    for start, stop in pairwise(first_row.tolist()):
        position = torch.from_numpy(centroid[start:stop].astype(np.float32))
        linker.update(None, byotrack.PointDetections(position))
    rows, children = {}, defaultdict(list)
    for track in linker.collect():
        number = track.detection_ids.numpy().astype(np.int64)
        rows[track.identifier] = [
            first_row[track.start + i] + n if n >= 0 else -1 for i, n in enumerate(number)
        ]
        children[track.parent_id].append(track.identifier)
    pairs = [pair for chain in rows.values() for pair in pairwise(chain)]
    pairs += [
        (rows[mother][-1], rows[child][0])
        for mother, daughters in children.items()
        if mother in rows
        for child in daughters
    ]
    pairs = [(i, j) for i, j in pairs if min(i, j) >= 0 and frame[j] - frame[i] == 1]
    return np.array(pairs, np.int64).reshape(-1, 2)


if __name__ == "__main__":
    for line in sys.stdin:
        main(*line.rstrip("\n").split("\t"))
