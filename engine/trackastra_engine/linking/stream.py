"""Stages 6 and 7 of a movie whose edges come frame by frame."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.association.edge_stream import FrameEdges
from trackastra_engine.detection.detections import Detections
from trackastra_engine.growing_rows import GrowingRows
from trackastra_engine.linking import Linker
from trackastra_engine.linking.candidates import CandidateGraph, candidate_graph
from trackastra_engine.linking.lineage import Lineage, build_lineage
from trackastra_engine.linking.max_distance import MaxDistance, auto_distance, warn_of_far_links
from trackastra_engine.model.edges import Edges, concatenate_edges
from trackastra_engine.movie.voxels import VoxelSize, proportions
from trackastra_engine.progress import NOTICE

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class FrameLinker:
    """Makes of the edges from a frame its links, or if they depend on others, its candidates."""

    link: Linker
    limit: float | None  # the longest link, in lengths of a voxel along x
    proportions: NDArray[np.float64]  # (D,) lengths of a voxel, see voxels.proportions

    def links(self, part: FrameEdges) -> Edges:
        """Return the links or candidates from a frame, as rows of the movie's detections."""
        graph = self.candidates(part.detections, part.edges)
        edges = graph.edges
        if self.link.is_separable:
            edges = edges.rows(self.link.choose(graph))
        return edges.shifted(part.first_row)

    def candidates(self, detections: Detections, edges: Edges) -> CandidateGraph:
        """Return the candidate graph of some edges."""
        return candidate_graph(
            detections, edges, max_distance=self.limit, proportions=self.proportions
        )


class LinkStream:
    """Keeps the links from each frame, or if they depend on others, the candidates for the end."""

    def __init__(
        self, link: Linker, max_distance: MaxDistance | None, voxel_um: VoxelSize | None, ndim: int
    ) -> None:
        """Begin a movie.

        Raises InputError if the distance is given in micrometres and the size of voxels is not.
        """
        limit = None if max_distance is None else max_distance.in_pixels(voxel_um)
        self._linker = FrameLinker(link, limit, proportions(voxel_um, ndim))
        self._is_auto = max_distance is not None and limit is None
        self._kept = GrowingRows(concatenate_edges([]))

    def push(self, parts: Iterable[FrameEdges]) -> None:
        """Take the edges from the next frames."""
        for part in parts:
            # Until the movie tells the longest link, all edges must wait.
            edges = (
                part.edges.shifted(part.first_row) if self._is_auto else self._linker.links(part)
            )
            self._kept.add(edges)

    def finish(self, detections: Detections) -> Lineage:
        """Return the lineage of all detections of the movie; warn if it holds odd links."""
        edges, linker = self._kept.whole(), self._linker
        if self._is_auto:
            limit = auto_distance(CandidateGraph(detections, edges), linker.proportions)
            logger.log(NOTICE, "%s", _said(limit))
            lineage = linker.link(replace(linker, limit=limit).candidates(detections, edges))
        elif linker.link.is_separable:
            lineage = build_lineage(detections, edges)
        else:
            lineage = linker.link(CandidateGraph(detections, edges))
        warn_of_far_links(lineage, linker.proportions)
        return lineage


def _said(limit: float | None) -> str:
    if limit is None:
        return "too few likely links tell how far cells move; their distance is not limited"
    return f"links are limited to {limit:.1f} pixels, which follows from the likely ones"
