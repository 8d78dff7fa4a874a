"""Decide the links into frames, one frame after the other: later frames are not known yet."""

from collections.abc import Callable, Sequence

import numpy as np

from trackastra_engine.association.edge_stream import FrameEdges
from trackastra_engine.linking.candidates import CandidateGraph
from trackastra_engine.linking.rates import MovieRates
from trackastra_engine.linking.stream import FrameLinker
from trackastra_engine.model.edges import Edges, concatenate_edges


def links_into(
    frames: range,
    scored: Callable[[int], FrameEdges],
    earlier: Sequence[Edges],
    linker: FrameLinker,
    rates: MovieRates | None,
) -> list[Edges]:
    """Return the links into each of some frames, as rows of the movie's detections.

    A link over a gap begins only at a cell that is not linked to a frame in between.

    scored: returns the edges from a frame; earlier: links into each of the `max_gap` frames
    just before, or of all; rates: of the movie, for the correction of scores.
    """
    max_gap = linker.link.max_gap
    decided = dict(zip(range(frames.start - len(earlier), frames.start), earlier, strict=True))
    first_rows: dict[int, int] = {}
    graphs: dict[int, CandidateGraph] = {}
    for frame in frames:
        begin = max(0, frame - max_gap)
        for source in range(begin, frame):
            if source not in graphs:
                part = scored(source)
                first_rows[source] = part.first_row
                graphs[source] = linker.candidates(part, rates)
        near = {source: graphs[source] for source in range(begin, frame)}
        links = concatenate_edges([])
        if near:
            edges = concatenate_edges(
                _into(frame, graph).shifted(first_rows[source]) for source, graph in near.items()
            )
            linked = concatenate_edges(decided[t] for t in range(begin + 1, frame)).source
            edges = edges.rows(np.flatnonzero(~np.isin(edges.source, linked)))
            known = near[begin].detections
            known = known.rows(slice(0, int(np.searchsorted(known.frame, frame, "right"))))
            row = first_rows[begin]
            graph = linker.discounted(CandidateGraph(known, edges.shifted(-row)))
            links = graph.edges.rows(linker.link.choose(graph)).shifted(row)
        decided[frame] = links
    return [decided[frame] for frame in frames]


def _into(frame: int, graph: CandidateGraph) -> Edges:
    """Return the edges of a graph into a frame."""
    return graph.edges.rows(np.flatnonzero(graph.detections.frame[graph.edges.target] == frame))
