"""Cells of one layer, as on a dish: in stacks of images they are 3D, but their motion is 2D."""

from dataclasses import replace

import numpy as np

from trackastra_engine.detection.detections import Detections, split_frames
from trackastra_engine.detection.transform import SECOND_MOMENT, covariances, inertias

# Mean distance to the nearest neighbour in the plane, over that in space, from which cells lie in a
# layer. On the movies for choosing of benchmarks/layers.py it is 0.946 or more in all layers, 0.91
# or less in slabs as thick as the spacing of their cells, and about 0.3 in whole embryos.
LEAST_FLATNESS = 0.93
LEAST_DIAMETER = 0.5  # in the plane, over that of the ball of the same volume
FEWEST_CELLS = 20  # with a neighbour, below which nothing is decided


def is_layer(detections: Detections) -> bool:
    """Return whether 3D detections in true proportion, at least one, lie in a layer across z.

    So do those of a single plane, however few.
    """
    if np.ptp(detections.centroid[:, 0]) == 0:
        return True
    from scipy.spatial import cKDTree  # 0.3 s, only for 3D movies

    shares = [np.empty(0)]
    for part in split_frames(detections, int(detections.frame.max()) + 1):
        if len(part) > 1:
            in_space, along_plane = (
                cKDTree(place).query(place, k=[2])[0][:, 0]
                for place in (part.centroid, part.centroid[:, 1:])
            )
            shares.append(along_plane / np.maximum(in_space, np.finfo(float).tiny))
    flatness = np.concatenate(shares)
    return len(flatness) >= FEWEST_CELLS and float(flatness.mean()) >= LEAST_FLATNESS


def in_plane(detections: Detections) -> Detections:
    """Return 3D detections as seen along z: ellipses with the covariances of y and x."""
    covariance = covariances(detections)[:, 1:, 1:]
    # Of a disc of diameter d, the determinant is (SECOND_MOMENT d^2)^2; lines of pixels have none.
    diameter = (np.maximum(np.linalg.det(covariance), 0) ** 0.5 / SECOND_MOMENT[2]) ** 0.5
    features = np.column_stack(
        [
            np.maximum(diameter, LEAST_DIAMETER * detections.features[:, 0]),
            detections.features[:, 1],
            inertias(covariance),
            detections.features[:, -1],
        ]
    )
    return replace(detections, centroid=detections.centroid[:, 1:].copy(), features=features)
