"""Align windows before they are scored, and again along their own links if in doubt.

Flows between two frames are found from their detections only. If some cells do not fit after them
and the parents of some are in doubt, the likely links of the window define a better flow, and the
window is scored again. The result is the scoring in which cells have the likelier parents.

The network, and the flows that its links define, change with the direction of a field. Small
windows that stay in doubt are therefore seen turned, too.
"""

from collections.abc import Callable, Sequence

import numpy as np

from trackastra_engine.detection.detections import Detections
from trackastra_engine.detection.spacing import typical_spacing
from trackastra_engine.detection.transform import transform
from trackastra_engine.model.edges import Edges
from trackastra_engine.motion.alignment import carried, flows_of
from trackastra_engine.motion.flow import Flow
from trackastra_engine.motion.links import Links, flows_of_links

# A window may be scored again if the fit of its worst pair of frames is below DOUBTFUL_FIT and its
# doubt is at least MIN_DOUBT: see benchmarks/README.md, constants.
DOUBTFUL_FIT = 0.75
MIN_DOUBT = 0.005
MAX_PASSES = 4  # of the network, in one direction
LEFT_DOUBT = 0.9  # largest doubt after a better flow, as a share of that before
MIN_CHANGE_SPACINGS = 0.25  # least change of the places of a tenth of the cells of a window
# Larger windows take more time, and gain hardly anything. Chosen on ecoli, colonies and wandering
# cells, each seen in several directions: see benchmarks/README.md, turned movies.
TURNED_CELLS = 400
TURN = np.radians(135)
TURNED_DOUBT = 0.02  # least doubt of a window that is seen turned
# Least doubt of one scoring as a share of the other's, from which the mean of both is used.
EQUAL_DOUBT = 0.87

Windows = Sequence[Detections]
Score = Callable[[Windows], list[Edges]]


def score_aligned(windows: Windows, score: Score) -> list[Edges]:
    """Return the edges of windows after alignment; score: returns the edges of some windows.

    The edges of a window do not depend on the other windows.
    """
    flows = [flows_of(window) for window in windows]
    edges = _scored_along_links(windows, flows, score)
    doubtful = [
        number
        for number, own in enumerate(flows)
        if len(windows[number]) <= TURNED_CELLS
        and _worst_fit(own) < DOUBTFUL_FIT
        and _doubt(windows[number], edges[number]) >= TURNED_DOUBT
    ]
    again = [turned(windows[number], TURN) for number in doubtful]
    others = _scored_along_links(again, [flows_of(window) for window in again], score)
    for number, other in zip(doubtful, others, strict=True):
        edges[number] = _surer(windows[number], edges[number], other)
    return edges


def _scored_along_links(
    windows: Windows, flows: Sequence[Sequence[Flow]], score: Score
) -> list[Edges]:
    """Return the edges of windows along their flows, or in doubt along their likely links."""
    if not windows:
        return []
    seen = [carried(*pair) for pair in zip(windows, flows, strict=True)]
    edges = score(seen)
    doubtful = [
        number
        for number, own in enumerate(flows)
        if _worst_fit(own) < DOUBTFUL_FIT and _doubt(windows[number], edges[number]) >= MIN_DOUBT
    ]
    for _ in range(MAX_PASSES - 1):
        better = {}
        for number in doubtful:
            window, own = windows[number], edges[number]
            links = Links(own.source, own.target, own.score)
            moved = carried(window, flows_of_links(window, links, flows[number]))
            if _change(moved, seen[number]) >= MIN_CHANGE_SPACINGS * typical_spacing(window):
                better[number] = moved
        if not better:
            break
        doubtful = []
        for number, found in zip(better, score(list(better.values())), strict=True):
            window = windows[number]
            if _doubt(window, found) < LEFT_DOUBT * _doubt(window, edges[number]):
                seen[number], edges[number] = better[number], found
                doubtful.append(number)
    return edges


def turned(window: Detections, angle: float) -> Detections:
    """Return a window as if its field were turned by an angle in radians, in 3D around z."""
    turn = np.eye(window.ndim)
    cosine, sine = np.cos(angle), np.sin(angle)
    turn[-2:, -2:] = [[cosine, -sine], [sine, cosine]]
    return transform(window, turn)


def _surer(window: Detections, edges: Edges, other: Edges) -> Edges:
    """Return the edges in which cells have the likelier parents, or the mean of both."""
    doubt, of_other = _doubt(window, edges), _doubt(window, other)
    if min(doubt, of_other) < EQUAL_DOUBT * max(doubt, of_other):
        return edges if doubt < of_other else other
    pair = [one.source.astype(np.int64) * len(window) + one.target for one in (edges, other)]
    either, place = np.unique(np.concatenate(pair), return_inverse=True)
    score = np.bincount(place, np.concatenate([edges.score, other.score])) / 2
    source, target = np.divmod(either, len(window))
    return Edges(
        source.astype(edges.source.dtype),
        target.astype(edges.target.dtype),
        score.astype(edges.score.dtype),
    )


def _worst_fit(flows: Sequence[Flow]) -> float:
    return min((flow.fit for flow in flows), default=1.0)


def _doubt(window: Detections, edges: Edges) -> float:
    """Return 1 minus the mean score of the likeliest parents of cells, 0 to 1.

    Cells count if there are detections in the frame before.
    """
    frame, best = window.frame, np.zeros(len(window))
    is_next = frame[edges.target] - frame[edges.source] == 1
    np.maximum.at(best, edges.target[is_next], edges.score[is_next])
    return float(1 - best[np.isin(frame - 1, frame)].mean())


def _change(seen: Detections, before: Detections) -> float:
    """Return the distance between two alignments that a tenth of the cells exceed, in pixels."""
    squared = ((seen.centroid - before.centroid) ** 2).sum(axis=1)
    return float(np.sqrt(np.percentile(squared, 90)))
