"""Simulated yeast has buds that grow next to their mothers, and cells in channels stay in line."""

from dataclasses import replace

import numpy as np
import pytest

from trackastra_engine.simulation import (
    Division,
    Motion,
    Shape,
    SimulationParameters,
    random_parameters,
    simulate,
)

STILL = Motion(flow=0.0, diffusion=0.0, persistent=0.0, rotation=0.0)
YEAST = SimulationParameters(
    n_frames=12,
    n_cells=30,
    spacing=1.6,
    motion=STILL,
    shape=Shape(diameter_px=30.0, spread=0.0, flicker=0.0, aspect=1.0, aspect_spread=0.0, growth=0),
    division=Division(12.0, bud=0.4, asymmetry=0.0, brightness=0.0, rounding=0.0, shrinkage=0.0),
)
CHANNELS = SimulationParameters(
    n_frames=12,
    n_cells=40,
    channel_cells=5,
    channel_distance=3.0,
    motion=STILL,
    shape=Shape(8.0, spread=0.0, flicker=0.0, aspect=3.0, growth=1.0, is_rod=True),
    division=Division(cycle_frames=6.0, cycle_spread=0.1, brightness=0.0),
)


def whole(movie):
    """Return which detections (N,) lie clear of the border."""
    return movie.detections.features[:, -1] >= 3


def families(movie):
    """Return mothers (M,) that have two children and both children (M, 2), all clear of borders."""
    child = np.flatnonzero(movie.parent >= 0)
    child = child[np.argsort(movie.parent[child], kind="stable")]
    mother, first, count = np.unique(movie.parent[child], return_index=True, return_counts=True)
    pairs = np.column_stack([child[first[count == 2]], child[first[count == 2] + 1]])
    inside = whole(movie)[pairs].all(axis=1) & whole(movie)[mother[count == 2]]
    return mother[count == 2][inside], pairs[inside]


def test_a_bud_begins_small_beside_its_mother_who_stays_as_she_was():
    movie = simulate(YEAST, 1)
    mother, pair = families(movie)
    size, place = movie.detections.features[:, 0], movie.detections.centroid
    own, bud = np.take_along_axis(pair, np.argsort(-size[pair], axis=1), axis=1).T
    assert len(mother) > 10
    np.testing.assert_allclose(size[own] / size[mother], 1, atol=0.03)
    ratio = size[bud] / size[own]
    assert np.quantile(ratio, 0.1) > 0.25
    assert np.quantile(ratio, 0.9) < 0.65
    np.testing.assert_allclose(np.median(ratio), 0.4, atol=0.05)
    apart = np.linalg.norm(place[bud] - place[own], axis=1) / ((size[own] + size[bud]) / 2)
    np.testing.assert_allclose(np.median(apart), 1, atol=0.1)


def test_a_bud_grows_to_a_cell_before_it_has_a_bud():
    movie = simulate(replace(YEAST, n_frames=24), 2)
    mother, _ = families(movie)
    size, n_children = movie.detections.features[:, 0], movie.n_children
    assert size[mother].min() > 0.8 * 30
    is_bud = size < 0.6 * 30
    child = np.flatnonzero(movie.parent >= 0)
    grows = child[is_bud[movie.parent[child]] & (n_children[movie.parent[child]] == 1)]
    grows = grows[whole(movie)[grows] & whole(movie)[movie.parent[grows]]]
    assert len(grows) > 10
    assert np.median(size[grows] / size[movie.parent[grows]]) > 1.05


def test_a_colony_may_die_out():
    pushed = replace(YEAST, is_colony=True, motion=replace(STILL, is_pushed=True))
    deadly = replace(pushed, n_cells=6, division=replace(YEAST.division, death_probability=0.9))
    counts = np.bincount(simulate(deadly, 1).detections.frame, minlength=YEAST.n_frames)
    assert counts[0] > 0
    assert counts[-1] == 0


def test_cells_in_channels_keep_their_order_and_leave_at_the_open_end():
    movie = simulate(CHANNELS, 3)
    found, side = movie.detections, CHANNELS.channel_distance * CHANNELS.shape.diameter_px
    y, channel = found.centroid[:, 0], np.floor(found.centroid[:, 1] / side).astype(int)
    child = np.flatnonzero(movie.parent >= 0)
    np.testing.assert_array_equal(channel[child], channel[movie.parent[child]])
    for frame, number in set(
        zip(found.frame[child].tolist(), channel[child].tolist(), strict=True)
    ):
        rows = child[(found.frame[child] == frame) & (channel[child] == number)]
        mothers = movie.parent[rows[np.argsort(y[rows])]]
        assert (np.diff(y[mothers]) >= 0).all()
    mother, _ = families(movie)
    assert len(mother) > 10
    ended = (movie.n_children == 0) & (found.frame < CHANNELS.n_frames - 1)
    assert ended.sum() > 5
    assert y[ended].min() > np.median(y)
    assert np.bincount(found.frame).max() < 2 * CHANNELS.n_cells


@pytest.mark.parametrize("regime", ["budding", "channels"])
def test_random_movies_of_these_kinds_divide(regime):
    movies = [
        simulate(random_parameters(np.random.default_rng(seed), regime=regime), seed)
        for seed in range(12)
    ]
    assert sum((movie.n_children == 2).any() for movie in movies) > 8
