"""Find cells of two frames that are similar and close, after those of the first have moved."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from trackastra_engine.detection.detections import Detections, FloatArray, IntArray
from trackastra_engine.detection.spacing import typical_spacing
from trackastra_engine.detection.transform import covariances, inertias

if TYPE_CHECKING:
    from scipy.spatial import cKDTree

# Standard deviations of one cell in two frames. Known links of sparse1, epidermis, ecoli, celegans
# and phallusia, aligned, have 0.1 to 0.25 spacings, 0.05 to 0.2 of the logarithm of the diameter
# and 0.01 to 0.1 of the inertia over the squared diameter. Sizes and shapes may differ twice as
# much, since flows must be found in masks with noise, too: see benchmarks/README.md, noise.
PLACE_SPACINGS, LOG_SIZE, SHAPE = 0.25, 0.4, 0.2
FARTHEST = 4.0  # standard deviations, beyond which cells are not compared
# A cell with at least this aspect divides across its long axis: its halves are searched, too. Rods
# have 3.7 to 9.7, nuclei up to 1.9.
ROD_ASPECT = 2.0
HALF_ROD = np.sqrt(12) / 4  # from its centre to that of a half, in standard deviations of a rod


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """P cells of a frame, and halves of rods."""

    place: FloatArray  # (P, D) pixels
    look: FloatArray  # (P, L) size and shape, in standard deviations
    cell: IntArray  # (P,) row of the detection in its frame


@dataclass(frozen=True, slots=True, eq=False)
class FramePair:
    """Two frames: N cells with halves of rods, and M cells of the next frame."""

    spacing: float  # pixels, see typical_spacing
    place: FloatArray  # (N, D) pixels, of the cells of the first frame
    before: Parts
    after: Parts
    after_tree: "cKDTree"

    @classmethod
    def of(cls, detections: Detections, n_before: int) -> "FramePair":
        """Return the pair of two frames; the first contains `n_before` of the detections."""
        from scipy.spatial import cKDTree  # 0.3 s, and not needed by models that see pixels

        first, second = detections.rows(slice(n_before)), detections.rows(slice(n_before, None))
        before, after = _with_halves(first), _whole(second)
        tree = cKDTree(after.place)
        return cls(typical_spacing(detections), first.centroid, before, after, tree)


@dataclass(frozen=True, slots=True, eq=False)
class Counterparts:
    """K pairs of a part of the first frame and a cell of the second that fit each other best."""

    cell: IntArray  # (K,) row in the first frame
    place: FloatArray  # (K, D) pixels, in the first frame
    move: FloatArray  # (K, D) pixels, to the second
    likeness: FloatArray  # (K,) 1 for the same place, size and shape, after the assumed move
    fit: float  # sum of likeness, as a share of the cells of the second frame


def find_counterparts(pair: FramePair, move: FloatArray) -> Counterparts:
    """Return the counterparts of cells that move by (N, D) pixels."""
    from scipy.spatial import cKDTree

    place = pair.before.place + move[pair.before.cell]
    deviation = PLACE_SPACINGS * pair.spacing
    near = cKDTree(place).sparse_distance_matrix(
        pair.after_tree, FARTHEST * deviation, output_type="ndarray"
    )
    part, cell = near["i"], near["j"]
    look = pair.before.look[part] - pair.after.look[cell]
    squared = (near["v"] / deviation) ** 2 + np.einsum("pl,pl->p", look, look)
    chosen = _mutual(part, cell, squared, (len(place), len(pair.after.place)))
    likeness = np.exp(-squared[chosen] / 2)
    source = pair.before.place[part[chosen]]
    target = pair.after.place[cell[chosen]]
    fit = float(likeness.sum()) / len(pair.after.place)
    return Counterparts(pair.before.cell[part[chosen]], source, target - source, likeness, fit)


def gain_of_same(pair: FramePair, still: Counterparts, move: FloatArray) -> float:
    """Return by how much the fit of counterparts without motion rises if cells move by (N, D)."""
    left = still.move - move[still.cell]
    closer = (still.move**2 - left**2).sum(axis=1) / (PLACE_SPACINGS * pair.spacing) ** 2
    gain = still.likeness * np.expm1(closer / 2)
    return float(gain.sum()) / len(pair.after.place)


def _mutual(part: IntArray, cell: IntArray, squared: FloatArray, size: tuple[int, int]) -> IntArray:
    """Return the rows of the pairs in which each is the best partner of the other."""
    best_of_part, best_of_cell = (np.full(n, FARTHEST**2) for n in size)
    np.minimum.at(best_of_part, part, squared)
    np.minimum.at(best_of_cell, cell, squared)
    is_best = (squared == best_of_part[part]) & (squared == best_of_cell[cell])
    return np.flatnonzero(is_best)


def _whole(frame: Detections) -> Parts:
    diameter, inertia = frame.features[:, 0], frame.features[:, 2:-1]
    return Parts(frame.centroid, _look(diameter, inertia), np.arange(len(frame)))


def _with_halves(frame: Detections) -> Parts:
    """Return the cells of a frame, followed by the two halves of each rod."""
    whole = _whole(frame)
    ndim = frame.ndim
    rods, covariance = _elongated(covariances(frame))
    variance, axes = np.linalg.eigh(covariance)
    is_rod = variance[:, -1] >= ROD_ASPECT**2 * np.maximum(variance[:, -2], 0)
    is_rod &= variance[:, -1] > 0
    if not is_rod.any():
        return whole
    rods, covariance = rods[is_rod], covariance[is_rod]
    axis, longest = axes[is_rod, :, -1], variance[is_rod, -1]
    halved = covariance - 0.75 * longest[:, None, None] * axis[:, :, None] * axis[:, None, :]
    look = _look(frame.features[rods, 0] * 0.5 ** (1 / ndim), inertias(halved))
    to_half = HALF_ROD * np.sqrt(longest)[:, None] * axis
    middle = frame.centroid[rods]
    return Parts(
        np.concatenate([whole.place, middle + to_half, middle - to_half]),
        np.concatenate([whole.look, look, look]),
        np.concatenate([whole.cell, rods, rods]),
    )


def _elongated(covariance: FloatArray) -> tuple[IntArray, FloatArray]:
    """Return the rows and the covariances (R, D, D) of cells that may be rods, and of few others.

    For axes with variances of 1 and at most x = 1 / ROD_ASPECT^2, the sum of the squares of all
    entries is at least (1 + (D - 1) x^2) / (1 + (D - 1) x)^2 of the squared trace.
    """
    n_others, most = covariance.shape[1] - 1, ROD_ASPECT**-2
    share = (1 + n_others * most**2) / (1 + n_others * most) ** 2
    trace = np.trace(covariance, axis1=1, axis2=2)
    squares = np.einsum("nij,nij->n", covariance, covariance)
    rows = np.flatnonzero(squares >= 0.999 * share * trace**2)  # less: rounding
    return rows, covariance[rows]


def _look(diameter: FloatArray, inertia: FloatArray) -> FloatArray:
    return np.column_stack([np.log(diameter) / LOG_SIZE, inertia / diameter[:, None] ** 2 / SHAPE])
