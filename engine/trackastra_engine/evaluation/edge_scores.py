"""Scores of edges and divisions, compared with a truth on the same masks."""

from dataclasses import dataclass

import numpy as np

from trackastra_engine.detection.detections import IntArray


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of correct, found and expected things of one kind."""

    correct: int
    found: int
    expected: int

    @property
    def precision(self) -> float:
        """Return the share of found ones that are correct; NaN if nothing was found."""
        return self.correct / self.found if self.found else float("nan")

    @property
    def recall(self) -> float:
        """Return the share of expected ones that were found; NaN if nothing was expected."""
        return self.correct / self.expected if self.expected else float("nan")

    @property
    def f1(self) -> float:
        """Return the harmonic mean of precision and recall; NaN if there was nothing."""
        total = self.found + self.expected
        return 2 * self.correct / total if total else float("nan")


@dataclass(frozen=True, slots=True)
class Scores:
    """Counts of edges and divisions."""

    edges: Counts
    divisions: Counts  # correct if the mother and all her daughters are


def score_edges(found: IntArray, expected: IntArray) -> Scores:
    """Compare edges (E, 4) with true ones (M, 4): source frame, source label, target frame, label.

    Equal rows count once. A division is a source with two targets or more.
    """
    # Numbers instead of (frame, label) make an edge one integer, and edges comparable.
    ends = np.concatenate([found.reshape(-1, 2), expected.reshape(-1, 2)]).astype(np.int64)
    nodes, number = np.unique(ends, axis=0, return_inverse=True)
    pairs = number.reshape(-1, 2)
    found_keys = np.unique(pairs[: len(found)] @ [len(nodes), 1])
    expected_keys = np.unique(pairs[len(found) :] @ [len(nodes), 1])
    correct_keys = np.intersect1d(found_keys, expected_keys, assume_unique=True)
    n_found, n_expected, n_correct = (
        np.bincount(keys // max(len(nodes), 1), minlength=len(nodes))
        for keys in (found_keys, expected_keys, correct_keys)
    )
    is_correct = (n_expected > 1) & (n_found == n_expected) & (n_correct == n_expected)
    return Scores(
        Counts(len(correct_keys), len(found_keys), len(expected_keys)),
        Counts(int(is_correct.sum()), int((n_found > 1).sum()), int((n_expected > 1).sum())),
    )
