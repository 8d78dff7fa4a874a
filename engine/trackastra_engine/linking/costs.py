"""Costs of a lineage in optimal linking: the presets of upstream, of this engine, or of a file."""

import math
import tomllib
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.detection.detections import FloatArray, IntArray
from trackastra_engine.errors import InputError
from trackastra_engine.linking.candidates import CandidateGraph
from trackastra_engine.model.edges import Edges

TAKE_ALL = -10.0  # upstream's cost of a detection, low enough to keep every one
# Cost of a link for each frame that it skips, in units of score. Without it, links over gaps
# replace those through a detection in between. With it, no link over a gap can be a second
# daughter: where some could, division F1 of sparse1 with errors in its masks fell from 0.64 to
# 0.24; `benchmarks gaps` tries other values.
MISSED_FRAME = 0.4


@dataclass(frozen=True, slots=True, eq=False)
class PricedGraph:
    """A candidate graph of N detections and E edges, with the cost of each."""

    detection: FloatArray  # (N,) without edges; detections of positive cost are excluded
    edges: Edges
    edge: FloatArray  # (E,)
    is_given: NDArray[np.bool_]  # (E,) must be kept

    def part(self, rows: IntArray) -> "PricedGraph":
        """Return the graph of some edges and of the detections that they join only."""
        edges = self.edges.rows(rows)
        detections, ends = np.unique(np.append(edges.source, edges.target), return_inverse=True)
        joined = Edges(ends[: len(rows)], ends[len(rows) :], edges.score)
        return PricedGraph(self.detection[detections], joined, self.edge[rows], self.is_given[rows])


@dataclass(frozen=True, slots=True)
class LinkCosts:
    """Costs of the parts of a lineage; the best lineage has the lowest sum.

    As in motile, which upstream uses, detections do not appear in the movie's first frame with
    detections, nor disappear in its last one.
    """

    detection: float = TAKE_ALL  # of each detection that is not excluded
    edge: float = 0.0  # of each edge
    edge_score: float = -1.0  # of each edge, times its score
    missed_frame: float = MISSED_FRAME  # of each frame that an edge skips
    appear: float = 0.25  # of each detection without a parent
    disappear: float = 0.5  # of each detection without children
    split: float = 0.25  # of each detection with two children

    def price(self, graph: CandidateGraph) -> PricedGraph:
        """Return the costs of the detections and the edges of a movie."""
        edges, frame = graph.edges, graph.detections.frame
        is_given = np.zeros(len(edges), bool)
        is_given[graph.given] = True
        appears, disappears = frame > frame[:1], frame < frame[-1:]
        return PricedGraph(
            self.detection + self.appear * appears + self.disappear * disappears,
            edges,
            self.edge + self.edge_score * edges.score + self.missed_frame * graph.n_missed,
            is_given,
        )

    def with_min_division_score(self, score: float) -> "LinkCosts":
        """Return the costs with which a second child lowers the sum if its score is higher.

        It saves the cost of its appearance; at this score its gain equals the cost of the division.
        """
        return replace(self, split=self.appear - self.edge - self.edge_score * score)

    @property
    def second_child(self) -> float:
        """Return the cost of a second child above that of a first one."""
        return self.split + self.disappear


# For scores that are probabilities, as of models that were trained here. A link needs a probability
# of less than 0.5, as most cells have one, and no other may remain. Chosen on training and
# validation parts of five real data sets, with true masks and with errors, every frame and every
# second one, with scores corrected for rates: of 0.3, one of 30 variants has worse divisions than
# of 0.15, and 25 have better ones.
LINK_PROBABILITY = 0.3
# Least score of a second child, of upstream's models as well. With 0.6, errors are as many, and F1
# of divisions is lower on real sets that the model does not know: see benchmarks/README.md, rates.
DIVISION_SCORE = 0.5
PROBABILITIES = LinkCosts(
    appear=-LINK_PROBABILITY, disappear=0.0, split=DIVISION_SCORE - LINK_PROBABILITY
)
# Besides it, the values of upstream's ILP_CONFIGS (ilp.py), which were tuned on the data sets in
# their names.
CONFIGURATIONS = {
    "probabilities": PROBABILITIES,
    "gt": LinkCosts(),
    "deepcell_gt": LinkCosts(split=1.0),
    "deepcell_gt_tuned": LinkCosts(appear=0.5, split=1.0),
    "deepcell_res_tuned": LinkCosts(
        detection=0.25, edge=-0.25, appear=0.25, disappear=0.25, split=1.0
    ),
}


def usual_costs(*, probabilities: bool) -> LinkCosts:
    """Return the costs for scores that are probabilities, or upstream's default ("gt")."""
    return PROBABILITIES if probabilities else LinkCosts()


def read_costs(name: str | Path, others: LinkCosts) -> LinkCosts:
    """Return the costs of one of the CONFIGURATIONS, or of a TOML file `NAME = NUMBER`.

    The names are the fields of LinkCosts; those that are not in the file are as in `others`.

    Raises InputError if there is no such configuration or file, or a line of it is invalid.
    """
    if isinstance(name, str) and name in CONFIGURATIONS:
        return CONFIGURATIONS[name]
    try:
        values = tomllib.loads(Path(name).read_text("utf-8"))
    except FileNotFoundError as error:
        known = ", ".join(CONFIGURATIONS)
        raise InputError(
            f"there is no file {name} with costs; give a TOML file, or one of {known}"
        ) from error
    except (OSError, ValueError) as error:
        raise InputError(f"{name} cannot be read as TOML ({error})") from error
    known_names = [field.name for field in fields(LinkCosts)]
    for key, value in values.items():
        if key not in known_names:
            raise InputError(
                f"{name} has the unknown cost {key!r}; choose from {', '.join(known_names)}"
            )
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not math.isfinite(value)
        ):
            raise InputError(f"{name} has {key} = {value!r}; give a finite number")
    return replace(others, **{key: float(value) for key, value in values.items()})
