"""Candidate graphs of any size, for benchmarks of linking."""

from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from trackastra_engine.detection.detections import Detections
from trackastra_engine.linking.candidates import CandidateGraph
from trackastra_engine.model.edges import MIN_SCORE, Edges

SPACING_PX, MOTION_PX, REACH_PX = 10.0, 3.0, 8.0  # crowded: neighbours compete for parents


def walking_cells(
    n_frames: int, n_cells: int, n_targets: int, *, max_gap: int = 1, seed: int = 0
) -> CandidateGraph:
    """Return a graph of cells on a random walk, each scored against its nearest targets.

    n_targets: in each of the next `max_gap` frames.
    """
    rng = np.random.default_rng(seed)
    side = SPACING_PX * np.sqrt(n_cells)
    places = [rng.uniform(0, side, (n_cells, 2))]
    for _ in range(n_frames - 1):
        moved = places[-1] + rng.normal(0, MOTION_PX, (n_cells, 2))
        places.append(np.clip(moved, 0, side))
    parts = []
    for target_frame in range(1, n_frames):
        tree = cKDTree(places[target_frame])
        for frame in range(max(0, target_frame - max_gap), target_frame):
            distance, nearest = tree.query(places[frame], k=n_targets)
            score = np.exp(-distance / REACH_PX) * rng.uniform(0.5, 1, distance.shape)
            source, rank = np.nonzero(score >= MIN_SCORE)
            target = nearest[source, rank] + target_frame * n_cells
            parts.append((source + frame * n_cells, target, score[source, rank]))
    detections = Detections(
        np.repeat(np.arange(n_frames, dtype=np.int32), n_cells),
        np.tile(np.arange(1, n_cells + 1), n_frames),
        np.concatenate(places),
        np.zeros((n_frames * n_cells, 0)),
    )
    source, target, score = (np.concatenate(part) for part in zip(*parts, strict=True))
    rows = source.astype(np.int32), target.astype(np.int32)  # in the order of EdgeStream
    return CandidateGraph(detections, Edges(*rows, score))


def save_graph(graph: CandidateGraph, path: Path) -> None:
    """Write detections and edges for the workers."""
    detections, edges = graph.detections, graph.edges
    np.savez(
        path,
        frame=detections.frame,
        label=detections.label,
        centroid=detections.centroid,
        source=edges.source,
        target=edges.target,
        score=edges.score,
    )
