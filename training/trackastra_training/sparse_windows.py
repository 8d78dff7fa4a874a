"""Windows in which only some of the lineages are seen, far from each other.

The cells of most movies with known tracks are close together. Cells of one kind in a mixed culture,
or with a rare marker, move and divide in the same way, but with empty space around them.
"""

import numpy as np

from trackastra_engine.detection.detections import IntArray
from trackastra_engine.simulation import KnownMovie
from trackastra_training.segmentation_errors import keep_rows
from trackastra_training.small_fields import CELLS


def sparse_window(window: KnownMovie, rng: np.random.Generator) -> KnownMovie:
    """Return random lineages of a window, with about as many cells as in a small field.

    At least one lineage remains. The detections do not change.
    """
    first = _first_ancestor(window)
    n_frames = int(window.detections.frame.max(initial=-1)) + 1
    n_kept = n_frames * np.exp(rng.uniform(*np.log(CELLS)))
    if n_kept >= len(first):
        return window
    draw = rng.random(len(first))[first]
    share = max(n_kept / len(first), draw.min())
    return keep_rows(window, np.flatnonzero(draw <= share))


def _first_ancestor(window: KnownMovie) -> IntArray:
    """Return (N,) the rows of the first known ancestors; of those without a parent, their own."""
    first = np.where(window.parent >= 0, window.parent, np.arange(len(window.parent)))
    while (first[first] != first).any():
        first = first[first]
    return first
