"""The two-step linear assignment of Jaqaman et al. (2008, doi 10.1038/nmeth.1237), as in LapTrack.

First, detections of neighbouring frames are linked one to one. Then the resulting segments are
joined: a segment's start to the end of another (closing a gap) or to any detection of the frame
before (a division). An edge costs 1 - score. This implementation uses sparse edges, since LapTrack
needs positions and a distance, fills a dense matrix for each frame pair and compares all pairs of
segments; the tests run it with the same costs and find the same links.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.detection.detections import FloatArray, IntArray
from trackastra_engine.linking.bipartite import best_matching
from trackastra_engine.linking.candidates import CandidateGraph
from trackastra_engine.model.edges import MIN_SCORE, Edges

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LapCosts:
    """Costs of the alternatives to links; an edge costs 1 - score, 0 to 1.

    LapTrack estimates these costs from those of the edges. With edges between 0 and 1, its rule for
    the first step, 1.05 times the largest, is a constant. For the second step a threshold is easier
    to understand: a gap needs a score above 1 - `segment`, a division above 1 - `split`.
    """

    max_edge: float = 1 - MIN_SCORE  # edges of this cost or more are candidates in neither step
    detection: float = 1.05  # a detection that ends, or starts, in the first step
    segment: float = 0.5  # a segment that ends or starts, in the second step
    # A detection that does not divide; edges of this cost or more cause no division.
    split: float = 0.5


DEFAULT_COSTS = LapCosts()


def choose_by_assignment(graph: CandidateGraph, *, costs: LapCosts = DEFAULT_COSTS) -> IntArray:
    """Return the rows of the edges, ascending, of the two steps, and of the given edges.

    Given edges are in neither step: their sources are no ends, and their targets no starts.
    """
    edges, frame = graph.edges, graph.detections.frame
    cost = 1 - edges.score
    is_allowed = cost < costs.max_edge
    is_allowed[graph.given] = False
    is_end, is_start = np.ones((2, len(graph.detections)), bool)
    is_end[edges.source[graph.given]] = False
    is_start[edges.target[graph.given]] = False
    is_step = frame[edges.target] - frame[edges.source] == 1
    between_frames = np.flatnonzero(is_allowed & is_step & is_end[edges.source])
    links = _link_frames(between_frames, edges, cost, frame, costs)

    is_end[edges.source[links]] = False
    is_start[edges.target[links]] = False
    to_start = np.flatnonzero(is_allowed & is_start[edges.target])
    joins = _join_segments(to_start, edges, cost, is_end, is_step, costs)
    return np.sort(np.concatenate([links, joins, graph.given]))


def _link_frames(
    rows: IntArray, edges: Edges, cost: FloatArray, frame: IntArray, costs: LapCosts
) -> IntArray:
    """Return which of the edges in `rows`, between neighbouring frames, link one to one.

    A link saves the end of one detection and the start of another. The smallest cost of the frame
    pair is added to its cost, as in the lower right block of Jaqaman's matrix.
    """
    source_frame = frame[edges.source[rows]]
    smallest = np.full(len(frame) and int(frame[-1]) + 1, costs.detection)
    np.minimum.at(smallest, source_frame, cost[rows])
    gain = 2 * costs.detection - cost[rows] - smallest[source_frame]
    return rows[best_matching(edges.source[rows], edges.target[rows], gain, (0.0,))]


def _join_segments(
    rows: IntArray,
    edges: Edges,
    cost: FloatArray,
    is_end: BoolArray,
    is_step: BoolArray,
    costs: LapCosts,
) -> IntArray:
    """Return which of the edges in `rows`, to starts of segments, join two segments.

    An edge from the end of a segment may close a gap, and if its target is in the next frame, it
    may also divide a detection, as in LapTrack; any other edge must divide. Both save two
    alternatives, and the smallest cost of all is added, as in the lower right block of Jaqaman's
    matrix.
    """
    gaps = rows[is_end[edges.source[rows]]]
    splits = rows[is_step[rows] & (cost[rows] < costs.split)]
    candidates = np.concatenate([gaps, splits])
    is_split = np.arange(len(candidates)) >= len(gaps)
    gain = np.where(is_split, max(costs.split, costs.segment), costs.segment) - cost[candidates]
    source = edges.source[candidates] + len(is_end) * is_split
    return candidates[best_matching(source, edges.target[candidates], gain, (0.0,))]
