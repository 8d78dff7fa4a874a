"""The plausible edges, from which a linker chooses."""

from dataclasses import dataclass, field

import numpy as np

from trackastra_engine.detection.detections import Detections, FloatArray, IntArray
from trackastra_engine.errors import InputError
from trackastra_engine.kernels.links import keep_shortest, measure_edges
from trackastra_engine.model.edges import Edges

MAX_NEIGHBORS = 10  # scored targets per source, as in upstream (model_api.py)


@dataclass(frozen=True, slots=True, eq=False)
class CandidateGraph:
    """Detections and the edges from which a linker chooses.

    Parameters
    ----------
    detections : Detections
        Of a movie, or of some frames.
    edges : Edges
        E edges, sorted by source, then the frame of the target; given ones are last.
    given : (G,) int64
        Rows of edges that must be kept, see corrections.py. No other edge has one of their
        targets, or a source with two of them.

    Examples
    --------
    >>> from trackastra_engine.linking import linker
    >>> graph = CandidateGraph(lineage.detections, lineage.edges)
    >>> linker("greedy")(graph).n_divisions
    1
    """

    detections: Detections
    edges: Edges
    given: IntArray = field(default_factory=lambda: np.empty(0, np.int64))  # rows of edges

    @property
    def n_missed(self) -> IntArray:
        """Return the number of frames (E,) that each edge skips."""
        frame = self.detections.frame
        missed: IntArray = frame[self.edges.target] - frame[self.edges.source] - 1
        return missed

    def lengths(self, proportions: FloatArray | None = None) -> FloatArray:
        """Return the length (E,) of each edge in pixels of x; see `voxels.proportions`."""
        lengths = np.empty(len(self.edges))
        places = _places(self.detections, proportions)
        measure_edges(self.edges.source, self.edges.target, places, lengths)
        return lengths


def candidate_graph(
    detections: Detections,
    edges: Edges,
    *,
    max_distance: float | None = None,
    proportions: FloatArray | None = None,
) -> CandidateGraph:
    """Return the graph in which each source keeps its nearest scored targets in each later frame.

    As `build_graph` in upstream (tracking.py).

    Parameters
    ----------
    detections : Detections
        Of a movie, or of some frames.
    edges : Edges
        Sorted by source, then the frame of the target; the edges of the graph have the same order,
        with nearest targets first.
    max_distance : float, optional
        Longest edge in pixels of x; None: no limit besides that of the model.
    proportions : (D,), optional
        Lengths of a voxel relative to its length along x, see movie/voxels.py.

    Returns
    -------
    CandidateGraph

    Raises
    ------
    InputError
        If the edges are not sorted.

    Examples
    --------
    >>> order = np.argsort(lineage.edges.source, kind="stable")
    >>> graph = candidate_graph(lineage.detections, lineage.edges.rows(order), max_distance=4)
    >>> len(graph.edges)  # without those from the mother to the daughters
    11
    """
    places = _places(detections, proportions)
    limit = np.inf if max_distance is None else max_distance
    kept = np.empty(len(edges), np.int32)
    n_kept = keep_shortest(
        edges.source, edges.target, detections.frame, places, limit, MAX_NEIGHBORS, kept
    )
    if n_kept == -1:
        raise InputError(
            "the edges are not sorted; sort them by source, then by the frame of the target"
        )
    return CandidateGraph(detections, edges.rows(kept[:n_kept]))


def _places(detections: Detections, proportions: FloatArray | None) -> FloatArray:
    """Return the positions (N, D) of detections in pixels of x."""
    places = detections.centroid
    if proportions is not None and (proportions != 1).any():
        places = places * proportions
    return np.ascontiguousarray(places, float)
