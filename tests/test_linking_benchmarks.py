"""The benchmarks of false divisions and rendered films count as they say."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import false_divisions, rendered_movies
from benchmarks.movie_variants import typical_spacing
from benchmarks.rendered_movies import FILMS, Film, rendered_movie
from benchmarks.spoiled_masks import ErrorShares, spoiled
from benchmarks.true_movies import true_movie, with_nearest_ancestors
from trackastra_engine.model.edges import Edges
from trackastra_engine.simulation import SimulationParameters


def test_ancestors_pass_over_what_is_missing():
    parent = np.array([-1, 0, 1, 2, 1])
    is_left = np.array([True, False, False, True, True])
    np.testing.assert_array_equal(with_nearest_ancestors(parent, is_left), [-1, 0, 0, 0, 0])
    is_left[0] = False
    np.testing.assert_array_equal(with_nearest_ancestors(parent, is_left)[3:], [-1, -1])


@pytest.fixture
def pair():
    """Two cells that touch, of which the second is smaller, in three frames."""
    masks = np.zeros((3, 12, 20), np.int32)
    masks[:, 2:10, 2:10] = 1
    masks[:, 4:8, 10:14] = 2
    return true_movie(masks, None, np.array([-1, -1, 0, 1, 2, 3]))


def test_a_merged_object_is_the_larger_cell_and_the_other_goes_on_over_the_gap(pair):
    for seed in range(20):
        movie = spoiled(pair, seed, ErrorShares(missing=0.0, merged=0.2, split=0.0))
        counts = np.bincount(movie.detections.frame).tolist()
        if counts == [2, 1, 2]:
            break
    assert counts == [2, 1, 2]
    gaps = movie.detections.frame - movie.detections.frame[movie.parent]
    assert sorted(gaps[movie.parent >= 0].tolist()) == [1, 1, 2]
    assert len(movie.links) == 2


def test_true_links_have_full_scores_and_lost_ones_cost_tracks(pair):
    child = np.flatnonzero(pair.parent >= 0)
    everything = Edges(pair.parent[child], child, np.ones(len(child)))
    found = false_divisions.accuracy(pair, everything, 2)
    assert (found["edge_f1"], found["chota"]) == (1.0, 1.0)
    # One of two tracks of three objects is cut after its first: of its objects, each shares 1 or 2
    # of 3 with its track, so that CHOTA is the root of (3 + 1/3 + 2 * 2/3) / 6.
    found = false_divisions.accuracy(pair, everything.rows(np.array([0, 2, 3])), 2)
    assert found["chota"] == pytest.approx(np.sqrt((3 + 1 / 3 + 4 / 3) / 6), abs=1e-5)


def test_films_begin_late_and_jump(monkeypatch):
    parameters = SimulationParameters(n_frames=9, n_cells=20)
    still = Film(parameters, every=2, first=3)
    films = {"still": still, "jump": replace(still, jumps=True)}
    monkeypatch.setattr(rendered_movies, "FILMS", films)
    # Seeds follow the place of the name.
    monkeypatch.setattr(rendered_movies, "FIRST_SEED", 5)
    whole = rendered_movie("still")
    monkeypatch.setattr(rendered_movies, "FIRST_SEED", 4)
    jumping = rendered_movie("jump")
    assert whole.n_frames == jumping.n_frames == 3
    np.testing.assert_array_equal(whole.links, jumping.links)
    step = jumping.detections.centroid - whole.detections.centroid
    frame = whole.detections.frame
    moved = np.linalg.norm(step[frame == 2].mean(0) - step[frame == 0].mean(0))
    assert moved == pytest.approx(2 * typical_spacing(whole.detections), abs=1.0)  # whole pixels


def test_grown_colonies_are_filmed_last_so_that_other_films_keep_their_seeds():
    assert list(FILMS)[-1] == "grown colony"
