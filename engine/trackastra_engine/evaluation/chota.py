"""CHOTA, a score of whole lineages instead of single links.

Kaiser et al. 2024, arXiv 2408.11571. Equal to py-ctcmetrics (tested), whose time grows with the
cube of the number of tracks.
"""

from typing import Any

import numpy as np

from trackastra_engine.detection.detections import IntArray
from trackastra_engine.evaluation.matched_objects import Matching, TrackedObjects


def chota(matching: Matching) -> float:
    """Return the score, 0 to 1.

    The weight of each matched pair of objects is the overlap (IoU) of the two cells' kin: all
    objects of a cell, its ancestors and its descendants.
    """
    from scipy.sparse import coo_array  # 0.2 s: only when a result is evaluated

    true_track, kin_of_truth = _tracks(matching.truth)
    found_track, kin_of_found = _tracks(matching.found)
    true_rows, found_rows = matching.pairs.T
    shape = kin_of_truth.shape[0], kin_of_found.shape[0]
    ends = true_track[true_rows], found_track[found_rows]
    shared = coo_array((np.ones(len(true_rows)), ends), shape).tocsr()
    i, j = shared.nonzero()
    in_both = (kin_of_truth @ shared)[i].multiply(kin_of_found[j]).sum(axis=1)
    missed = _count_unmatched(true_track, true_rows, shape[0])
    spurious = _count_unmatched(found_track, found_rows, shape[1])
    in_truth = kin_of_truth @ (shared.sum(axis=1) + missed)
    in_found = kin_of_found @ (shared.sum(axis=0) + spurious)
    association = in_both / (in_truth[i] + in_found[j] - in_both)
    everything = len(true_rows) + missed.sum() + spurious.sum()
    return float(np.sqrt((shared[i, j] * association).sum() / everything))


def _tracks(objects: TrackedObjects) -> tuple[IntArray, Any]:
    """Return (N,) the track of each object, and sparse (K, K), 1 for tracks of one kin."""
    label, _, _, parent = objects.tracks[np.argsort(objects.tracks[:, 0])].T
    parent_track = np.where(parent > 0, np.searchsorted(label, parent), -1)
    return np.searchsorted(label, objects.label), _kin(parent_track)


def _kin(parent: IntArray) -> Any:
    """Return sparse (K, K), 1 where a track is another's ancestor or descendant, or itself.

    parent: (K,) row of each track's parent, or -1.
    """
    from scipy.sparse import coo_array, eye_array

    n_tracks = len(parent)
    child = np.flatnonzero(parent >= 0)
    step = coo_array((np.ones(len(child)), (child, parent[child])), (n_tracks, n_tracks)).tocsr()
    ancestors, further = step, step @ step
    while further.nnz:
        ancestors, further = ancestors + further, further @ step
    return (eye_array(n_tracks) + ancestors + ancestors.T).tocsr()


def _count_unmatched(track: IntArray, matched: IntArray, n_tracks: int) -> IntArray:
    """Return (K,) the number of objects of each track that are not among the matched rows."""
    is_unmatched = np.ones(len(track), bool)
    is_unmatched[matched] = False
    return np.bincount(track[is_unmatched], minlength=n_tracks)
