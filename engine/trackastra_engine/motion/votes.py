"""Estimate moves without a first guess: pairs of similar cells vote for their displacement."""

import numpy as np

from trackastra_engine.detection.detections import FloatArray, IntArray
from trackastra_engine.motion.counterparts import FramePair

FIELD_REACH, GROUP_REACH = 4, 3  # largest displacement in spacings: of all cells, and of groups
BINS = 4  # of votes, per spacing
GROUP = 20  # neighbours that vote together
MAX_GROUPS = 64
AGREEING_GROUPS = 9  # nearest ones, whose median is used


def field_move(pair: FramePair) -> FloatArray:
    """Return the displacement (N, D) of all cells with the most votes, in pixels."""
    part, displacement, weight = _votes(pair, FIELD_REACH)
    one = np.zeros(len(part), np.int64)
    shift = _densest(one, displacement, weight, 1)
    return np.broadcast_to(shift * pair.spacing, pair.place.shape).copy()


def group_moves(pair: FramePair) -> FloatArray:
    """Return the displacement (N, D) with the most votes of each cell's neighbours, in pixels."""
    from scipy.spatial import cKDTree

    n_cells = len(pair.place)
    seeds = np.unique(np.linspace(0, n_cells - 1, min(n_cells, MAX_GROUPS)).astype(np.int64))
    members = cKDTree(pair.place).query(pair.place[seeds], k=min(GROUP, n_cells))[1]
    members = members.reshape(len(seeds), -1)
    part, displacement, weight = _votes(pair, GROUP_REACH)
    group, vote = _votes_of_groups(members, pair.before.cell[part], n_cells)
    moves = _densest(group, displacement[vote], weight[vote], len(seeds))
    n_agreeing = min(AGREEING_GROUPS, len(seeds))
    nearest = cKDTree(pair.place[seeds]).query(pair.place, k=n_agreeing)[1]
    median: FloatArray = np.median(moves[nearest.reshape(n_cells, -1)], axis=1)
    return median * pair.spacing


def _votes(pair: FramePair, reach: int) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return the part, the displacement (V, D) in spacings and the weight of each vote."""
    from scipy.spatial import cKDTree

    near = cKDTree(pair.before.place).sparse_distance_matrix(
        pair.after_tree, reach * pair.spacing, output_type="ndarray"
    )
    part, cell = near["i"], near["j"]
    look = pair.before.look[part] - pair.after.look[cell]
    displacement = (pair.after.place[cell] - pair.before.place[part]) / pair.spacing
    return part, displacement, np.exp(-(look**2).sum(axis=1) / 2)


def _votes_of_groups(members: IntArray, voter: IntArray, n_cells: int) -> tuple[IntArray, IntArray]:
    """Return the group and the row of each vote of a group's members; members: (G, K) cells."""
    order = np.argsort(voter, kind="stable")
    n_votes = np.bincount(voter, minlength=n_cells)
    first = np.cumsum(n_votes) - n_votes
    cells = members.ravel()
    counts = n_votes[cells]
    offset = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    vote = order[np.repeat(first[cells], counts) + offset]
    return np.repeat(np.arange(len(cells)) // members.shape[1], counts), vote


def _densest(
    group: IntArray, displacement: FloatArray, weight: FloatArray, n_groups: int
) -> FloatArray:
    """Return the displacement (G, D) with the most votes of each group, in spacings; or 0."""
    ndim = displacement.shape[1]
    place = np.rint(displacement * BINS).astype(np.int64)
    half = int(np.abs(place).max(initial=0)) + 1
    shape = (n_groups, *(2 * half + 1,) * ndim)
    index = np.ravel_multi_index((group, *(place + half).T), shape)
    density = np.bincount(index, weight, minlength=int(np.prod(shape))).reshape(shape)
    for axis in range(1, ndim + 1):
        for _ in range(2):  # a standard deviation of one bin
            density = _blurred(density, axis)
    flat = density.reshape(n_groups, -1)
    best = np.stack(np.unravel_index(flat.argmax(axis=1), shape[1:]), axis=1)
    return np.where(flat.max(axis=1)[:, None] > 0, (best - half) / BINS, 0.0)


def _blurred(density: FloatArray, axis: int) -> FloatArray:
    """Return the density with weights of 1/4, 1/2 and 1/4 along an axis; 0 outside."""
    moved = np.moveaxis(density, axis, 0)
    blurred = moved / 2
    blurred[1:] += moved[:-1] / 4
    blurred[:-1] += moved[1:] / 4
    return np.moveaxis(blurred, 0, axis)
