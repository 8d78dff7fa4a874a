"""Optimal linking as an integer program for HiGHS, for costs that no assignment can express."""

import logging
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from trackastra_engine.detection.detections import FloatArray, IntArray
from trackastra_engine.linking.costs import LinkCosts, PricedGraph
from trackastra_engine.model.edges import Edges

logger = logging.getLogger(__name__)

# Edges of small components that are solved together, as each call of HiGHS needs about 1 ms.
PORTION_SIZE = 2_000


@dataclass(frozen=True, slots=True, eq=False)
class Program:
    """Minimise costs @ x with rows @ x <= 0 and lower <= x <= upper, x integer.

    x contains, in this order: whether each detection is taken (N), whether each edge is kept (E),
    whether each detection has two children (N).
    """

    costs: FloatArray  # (2 N + E,)
    lower: FloatArray  # (2 N + E,) 1 for edges that are given
    upper: FloatArray  # (2 N + E,)
    rows: csr_array  # (3 N, 2 N + E)
    edges: Edges

    @property
    def n_detections(self) -> int:
        """Return N."""
        return (len(self.costs) - len(self.edges)) // 2

    def values(self, kept: IntArray) -> FloatArray:
        """Return x (2 N + E,) of a lineage, from the rows of its edges."""
        n_children = np.bincount(self.edges.source[kept], minlength=self.n_detections)
        is_taken = n_children > 0
        is_taken[self.edges.target[kept]] = True
        is_kept = np.zeros(len(self.edges))
        is_kept[kept] = 1
        is_taken |= self.costs[: self.n_detections] < 0
        return np.concatenate([is_taken, is_kept, n_children == 2]).astype(float)

    def kept(self, values: FloatArray) -> IntArray:
        """Return the rows of the edges that are kept in x (2 N + E,)."""
        return np.flatnonzero(values[self.n_detections :][: len(self.edges)] > 0.5)

    def least_cost(self) -> float:
        """Return a lower bound of the cost of all x: that of the best parent for each detection.

        It needs no search, and is valid if HiGHS had no time for a better bound.
        """
        costs = np.minimum(self.costs, 0) * self.upper
        taken, edge, split = np.split(costs, np.cumsum([self.n_detections, len(self.edges)]))
        best_edge = np.zeros(self.n_detections)
        np.minimum.at(best_edge, self.edges.target, edge)
        return float(taken.sum() + best_edge.sum() + split.sum())


def build_program(graph: PricedGraph, costs: LinkCosts, *, divisions: bool = True) -> Program:
    """Return the program of all lineages of some detections and candidate edges.

    Appearing and disappearing need no variables: their costs are part of the cost of each
    detection, and an edge to or from it subtracts them. The rows are `in <= taken`,
    `out - split <= taken` and `2 split <= out`: tighter than motile's, which sum over all edges.
    """
    edges, n_detections, n_edges = graph.edges, len(graph.detection), len(graph.edges)
    detection, edge = np.arange(n_detections), np.arange(n_edges)
    taken, kept, split = detection, n_detections + edge, n_detections + n_edges + detection
    entries = [  # (row, column, value), a block of N rows for each constraint
        (edges.target, kept, 1.0),
        (detection, taken, -1.0),
        (n_detections + edges.source, kept, 1.0),
        (n_detections + detection, split, -1.0),
        (n_detections + detection, taken, -1.0),
        (2 * n_detections + detection, split, 2.0),
        (2 * n_detections + edges.source, kept, -1.0),
    ]
    row, column = (np.concatenate([entry[i] for entry in entries]) for i in (0, 1))
    value = np.concatenate([np.full(len(entry[0]), entry[2]) for entry in entries])
    shape = (3 * n_detections, 2 * n_detections + n_edges)
    price = np.full(shape[1], costs.second_child)
    price[taken] = graph.detection
    price[kept] = graph.edge - costs.appear - costs.disappear
    lower, upper = np.zeros(shape[1]), np.ones(shape[1])
    lower[kept] = graph.is_given
    n_given = np.bincount(edges.source[graph.is_given], minlength=n_detections)
    upper[split] = divisions | (n_given == 2)
    rows = csr_array(coo_array((value, (row, column)), shape=shape))
    return Program(price, lower, upper, rows, edges)


def solve_program(
    program: Program, start: FloatArray, *, time_limit_s: float
) -> tuple[FloatArray, float]:
    """Return the best x found within the time limit, and the most by which another could be better.

    start: x of any lineage, from which HiGHS starts and which is returned if it finds no better.
    """
    if time_limit_s <= 0:
        return start, float(program.costs @ start) - program.least_cost()
    import highspy  # loads a library of 20 MB, which greedy linking does not need

    highs = _silent_highs(highspy)
    highs.setOptionValue("time_limit", time_limit_s)
    highs.setOptionValue("mip_rel_gap", 0.0)
    # Presolve finds nothing in rows as tight as these, and ignores the time limit: 57 s with a
    # limit of 20 s at 100 000 edges.
    highs.setOptionValue("presolve", "off")
    highs.passModel(_highs_model(program, highspy))
    solution = highspy.HighsSolution()
    solution.col_value = start.tolist()
    highs.setSolution(solution)
    highs.run()
    if highs.getModelStatus() == highspy.HighsModelStatus.kOptimal:
        return np.round(highs.getSolution().col_value), 0.0
    info = highs.getInfo()
    found = np.round(highs.getSolution().col_value) if info.primal_solution_status == 2 else start
    if program.costs @ found > program.costs @ start:
        found = start
    least_cost = max(info.mip_dual_bound, program.least_cost())
    return found, float(program.costs @ found) - least_cost


def _silent_highs(highspy: Any) -> Any:
    """Return a solver that prints nothing, not even its name in this step of the constructor."""

    class Silent(highspy.Highs):  # type: ignore[misc]
        def enableCallbacks(self) -> None:  # noqa: N802
            self.silent()
            super().enableCallbacks()

    return Silent()


def _highs_model(program: Program, highspy: Any) -> Any:
    model = highspy.HighsLp()
    n_rows, n_columns = program.rows.shape
    model.num_col_, model.num_row_ = n_columns, n_rows
    model.col_cost_ = program.costs
    model.col_lower_, model.col_upper_ = program.lower, program.upper
    model.row_lower_, model.row_upper_ = np.full(n_rows, -highspy.kHighsInf), np.zeros(n_rows)
    model.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    model.a_matrix_.start_ = program.rows.indptr
    model.a_matrix_.index_ = program.rows.indices
    model.a_matrix_.value_ = program.rows.data
    model.integrality_ = [highspy.HighsVarType.kInteger] * n_columns
    return model


def solve_by_components(
    graph: PricedGraph,
    costs: LinkCosts,
    start: IntArray,
    *,
    divisions: bool,
    time_limit_s: float,
) -> IntArray:
    """Return the rows of the edges of the best lineage, ascending, solved by connected components.

    start: rows of the edges of any lineage. Warns if the time limit ended the search, with the
    largest possible difference to the best cost.
    """
    deadline = time.monotonic() + time_limit_s
    is_start = np.zeros(len(graph.edges), bool)
    is_start[start] = True
    kept: list[IntArray] = [np.empty(0, np.int64)]
    gap = 0.0
    for rows in _portions(len(graph.detection), graph.edges):
        part = graph.part(rows)
        program = build_program(part, costs, divisions=divisions)
        begun = program.values(np.flatnonzero(is_start[rows]))
        values, part_gap = solve_program(program, begun, time_limit_s=deadline - time.monotonic())
        kept.append(rows[program.kept(values)])
        gap += part_gap
    if gap > 0:
        logger.warning(
            "linking was stopped by its time limit of %g s, with the best links so far; other "
            "links may cost up to %.3g less",
            time_limit_s,
            gap,
        )
    return np.sort(np.concatenate(kept))


def _portions(n_detections: int, edges: Edges) -> list[IntArray]:
    """Return the rows of the edges in portions of whole connected components."""
    if len(edges) == 0:
        return []
    shape = (n_detections, n_detections)
    links = coo_array((np.ones(len(edges)), (edges.source, edges.target)), shape=shape)
    _, component = connected_components(links, directed=False)
    component = component[edges.source]
    order = np.argsort(component, kind="stable")
    size = np.bincount(component)
    portion = ((np.cumsum(size) - size) // PORTION_SIZE)[component[order]]
    return np.split(order, np.flatnonzero(np.diff(portion)) + 1)
