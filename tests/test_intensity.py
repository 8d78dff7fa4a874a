"""The intensity range equals numpy's percentiles of the whole movie."""

import numpy as np
import pytest

from trackastra_engine import InputError
from trackastra_engine.detection.intensity import IntensityHistogram


def movie(dtype, shape):
    values = np.random.default_rng(0).gamma(2, 20, shape) - 20
    limits = np.iinfo(dtype) if np.issubdtype(dtype, np.integer) else np.finfo(dtype)
    return np.clip(values, limits.min, limits.max).astype(dtype)


def gathered(frames):
    histogram = IntensityHistogram()
    for frame in frames:
        histogram.add(frame)
    return histogram.range()


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16])
@pytest.mark.parametrize("shape", [(3, 40, 50), (2, 300, 310), (2, 3, 300, 310), (2, 300, 20)])
def test_range_of_small_integers_is_exact(dtype, shape):
    frames = movie(dtype, shape)
    seen = frames[..., ::4, ::4] if min(shape[-2:]) > 256 else frames
    expected = np.percentile(seen.astype(np.float32), (1, 99.8)).astype(np.float32)
    ours = gathered(frames)
    np.testing.assert_array_equal([ours.low, ours.high], expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int32])
def test_range_of_wide_types_is_as_fine_as_its_bins(dtype):
    frames = movie(dtype, (4, 100, 100))
    expected = np.percentile(frames, (1, 99.8))
    ours = gathered(frames)
    np.testing.assert_allclose([ours.low, ours.high], expected, rtol=2**-11)


@pytest.mark.parametrize("dtype", [">u2", ">i2", ">f4", bool])
def test_bytes_in_another_order_and_binary_images_count_like_others(dtype):
    frames = np.maximum(movie(np.float32, (2, 40, 50)) - 20, 0).astype(dtype)
    plain = frames.astype(np.uint8 if dtype is bool else frames.dtype.newbyteorder("<"))
    ours, expected = gathered(frames), gathered(plain)
    assert (ours.low, ours.high) == (expected.low, expected.high)
    assert ours.high > ours.low


def test_no_image_has_no_range():
    assert IntensityHistogram().range() is None


def test_mixed_pixel_types_are_rejected():
    with pytest.raises(InputError, match="float32 after frames of type uint8"):
        gathered([np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.float32)])
