"""Windows with errors of segmentation: merged, split and missed cells, and the lineages left."""

from dataclasses import replace

import numpy as np
import pytest

from small_networks import DIVIDING, STILL
from trackastra_engine.detection.detections import concatenate, detect
from trackastra_engine.detection.transform import covariances
from trackastra_engine.movie.frames import Frame
from trackastra_engine.simulation import KnownMovie, count_children, simulate
from trackastra_training.examples import association_matrix, cut_window
from trackastra_training.segmentation_errors import (
    cut_in_two,
    keep_rows,
    merge,
    near_division,
    spoil,
    still_missed,
    touching_pairs,
)
from wandering_cells import pairs, wandering_cells


def window_of(masks, images, parent):
    parts = [detect(Frame(t, images[t], mask), mask.ndim) for t, mask in enumerate(masks)]
    parent = np.array(parent)
    return KnownMovie(concatenate(parts, masks[0].ndim), parent, count_children(parent))


def two_cells(shape, low, high):
    """Return masks of two frames with cells 1 (larger) and 2, which touch; and noisy images."""
    mask = np.zeros(shape, int)
    mask[low], mask[high] = 1, 2
    image = np.random.default_rng(2).uniform(1, 9, shape)
    return np.stack([mask, mask]), np.stack([image, image])


@pytest.mark.parametrize(
    ("shape", "low", "high"),
    [
        ((40, 50), np.s_[10:24, 5:20], np.s_[12:20, 20:31]),
        ((9, 40, 50), np.s_[2:8, 10:24, 5:20], np.s_[1:5, 12:20, 20:31]),
    ],
    ids=["2D", "3D"],
)
def test_merged_detections_are_those_of_merged_pixels(shape, low, high):
    """Cells 1 and 2 in both frames; in frame 1 they are one object, which matches cell 1."""
    masks, images = two_cells(shape, low, high)
    window = window_of(masks, images, [-1, -1, 0, 1])
    merged = merge(window, np.array([2]), np.array([3]))
    masks[1][masks[1] == 2] = 1
    expected = window_of(masks, images, [-1, -1, 0])
    for name in ("frame", "label", "centroid", "features"):
        np.testing.assert_allclose(
            getattr(merged.detections, name), getattr(expected.detections, name), rtol=1e-9
        )
    assert merged.parent.tolist() == [-1, -1, 0]


def test_cells_hidden_in_a_merger_are_linked_over_it():
    """Two cells for three frames, merged in frame 1: the smaller is linked from frame 0 to 2."""
    masks, images = two_cells((40, 50), np.s_[10:24, 5:20], np.s_[12:20, 20:31])
    window = window_of([*masks, masks[0]], [*images, images[0]], [-1, -1, 0, 1, 2, 3])
    merged = merge(window, np.array([2]), np.array([3]))
    assert merged.parent.tolist() == [-1, -1, 0, 2, 1]
    assert merged.n_children.tolist() == [1, 1, 1, 0, 0]


@pytest.mark.parametrize("column", [100, 108, 120], ids=["middle", "near it", "far from it"])
def test_parts_are_those_of_a_shape_cut_in_two(column):
    """An ellipse, cut across its longer axis, between two others that do not change."""
    mask = np.zeros((200, 200), int)
    mask[5:15, 5:15], mask[180:190, 5:15] = 1, 3
    row, line = np.indices((121, 121)) - 60
    mask[40:161, 40:161][(row / 20) ** 2 + (line / 50) ** 2 <= 1] = 2
    window = window_of([mask, mask], np.stack([mask, mask]) * 1.0, [-1, -1, -1, 0, 1, 2])
    found = cut_in_two(window, np.array([1]), np.array([(column - 100) / 50]))
    cut = mask.copy()
    cut[:, column:][mask[:, column:] == 2] = 4
    expected = detect(Frame(0, mask * 1.0, cut), 2)
    first = found.detections.rows(np.flatnonzero(found.detections.frame == 0))
    assert first.label.tolist() == [1, 2, 3, 4]
    halves, from_middle = [1, 3], np.abs(first.centroid[:, 1] - 100)
    np.testing.assert_allclose(
        from_middle[halves], np.abs(expected.centroid[halves, 1] - 100), atol=0.5
    )
    # Drawn parts miss half a column.
    np.testing.assert_allclose(first.features[halves, 0], expected.features[halves, 0], rtol=0.015)
    along = covariances(expected)[halves, 1, 1]  # across the axis, a part counts as the whole
    np.testing.assert_allclose(covariances(first)[halves, 1, 1], along, atol=0.03 * along.max())
    np.testing.assert_array_equal(first.features[[0, 2]], expected.features[[0, 2]])
    assert found.parent.tolist() == [-1, -1, -1, -1, 0, 1, 2]
    assert found.n_children.tolist() == [1, 1, 1, 0, 0, 0, 0]


def test_only_neighbours_in_a_frame_merge_and_each_once():
    found = simulate(replace(DIVIDING, n_cells=80, spacing=1.0), 3).detections
    larger, smaller = touching_pairs(found)
    assert len(larger) > 10
    both = np.concatenate([larger, smaller])
    assert len(np.unique(both)) == len(both)
    np.testing.assert_array_equal(found.frame[larger], found.frame[smaller])
    diameter = found.features[:, 0]
    assert (diameter[larger] >= diameter[smaller]).all()
    apart = np.linalg.norm(found.centroid[larger] - found.centroid[smaller], axis=1)
    assert (apart < 1.25 * (diameter[larger] + diameter[smaller]) / 2).all()


def test_descent_survives_missed_detections():
    """Remaining detections are related if they were related before."""
    window, rng = cut_window(simulate(DIVIDING, 4), 0, 5), np.random.default_rng(4)
    for share in (0.3, 0.9):
        kept = np.flatnonzero(rng.random(len(window.parent)) < share)
        before = association_matrix(window)[np.ix_(kept, kept)]
        np.testing.assert_array_equal(association_matrix(keep_rows(window, kept)), before)


def test_spoiled_windows_stay_sorted_and_sane():
    window = cut_window(simulate(replace(DIVIDING, n_cells=60), 5), 0, 4)
    errors = replace(STILL, missed=0.4, merged=0.6, split=0.4)
    lengths = set()
    for seed in range(40):
        spoiled = spoil(window, errors, np.random.default_rng(seed))
        found, parent = spoiled.detections, spoiled.parent
        assert (np.lexsort((found.label, found.frame)) == np.arange(len(found))).all()
        assert len(np.unique(np.column_stack([found.frame, found.label]), axis=0)) == len(found)
        has_parent = parent >= 0
        assert (found.frame[parent[has_parent]] < found.frame[has_parent]).all()
        assert (np.linalg.eigvalsh(covariances(found)) > -1e-9).all()
        lengths.add(len(found))
    assert len(window.parent) in lengths  # one in eight is not spoiled
    assert len(lengths) > 5


def test_cells_near_divisions_are_missed_more_often():
    window = cut_window(simulate(replace(DIVIDING, n_cells=60), 5), 0, 4)
    dividing = near_division(window)
    children = np.bincount(window.parent[window.parent >= 0], minlength=len(window.parent))
    assert dividing[children >= 2].all()
    assert dividing[
        np.flatnonzero(window.parent >= 0)[children[window.parent[window.parent >= 0]] >= 2]
    ].all()
    assert not dividing[(children < 2) & (window.n_children < 2) & (window.parent < 0)].any()
    kept = np.zeros(len(dividing))
    errors = replace(STILL, missed_divisions=0.6)
    place = {pair: row for row, pair in enumerate(pairs(window.detections))}
    for seed in range(200):
        seen = spoil(window, errors, np.random.default_rng(seed))
        kept[[place[pair] for pair in pairs(seen.detections)]] += 1 / 200
    assert (kept[~dividing] > 0.999).all()
    assert abs(kept[dividing].mean() - 0.85) < 0.03  # half of the windows miss 0 to 60 %


def test_missed_cells_stay_missed():
    # Of two cells, the second one divides before the last of four frames.
    found = wandering_cells().detections.rows(np.arange(9))
    parent = np.array([-1, -1, 0, 1, 2, 3, 4, 5, 5])
    window = KnownMovie(replace(found, frame=np.array([0, 0, 1, 1, 2, 2, 3, 3, 3])), parent, parent)
    is_missed = np.isin(np.arange(9), [3])
    rng = np.random.default_rng(0)
    assert still_missed(window, is_missed, 0.0, rng).nonzero()[0].tolist() == [3]
    assert still_missed(window, is_missed, 1.0, rng).nonzero()[0].tolist() == [3, 5, 7, 8]
    counts = [int(still_missed(window, is_missed, 0.5, rng).sum()) for _ in range(200)]
    assert set(counts) == {1, 2, 3, 4}
    assert abs(counts.count(1) - 100) < 30


def test_options_at_zero_draw_nothing():
    window = cut_window(simulate(replace(DIVIDING, n_cells=60), 5), 0, 4)
    rng, drawn = np.random.default_rng(0), np.random.default_rng(0)
    assert spoil(window, STILL, rng) is window
    (
        drawn.uniform(-1, 1),
        drawn.uniform(-1, 1),
        drawn.uniform(-1, 1),
        drawn.random(len(window.parent)),
    )
    assert rng.random() == drawn.random()


def test_a_share_of_the_windows_misses_cells_longer():
    window = cut_window(simulate(replace(DIVIDING, n_cells=60), 5), 0, 4)
    misses = {}
    for lasting in (0.0, 0.9):
        errors = replace(STILL, missed=0.1, lasting_misses=lasting)
        left = [len(spoil(window, errors, np.random.default_rng(n)).parent) for n in range(100)]
        misses[lasting] = len(window.parent) - np.mean(left)
    assert misses[0.9] > 1.2 * misses[0.0]


def test_bad_frames_miss_many_cells_of_one_frame():
    window = cut_window(simulate(replace(DIVIDING, n_cells=60), 5), 0, 4)
    errors, n_bad, most = replace(STILL, bad_frames=0.5), 0, 0.0
    before = np.bincount(window.detections.frame)
    for seed in range(100):
        seen = spoil(window, errors, np.random.default_rng(seed))
        missed = 1 - np.bincount(seen.detections.frame, minlength=4) / before
        n_bad += bool(missed.any())
        most = max(most, missed.max())
        assert (missed > 0).sum() <= 1
    assert 35 <= n_bad <= 60
    assert 0.7 < most < 0.95


def test_bad_frames_stay_bad_for_one_frame_only():
    """Cells of a bad frame are not among those that stay missed."""
    window = cut_window(simulate(replace(DIVIDING, n_cells=60), 5), 0, 4)
    errors = replace(STILL, bad_frames=1.0, lasting_misses=1.0)
    before = np.bincount(window.detections.frame)
    for seed in range(30):
        left = spoil(window, errors, np.random.default_rng(seed)).detections.frame
        assert (np.bincount(left, minlength=4) < before).sum() <= 1
