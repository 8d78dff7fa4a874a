"""Link a movie whose edges arrive frame by frame."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.association.edge_stream import FrameEdges
from trackastra_engine.detection.detections import Detections
from trackastra_engine.growing_rows import GrowingRows
from trackastra_engine.linking import Linker
from trackastra_engine.linking.adaptation import adapted
from trackastra_engine.linking.candidates import CandidateGraph, candidate_graph
from trackastra_engine.linking.corrections import Corrections, corrected_graph
from trackastra_engine.linking.lineage import Lineage, build_lineage
from trackastra_engine.linking.max_distance import (
    MaxDistance,
    auto_distance,
    count_far,
    own_lengths,
    warn_of_far_links,
    warn_of_short_limit,
)
from trackastra_engine.linking.merges import discount_merges
from trackastra_engine.linking.rates import (
    MovieRates,
    RateCounts,
    corrected,
    count_parents,
    movie_rates,
)
from trackastra_engine.linking.split_objects import without_split_objects
from trackastra_engine.model.edges import Edges, concatenate_edges
from trackastra_engine.model.spec import Adaptation, TrainingRates
from trackastra_engine.motion.summary import MovieMotion
from trackastra_engine.movie.voxels import VoxelSize, proportions
from trackastra_engine.progress import NOTICE

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FrameLinker:
    """Converts edges from a frame to links, or to candidates if links depend on other frames."""

    link: Linker
    limit: float | None  # the longest link, in lengths of a voxel along x
    proportions: NDArray[np.float64]  # (D,) lengths of a voxel, see voxels.proportions
    corrections: Corrections | None = None
    adaptation: Adaptation | None = None  # of the model

    @property
    def is_separable(self) -> bool:
        """Return whether links between neighbouring frames do not depend on other frames."""
        corrections = self.corrections
        return self.link.is_separable and (corrections is None or corrections.longest_link == 1)

    def links(
        self,
        part: FrameEdges,
        rates: MovieRates | None = None,
        is_near: NDArray[np.bool_] | None = None,
    ) -> Edges:
        """Return the links or candidates from a frame, as rows of the movie's detections."""
        graph = self.candidates(part, rates, is_near)
        if self.is_separable:
            graph = self.with_corrections(graph)
            return graph.edges.rows(self.link.choose(graph)).shifted(part.first_row)
        return graph.edges.shifted(part.first_row)

    def lineage(self, detections: Detections, edges: Edges) -> Lineage:
        """Return the lineage of all links or candidates of a movie, as `links` returned them."""
        if self.is_separable:
            return build_lineage(detections, edges)
        return self.link(self.with_corrections(self.discounted(CandidateGraph(detections, edges))))

    def discounted(self, graph: CandidateGraph) -> CandidateGraph:
        """Return the candidates without likely divisions of merged cells, see merges.py."""
        return discount_merges(graph) if self.link.max_gap > 1 else graph

    def candidates(
        self,
        part: FrameEdges,
        rates: MovieRates | None,
        is_near: NDArray[np.bool_] | None = None,
    ) -> CandidateGraph:
        """Return the candidate edges from a frame, with their final scores.

        rates: of the movie, for the correction of scores; is_near: (E,) edges that are considered
        after it, all if None.
        """
        edges = part.edges
        if rates is not None:
            edges = corrected(edges, part.detections, rates.weights, self.proportions)
        if is_near is not None:
            edges = edges.rows(np.flatnonzero(is_near))
        graph = candidate_graph(
            part.detections, edges, max_distance=self.limit, proportions=self.proportions
        )
        if self.adaptation is not None:
            graph = adapted(graph, self.adaptation, self.proportions)
        return graph

    def with_corrections(self, graph: CandidateGraph) -> CandidateGraph:
        """Return the candidates from which a linker must follow the corrections."""
        return graph if self.corrections is None else corrected_graph(graph, self.corrections)


class LinkStream:
    """Keeps the links from each frame, or if they depend on others, the candidates for the end.

    Where the whole movie decides the longest link or the scores, all edges wait for the end.
    """

    def __init__(
        self,
        link: Linker,
        max_distance: MaxDistance | None,
        voxel_um: VoxelSize | None,
        ndim: int,
        *,
        training_rates: TrainingRates | None = None,
        adaptation: Adaptation | None = None,
        corrections: Corrections | None = None,
    ) -> None:
        """Begin a movie.

        training_rates, adaptation: of the model; None leaves its scores as they are; corrections:
        links that are decided.

        Raises InputError if the distance is in micrometres and the size of voxels is unknown.
        """
        limit = None if max_distance is None else max_distance.in_pixels(voxel_um)
        self.rates: MovieRates | None = None  # of the movie, after its end, if scores are corrected
        self._linker = FrameLinker(
            link, limit, proportions(voxel_um, ndim), corrections, adaptation
        )
        self._is_auto = max_distance is not None and limit is None
        self._training_rates = training_rates
        self._counts = RateCounts.none()
        self._n_far = np.zeros(2, np.int64)  # likely edges beyond the limit, and all likely ones
        self._kept = GrowingRows(concatenate_edges([]))  # waiting edges, otherwise links
        self._waiting: list[tuple[range, slice, slice]] = []  # frames, their rows, and their edges

    @property
    def _waits(self) -> bool:
        return self._is_auto or self._training_rates is not None

    def push(self, parts: Iterable[FrameEdges]) -> None:
        """Add the edges from the next frames."""
        limit, sides = self._linker.limit, self._linker.proportions
        for part in parts:
            if limit is not None:
                self._n_far += count_far(CandidateGraph(part.detections, part.edges), limit, sides)
            if not self._waits:
                self._kept.add(self._linker.links(part))
                continue
            rows = slice(part.first_row, part.first_row + len(part.detections))
            edges = slice(len(self._kept), len(self._kept) + len(part.edges))
            self._waiting.append((range(part.frame, part.stop), rows, edges))
            self._kept.add(part.edges.shifted(part.first_row))
            if self._training_rates is not None:
                self._counts += count_parents(part, sides)

    def finish(self, detections: Detections, motion: MovieMotion | None = None) -> Lineage:
        """End the movie and return the lineage of all its detections; warn of long links.

        motion: of the movie, if windows were aligned: common motion of cells does not count in the
        length of links, in warnings and in the limit "auto".

        Raises InputError if corrections name detections that are not in the movie.
        """
        linker = self._linker
        if linker.corrections is not None:
            linker.corrections.check_known(detections)
        if self._training_rates is not None:
            self.rates = known_rates(self._counts, self._training_rates)
        edges = self._kept.whole()
        self._kept = GrowingRows(concatenate_edges([]))  # so that `_linked` frees the edges
        if self._waits:
            edges = self._linked(detections, edges, motion)
        lineage = linker.lineage(detections, edges)
        if self.rates is not None:
            lineage = without_split_objects(lineage, linker.corrections)
        if linker.limit is not None:
            warn_of_short_limit(linker.limit, *self._n_far.tolist())
        warn_of_far_links(lineage, linker.proportions, motion)
        return lineage

    def _linked(self, detections: Detections, edges: Edges, motion: MovieMotion | None) -> Edges:
        """Return the links or candidates of the edges that waited."""
        is_near = self._near(CandidateGraph(detections, edges), motion) if self._is_auto else None
        kept = GrowingRows(concatenate_edges([]))
        for frames, rows, own in self._waiting:
            scored = Edges(edges.source[own], edges.target[own], edges.score[own])
            part = FrameEdges(
                frames.start,
                frames.stop,
                rows.start,
                detections.rows(rows),
                scored.shifted(-rows.start),
            )
            near = None if is_near is None else is_near[own]
            kept.add(self._linker.links(part, self.rates, near))
        return kept.whole()

    def _near(self, graph: CandidateGraph, motion: MovieMotion | None) -> NDArray[np.bool_] | None:
        """Return which edges (E,) are within the limit "auto" of the movie; None without one."""
        proportions = self._linker.proportions
        limit = auto_distance(graph, proportions, motion)
        logger.log(NOTICE, "%s", _limit_text(limit))
        return None if limit is None else own_lengths(graph, proportions, motion) <= limit


def known_rates(counts: RateCounts, training: TrainingRates) -> MovieRates | None:
    """Return and report the rates of a movie; None if they cannot be estimated."""
    rates = movie_rates(counts, training)
    if rates is None:
        logger.log(
            NOTICE,
            "too few cells have a likely parent to estimate the rates of the movie; scores are not "
            "corrected",
        )
    else:
        logger.log(NOTICE, "%s", rates)
    return rates


def _limit_text(limit: float | None) -> str:
    if limit is None:
        return (
            "there are too few likely links to estimate the motion of cells; links are not limited"
        )
    return f"links are limited to {limit:.1f} pixels, estimated from the likely ones"
