"""Scores of edges and divisions on small lineages, drawn as (frame, label) -> (frame, label)."""

import math

import numpy as np
import pytest

from trackastra_engine.evaluation.edge_scores import Counts, score_edges

NO_EDGES = np.empty((0, 4), int)
# 1 -> 1 -> 1     2 divides into 3 and 4 after frame 0
TRUTH = np.array([[0, 1, 1, 1], [1, 1, 2, 1], [0, 2, 1, 3], [0, 2, 1, 4]])


def test_the_truth_scores_one_in_any_order():
    scores = score_edges(TRUTH[[2, 0, 3, 1]], TRUTH)
    assert scores.edges == Counts(correct=4, found=4, expected=4)
    assert scores.edges.f1 == scores.divisions.f1 == 1
    assert scores.divisions.expected == 1


def test_a_division_without_one_daughter_is_not_a_division():
    scores = score_edges(TRUTH[:3], TRUTH)
    assert scores.edges.recall == 3 / 4
    assert scores.edges.precision == 1
    assert scores.edges.f1 == pytest.approx(6 / 7)
    assert (scores.divisions.correct, scores.divisions.found, scores.divisions.expected) == (
        0,
        0,
        1,
    )
    assert scores.divisions.f1 == 0


def test_a_division_with_a_wrong_daughter_is_wrong():
    found = TRUTH.copy()
    found[3] = [0, 2, 1, 1]
    scores = score_edges(found, TRUTH)
    assert scores.edges.correct == 3
    assert (scores.divisions.correct, scores.divisions.found) == (0, 1)


def test_a_mother_with_a_third_daughter_is_wrong():
    found = np.vstack([TRUTH, [0, 2, 1, 1]])
    assert score_edges(found, TRUTH).divisions.correct == 0


def test_labels_may_be_large_and_equal_rows_count_once():
    found = np.vstack([TRUTH, TRUTH]) + np.array([0, 2**60, 0, 2**60])
    scores = score_edges(found, TRUTH + np.array([0, 2**60, 0, 2**60]))
    assert scores.edges.f1 == scores.divisions.f1 == 1


def test_nothing_found_and_nothing_expected():
    nothing = score_edges(NO_EDGES, TRUTH)
    assert nothing.edges.f1 == 0
    assert math.isnan(nothing.edges.precision)
    assert math.isnan(score_edges(TRUTH, NO_EDGES).edges.recall)
    assert math.isnan(score_edges(NO_EDGES, NO_EDGES).divisions.f1)
