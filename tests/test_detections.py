"""Detections equal upstream's on the golden movies, and skimage's on drawn and odd ones."""

import numpy as np
import pytest
from skimage.measure import regionprops

from golden_cases import CASES, load_case
from trackastra_engine.detection import detections
from trackastra_engine.detection.detections import concatenate, detect, feature_names
from trackastra_engine.detection.intensity import IntensityHistogram
from trackastra_engine.model.tokens import prepare_tokens
from trackastra_engine.movie.frames import Frame


@pytest.mark.parametrize("name", CASES)
def test_features_equal_upstream(name):
    case = load_case(name)
    ndim = case["centroid"].shape[1]
    histogram, parts = IntensityHistogram(), []
    for index, (image, labels) in enumerate(zip(case["imgs"], case["masks"], strict=True)):
        parts.append(detect(Frame(index, image, labels), ndim))
        histogram.add(image)
    ours = concatenate(parts, ndim)
    tokens = prepare_tokens(ours, "upstream", histogram.range())

    np.testing.assert_array_equal(ours.frame, case["frame"])
    np.testing.assert_array_equal(ours.label, case["label"])
    # Upstream keeps centroids as float32: half a unit in the last place of 300 is 1.5e-5.
    np.testing.assert_allclose(ours.centroid, case["centroid"], rtol=0, atol=1.6e-5)
    expected = case["features"]
    for column in (0, -1):  # diameter and border distance
        np.testing.assert_array_equal(tokens.features[:, column], expected[:, column])
    # Relative to the largest entry: off-diagonal inertia is a difference of such numbers.
    for columns in (slice(1, 2), slice(2, -1)):
        scale = np.abs(expected[:, columns]).max(axis=1, keepdims=True)
        assert (np.abs(tokens.features - expected)[:, columns] <= 1e-5 * scale + 1e-9).all()


def drawn_labels(seed, shape, n_objects, dtype):
    """Boxes at random places, later ones on top, with sparse labels."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, dtype)
    names = rng.choice(np.arange(1, min(np.iinfo(dtype).max, 10_000)), n_objects, replace=False)
    names[0] = np.iinfo(dtype).max
    for name in names:
        corner = [rng.integers(0, size) for size in shape]
        labels[tuple(slice(c, c + rng.integers(1, 7)) for c in corner)] = name
    return labels


def expected_by_skimage(labels, image):
    return [
        (
            r.label,
            r.centroid,
            r.equivalent_diameter_area,
            r.intensity_mean,
            np.asarray(r.inertia_tensor).ravel(),
        )
        for r in regionprops(labels, intensity_image=image)
    ]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64, np.uint32])
@pytest.mark.parametrize("shape", [(40, 53), (7, 30, 31)])
def test_detections_equal_regionprops(dtype, shape):
    labels = drawn_labels(1, shape, 20, dtype)
    image = np.random.default_rng(2).normal(100, 20, shape)
    # skimage allocates by the largest label, so it gets the same objects renumbered in order.
    names, dense = np.unique(labels, return_inverse=True)
    expected = expected_by_skimage(dense.reshape(shape), image)
    ours = detect(Frame(3, image, labels), len(shape))

    assert (ours.frame == 3).all()
    np.testing.assert_array_equal(ours.label, names[1:].astype(np.int64))
    for row, (_, centroid, diameter, intensity, inertia) in enumerate(expected):
        np.testing.assert_allclose(ours.centroid[row], centroid, rtol=1e-12)
        np.testing.assert_allclose(ours.features[row, :2], [diameter, intensity], rtol=1e-12)
        # Absolute: skimage sums about a floating point centroid, ours are exact integers.
        np.testing.assert_allclose(ours.features[row, 2:-1], inertia, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_lines_of_any_length_are_summed_as_by_a_loop(kind):
    rng = np.random.default_rng(5)
    for width in range(1, 30):
        labels = rng.integers(0, 3, (4, width)).repeat(rng.integers(1, 9), axis=1)
        image = rng.integers(0, 256, labels.shape).astype(kind)
        ours = detect(Frame(0, image, labels), 2)
        names = np.unique(labels[labels > 0])
        expected = [image[labels == name].mean(dtype=float) for name in names]
        np.testing.assert_array_equal(ours.label, names)
        np.testing.assert_allclose(ours.features[:, 1], expected, rtol=1e-12)


@pytest.mark.parametrize("shape", [(0, 4), (4, 0)])
def test_a_frame_without_pixels_has_no_detections(shape):
    found = detect(Frame(0, np.zeros(shape, np.uint8), np.zeros(shape, np.uint8)), 2)
    assert len(found) == 0


def test_more_objects_than_expected_give_the_same_detections(monkeypatch):
    labels = drawn_labels(4, (60, 60), 50, np.int32)
    expected = detect(Frame(0, None, labels), 2)
    monkeypatch.setattr(detections, "INITIAL_CAPACITY", 2)
    ours = detect(Frame(0, None, labels), 2)
    np.testing.assert_array_equal(ours.label, expected.label)
    np.testing.assert_array_equal(ours.features, expected.features)


@pytest.mark.parametrize(
    "prepare",
    [
        lambda a: a.astype(a.dtype.newbyteorder(">")),
        np.asfortranarray,
        lambda a: np.repeat(a, 2, axis=1)[:, ::2],
        lambda a: np.frombuffer(a.tobytes(), a.dtype).reshape(a.shape),
    ],
    ids=["big-endian", "column-major", "strided", "read-only"],
)
def test_memory_layout_does_not_matter(prepare):
    labels = drawn_labels(5, (30, 40), 10, np.uint16)
    expected = detect(Frame(0, labels, labels), 2)
    ours = detect(Frame(0, prepare(labels), prepare(labels)), 2)
    np.testing.assert_array_equal(ours.features, expected.features)


def test_margin_is_the_distance_to_the_nearest_border():
    labels = np.zeros((30, 40), np.uint8)
    labels[0, 10], labels[2, 20], labels[15, 36], labels[15, 20] = 1, 2, 3, 4
    found = detect(Frame(0, None, labels), 2)
    assert found.features[:, feature_names(2).index("margin")].tolist() == [0, 2, 3, 14]
    # Upstream's feature falls from 1 at the border to 0 five pixels away.
    border = prepare_tokens(found, "upstream").features[:, -1]
    np.testing.assert_allclose(border, [1, 0.6, 0.4, 0], atol=1e-6)


def test_planes_of_a_3d_model_have_a_z_of_zero():
    labels = drawn_labels(6, (30, 40), 5, np.uint8)
    flat, volume = detect(Frame(0, None, labels), 2), detect(Frame(0, None, labels), 3)
    np.testing.assert_array_equal(volume.centroid[:, 0], 0)
    np.testing.assert_array_equal(volume.centroid[:, 1:], flat.centroid)


def test_no_image_means_no_intensity():
    ours = detect(Frame(0, None, drawn_labels(7, (30, 40), 5, np.uint8)), 2)
    assert np.isnan(ours.features[:, 1]).all()
    assert np.isfinite(ours.features[:, 2:]).all()


def test_half_precision_images_are_measured():
    labels = drawn_labels(8, (30, 40), 5, np.uint8)
    found = detect(Frame(0, labels.astype(np.float16), labels), 2)
    np.testing.assert_array_equal(found.features[:, 1], found.label)


def test_empty_frame_has_no_detections():
    assert len(detect(Frame(0, None, np.zeros((5, 5), int)), 2)) == 0
