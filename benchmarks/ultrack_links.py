"""ultrack's links of masks: each line of the input is MASKS.npz<tab>LINKS.npz.

Runs where ultrack is installed, and imports nothing of ours. The objects of the masks are its only
hypotheses: touching objects are separated by a pixel. The solver is CBC, which needs no licence.
"""

import os
import sys
import tempfile

import numpy as np
import sqlalchemy
from skimage.morphology import remove_small_objects
from sqlalchemy.orm import Session
from ultrack import MainConfig
from ultrack.core.database import NodeDB
from ultrack.core.main import track

MIN_AREA = 10  # pixels; ultrack fails where a part of an object has fewer than 5


def main(given: str, found: str) -> None:
    """Link the masks (T, [Z,] Y, X) of a file, and write links_N, (E, 4), at its N-th distance."""
    data = np.load(given)
    masks, distances = data["masks"], data["distances"].tolist()
    config = MainConfig()
    config.segmentation_config.min_area = MIN_AREA
    config.segmentation_config.max_area = masks[0].size
    config.segmentation_config.min_frontier = 0.0
    config.tracking_config.solver_name = "CBC"
    pixels = {"foreground": set_apart(masks), "contours": np.zeros(masks.shape, np.float32)}
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        config.data_config.working_dir = folder
        for number, distance in enumerate(distances):
            config.linking_config.max_distance = distance
            track(config, **pixels, overwrite="links" if number else "none")
            result[f"links_{number}"] = links(config.data_config.database_path, masks)
    np.savez(f"{found}.part.npz", **result)
    os.replace(f"{found}.part.npz", found)


def links(database: str, masks: np.ndarray) -> np.ndarray:
    """Return frame and label of the source, and of the target, of links to the next frame."""
    with Session(sqlalchemy.create_engine(database)) as session:
        selected = session.query(NodeDB.id, NodeDB.parent_id, NodeDB.t, NodeDB.pickle).where(
            NodeDB.selected
        )
        nodes = {
            own: (parent, frame, label_of(node, masks[frame]))
            for own, parent, frame, node in selected
        }
    found = {
        (nodes[parent][1], nodes[parent][2], frame, label)
        for parent, frame, label in nodes.values()
        if parent in nodes and frame - nodes[parent][1] == 1
    }  # an object in several parts has several nodes
    return np.array(sorted(found), np.int64).reshape(-1, 4)


def label_of(node, mask: np.ndarray) -> int:
    """Return the label with which a node of the frame shares the most pixels."""
    begin, end = np.split(node.bbox, 2)
    place = tuple(slice(a, b) for a, b in zip(begin, end, strict=True))
    return int(np.bincount(mask[place][node.mask]).argmax())


def set_apart(masks: np.ndarray) -> np.ndarray:
    """Return the pixels of objects, without those next to another one and small rests."""
    inside = masks > 0
    for axis in range(1, masks.ndim):
        first = [slice(None)] * masks.ndim
        second = [slice(None)] * masks.ndim
        first[axis], second[axis] = slice(None, -1), slice(1, None)
        a, b = masks[tuple(first)], masks[tuple(second)]
        inside[tuple(first)] &= ~((a > 0) & (b > 0) & (a != b))
    return np.stack([remove_small_objects(frame, MIN_AREA) for frame in inside])


if __name__ == "__main__":
    for line in sys.stdin:
        main(*line.rstrip("\n").split("\t"))
