"""Tables of points and edges, as `track` reads and writes them, of cells with known parents."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.true_movies import with_nearest_ancestors

LONGEST = 3  # frames of an edge; a cell that is away for longer begins a new track
ENDS = ("frame", "label")
Track = TypeVar("Track")


def parents_of_tracks(tracks: Iterable[Track], mothers: Mapping[Track, Track]) -> NDArray[np.int64]:
    """Return the row (N,) of the same track before each cell, or of its mother's last; or -1.

    tracks: of the cells in order of time; mothers: of tracks.
    """
    last: dict[Track, int] = {}
    parent = []
    for row, track in enumerate(tracks):
        begun = track if track in last else mothers.get(track, track)
        parent.append(last.get(begun, -1))
        last[track] = row
    return np.array(parent, np.int64)


def points_and_edges(
    cells: pd.DataFrame, parent: NDArray[np.int64], *, begin: int, every: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the points of every n-th frame from one on, and the edges between them.

    cells: a row for each cell of each frame, with columns `frame`, y, x and others, which stay;
    parent: (N,) row of the same cell or its mother before, or -1.
    """
    frame = cells["frame"].to_numpy()
    is_kept = (frame >= begin) & ((frame - begin) % every == 0)
    known = cells.assign(
        frame=(frame - begin) // every, parent=with_nearest_ancestors(parent, is_kept)
    ).reset_index(drop=True)
    points = known[is_kept].sort_values("frame", kind="stable")
    points.insert(1, "label", points.groupby("frame").cumcount() + 1)
    linked = points[points["parent"] >= 0]
    source = points.loc[linked["parent"], list(ENDS)]
    edges = pd.DataFrame(
        {
            **{f"source_{name}": source[name].to_numpy() for name in ENDS},
            **{f"target_{name}": linked[name].to_numpy() for name in ENDS},
        }
    )
    edges = edges[edges["target_frame"] - edges["source_frame"] <= LONGEST]
    return points.drop(columns="parent"), edges
