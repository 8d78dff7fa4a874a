"""ultrack's links of masks: each line of the input is MASKS.npz<tab>LINKS.npz.

Runs where ultrack is installed, and imports nothing of ours. The objects of the masks are its only
hypotheses: touching objects are separated by a pixel. The solver is CBC, which needs no licence.
"""

import os
import sys
import tempfile

import numpy as np
from skimage.morphology import remove_small_objects
from ultrack import MainConfig
from ultrack.core.export import to_tracks_layer, tracks_to_zarr
from ultrack.core.main import track

MIN_AREA = 10  # pixels; ultrack fails where a part of an object has fewer than 5


def main(given: str, found: str) -> None:
    """Link the masks (T, Y, X) of one file, and write links_N, (E, 4), at its N-th distance."""
    data = np.load(given)
    result = {
        f"links_{number}": links(data["masks"], distance)
        for number, distance in enumerate(data["distances"].tolist())
    }
    np.savez(f"{found}.part.npz", **result)
    os.replace(f"{found}.part.npz", found)


def links(masks: np.ndarray, distance: float) -> np.ndarray:
    """Return frame and label of the source, and of the target, of links to the next frame."""
    config = MainConfig()
    config.segmentation_config.min_area = MIN_AREA
    config.segmentation_config.max_area = masks[0].size
    config.segmentation_config.min_frontier = 0.0
    config.linking_config.max_distance = distance
    config.tracking_config.solver_name = "CBC"
    with tempfile.TemporaryDirectory() as folder:
        config.data_config.working_dir = folder
        track(config, foreground=set_apart(masks), contours=np.zeros(masks.shape, np.float32))
        table, _ = to_tracks_layer(config)
        label_of = labels_of_tracks(masks, tracks_to_zarr(config, table))
    place = {row.id: (int(row.t), int(row.track_id)) for row in table.itertuples()}
    pairs = [(place.get(row.parent_id), place[row.id]) for row in table.itertuples()]
    found = [
        (source[0], label_of[source], target[0], label_of[target])
        for source, target in pairs
        if source in label_of and target in label_of and target[0] - source[0] == 1
    ]
    return np.array(found, np.int64).reshape(-1, 4)


def labels_of_tracks(masks: np.ndarray, tracks: np.ndarray) -> dict[tuple[int, int], int]:
    """Return the label with which a track shares the most pixels, by frame and track."""
    label_of = {}
    for t, mask in enumerate(masks):
        track_id, label = np.asarray(tracks[t]).ravel(), mask.ravel()
        is_both = (track_id > 0) & (label > 0)
        both = np.stack([track_id[is_both], label[is_both]])
        pairs, counts = np.unique(both, axis=1, return_counts=True)
        for column in np.argsort(counts):  # the label with the most pixels is last
            label_of[t, int(pairs[0, column])] = int(pairs[1, column])
    return label_of


def set_apart(masks: np.ndarray) -> np.ndarray:
    """Return the pixels (T, Y, X) of objects, without those next to another one and small rests."""
    inside = masks > 0
    for axis in (1, 2):
        first = [slice(None)] * 3
        second = [slice(None)] * 3
        first[axis], second[axis] = slice(None, -1), slice(1, None)
        a, b = masks[tuple(first)], masks[tuple(second)]
        inside[tuple(first)] &= ~((a > 0) & (b > 0) & (a != b))
    return np.stack([remove_small_objects(frame, MIN_AREA) for frame in inside])


if __name__ == "__main__":
    for line in sys.stdin:
        main(*line.rstrip("\n").split("\t"))
