"""Edges between detections with scores, of a window, a frame or a movie."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from trackastra_engine.detection.detections import FloatArray, IntArray

MIN_SCORE = 0.05  # the paper's alpha: edges with lower scores are not candidates


@dataclass(frozen=True, slots=True, eq=False)
class Edges:
    """E edges between detections, from a source to a target in a later frame.

    Parameters
    ----------
    source, target : (E,) int32
        Rows of the `Detections` of a movie.
    score : (E,) float
        From 0 to 1; NaN for links that were read from files without scores.

    Examples
    --------
    >>> edges = lineage.edges
    >>> int(edges.source[0]), int(edges.target[0]), bool(edges.score[0] > 0.9)
    (0, 2, True)
    """

    source: IntArray  # (E,) rows of a movie's Detections (int32), or of a window's tokens
    target: IntArray  # (E,)
    score: FloatArray  # (E,) 0 to 1

    def __len__(self) -> int:
        """Return the number of edges."""
        return len(self.source)

    def rows(self, index: IntArray) -> "Edges":
        """Return the edges of some rows, in their order."""
        return Edges(self.source[index], self.target[index], self.score[index])

    def shifted(self, n_rows: int) -> "Edges":
        """Return the same edges where the detections lie `n_rows` further down."""
        return Edges(self.source + n_rows, self.target + n_rows, self.score)


def concatenate_edges(parts: Iterable[Edges]) -> Edges:
    """Return the edges of several parts as one."""
    listed = [Edges(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0)), *parts]
    return Edges(
        np.concatenate([part.source for part in listed]),
        np.concatenate([part.target for part in listed]),
        np.concatenate([part.score for part in listed]),
    )
