"""Windows as seen in a small field of view: few cells, many of which enter and leave.

Larger windows are also cut, to bound the tokens (`examples.random_crop`), but there the cells
whose parents were cut away are not learned. Here they are learned as cells that entered.
"""

from dataclasses import replace

import numpy as np

from trackastra_engine.simulation import KnownMovie
from trackastra_training.segmentation_errors import keep_rows

CELLS = (3.0, 40.0)  # least and most in a frame, on average
STRETCH = 1.6  # each side of a field is longer or shorter by at most this factor


def small_field(window: KnownMovie, rng: np.random.Generator) -> KnownMovie:
    """Return the cells of a window in a box around one of them.

    The parent of a cell is its nearest visible ancestor. In 3D, the box also ends along z, where
    detections have no margin: cells then appear far from the border, as at the ends of a stack.
    """
    found = window.detections
    n_frames = int(found.frame.max(initial=-1)) + 1
    n_kept = round(n_frames * np.exp(rng.uniform(*np.log(CELLS))))
    if n_kept >= len(found):
        return window
    sides = STRETCH ** rng.uniform(-1, 1, found.ndim)
    offset = np.abs(found.centroid - found.centroid[rng.integers(len(found))])
    distance = (offset / sides).max(axis=1)
    half = np.partition(distance, n_kept - 1)[n_kept - 1]
    # From the positions of points, but from the edges of objects in masks.
    reach = (half * sides - offset)[:, -2:].min(axis=1)
    reach -= rng.choice([0.0, 0.5]) * found.features[:, 0]
    features = found.features.copy()
    features[:, -1] = np.clip(reach, 0, features[:, -1])
    seen = replace(window, detections=replace(found, features=features))
    return keep_rows(seen, np.flatnonzero(distance <= half))
