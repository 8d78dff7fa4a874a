"""Movies small enough to draw in a docstring, their lineages, and functions to write them."""

import numpy as np
import tifffile

from trackastra_engine.detection.detections import concatenate, detect
from trackastra_engine.linking.lineage import build_lineage
from trackastra_engine.model.edges import Edges
from trackastra_engine.movie.frames import open_movie

SHAPE = (40, 48)
SIZE = 6


def dividing_cell(n_frames=6):
    """Return images and masks (T, 40, 48): one cell moves right, one divides after frame 2.

    frame 0-2   1 ->        frame 3-   1 ->
                   2                      3 (up)  4 (down)
    """
    masks = np.zeros((n_frames, *SHAPE), np.uint16)
    for t in range(n_frames):
        _square(masks[t], 4, 4 + 4 * t, 1)
        if t < 3:
            _square(masks[t], 22, 30, 2)
        else:
            _square(masks[t], 18 - t, 30, 3)
            _square(masks[t], 26 + t, 30, 4)
    images = np.where(masks > 0, 200 + 10 * masks, 20).astype(np.uint16)
    return images, masks


def _square(mask, y, x, label):
    mask[y : y + SIZE, x : x + SIZE] = label


def true_lineage(masks):
    """Return the lineage of `dividing_cell`, whose labels are the same in every frame."""
    movie = open_movie(None, masks)
    found = concatenate([detect(frame, movie.ndim) for frame in movie], movie.ndim)
    row = {
        place: row
        for row, place in enumerate(zip(found.frame.tolist(), found.label.tolist(), strict=True))
    }
    mother = {3: 2, 4: 2}
    pairs = [
        (row[frame - 1, source], target)
        for (frame, label), target in row.items()
        for source in (label, mother.get(label))
        if (frame - 1, source) in row
    ]
    source, target = np.array(pairs).T
    return build_lineage(found, Edges(source, target, np.linspace(0.6, 1, len(source))))


def write_folder(folder, frames, name="t{:03}.tif"):
    """Write one TIFF per frame, and return the folder."""
    folder.mkdir(parents=True)
    for index, frame in enumerate(frames):
        tifffile.imwrite(
            folder / name.format(index), frame, photometric="minisblack", compression="zlib"
        )
    return folder
