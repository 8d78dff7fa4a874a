"""The lineage tree of a page: the order of tracks, and the lane in which each is drawn."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.detection.detections import FloatArray, IntArray
from trackastra_engine.linking.lineage import Lineage, root_of_tracklets

MAX_TRACKS = 50_000  # in the tree; 20 bytes each


@dataclass(frozen=True, slots=True, eq=False)
class Tree:
    """The K tracks that are shown, each after its parent, lineage by lineage."""

    tracklets: IntArray  # (K, 4) id, first frame, last frame, parent's id or 0
    parent: IntArray  # (K,) row of the parent, or -1
    lane: FloatArray  # (K,) position from the top, in lanes
    row_of_id: IntArray  # (all tracklets + 1,) row of an id, or K for those not shown
    notes: tuple[str, ...]  # about tracks that are left out, in sentences

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the arrays for the page."""
        return {
            "track_id": self.tracklets[:, 0].astype(np.uint32),
            "track_first": self.tracklets[:, 1].astype(np.uint32),
            "track_last": self.tracklets[:, 2].astype(np.uint32),
            "track_parent": self.parent.astype(np.int32),
            "track_lane": self.lane.astype(np.float32),
        }


def lineage_tree(lineage: Lineage) -> Tree:
    """Return the tree of a lineage: lineages with most tracks first, then by first frame.

    Tracks beyond MAX_TRACKS are left out.
    """
    tracklets = lineage.tracklets
    root = root_of_tracklets(tracklets)[1:] - 1
    size = np.bincount(root, minlength=len(tracklets))[root]
    # Ids ascend with the first frame, and parents have lower ones than their children.
    order = np.lexsort((tracklets[:, 0], root, -size))[:MAX_TRACKS]
    shown = tracklets[order]
    row_of_id = np.full(len(tracklets) + 1, len(shown))
    row_of_id[shown[:, 0]] = np.arange(len(shown))
    parent = np.where(shown[:, 3] > 0, row_of_id[shown[:, 3]], -1)
    notes = []
    if len(shown) < len(tracklets):
        notes.append(
            f"The tree shows {len(shown):,} of {len(tracklets):,} tracks, the largest lineages; "
            "the others are grey in the movie."
        )
    return Tree(shown, parent, _lanes(parent.tolist()), row_of_id, tuple(notes))


def _lanes(parent: list[int]) -> FloatArray:
    """Return (K,) lanes: one for each track without children, mothers in the middle of theirs."""
    n_lanes = [0] * len(parent)
    for row in reversed(range(len(parent))):
        n_lanes[row] = max(1, n_lanes[row])
        if parent[row] >= 0:
            n_lanes[parent[row]] += n_lanes[row]
    free, total = [0] * len(parent), 0  # the first lane of a track that no child uses
    lane = np.zeros(len(parent))
    for row, mother in enumerate(parent):
        if mother < 0:
            free[row] = total
            total += n_lanes[row]
        else:
            free[row] = free[mother]
            free[mother] += n_lanes[row]
        lane[row] = free[row] + (n_lanes[row] - 1) / 2
    return lane
