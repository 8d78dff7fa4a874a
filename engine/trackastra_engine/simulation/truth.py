"""Movies whose lineages are known, simulated or annotated."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from trackastra_engine.detection.detections import Detections, IntArray


@dataclass(frozen=True, slots=True, eq=False)
class KnownMovie:
    """The N detections of a movie and their true parents."""

    detections: Detections
    parent: (
        IntArray  # (N,) row of the latest earlier detection of the cell or its mother; -1 if none
    )
    n_children: IntArray  # (N,) number of detections with this parent


def known_movie(
    detections: Detections, identity: Sequence[IntArray], mother: Sequence[IntArray]
) -> KnownMovie:
    """Return the movie whose objects, frame by frame, are the given cells.

    identity: per frame (M,), the cell of each object, -1 if none. mother: per frame (M,), the
    identity of that cell's mother, -1 without one.
    """
    parent = find_parents(identity, mother)
    return KnownMovie(detections, parent, count_children(parent))


def count_children(parent: IntArray) -> IntArray:
    """Return the number of children (N,) of each detection."""
    return np.bincount(parent[parent >= 0], minlength=len(parent))


def find_parents(identity: Sequence[IntArray], mother: Sequence[IntArray]) -> IntArray:
    """Return the parent row (N,) of each object; arguments as of `known_movie`."""
    n_cells = 1 + max((int(part.max()) for part in (*identity, *mother) if len(part)), default=0)
    # The last place is for objects without a cell: index -1.
    last_row = np.full(n_cells + 1, -1)
    mother_of = np.full(n_cells + 1, -1)
    result, first_row = [], 0
    for cells, mothers in zip(identity, mother, strict=True):
        mother_of[cells[cells >= 0]] = mothers[cells >= 0]
        ancestor = cells.copy()
        while (unseen := (ancestor >= 0) & (last_row[ancestor] < 0)).any():
            ancestor[unseen] = mother_of[ancestor[unseen]]
        result.append(last_row[ancestor])
        last_row[cells[cells >= 0]] = first_row + np.flatnonzero(cells >= 0)
        first_row += len(cells)
    return np.concatenate(result)
