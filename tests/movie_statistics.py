"""Statistics of a movie with known lineages that do not depend on its magnification."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from trackastra_engine.detection.spacing import nearest_distance
from trackastra_engine.detection.transform import covariances
from trackastra_engine.simulation import KnownMovie

N_NEIGHBOURS = 15  # links whose median is the motion around a cell


@dataclass(frozen=True)
class Statistics:
    """Of a whole movie; lengths in median distances to the nearest detection of the frame."""

    move: tuple[float, float, float]  # of links: median, 90 and 99 %
    against_neighbours: tuple[float, float]  # the same, less that of the links around: 50 and 90 %
    tail: float  # 99 % of the moves by their median, without the motion of the whole field
    together: float  # correlation of such moves between nearest neighbours
    pace_memory: float  # correlation of the logarithms of a cell's moves in consecutive frames
    division_edges: float  # share of the edges that begin at a division
    aspect: tuple[float, float, float]  # longest by shortest axis: 10, 50 and 90 %
    whole_field: float  # largest median step of all cells between two frames
    growth: float  # of the number of detections, per frame
    daughter_distance: float  # from the mother, median
    daughter_size: float  # by that of the mother, median
    size_before_end: float  # of a cell that is not seen again, by its size a frame before, median
    size_going_on: float  # the same, of cells that are seen again and do not divide


def statistics(movie: KnownMovie, inside: float = 0.0) -> Statistics:
    """Return the statistics of a movie; inside: margin in pixels of cells that end within."""
    detections, frame = movie.detections, movie.detections.frame
    diameter = detections.features[:, 0]
    target = np.flatnonzero(movie.parent >= 0)
    source = movie.parent[target]
    near = frame[target] - frame[source] == 1
    source, target = source[near], target[near]
    step = detections.centroid[target] - detections.centroid[source]
    around, own, whole = np.empty_like(step), np.empty_like(step), []
    pairs = []  # of rows of nearest neighbours
    for now in np.unique(frame[source]):
        rows = np.flatnonzero(frame[source] == now)
        step[rows] /= nearest_distance(detections.rows(np.flatnonzero(frame == now)))
        common = np.median(step[rows], axis=0)
        own[rows] = step[rows] - common
        whole.append(np.linalg.norm(common))
        places = detections.centroid[source[rows]]
        nearest = cKDTree(places).query(places, min(N_NEIGHBOURS, len(rows)))[1]
        nearest = nearest.reshape(len(rows), -1)
        around[rows] = np.median(step[rows][nearest], axis=1)
        pairs.append(rows[nearest[:, :2]])
    length = np.linalg.norm(step, axis=1)
    against = np.linalg.norm(step - around, axis=1)
    pace = np.full(len(frame), np.nan)
    pace[target] = np.linalg.norm(own, axis=1)
    n_children = np.bincount(source, minlength=len(frame))
    divides = n_children[source] == 2
    value = np.linalg.eigvalsh(covariances(detections))
    aspect = np.sqrt(np.maximum(value[:, -1], 0.05) / np.maximum(value[:, 0], 0.05))
    counts = np.bincount(frame)
    change = diameter[target] / diameter[source]
    ends = (n_children[target] == 0) & (frame[target] < frame.max())
    ends &= detections.features[target, -1] > inside
    return Statistics(
        tuple(np.quantile(length, (0.5, 0.9, 0.99))),
        tuple(np.quantile(against, (0.5, 0.9))),
        float(np.quantile(pace[target], 0.99) / np.median(pace[target])),
        _correlation(own[np.concatenate(pairs)]),
        _pace_memory(pace, source, target),
        float(divides.mean()),
        tuple(np.quantile(aspect, (0.1, 0.5, 0.9))),
        float(max(whole)),
        float((counts[-1] / counts[0]) ** (1 / (len(counts) - 1)) - 1),
        _median(length[divides]),
        _median(change[divides]),
        _median(change[ends & ~divides]),
        _median(change[(n_children[target] == 1) & ~divides]),
    )


def _correlation(step):
    """Return the correlation between the two steps (P, 2, D) of pairs."""
    return float((step[:, 0] * step[:, 1]).sum() / (step**2).sum() * 2)


def _pace_memory(pace, source, target):
    log = np.log(np.maximum(pace, 0.003))
    known = ~np.isnan(pace[source])
    return float(np.corrcoef(log[source[known]], log[target[known]])[0, 1])


def _median(values):
    return float(np.median(values)) if len(values) else float("nan")
