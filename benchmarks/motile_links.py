"""motile's links of some detections, with costs that grow with distance."""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from trackastra_engine.detection.detections import Detections

MAX_CHILDREN = 2
MAX_PARENTS = 5  # candidates of a detection, the nearest


def motile_links(
    detections: Detections, max_distance: float, split_cost: float
) -> NDArray[np.int64]:
    """Return the links (E, 2) whose costs have the least sum, solved by motile's default solver.

    A link costs its length in longest distances less 1, and a division `split_cost` more. These
    costs connect only two frames, so pairs of frames are solved one by one: the optimal links are
    the same, in less time.
    """
    bounds = np.searchsorted(detections.frame, np.arange(int(detections.frame[-1]) + 2))
    found = [np.empty((0, 2), np.int64)]
    for t in range(len(bounds) - 2):
        source, target = np.arange(bounds[t], bounds[t + 1]), np.arange(*bounds[t + 1 : t + 3])
        if len(source) and len(target):
            length, near = cKDTree(detections.centroid[source]).query(
                detections.centroid[target], np.arange(1, 1 + min(MAX_PARENTS, len(source)))
            )
            child, place = np.nonzero(length <= max_distance)
            edges = np.column_stack([source[near[child, place]], target[child]])
            if len(edges):
                share = length[child, place] / max_distance
                found.append(_solved(detections, edges, share, split_cost))
    return np.concatenate(found)


def _solved(
    detections: Detections,
    edges: NDArray[np.int64],
    length: NDArray[np.float64],
    split_cost: float,
) -> NDArray[np.int64]:
    """Return the best of the edges (E, 2) between two frames; length: (E,)."""
    import networkx
    from motile import Solver, TrackGraph
    from motile.constraints import MaxChildren, MaxParents
    from motile.costs import EdgeSelectedCost, NodeSplitCost

    graph = networkx.DiGraph()
    graph.add_nodes_from((row, {"t": int(detections.frame[row])}) for row in edges.ravel().tolist())
    graph.add_edges_from(
        (i, j, {"length": part}) for (i, j), part in zip(edges.tolist(), length, strict=True)
    )
    solver = Solver(TrackGraph(graph, frame_attribute="t"))
    solver.add_cost(EdgeSelectedCost(weight=1.0, attribute="length", constant=-1.0))
    solver.add_cost(NodeSplitCost(constant=split_cost))
    solver.add_constraint(MaxParents(1))
    solver.add_constraint(MaxChildren(MAX_CHILDREN))
    solver.solve()
    return np.array(list(solver.get_selected_subgraph().edges), np.int64).reshape(-1, 2)
