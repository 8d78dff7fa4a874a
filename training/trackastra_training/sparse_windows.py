"""Windows in which only some of the lineages are seen, and the other cells are not.

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

    The detections do not change; their margins are those of the whole field.
    """
    n_frames = int(window.detections.frame.max(initial=-1)) + 1
    n_kept = n_frames * np.exp(rng.uniform(*np.log(CELLS)))
    if n_kept >= len(window.parent):
        return window
    return keep_rows(window, some_lineages(window.parent, n_kept, rng))


def some_lineages(parent: IntArray, n_kept: float, rng: np.random.Generator) -> IntArray:
    """Return the rows of random lineages, `n_kept` of N on average; of one lineage, at least.

    parent: (N,) rows of parents; negative for none.
    """
    draw = rng.random(len(parent))[first_ancestors(parent)]
    return np.flatnonzero(draw <= max(n_kept / len(parent), draw.min()))


def first_ancestors(parent: IntArray) -> IntArray:
    """Return the row (N,) with which the lineage of each begins; parent: (N,), negative: none."""
    first = np.where(parent >= 0, parent, np.arange(len(parent)))
    while (first[first] != first).any():
        first = first[first]
    return first
