"""Batches: their order over pools and processes, their size, and their simulated windows."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

from quick_training import QUICK
from small_networks import tiny_network
from trackastra_engine.simulation import (
    Division,
    Motion,
    SimulationParameters,
    random_parameters,
    simulate,
)
from trackastra_training import batches
from trackastra_training.batches import BatchStream, ExampleOptions, Pools, Position
from trackastra_training.configuration import Configuration
from trackastra_training.examples import make_example
from trackastra_training.start import spec_of

POOL_SIZE = 5


@pytest.fixture(autouse=True)
def small_pools(monkeypatch):
    """Pools that take a tenth of a second."""
    monkeypatch.setattr("trackastra_training.batches.POOL_SIZE", POOL_SIZE)


def example_options(**changes):
    spec = spec_of(tiny_network().config, "tiny", "")
    return ExampleOptions(spec, replace(QUICK.data, **changes), Configuration().augmentation)


def first_features(stream, n):
    return [(stream.position, batch.features) for batch in itertools.islice(stream, n)]


def test_batches_do_not_depend_on_the_number_of_processes():
    batches = first_features(BatchStream(Pools([], example_options(), 3)), 6)
    assert batches[-1][0].pool >= 1
    again = first_features(BatchStream(Pools([], example_options(n_workers=2), 3)), 6)
    for (position, features), (same_position, same) in zip(batches, again, strict=True):
        assert position == same_position
        torch.testing.assert_close(features, same, rtol=0, atol=0)
    other = first_features(BatchStream(Pools([], example_options(), 4)), 1)
    assert other[0][1].shape != batches[0][1].shape or (other[0][1] != batches[0][1]).any()


def test_a_stream_continues_anywhere_and_processes_share_the_pools():
    pools = Pools([], example_options(), 3)
    whole = first_features(BatchStream(pools), 6)
    for n_taken in (0, 1, 4):
        start = whole[n_taken - 1][0] if n_taken else None
        rest = first_features(BatchStream(pools, start), 6 - n_taken)
        for (position, features), (same_position, same) in zip(whole[n_taken:], rest, strict=True):
            assert position == same_position
            torch.testing.assert_close(features, same, rtol=0, atol=0)
    second = first_features(BatchStream(pools, rank=1, n_processes=2), 1)
    assert second[0][0] == Position(1, 1)
    of_pool_1 = next(features for position, features in whole if position == Position(1, 1))
    torch.testing.assert_close(second[0][1], of_pool_1, rtol=0, atol=0)


def simulated_steps(share, parameters, monkeypatch):
    """Return the (y, x) steps of the cells in windows of simulated movies."""
    seen = []

    def note(window, *options):
        seen.append(window)
        return make_example(window, *options)

    monkeypatch.setattr(batches, "random_parameters", lambda rng, ndim: parameters)
    monkeypatch.setattr(batches, "make_example", note)
    options = example_options()
    augmentation = replace(options.augmentation, skipped_simulated=share, unaligned=1.0)
    _ = Pools([], replace(options, augmentation=augmentation), 5)[0]
    steps = []
    for window in seen:
        child = np.flatnonzero(window.parent >= 0)
        centroid = window.detections.centroid
        steps.append(centroid[child] - centroid[window.parent[child]])
    return np.concatenate(steps)


def test_frames_of_a_share_of_simulated_movies_are_skipped(monkeypatch):
    motion = Motion(flow=0.0, diffusion=0.0, persistent=0.1, persistence=1.0)  # straight on
    parameters = SimulationParameters(spacing=4.0, motion=motion, division=Division(np.inf))
    every, skipped = (
        np.linalg.norm(simulated_steps(share, parameters, monkeypatch), axis=1)
        for share in (0.0, 1.0)
    )
    assert 2 < np.median(skipped) / np.median(every) < 4


def test_the_field_drifts_as_far_with_skipped_frames(monkeypatch):
    motion = Motion(drift=(0.0, 0.5), flow=0.0, diffusion=0.0, persistent=0.0)
    parameters = SimulationParameters(spacing=4.0, motion=motion, division=Division(np.inf))
    every, skipped = (
        np.median(simulated_steps(share, parameters, monkeypatch)[:, 1]) for share in (0.0, 1.0)
    )
    assert skipped == pytest.approx(every, rel=0.02)


def test_a_colony_of_which_frames_are_skipped_stays_small():
    colony = random_parameters(np.random.default_rng(1), regime="rods")
    colony = replace(colony, division=replace(colony.division, cycle_frames=5.0))
    longer = batches.longer(colony, 5, 4)
    assert longer.n_frames == 20
    assert longer.n_cells < colony.n_cells
    n_cells = np.bincount(simulate(longer, 0).detections.frame)
    assert 4 * n_cells[0] < n_cells[-1] < batches.MOST_CELLS


def test_batches_have_at_most_their_size():
    pool = Pools([], example_options(max_tokens=60, batch_tokens=150), 11)[0]
    assert sum(batch.frame.shape[0] for batch in pool) == POOL_SIZE
    assert max(batch.frame.numel() for batch in pool) <= 150
