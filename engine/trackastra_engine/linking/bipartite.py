"""The exact assignment of parents to children, for optimal and LAP linking."""

import numpy as np

from trackastra_engine.detection.detections import FloatArray, IntArray
from trackastra_engine.kernels.links import match_targets


def best_matching(
    source: IntArray, target: IntArray, gain: FloatArray, slots: tuple[float, ...]
) -> IntArray:
    """Return the rows of the edges, ascending, with the largest sum of gains.

    source, target, gain: (E,); each target has at most one edge, each source at most as many as
    there are `slots`. The k-th edge of a source has the additional gain slots[k], and slots must
    not increase. Edges without a gain are left out.

    The time grows with E times the detections that compete for the same parents, not with those
    of the movie: the search never leaves a frame pair or a connected component.
    """
    if len(source) == 0:
        return np.empty(0, np.int64)
    order = np.argsort(target, kind="stable")
    n_sources, n_targets = int(source.max()) + 1, int(target.max()) + 1
    slot_edge = np.full(n_sources * len(slots), -1, np.int64)
    match_targets(
        np.searchsorted(target[order], np.arange(n_targets + 1)),
        source[order].astype(np.int64),
        target[order].astype(np.int64),
        gain[order].astype(np.float64),
        np.array(slots, np.float64),
        slot_edge,
    )
    return np.sort(order[slot_edge[slot_edge >= 0]])
