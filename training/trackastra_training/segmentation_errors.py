"""Segmentation errors in a window of known lineages: missed, merged and split detections."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from trackastra_engine.detection.detections import Detections, FloatArray, IntArray
from trackastra_engine.detection.transform import covariances, inertias
from trackastra_engine.simulation import KnownMovie
from trackastra_engine.simulation.cuts import cut, random_cuts
from trackastra_training.configuration import Augmentation

TOUCHING = 1.25  # detections closer than this many mean diameters may merge
MOST_MISSED = 0.8  # share of the detections of a bad frame


def keep_rows(movie: KnownMovie, rows: IntArray) -> KnownMovie:
    """Return some detections, in ascending order; a lost parent is replaced by its own parent.

    Numbers of children do not change: they are those of the truth.
    """
    is_kept = np.zeros(len(movie.parent), bool)
    is_kept[rows] = True
    parent = movie.parent.copy()
    while (lost := (parent >= 0) & ~is_kept[np.maximum(parent, 0)]).any():
        parent[lost] = movie.parent[parent[lost]]
    new_row = np.cumsum(is_kept) - 1
    parent = np.where(parent >= 0, new_row[np.maximum(parent, 0)], parent)
    return KnownMovie(movie.detections.rows(rows), parent[rows], movie.n_children[rows])


def spoil(window: KnownMovie, augmentation: Augmentation, rng: np.random.Generator) -> KnownMovie:
    """Return the window with errors of a worse segmentation; at least one detection."""
    missed, merged, split = (
        share * max(0.0, rng.uniform(-1, 1))  # half of all windows have none
        for share in (augmentation.missed, augmentation.merged, augmentation.split)
    )
    if merged:
        larger, smaller = touching_pairs(window.detections)
        is_chosen = rng.random(len(larger)) < merged
        window = merge(window, larger[is_chosen], smaller[is_chosen])
    if split:
        chosen = np.flatnonzero(rng.random(len(window.parent)) < split)
        window = cut_in_two(window, chosen, random_cuts(len(chosen), rng))
    probability = np.full(len(window.parent), missed)
    if augmentation.missed_divisions:
        share = augmentation.missed_divisions * max(0.0, rng.uniform(-1, 1))
        probability[near_division(window)] += share
    is_missed = rng.random(len(window.parent)) < probability
    if augmentation.lasting_misses:
        lasting = augmentation.lasting_misses * max(0.0, rng.uniform(-1, 1))
        is_missed = still_missed(window, is_missed, lasting, rng)
    if augmentation.bad_frames and rng.random() < augmentation.bad_frames:
        frame = window.detections.frame
        in_bad_frame = frame == rng.choice(frame)
        is_missed |= in_bad_frame & (rng.random(len(frame)) < rng.uniform(0, MOST_MISSED))
    kept = np.flatnonzero(~is_missed)
    return keep_rows(window, kept) if 0 < len(kept) < len(window.parent) else window


def near_division(window: KnownMovie) -> NDArray[np.bool_]:
    """Return (N,) whether the cell divides before the next frame, or its parent just did."""
    return np.asarray((window.n_children >= 2) | is_born(window))


def is_born(window: KnownMovie) -> NDArray[np.bool_]:
    """Return (N,) whether the parent of the cell divided since the frame before."""
    is_mother = window.n_children >= 2
    return np.asarray((window.parent >= 0) & is_mother[np.maximum(window.parent, 0)])


def still_missed(
    window: KnownMovie, is_missed: NDArray[np.bool_], lasting: float, rng: np.random.Generator
) -> NDArray[np.bool_]:
    """Return (N,) which cells are missed if those missed (N,) stay so, each with a probability.

    lasting: this probability, per step from a parent to its child.
    """
    stays, result = rng.random(len(is_missed)) < lasting, is_missed.copy()
    for row in np.flatnonzero(stays & (window.parent >= 0)):  # parents come first
        result[row] |= result[window.parent[row]]
    return result


def in_order(movie: KnownMovie) -> KnownMovie:
    """Return detections in any order as detections are: sorted by frame, then label."""
    order = np.lexsort((movie.detections.label, movie.detections.frame))
    new_row = np.argsort(order)
    parent = movie.parent[order]
    parent = np.where(parent >= 0, new_row[np.maximum(parent, 0)], parent)
    return KnownMovie(movie.detections.rows(order), parent, movie.n_children[order])


def touching_pairs(detections: Detections) -> tuple[IntArray, IntArray]:
    """Return the larger and smaller (P,) of pairs of neighbours; a row is in one pair at most."""
    # Time is another axis, so long that frames are far apart.
    reach = float(np.ptp(detections.centroid, axis=0).sum()) + 1
    places = np.column_stack([detections.frame * reach, detections.centroid])
    if len(places) < 2:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    distance, other = (found[:, 1] for found in cKDTree(places).query(places, 2))
    diameter, row = detections.features[:, 0], np.arange(len(places))
    touches = distance < TOUCHING * 0.5 * (diameter + diameter[other])
    touches &= detections.frame == detections.frame[other]
    is_smaller = (diameter < diameter[other]) | ((diameter == diameter[other]) & (row > other))
    smaller = np.flatnonzero(touches & is_smaller)
    larger = other[smaller]
    first = np.unique(larger, return_index=True)[1]
    free = first[~np.isin(larger[first], smaller)]
    return larger[free], smaller[free]


def merge(window: KnownMovie, larger: IntArray, smaller: IntArray) -> KnownMovie:
    """Return the window with pairs (P,) of detections merged; the larger keeps its parent."""
    detections = window.detections
    ndim, features = detections.ndim, detections.features.copy()
    centroid = detections.centroid.copy()
    volume, covariance = features[:, 0] ** ndim, covariances(detections)
    total = volume[larger] + volume[smaller]
    share = (volume[smaller] / total)[:, None]
    between = centroid[smaller] - centroid[larger]
    outer = between[:, :, None] * between[:, None, :]
    mixed = share[:, :, None]
    merged = (1 - mixed) * covariance[larger] + mixed * covariance[smaller]
    merged += mixed * (1 - mixed) * outer
    centroid[larger] += share * between
    features[larger, 0] = total ** (1 / ndim)
    features[larger, 1] += share[:, 0] * (features[smaller, 1] - features[larger, 1])
    features[larger, 2:-1] = inertias(merged)
    features[larger, -1] = np.minimum(features[larger, -1], features[smaller, -1])
    detections = replace(detections, centroid=centroid, features=features)
    rows = np.setdiff1d(np.arange(len(detections)), smaller)
    return keep_rows(replace(window, detections=detections), rows)


def cut_in_two(window: KnownMovie, rows: IntArray, place: FloatArray) -> KnownMovie:
    """Return the window with some detections cut in two; the smaller part has no parent.

    They are cut across their longest axis, as ellipses; place: (K,) as for `cuts.cut`.
    """
    detections, n_before = window.detections, len(window.parent)
    value, vector = np.linalg.eigh(covariances(detections)[rows])
    axis, variance = vector[:, :, -1], np.maximum(value[:, -1], 0)
    along = variance[:, None, None] * axis[:, :, None] * axis[:, None, :]
    doubled = detections.rows(np.concatenate([np.arange(n_before), rows]))
    covariance = covariances(doubled)
    second = np.arange(n_before, n_before + len(rows))
    for those, part in zip((rows, second), cut(place), strict=True):
        doubled.centroid[those] += (part.shift * np.sqrt(variance))[:, None] * axis
        covariance[those] -= (1 - part.variance)[:, None, None] * along
        doubled.features[those, 0] *= part.volume ** (1 / detections.ndim)
        doubled.features[those, 2:-1] = inertias(covariance[those])
    doubled.label[second] = detections.label.max(initial=0) + 1 + np.arange(len(rows))
    no_parent = np.full(len(rows), -1)
    parent = np.concatenate([window.parent, no_parent])
    n_children = np.concatenate([window.n_children, np.zeros_like(rows)])
    return in_order(KnownMovie(doubled, parent, n_children))
