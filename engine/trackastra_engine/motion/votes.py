"""Estimate moves without a first guess: pairs of similar cells vote for their displacement.

Votes do not reach far, but the middle of a colony or an embryo that is seen whole shows any jump.
"""

from dataclasses import dataclass

import numpy as np

from trackastra_engine.detection.detections import FloatArray, IntArray
from trackastra_engine.motion.counterparts import FramePair

FIELD_REACH, GROUP_REACH = 4, 3  # largest displacement in spacings: of all cells, and of groups
BINS = 4  # of votes, per spacing
GROUP = 20  # neighbours that vote together
MAX_GROUPS = 64
AGREEING_GROUPS = 9  # nearest ones, whose median is used


@dataclass(frozen=True, slots=True, eq=False)
class Votes:
    """V pairs of a part of the first frame and a cell of the second, up to FIELD_REACH apart."""

    voter: IntArray  # (V,) row of the cell in the first frame
    displacement: FloatArray  # (V, D) spacings
    distance: FloatArray  # (V,) spacings
    weight: FloatArray  # (V,) 1 for the same size and shape

    @classmethod
    def of(cls, pair: FramePair) -> "Votes":
        """Return the votes of the cells of two frames."""
        from scipy.spatial import cKDTree

        near = cKDTree(pair.before.place).sparse_distance_matrix(
            pair.after_tree, FIELD_REACH * pair.spacing, output_type="ndarray"
        )
        part, cell = near["i"], near["j"]
        look = pair.before.look[part] - pair.after.look[cell]
        displacement = (pair.after.place[cell] - pair.before.place[part]) / pair.spacing
        weight = np.exp(-np.einsum("vl,vl->v", look, look) / 2)
        return cls(pair.before.cell[part], displacement, near["v"] / pair.spacing, weight)

    def within(self, reach: float) -> "Votes":
        """Return those up to some spacings apart."""
        near = np.flatnonzero(self.distance <= reach)
        return Votes(
            self.voter[near], self.displacement[near], self.distance[near], self.weight[near]
        )


def field_move(pair: FramePair, votes: Votes) -> FloatArray:
    """Return the displacement (N, D) of all cells with the most votes, in pixels."""
    one = np.zeros(len(votes.voter), np.int64)
    shift = _densest(one, votes.displacement, votes.weight, 1)
    return np.broadcast_to(shift * pair.spacing, pair.place.shape).copy()


def group_moves(pair: FramePair, votes: Votes) -> FloatArray:
    """Return the displacement (N, D) with the most votes of each cell's neighbours, in pixels."""
    from scipy.spatial import cKDTree

    n_cells = len(pair.place)
    seeds = np.unique(np.linspace(0, n_cells - 1, min(n_cells, MAX_GROUPS)).astype(np.int64))
    members = cKDTree(pair.place).query(pair.place[seeds], k=min(GROUP, n_cells))[1]
    members = members.reshape(len(seeds), -1)
    near = votes.within(GROUP_REACH)
    group, vote = _votes_of_groups(members, near.voter, n_cells)
    moves = _densest(group, near.displacement[vote], near.weight[vote], len(seeds))
    n_agreeing = min(AGREEING_GROUPS, len(seeds))
    nearest = cKDTree(pair.place[seeds]).query(pair.place, k=n_agreeing)[1]
    median: FloatArray = np.median(moves[nearest.reshape(n_cells, -1)], axis=1)
    return median * pair.spacing


def middle_move(pair: FramePair, votes: Votes) -> FloatArray:
    """Return the displacement (N, D) of the middle of all cells, in pixels, however far it is."""
    shift = np.median(pair.after.place, axis=0) - np.median(pair.place, axis=0)
    return np.broadcast_to(shift, pair.place.shape).copy()


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
