"""Movies whose tracks are known: masks or points with shuffled labels, and their true parents."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from trackastra_engine.detection.detections import Detections, concatenate, detect
from trackastra_engine.evaluation.edge_scores import Scores, score_edges
from trackastra_engine.movie.frames import Frame
from trackastra_engine.simulation import RenderedMovie
from trackastra_engine.simulation.truth import find_parents


@dataclass(frozen=True, slots=True, eq=False)
class TrueMovie:
    """Detections whose labels, shuffled in every frame, carry no meaning, and the truth."""

    masks: NDArray[np.integer[Any]] | None  # (T, [Z,] Y, X); None: the detections are points
    images: NDArray[np.uint16] | None  # (T, [Z,] Y, X)
    detections: Detections
    parent: NDArray[np.int64]  # (N,) row of the same cell or its mother, last seen earlier; or -1
    z_step: float = 1.0  # 3D: distance of planes, in pixels of y and x

    @property
    def n_frames(self) -> int:
        """Return T; for points, up to the last frame with a point."""
        return int(self.detections.frame.max()) + 1 if self.masks is None else len(self.masks)

    @property
    def links(self) -> NDArray[np.int64]:
        """Return the true edges (E, 2) between neighbouring frames, rows of the detections."""
        target = np.flatnonzero(self.parent >= 0)
        frame = self.detections.frame
        target = target[frame[target] - frame[self.parent[target]] == 1]
        return np.column_stack([self.parent[target], target])

    @property
    def has_intensities(self) -> bool:
        """Return whether the intensity of any detection is known."""
        return bool(np.isfinite(self.detections.features[:, 1]).any())

    def in_proportion(self) -> Detections:
        """Return the detections with positions in pixels of y and x along all axes."""
        scale = np.ones(self.detections.ndim)
        scale[:-2] = self.z_step
        return replace(self.detections, centroid=self.detections.centroid * scale)

    def score(self, links: NDArray[np.integer[Any]]) -> Scores:
        """Return the scores of links (E, 2) between rows; those over gaps do not count."""
        return score_edges(self._ends(self.steps(links)), self._ends(self.links))

    def steps(self, links: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
        """Return the links (E, 2) without those over gaps."""
        frame = self.detections.frame
        return links[frame[links[:, 1]] - frame[links[:, 0]] == 1]

    def _ends(self, links: NDArray[np.integer[Any]]) -> NDArray[np.integer[Any]]:
        frame_and_label = np.column_stack([self.detections.frame, self.detections.label])
        return frame_and_label[links].reshape(-1, 4)


def as_points(movie: TrueMovie) -> TrueMovie:
    """Return the movie with the same detections, sizes and shapes included, without its pixels."""
    return replace(movie, masks=None, images=None)


def read_movie(folder: Path, first: int, last: int, *, images: Path | None = None) -> TrueMovie:
    """Return frames `first` to `last` of a ground truth folder of the Cell Tracking Challenge.

    images: the folder of the images of all frames, if there are any.
    """
    table = np.loadtxt(folder / "TRA" / "man_track.txt", dtype=int, ndmin=2)
    mother_of = np.full(table[:, 0].max() + 1, -1)
    mother_of[table[:, 0]] = np.where(table[:, 3] > 0, table[:, 3], -1)
    rng = np.random.default_rng(0)
    masks, tracks = [], []
    for file in sorted((folder / "TRA").glob("man_track*.tif"))[first : last + 1]:
        mask, old = renumbered(tifffile.imread(file), rng)
        masks.append(mask)
        tracks.append(old)
    parent = find_parents(tracks, [mother_of[part] for part in tracks])
    shown = [] if images is None else sorted(images.glob("*.tif"))[first : last + 1]
    seen = np.stack([tifffile.imread(file) for file in shown]) if shown else None
    return true_movie(np.stack(masks), seen, parent)


def as_true_movie(movie: RenderedMovie, z_step: float) -> TrueMovie:
    """Return a rendered movie with its detections."""
    counts = [int(mask.max()) for mask in movie.masks]
    first_row = np.cumsum([0, *counts[:-1]])
    source, source_label, target, target_label = movie.edges.T
    parent = np.full(sum(counts), -1)
    parent[first_row[target] + target_label - 1] = first_row[source] + source_label - 1
    return true_movie(movie.masks, movie.images, parent, z_step)


def true_movie(
    masks: NDArray[np.integer[Any]],
    images: NDArray[np.uint16] | None,
    parent: NDArray[np.int64],
    z_step: float = 1.0,
) -> TrueMovie:
    """Return the movie of masks labelled 1 to M in every frame; parent: (N,) row or -1."""
    ndim = masks.ndim - 1
    frames: Sequence[NDArray[Any] | None] = [None] * len(masks) if images is None else list(images)
    detections = concatenate(
        (detect(Frame(t, frames[t], mask), ndim) for t, mask in enumerate(masks)), ndim
    )
    return TrueMovie(masks, images, detections, parent, z_step)


def with_nearest_ancestors(
    parent: NDArray[np.int64], is_left: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Return the parent (N,) of each detection, or if it is not left, its nearest ancestor; or -1.

    parent: (N,) rows, -1 where there is none; is_left: (N,).
    """
    nearest = parent.copy()
    while (lost := (nearest >= 0) & ~is_left[nearest]).any():
        nearest[lost] = parent[nearest[lost]]
    return nearest


def renumbered(
    mask: NDArray[np.integer[Any]], rng: np.random.Generator
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Return the mask with labels 1 to M in random order, and the old label (M,) of each."""
    old = rng.permutation(np.unique(mask[mask > 0])).astype(np.int64)
    new = np.zeros(int(mask.max()) + 1, np.int32)
    new[old] = np.arange(1, len(old) + 1)
    return new[mask], old
