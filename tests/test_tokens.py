"""Relative tokens do not change with magnification or exposure."""

from dataclasses import replace

import numpy as np
import pytest

from trackastra_engine.detection.detections import Detections, concatenate, detect
from trackastra_engine.detection.markers import without_marker_sizes
from trackastra_engine.detection.points import detections_of_points
from trackastra_engine.detection.transform import transform
from trackastra_engine.model.tokens import (
    prepare_tokens,
    token_feature_count,
)
from trackastra_engine.movie.frames import Frame


def cells(zoom=1, gain=1.0, offset=0.0, with_image=True):
    """Three frames of four discs of different size and brightness, drawn `zoom` times larger."""
    parts = []
    y, x = np.mgrid[: 80 * zoom, : 90 * zoom] / zoom
    for index in range(3):
        labels, image = np.zeros(y.shape, np.uint8), np.zeros(y.shape)
        for label, (cy, cx, r) in enumerate([(20, 20, 5), (22, 60, 7), (60, 25, 6), (55, 60, 8)]):
            disc = (y - cy - index) ** 2 + (x - cx + index) ** 2 <= r**2
            labels[disc], image[disc] = label + 1, 10 * (label + 1)
        parts.append(
            detect(Frame(5 + index, image * gain + offset if with_image else None, labels), 2)
        )
    return concatenate(parts, 2)


def test_zoom_and_exposure_do_not_change_relative_tokens():
    plain = prepare_tokens(cells(), "relative")
    changed = prepare_tokens(cells(zoom=8, gain=3.0, offset=100.0), "relative")
    # Pixels are coarse: a disc of radius 5 has 1 % less area than its ideal.
    np.testing.assert_allclose(changed.features, plain.features, atol=0.03)
    np.testing.assert_allclose(changed.coordinates, plain.coordinates, atol=0.5)


def test_the_place_of_a_window_in_the_movie_does_not_change_relative_tokens():
    found = cells()
    moved = replace(found, centroid=found.centroid + np.array([4096.0, -64.0]))
    plain, shifted = (prepare_tokens(seen, "relative") for seen in (found, moved))
    assert (plain.coordinates.min(axis=0) == 0).all()
    np.testing.assert_allclose(shifted.coordinates, plain.coordinates, atol=1e-4)
    np.testing.assert_array_equal(shifted.features, plain.features)


def test_missing_intensity_is_flagged():
    with_image = prepare_tokens(cells(), "relative").features
    without = prepare_tokens(cells(with_image=False), "relative").features
    differs = np.abs(with_image - without).max(axis=0) > 0
    assert differs.nonzero()[0].tolist() == [6, 7]  # z-score and presence
    assert (with_image[:, 7] == 1).all()
    assert (without[:, 6:8] == 0).all()


def test_upstream_tokens_move_every_axis_by_the_first_frame_number():
    detections = cells()
    tokens = prepare_tokens(detections, "upstream")
    np.testing.assert_allclose(tokens.coordinates[:, 0], detections.frame - 5)
    np.testing.assert_allclose(tokens.coordinates[:, 1:], detections.centroid - 5, rtol=1e-6)
    assert (tokens.features[:, 1] == 1).all()


@pytest.mark.parametrize("recipe", ["upstream", "relative"])
@pytest.mark.parametrize("ndim", [2, 3])
def test_one_detection_has_finite_tokens(recipe, ndim):
    one = detect(Frame(0, np.ones((9, 9)), np.eye(9, dtype=np.uint8)), ndim)
    tokens = prepare_tokens(one, recipe)
    assert tokens.features.shape == (1, token_feature_count(recipe, ndim))
    assert np.isfinite(tokens.features).all()
    assert np.isfinite(tokens.coordinates).all()


def test_tokens_of_a_window_do_not_depend_on_the_rest_of_the_movie():
    movie = cells()
    later = Detections(movie.frame, movie.label, movie.centroid, movie.features * 2).rows(
        slice(8, 12)
    )
    alone = prepare_tokens(movie.rows(slice(0, 8)), "relative")
    both = concatenate([movie.rows(slice(0, 8)), later], 2)
    np.testing.assert_array_equal(
        prepare_tokens(both.rows(slice(0, 8)), "relative").features, alone.features
    )


@pytest.mark.parametrize("ndim", [2, 3])
def test_the_size_and_shape_of_markers_mean_nothing(ndim):
    """Equal balls and equal needles, small and large, give the tokens of balls of 0.8 spacings."""
    rng = np.random.default_rng(ndim)
    frame, place = np.repeat([0, 1], 20), rng.uniform(0, 100, (40, ndim))
    seen = [
        prepare_tokens(
            transform_shapes(detections_of_points(frame, place, diameter=np.full(40, size)), axes),
            "relative",
        )
        for size, axes in ((1.0, (1, 1, 1)), (9.0, (1, 1, 1)), (2.0, (6, 1, 1)))
    ]
    for tokens in seen[1:]:
        np.testing.assert_array_equal(tokens.coordinates, seen[0].coordinates)
        np.testing.assert_array_equal(tokens.features, seen[0].features)
    np.testing.assert_allclose(seen[0].features[:, 1], np.log(0.8), rtol=1e-6)


def transform_shapes(detections, axes):
    """Return the detections, each stretched along the axes at its position."""
    stretched = transform(detections, np.diag(np.array(axes[-detections.ndim :], float)))
    stretched.features[:, -1] = detections.features[:, -1]
    return replace(stretched, centroid=detections.centroid)


def test_sizes_that_differ_are_not_changed():
    detections = cells()
    assert without_marker_sizes(detections) is detections


def test_merged_markers_stay_larger_than_the_others():
    rng = np.random.default_rng(0)
    position = rng.uniform(0, 300, (60, 2))
    diameter = np.full(60, 4.0)
    diameter[7] = 4.0 * 2**0.5  # two that merged
    seen = without_marker_sizes(
        detections_of_points(np.zeros(60, int), position, diameter=diameter)
    )
    sizes = seen.features[:, 0]
    assert sizes[0] == pytest.approx(sizes[30])
    assert sizes[7] / sizes[0] == pytest.approx(2**0.5)
