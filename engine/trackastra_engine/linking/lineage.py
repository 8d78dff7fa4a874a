"""The result: which edges were kept, and the tracklets they form."""

from dataclasses import dataclass, replace

import numpy as np

from trackastra_engine.detection.detections import Detections, IntArray
from trackastra_engine.errors import InputError
from trackastra_engine.kernels.links import number_tracklets
from trackastra_engine.model.edges import Edges


@dataclass(frozen=True, slots=True, eq=False)
class Lineage:
    """Tracks with divisions: a forest over all detections.

    A tracklet is a stretch without division and without gap; a detection without edges is a
    tracklet of one frame.
    """

    detections: Detections
    edges: Edges  # kept; at most one to a target; more than two from a source only if read so
    tracklet_id: IntArray  # (N,) from 1, of each detection
    tracklets: IntArray  # (K, 4): id, first frame, last frame, parent's id or 0
    left_out: Detections  # of the movie, in tracks that were dropped

    @property
    def n_divisions(self) -> int:
        """Return the number of detections with two children or more."""
        return int((np.bincount(self.edges.source) >= 2).sum()) if len(self.edges) else 0


def build_lineage(detections: Detections, edges: Edges) -> Lineage:
    """Return the lineage of the edges that a linker kept.

    Tracklets are numbered in the order of their first frame and the label there, so the same
    edges give the same numbers.
    """
    # Numbers of 4 bytes: the features of 2^31 detections would fill the memory long before.
    parent = np.full(len(detections), -1, np.int32)
    parent[edges.target] = edges.source
    has_parent = parent >= 0
    is_only_child = (np.bincount(edges.source, minlength=len(detections)) == 1)[parent]
    is_next_frame = detections.frame - detections.frame[parent] == 1
    continues = has_parent & is_next_frame & is_only_child
    tracklet_id = np.empty(len(detections), np.int32)
    number_tracklets(parent, continues, tracklet_id)
    starts = np.flatnonzero(~continues)
    tracklets = np.zeros((len(starts), 4), np.int64)
    tracklets[:, 0] = tracklet_id[starts]
    tracklets[:, 1] = detections.frame[starts]
    tracklets[tracklet_id - 1, 2] = detections.frame  # rows are sorted by frame: the last one stays
    tracklets[:, 3] = np.where(has_parent[starts], tracklet_id[parent[starts]], 0)
    return Lineage(detections, edges, tracklet_id, tracklets, detections.rows(slice(0)))


def without_short_tracks(lineage: Lineage, min_length: int) -> Lineage:
    """Return the lineage without tracks shorter than so many frames, from the first to the last.

    A track is a cell with all its descendants, over gaps and divisions. Raises InputError if none
    is long enough.
    """
    tracklets = lineage.tracklets
    root = root_of_tracklets(tracklets)[1:]
    last = np.zeros(len(tracklets) + 1, np.int64)
    np.maximum.at(last, root, tracklets[:, 2])
    is_long = last[root] - tracklets[root - 1, 1] + 1 >= min_length
    is_kept = is_long[lineage.tracklet_id - 1]
    if not is_kept.any():
        raise InputError(f"no track is {min_length} frames long; keep shorter ones")
    row = np.cumsum(is_kept, dtype=np.int32) - 1
    edges = lineage.edges.rows(np.flatnonzero(is_kept[lineage.edges.source]))
    kept = build_lineage(
        lineage.detections.rows(np.flatnonzero(is_kept)),
        Edges(row[edges.source], row[edges.target], edges.score),
    )
    return replace(kept, left_out=lineage.detections.rows(np.flatnonzero(~is_kept)))


def cell_of_tracklets(tracklets: IntArray) -> IntArray:
    """Return (K + 1,) the first tracklet of the same cell for each tracklet id; entry 0 is 0.

    A cell ends where it divides, a tracklet also at a gap. See `root_of_tracklets`.
    """
    parent = tracklets[:, 3]
    is_only_child = np.bincount(parent, minlength=len(tracklets) + 1)[parent] == 1
    links = tracklets.copy()
    links[:, 3] = np.where(is_only_child, parent, 0)
    return root_of_tracklets(links)


def root_of_tracklets(tracklets: IntArray) -> IntArray:
    """Return (K + 1,) the first ancestor of each tracklet id; entry 0 is 0.

    tracklets: (K, 4) id, first frame, last frame, parent's id or 0.
    """
    root = np.arange(len(tracklets) + 1)
    has_parent = tracklets[:, 3] > 0
    root[tracklets[has_parent, 0]] = tracklets[has_parent, 3]
    while not np.array_equal(root, root[root]):
        root = root[root]
    return root
