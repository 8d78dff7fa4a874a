"""Frames of training windows are carried along the flow of the true links, or an estimate of it."""

from dataclasses import replace

import numpy as np
import pytest

from small_networks import DIVIDING, tiny_network
from trackastra_engine.simulation import Motion, simulate
from trackastra_training import batches
from trackastra_training.alignment import N_NEIGHBOURS, align, align_as_tracking, local_median
from trackastra_training.configuration import Augmentation, DataOptions
from trackastra_training.examples import cut_window, nearest_parent_share
from trackastra_training.start import spec_of

STREAM = replace(DIVIDING, n_cells=40, motion=Motion(drift=(1.5, -2.0), diffusion=0.02, flow=0.1))


def moves(window):
    """Return the steps of the links between neighbouring frames, in pixels."""
    child = np.flatnonzero(window.parent >= 0)
    centroid = window.detections.centroid
    return np.linalg.norm(centroid[child] - centroid[window.parent[child]], axis=1)


def test_a_stream_of_cells_stands_still_in_an_aligned_window():
    window = cut_window(simulate(STREAM, 1), 1, 4)
    aligned = align(window, np.random.default_rng(0))
    assert np.median(moves(aligned)) < 0.15 * np.median(moves(window))
    assert nearest_parent_share(window) < 0.5
    assert nearest_parent_share(aligned) > 0.9
    last = window.detections.frame == 3
    np.testing.assert_array_equal(
        aligned.detections.centroid[last], window.detections.centroid[last]
    )
    np.testing.assert_array_equal(aligned.parent, window.parent)
    np.testing.assert_array_equal(aligned.detections.features, window.detections.features)


def test_a_window_without_links_does_not_change():
    window = cut_window(simulate(STREAM, 1), 1, 4)
    lone = replace(window, parent=np.full_like(window.parent, -1))
    aligned = align(lone, np.random.default_rng(0))
    np.testing.assert_array_equal(aligned.detections.centroid, window.detections.centroid)


def test_the_estimated_flow_is_that_of_the_detections():
    slower = replace(STREAM, n_cells=80, motion=replace(STREAM.motion, drift=(0.7, -0.7)))
    window = cut_window(simulate(slower, 1), 1, 4)
    lone = replace(window, parent=np.full_like(window.parent, -1))
    aligned = replace(align_as_tracking(lone), parent=window.parent)
    assert np.median(moves(aligned)) < 0.3 * np.median(moves(window))


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_share_of_training_windows_is_aligned_along_the_estimate(share, monkeypatch):
    used = []

    def note(name):
        return lambda window, *rng: used.append(name) or window

    monkeypatch.setattr(batches, "align", note("true"))
    monkeypatch.setattr(batches, "align_as_tracking", note("estimated"))
    options = batches.ExampleOptions(
        spec_of(tiny_network().config, "tiny", ""),
        DataOptions(n_workers=0),
        replace(Augmentation(), estimated_flow=share, unaligned=0.0),
    )
    _ = batches.Pools([], options, 0)[0]
    assert len(used) >= batches.POOL_SIZE
    assert used.count("estimated") / len(used) == pytest.approx(share, abs=0.25)
    assert (share == 0.5) == (len({*used}) == 2)


def test_local_medians_are_those_of_the_nearest_steps():
    rng = np.random.default_rng(2)
    places, steps, at = (
        rng.uniform(0, 9, (40, 3)),
        rng.normal(size=(40, 3)),
        rng.uniform(0, 9, (7, 3)),
    )
    found = local_median(places, steps, at)
    for row in range(7):
        nearest = np.argsort(np.linalg.norm(places - at[row], axis=1))[:N_NEIGHBOURS]
        np.testing.assert_allclose(found[row], np.median(steps[nearest], axis=0))
