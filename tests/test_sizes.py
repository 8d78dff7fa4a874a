"""Other sizes of the detections of a window: of markers or nuclei, with noise, without shapes."""

from dataclasses import replace

import numpy as np
import pytest

from small_networks import DIVIDING, STILL
from trackastra_engine.detection.points import detections_of_points
from trackastra_engine.detection.transform import covariances
from trackastra_engine.model.tokens import prepare_tokens
from trackastra_engine.simulation import simulate
from trackastra_training import sizes
from trackastra_training.configuration import Augmentation
from trackastra_training.examples import cut_window
from trackastra_training.sizes import as_markers, change_sizes, measurement_noise


@pytest.mark.parametrize("parameters", [DIVIDING, replace(DIVIDING, ndim=3)], ids=["2D", "3D"])
def test_markers_do_not_depend_on_the_shapes_of_cells(parameters):
    ndim = parameters.ndim
    motion = replace(parameters.motion, drift=(0.0,) * ndim)
    window = cut_window(simulate(replace(parameters, motion=motion), 1), 0, 4).detections
    shapes = []
    for seed in range(20):
        marked = as_markers(window, np.random.default_rng(seed))
        np.testing.assert_array_equal(marked.centroid, window.centroid)
        value = np.linalg.eigvalsh(covariances(marked))
        shapes.append(np.sqrt(value[0, -1] / value[0, 0]))
        assert marked.features[:, 0].std() < 0.02 * marked.features[:, 0].mean()
        assert (prepare_tokens(marked, "relative").features[:, 0] == 0).all()
    assert max(shapes) > 3 if ndim == 3 else max(shapes) < 1.01  # needles or discs


def test_noise_of_sizes_does_not_change_shapes():
    window = cut_window(simulate(DIVIDING, 1), 0, 4).detections
    noisy = change_sizes(
        window, Augmentation(equal_sizes=0.0, size_noise=0.5), np.random.default_rng(1)
    )
    factor = noisy.features[:, 0] / window.features[:, 0]
    assert factor.std() > 0.04
    np.testing.assert_allclose(
        noisy.features[:, 2:-1], window.features[:, 2:-1] * (factor**2)[:, None]
    )
    np.testing.assert_array_equal(noisy.features[:, -1], window.features[:, -1])


@pytest.mark.parametrize("parameters", [DIVIDING, replace(DIVIDING, ndim=3)], ids=["2D", "3D"])
def test_all_sizes_of_a_window_are_scaled_by_one_factor(parameters):
    motion = replace(parameters.motion, drift=(0.0,) * parameters.ndim)
    window = cut_window(simulate(replace(parameters, motion=motion), 1), 0, 4).detections
    plain = replace(STILL, equal_sizes=0.0)
    factors = []
    for seed in range(200):
        scaled = change_sizes(window, replace(plain, scaled_sizes=0.5), np.random.default_rng(seed))
        ratio = scaled.features[:, 0] / window.features[:, 0]
        np.testing.assert_allclose(ratio, ratio[0])
        np.testing.assert_allclose(covariances(scaled), covariances(window) * ratio[0] ** 2)
        np.testing.assert_array_equal(scaled.centroid, window.centroid)
        np.testing.assert_array_equal(scaled.features[:, [1, -1]], window.features[:, [1, -1]])
        factors.append(ratio[0])
    changed = [factor for factor in factors if factor != 1]
    assert 70 < len(changed) < 130
    assert min(factors) == pytest.approx(sizes.SCALES[0], rel=0.1)
    assert max(factors) == pytest.approx(sizes.SCALES[1], rel=0.1)


@pytest.mark.parametrize("parameters", [DIVIDING, replace(DIVIDING, ndim=3)], ids=["2D", "3D"])
def test_round_shapes_keep_their_sizes(parameters):
    motion = replace(parameters.motion, drift=(0.0,) * parameters.ndim)
    window = cut_window(simulate(replace(parameters, motion=motion), 1), 0, 4).detections
    plain = replace(STILL, equal_sizes=0.0)
    n_changed = 0
    for seed in range(100):
        seen = change_sizes(window, replace(plain, round_shapes=0.5), np.random.default_rng(seed))
        np.testing.assert_array_equal(seen.features[:, 0], window.features[:, 0])
        if (seen.features != window.features).any():
            n_changed += 1
            given = detections_of_points(
                window.frame, window.centroid, diameter=window.features[:, 0]
            )
            np.testing.assert_allclose(seen.features[:, 2:-1], given.features[:, 2:-1])
    assert 30 < n_changed < 70


def test_cells_of_one_plane_do_not_become_balls():
    motion = replace(DIVIDING.motion, drift=(0.0,) * 3)
    found = simulate(replace(DIVIDING, ndim=3, motion=motion), 1).detections
    flat = replace(found, centroid=found.centroid * [0, 1, 1])
    for seed in range(20):
        seen = change_sizes(flat, replace(STILL, round_shapes=1.0), np.random.default_rng(seed))
        np.testing.assert_array_equal(seen.features, flat.features)


def test_a_frame_shares_a_fifth_of_the_variance_of_noise():
    frame = np.repeat(np.arange(4), 500)
    seeds = range(300)
    noises = [measurement_noise(frame, np.random.default_rng(seed)) for seed in seeds]
    shared = np.mean([np.var(noise.reshape(4, -1).mean(axis=1), ddof=1) for noise in noises])
    total = shared + np.mean([noise.reshape(4, -1).var(axis=1).mean() for noise in noises])
    assert shared / total == pytest.approx(0.2, abs=0.03)
    deviations = [noise.std() for noise in noises]
    assert max(deviations) < 1.6  # 1, apart from the luck of four frames
    assert np.median(deviations) == pytest.approx(0.25, abs=0.06)  # most windows have little
