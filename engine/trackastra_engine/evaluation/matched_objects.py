"""Match the objects of a truth and of a result."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.detection.detections import IntArray
from trackastra_engine.movie.ctc_folder import CtcFolder
from trackastra_engine.progress import Progress, no_progress


@dataclass(frozen=True, slots=True, eq=False)
class TrackedObjects:
    """N objects in K tracks, sorted by frame, then label."""

    n_frames: int
    frame: IntArray  # (N,) from 0
    label: IntArray  # (N,) of the track
    tracks: IntArray  # (K, 4): label, first frame, last frame, parent's label or 0
    links: IntArray  # (E, 2) rows, from a parent's last object to a child's first too

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.frame)

    @classmethod
    def of(cls, tracks: IntArray, labels: list[IntArray]) -> "TrackedObjects":
        """Return the objects with the labels of each frame, which must be those of the tracks."""
        label = np.concatenate(labels)
        frame = np.repeat(np.arange(len(labels)), [len(part) for part in labels])
        order = np.lexsort((frame, label))
        within = np.flatnonzero(np.diff(label[order]) == 0)
        child, _, _, parent = tracks[tracks[:, 3] > 0].T
        last_of_parent = order[np.searchsorted(label, parent, "right", sorter=order) - 1]
        first_of_child = order[np.searchsorted(label, child, sorter=order)]
        source = np.concatenate([order[within], last_of_parent])
        target = np.concatenate([order[within + 1], first_of_child])
        return cls(len(labels), frame, label, tracks, np.column_stack([source, target]))

    def labels_by_frame(self, rows: IntArray, frame: IntArray) -> list[IntArray]:
        """Return the labels of some rows, one array per frame; frame: that of each, sorted."""
        ends = np.searchsorted(frame, np.arange(1, self.n_frames))
        return np.split(self.label[rows], ends)


@dataclass(frozen=True, slots=True, eq=False)
class Matching:
    """Matched objects of a truth and a result; a found object may cover several true ones."""

    truth: TrackedObjects
    found: TrackedObjects
    pairs: IntArray  # (P, 2) row of the truth, row found, sorted
    shared: IntArray  # (P,) pixels

    @property
    def unique_pairs(self) -> IntArray:
        """Return (Q, 2) pairs: for each found object, the pair that shares most pixels."""
        order = np.lexsort((-self.shared, self.pairs[:, 1]))
        first = np.unique(self.pairs[order, 1], return_index=True)[1]
        return self.pairs[np.sort(order[first])]


def match_objects(
    truth: CtcFolder, found: CtcFolder, *, progress: Progress = no_progress
) -> Matching:
    """Return the matched objects of two folders, which are read once, frame by frame.

    Raises InputError if a mask is damaged or does not fit its table of tracks.
    """
    true_labels, found_labels, pairs, shared = [], [], [], []
    offset = np.zeros(2, np.int64)
    masks = zip(truth.labels(), found.labels(), strict=True)
    for index, (true_mask, found_mask) in enumerate(masks):
        frame = match_masks(true_mask, found_mask)
        true_labels.append(frame.truth)
        found_labels.append(frame.found)
        pairs.append(frame.pairs + offset)
        shared.append(frame.shared)
        offset += len(frame.truth), len(frame.found)
        progress("compare", index + 1, len(truth.movie))
    return Matching(
        TrackedObjects.of(truth.tracks, true_labels),
        TrackedObjects.of(found.tracks, found_labels),
        np.concatenate(pairs),
        np.concatenate(shared),
    )


@dataclass(frozen=True, slots=True, eq=False)
class MatchedFrame:
    """The objects of two masks, and the matched pairs."""

    truth: IntArray  # (N,) int64 labels, sorted
    found: IntArray  # (M,)
    pairs: IntArray  # (P, 2) positions in `truth` and `found`, sorted
    shared: IntArray  # (P,) pixels


def match_masks(truth: NDArray[Any], found: NDArray[Any]) -> MatchedFrame:
    """Return the matched objects of two masks: a found one covers over half of a true one.

    As in the Cell Tracking Challenge: Matula et al. 2015, doi 10.1371/journal.pone.0144959.
    """
    true_labels, sizes = np.unique(truth[truth > 0], return_counts=True)
    found_labels = np.unique(found[found > 0])
    is_both = (truth > 0) & (found > 0)
    row = np.searchsorted(true_labels, truth[is_both])
    column = np.searchsorted(found_labels, found[is_both])
    n_found = max(len(found_labels), 1)
    keys, shared = np.unique(row * n_found + column, return_counts=True)
    pairs = np.column_stack(np.divmod(keys, n_found))
    covers = 2 * shared > sizes[pairs[:, 0]]
    return MatchedFrame(
        true_labels.astype(np.int64), found_labels.astype(np.int64), pairs[covers], shared[covers]
    )
