"""The result: the chosen edges, and the tracklets that they form."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from trackastra_engine.detection.detections import Detections, FloatArray, IntArray
from trackastra_engine.errors import InputError
from trackastra_engine.kernels.links import number_tracklets
from trackastra_engine.model.edges import Edges


@dataclass(frozen=True, slots=True, eq=False)
class Lineage:
    """Tracks with divisions: a forest over all detections.

    A tracklet is a part of a track without division and without gap; a detection without edges is a
    tracklet of one frame. Notebooks show a lineage with its counts and its tree.

    Parameters
    ----------
    detections : Detections
        N detections, sorted by frame, then label.
    edges : Edges
        E links between rows of `detections`. A target has at most one link. A source has at most
        two, and more only if they were read from a file.
    tracklet_id : (N,) int32
        The tracklet of each detection, from 1.
    tracklets : (K, 4) int64
        Of each tracklet: id, first frame, last frame, id of the parent or 0.
    left_out : Detections
        Detections of the movie in tracks that were dropped because they are short.

    Examples
    --------
    >>> lineage = tracker.track(images, masks)
    >>> len(lineage.detections), len(lineage.edges), lineage.n_divisions
    (15, 13, 1)
    >>> lineage.tracklets.tolist()
    [[1, 0, 5, 0], [2, 0, 2, 0], [3, 3, 5, 2], [4, 3, 5, 2]]
    """

    detections: Detections
    edges: Edges  # (E,) at most one to a target; more than two from a source only if read so
    tracklet_id: IntArray  # (N,) from 1, of each detection
    tracklets: IntArray  # (K, 4): id, first frame, last frame, parent's id or 0
    left_out: Detections  # of the movie, in tracks that were dropped

    @property
    def n_divisions(self) -> int:
        """Return the number of detections with two children or more."""
        return int((np.bincount(self.edges.source) >= 2).sum()) if len(self.edges) else 0

    def to_pandas(self) -> Any:
        """Return a pandas DataFrame with one row per detection, sorted by track, then frame.

        Returns
        -------
        pandas.DataFrame
            Columns of `tracks.csv`: track, parent, frame, label, [z,] y, x (pixels), score of the
            link to the detection before (NaN at the start of a track), and features.

        Raises
        ------
        MissingDependencyError
            If pandas is not installed.

        Examples
        --------
        >>> table = lineage.to_pandas()
        >>> table[table.frame == 3][["track", "parent", "label"]].values.tolist()
        [[1, 0, 1], [3, 2, 3], [4, 2, 4]]
        """
        from trackastra_engine.output.notebook import tracks_table

        return tracks_table(self)

    def to_networkx(self) -> Any:
        """Return a networkx graph from earlier to later detections.

        Returns
        -------
        networkx.DiGraph
            Nodes are numbered from 1, in the order of `detections`, and have the columns of
            `to_pandas` as attributes; edges have a `score`.

        Raises
        ------
        MissingDependencyError
            If networkx is not installed.

        Examples
        --------
        >>> graph = lineage.to_networkx()
        >>> [node for node in graph if graph.out_degree(node) == 2]  # mothers
        [6]
        """
        from trackastra_engine.output.notebook import tracks_graph

        return tracks_graph(self)

    def to_napari(self) -> tuple[FloatArray, dict[int, list[int]]]:
        """Return data and graph of a tracks layer of napari.

        Returns
        -------
        data : (N, 4 or 5) float64
            Track, frame, [z,] y, x (pixels), sorted by track, then frame.
        graph : dict
            The parents of each track that has one.

        Examples
        --------
        >>> data, graph = lineage.to_napari()
        >>> graph
        {3: [2], 4: [2]}
        >>> viewer.add_tracks(data, graph=graph)  # doctest: +SKIP
        """
        from trackastra_engine.output.napari_tracks import tracks_layer

        return tracks_layer(self)

    def to_geff(self, folder: str | Path) -> None:
        """Write a GEFF, the exchange format for graphs of tracks.

        Parameters
        ----------
        folder : str or Path
            The folder to write, such as `tracks.geff`.

        Raises
        ------
        InputError
            If the folder exists.
        MissingDependencyError
            If the package geff is not installed.

        Examples
        --------
        >>> lineage.to_geff("tracks.geff")
        """
        from trackastra_engine.output.geff_graph import write_geff

        if Path(folder).exists():
            raise InputError(f"{folder} exists; choose another folder for the GEFF or remove it")
        write_geff(self, folder)

    def _repr_html_(self) -> str:
        """Return the counts and the tree as HTML for notebooks."""
        from trackastra_engine.output.notebook import page

        return page(self)


def build_lineage(detections: Detections, edges: Edges) -> Lineage:
    """Return the lineage of the edges that a linker chose.

    Tracklets are numbered in the order of their first frame and label, so the same edges give the
    same numbers.

    Parameters
    ----------
    detections : Detections
        Of the movie.
    edges : Edges
        At most one to a target.

    Returns
    -------
    Lineage

    Examples
    --------
    >>> first = lineage.edges.rows(np.arange(2))
    >>> build_lineage(lineage.detections, first).n_divisions
    0
    """
    # 4 bytes per number: 2^31 detections would not fit into memory anyway.
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
    # Rows are sorted by frame: the last one remains.
    tracklets[tracklet_id - 1, 2] = detections.frame
    tracklets[:, 3] = np.where(has_parent[starts], tracklet_id[parent[starts]], 0)
    return Lineage(detections, edges, tracklet_id, tracklets, detections.rows(slice(0)))


def without_short_tracks(lineage: Lineage, min_length: int) -> Lineage:
    """Return the lineage without short tracks; a cell and its descendants count as one.

    Parameters
    ----------
    lineage : Lineage
    min_length : int
        Frames from the first to the last of the shortest track that is retained.

    Returns
    -------
    Lineage
        Its `left_out` are the detections of the tracks that were dropped.

    Raises
    ------
    InputError
        If no track is long enough.

    Examples
    --------
    >>> len(without_short_tracks(lineage, 6).tracklets)
    4
    """
    tracklets = lineage.tracklets
    root = root_of_tracklets(tracklets)[1:]
    last = np.zeros(len(tracklets) + 1, np.int64)
    np.maximum.at(last, root, tracklets[:, 2])
    is_long = last[root] - tracklets[root - 1, 1] + 1 >= min_length
    is_kept = is_long[lineage.tracklet_id - 1]
    if not is_kept.any():
        raise InputError(f"no track is {min_length} frames long; give a smaller minimum")
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
