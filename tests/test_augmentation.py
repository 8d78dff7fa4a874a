"""Changed detections, compared with shapes that are drawn, changed and measured again."""

from dataclasses import replace

import numpy as np
import pytest
from skimage.measure import regionprops

from small_networks import DIVIDING, STILL
from trackastra_engine.detection.detections import Detections, concatenate, detect
from trackastra_engine.detection.spacing import typical_spacing
from trackastra_engine.detection.transform import covariances, inertias, transform
from trackastra_engine.model.tokens import prepare_tokens
from trackastra_engine.movie.frames import Frame
from trackastra_engine.simulation import simulate
from trackastra_training.augmentation import (
    augment,
    displace,
    random_flow,
    random_frame_maps,
    random_map,
)
from trackastra_training.configuration import Augmentation
from wandering_cells import wandering_cells


def ellipsoid(linear_map, radii, size):
    """Return the mask of an ellipsoid whose points were moved by a linear map."""
    grid = np.moveaxis(np.indices((2 * size + 1,) * len(radii)), 0, -1).astype(float) - size
    return (((grid @ np.linalg.inv(linear_map).T) / radii) ** 2).sum(-1) <= 1


@pytest.mark.parametrize(("radii", "size"), [((30, 15), 60), ((12, 20, 9), 36)], ids=["2D", "3D"])
def test_transformed_detections_are_those_of_transformed_pixels(radii, size):
    """An ellipsoid is measured and moved, and compared with the moved one, drawn and measured."""
    rng, ndim = np.random.default_rng(5), len(radii)
    strong = Augmentation(frame_turn=0.4, frame_shear=0.3)
    before = detect(Frame(0, None, ellipsoid(np.eye(ndim), radii, size).astype(int)), ndim)
    maps = [random_map(Augmentation(), ndim, rng) for _ in range(2)]
    for linear_map in (*maps, *random_frame_maps(strong, 2, ndim, rng)):
        moved = transform(before, linear_map)
        region = regionprops(ellipsoid(linear_map, radii, size).astype(int))[0]
        np.testing.assert_allclose(moved.features[0, 0], region.equivalent_diameter_area, rtol=0.01)
        expected = np.ravel(region.inertia_tensor)
        # both shapes are drawn with pixels, to half a percent of the area, one of the inertia
        np.testing.assert_allclose(moved.features[0, 2:-1], expected, atol=0.015 * expected.max())


def test_each_detection_can_have_its_own_map():
    found, rng = simulate(DIVIDING, 1).detections, np.random.default_rng(1)
    maps = np.stack([random_map(Augmentation(), 2, rng) for _ in range(len(found))])
    together = transform(found, maps)
    for row in (0, 7, len(found) - 1):
        alone = transform(found.rows(slice(row, row + 1)), maps[row])
        np.testing.assert_allclose(together.features[row], alone.features[0])
        np.testing.assert_allclose(together.centroid[row], alone.centroid[0])


def detections_of(clouds):
    """Return detections, one for each frame number and points (P, 2) of a shape."""
    features = np.zeros((len(clouds), 7))
    features[:, 0] = 1.0
    features[:, 2:-1] = inertias(np.stack([np.cov(points.T, bias=True) for _, points in clouds]))
    frame = np.array([frame for frame, _ in clouds])
    centroid = np.stack([points.mean(axis=0) for _, points in clouds])
    return Detections(frame, np.ones_like(frame), centroid, features)


def test_small_turns_of_a_frame_leave_its_shape_and_place():
    """A frame turns around the middle of the window: distances within it do not change."""
    found = simulate(DIVIDING, 6).detections
    turning = replace(STILL, frame_turn=0.05)
    plain = augment(found, STILL, np.random.default_rng(6))
    turned = augment(found, turning, np.random.default_rng(6))
    apart = np.linalg.norm(turned.centroid - plain.centroid, axis=1)
    assert 0 < apart.max() < 0.3 * np.ptp(plain.centroid)
    for frame in range(3):
        rows = found.frame == frame
        distances = [
            np.linalg.norm(d.centroid[rows][:, None] - d.centroid[rows], axis=-1)
            for d in (plain, turned)
        ]
        np.testing.assert_allclose(*distances, atol=1e-9)
    np.testing.assert_allclose(turned.features[:, 0], plain.features[:, 0])


def test_frames_are_shifted_as_a_whole_and_detections_independently():
    found = simulate(DIVIDING, 6).detections
    changes = ({}, {"frame_shift": 0.5}, {"noise": 0.1}, {"shape_noise": 0.1})
    plain, shifted, noisy, strained = (
        augment(found, replace(STILL, **change), np.random.default_rng(6)) for change in changes
    )
    step, frames = shifted.centroid - plain.centroid, range(found.frame[-1] + 1)
    first = np.array([step[found.frame == frame][0] for frame in frames])
    np.testing.assert_allclose(step, first[found.frame], atol=1e-9)
    assert len(np.unique(first.round(6), axis=0)) == len(frames)
    np.testing.assert_array_equal(shifted.features, plain.features)
    step = noisy.centroid - plain.centroid
    assert len(np.unique(step.round(6), axis=0)) == len(step)
    assert np.abs(step.mean(axis=0)).max() < 0.5 * step.std()
    np.testing.assert_array_equal(noisy.features, plain.features)
    # Each shape is stretched independently, and its area grows as that of pixels would.
    growth = strained.features[:, 0] / plain.features[:, 0]
    assert growth.std() > 0.001
    area = [np.linalg.det(covariances(detections)) for detections in (strained, plain)]
    np.testing.assert_allclose(area[0], growth**4 * area[1], rtol=1e-6)


def test_protrusions_shift_detections_as_far_as_their_shapes_change():
    found = simulate(DIVIDING, 6).detections
    shifts = []
    for seed in range(30):
        plain, strained, shifted = (
            augment(found, replace(STILL, **changes), np.random.default_rng(seed))
            for changes in (
                {},
                {"shape_noise": 0.25},
                {"shape_noise": 0.25, "protrusions": 0.5},
            )
        )
        np.testing.assert_array_equal(strained.centroid, plain.centroid)
        step = np.linalg.norm(shifted.centroid - plain.centroid, axis=1)
        change = np.abs(np.log(shifted.features[:, 0] / plain.features[:, 0]))
        shifts.append(((step / plain.features[:, 0]).mean(), change.mean()))
    shift, change = np.transpose(shifts)
    assert np.corrcoef(shift, change)[0, 1] > 0.5
    assert 0.05 < shift.max() < 0.25
    still = augment(found, replace(STILL, protrusions=0.5), np.random.default_rng(0))
    plain = augment(found, STILL, np.random.default_rng(0))
    np.testing.assert_array_equal(still.centroid, plain.centroid)  # shapes do not change


def test_a_flow_moves_and_stretches_detections_as_it_does_their_points():
    rng = np.random.default_rng(9)
    options = replace(STILL, warp=0.4, frame_warp=0.2)
    flow = random_flow(options, 2, 40.0, np.zeros(2, bool), rng)
    grid = np.stack(np.meshgrid(*[np.arange(-3, 3.01, 0.05)] * 2, indexing="ij"), -1).reshape(-1, 2)
    inside = grid[(grid**2 / [9.0, 2.0]).sum(-1) <= 1]
    for frame, place in ((0, [10.0, 20.0]), (1, [10.0, 20.0]), (1, [-35.0, 4.0])):
        points = inside + place
        angle = points @ flow.wave.T + flow.phase
        moved = points + np.sin(angle) @ flow.amplitude[frame]
        before = detections_of([(frame, points)])
        after = flow.move(before)
        np.testing.assert_allclose(after.centroid[0], moved.mean(axis=0), atol=0.03)
        expected = np.cov(moved.T, bias=True)
        np.testing.assert_allclose(covariances(after)[0], expected, atol=0.02 * expected.max())
        assert np.abs(covariances(before)[0] - expected).max() > 0.05 * expected.max()


def test_a_warped_window_is_the_same_in_all_frames_and_a_warped_frame_is_not():
    flat, rng = np.zeros(2, bool), np.random.default_rng(3)
    window = random_flow(replace(STILL, warp=0.2), 3, 20.0, flat, rng)
    frames = random_flow(replace(STILL, frame_warp=0.2), 3, 20.0, flat, rng)
    np.testing.assert_array_equal(window.amplitude[0], window.amplitude[2])
    assert (frames.amplitude[0] != frames.amplitude[2]).all()
    planes = random_flow(replace(STILL, warp=0.2), 3, 20.0, np.array([True, False, False]), rng)
    assert not planes.amplitude[..., 0].any()
    assert not planes.wave[:, 0].any()


def test_another_scale_is_another_typical_spacing(monkeypatch):
    """Tokens at another scale equal those of a window with another spacing."""
    found = simulate(DIVIDING, 6).detections
    spacing = typical_spacing(found)
    tokens = prepare_tokens(found, "relative")
    scaled = displace(tokens, "relative", replace(STILL, scale=0.3), np.random.default_rng(6))
    factor = np.ptp(scaled.coordinates[:, 1]) / np.ptp(tokens.coordinates[:, 1])
    assert abs(np.log(factor)) > 0.02
    monkeypatch.setattr(
        "trackastra_engine.model.tokens.typical_spacing", lambda detections: spacing / factor
    )
    expected = prepare_tokens(found, "relative")
    np.testing.assert_allclose(scaled.features, expected.features, atol=1e-5)  # float32
    for axis in (1, 2):
        step = scaled.coordinates[:, axis] - expected.coordinates[:, axis]
        np.testing.assert_allclose(step, step[0], atol=1e-3)
    np.testing.assert_array_equal(scaled.coordinates[:, 0], expected.coordinates[:, 0])


def test_brightness_shifts_and_scales_all_intensities_alike():
    found = simulate(DIVIDING, 7).detections
    before = found.features[:, 1]
    after = augment(found, replace(STILL, brightness=0.3), np.random.default_rng(7)).features[:, 1]
    slope, offset = np.polyfit(before, after, 1)
    np.testing.assert_allclose(after, slope * before + offset)
    assert slope != pytest.approx(1, abs=0.01)
    gone = augment(found, replace(STILL, no_intensity=1.0), np.random.default_rng(7))
    assert np.isnan(gone.features[:, 1]).all()


def test_planes_stay_planes():
    """A 2D movie for a 3D model: all positions and shapes stay in the plane z = 0."""
    mask = np.zeros((60, 60), int)
    mask[5:25, 10:20], mask[40:50, 30:55] = 1, 2
    found = concatenate([detect(Frame(t, None, mask), 3) for t in range(3)], 3)
    changed = augment(found, Augmentation(), np.random.default_rng(8))
    assert not changed.centroid[:, 0].any()
    np.testing.assert_allclose(covariances(changed)[:, 0], 0, atol=1e-9)
    tokens = displace(
        prepare_tokens(changed, "upstream"), "upstream", Augmentation(), np.random.default_rng(8)
    )
    assert not tokens.coordinates[:, 1].any()
    assert tokens.coordinates[:, 2:].min() > 0


def test_depths_have_noise_of_their_own():
    found = wandering_cells().detections
    steps = []
    for seed in range(40):
        plain, noisy = (
            augment(found, replace(STILL, depth_noise=noise), np.random.default_rng(seed)).centroid
            for noise in (0.0, 0.3)
        )
        np.testing.assert_array_equal(noisy[:, 1:], plain[:, 1:])
        steps.append((noisy - plain)[:, 0].std() / typical_spacing(found))
    assert np.median(steps) < 0.1
    assert 0.15 < max(steps) < 0.35
    flat = simulate(DIVIDING, 6).detections
    changed = augment(flat, replace(STILL, depth_noise=0.3), np.random.default_rng(6))
    np.testing.assert_array_equal(
        changed.centroid, augment(flat, STILL, np.random.default_rng(6)).centroid
    )


def test_coarse_depths_lie_in_planes():
    found = wandering_cells().detections
    distances = []
    for seed in range(40):
        plain, coarse = (
            augment(found, replace(STILL, coarse_depth=share), np.random.default_rng(seed)).centroid
            for share in (0.0, 1.0)
        )
        np.testing.assert_array_equal(coarse[:, 1:], plain[:, 1:])
        planes = np.unique(coarse[:, 0].round(6))
        distances.append(np.diff(planes).min() / typical_spacing(found))
        error = np.abs(coarse - plain)[:, 0].max() / typical_spacing(found)
        assert error <= distances[-1] / 2 + 1e-6
    assert 0.09 < min(distances) < 0.2
    assert 0.8 < max(distances) < 1.3
    flat = simulate(DIVIDING, 6).detections
    changed = augment(flat, replace(STILL, coarse_depth=1.0), np.random.default_rng(6))
    np.testing.assert_array_equal(
        changed.centroid, augment(flat, STILL, np.random.default_rng(6)).centroid
    )


def test_positions_in_sparse_windows_have_noise_of_few_diameters():
    found = simulate(DIVIDING, 1).detections
    rarely = found.rows(np.flatnonzero(np.random.default_rng(0).random(len(found)) < 0.1))
    for noise in ("noise", "frame_shift"):
        steps = []
        for seed in range(50):
            seen = augment(rarely, replace(STILL, **{noise: 0.2}), np.random.default_rng(seed))
            still = augment(rarely, STILL, np.random.default_rng(seed))
            steps.append((seen.centroid - still.centroid).std() / np.median(still.features[:, 0]))
        assert max(steps) < 0.2 * 1.5 * 1.5  # 1.5 diameters, apart from the luck of few frames
        assert typical_spacing(rarely) > 2.5 * np.median(rarely.features[:, 0])


@pytest.mark.parametrize("seed", [3, 8])
def test_noise_changes_only_its_measurement(seed):
    found = simulate(DIVIDING, 1).detections
    found = replace(found, features=found.features.copy())
    found.features[:, 1] = np.random.default_rng(0).uniform(1, 2, len(found))
    plain = augment(found, STILL, np.random.default_rng(seed)).features
    columns = {
        "shape_noise": (0, 2, 3, 4, 5),
        "size_noise": (0, 2, 3, 4, 5),
        "intensity_noise": (1,),
    }
    for name, changed in columns.items():
        noisy = augment(found, replace(STILL, **{name: 0.3}), np.random.default_rng(seed))
        kept = [column for column in range(plain.shape[1]) if column not in changed]
        np.testing.assert_allclose(noisy.features[:, kept], plain[:, kept], rtol=1e-12)
        assert all((noisy.features[:, column] != plain[:, column]).any() for column in changed)
