"""Stages 6 and 7 of a movie whose edges come frame by frame."""

import logging
from collections.abc import Iterable

from trackastra_engine.association import FrameEdges
from trackastra_engine.candidates import CandidateGraph, candidate_graph
from trackastra_engine.detections import Detections
from trackastra_engine.displacement import MaxDistance, auto_distance, warn_of_far_links
from trackastra_engine.edges import Edges, concatenate_edges
from trackastra_engine.growing import GrowingRows
from trackastra_engine.lineage import Lineage, build_lineage
from trackastra_engine.linking import Linker
from trackastra_engine.progress import NOTICE
from trackastra_engine.voxels import VoxelSize, proportions

logger = logging.getLogger(__name__)


class LinkStream:
    """Keeps the links from each frame, or if they depend on others, the candidates for the end."""

    def __init__(
        self, link: Linker, max_distance: MaxDistance | None, voxel_um: VoxelSize | None, ndim: int
    ) -> None:
        """Begin a movie.

        Raises InputError if the distance is given in micrometres and the size of voxels is not.
        """
        self._link = link
        self._proportions = proportions(voxel_um, ndim)
        self._limit = None if max_distance is None else max_distance.in_pixels(voxel_um)
        self._is_auto = max_distance is not None and self._limit is None
        self._kept = GrowingRows(concatenate_edges([]))

    def push(self, parts: Iterable[FrameEdges]) -> None:
        """Take the edges from the next frames."""
        for part in parts:
            edges = part.edges
            if not self._is_auto:
                graph = self._candidates(part.detections, edges)
                edges = graph.edges
                if self._link.is_separable:
                    edges = edges.rows(self._link.choose(graph))
            self._kept.add(edges.shifted(part.first_row))

    def finish(self, detections: Detections) -> Lineage:
        """Return the lineage of all detections of the movie; warn if it holds odd links."""
        edges = self._kept.whole()
        if self._is_auto:
            self._limit = auto_distance(CandidateGraph(detections, edges), self._proportions)
            logger.log(NOTICE, "%s", _said(self._limit))
            lineage = self._link(self._candidates(detections, edges))
        elif self._link.is_separable:
            lineage = build_lineage(detections, edges)
        else:
            lineage = self._link(CandidateGraph(detections, edges))
        warn_of_far_links(lineage, self._proportions)
        return lineage

    def _candidates(self, detections: Detections, edges: Edges) -> CandidateGraph:
        return candidate_graph(
            detections, edges, max_distance=self._limit, proportions=self._proportions
        )


def _said(limit: float | None) -> str:
    if limit is None:
        return "too few likely links tell how far cells move; their distance is not limited"
    return f"links are limited to {limit:.1f} pixels, which follows from the likely ones"
