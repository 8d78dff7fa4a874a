"""Windows with objects that are not cells, and the rates without them."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from quick_training import QUICK
from small_networks import DIVIDING, STILL, tiny_network
from trackastra_engine.detection.spacing import typical_spacing
from trackastra_engine.detection.transform import covariances
from trackastra_engine.simulation import KnownMovie, simulate
from trackastra_training import batches
from trackastra_training.batches import ExampleOptions, Pools
from trackastra_training.checkpoint import load_spec
from trackastra_training.clutter import margins, room, with_clutter
from trackastra_training.configuration import Augmentation, DataOptions
from trackastra_training.examples import (
    NO_PARENT,
    PARENT_CUT_AWAY,
    PARENT_UNKNOWN,
    association_matrix,
    cut_window,
    make_example,
)
from trackastra_training.segmentation_errors import spoil
from trackastra_training.start import new_start, spec_of
from trackastra_training.train import NOT_IN_RATES, train
from wandering_cells import in_plane, pairs, wandering_cells

WINDOWS = {2: in_plane(wandering_cells()), 3: wandering_cells()}


def parts(seen, window):
    """Return the rows of the cells, in the order of the window, and those of the other objects."""
    place = {pair: row for row, pair in enumerate(pairs(seen.detections))}
    cells = np.array([place[pair] for pair in pairs(window.detections) if pair in place], int)
    return cells, np.setdiff1d(np.arange(len(seen.parent)), cells)


@pytest.mark.parametrize("ndim", [2, 3])
def test_clutter_leaves_the_cells_and_their_lineages(ndim):
    window = WINDOWS[ndim]
    for seed in range(20):
        seen = with_clutter(window, 0.3, np.random.default_rng(seed))
        found = seen.detections
        assert (np.lexsort((found.label, found.frame)) == np.arange(len(found))).all()
        assert len(set(pairs(found))) == len(found)
        cells, others = parts(seen, window)
        np.testing.assert_array_equal(found.features[cells], window.detections.features)
        np.testing.assert_array_equal(found.centroid[cells], window.detections.centroid)
        np.testing.assert_array_equal(seen.n_children[cells], window.n_children)
        related = association_matrix(seen)
        before = association_matrix(window)
        np.testing.assert_array_equal(related[np.ix_(cells, cells)], before)
        assert not related[np.ix_(cells, others)].any()


def test_clutter_has_the_expected_number_in_all_frames():
    window, counts = WINDOWS[2], np.zeros(4)
    for seed in range(300):
        seen = with_clutter(window, 0.3, np.random.default_rng(seed))
        counts += np.bincount(seen.detections.frame[parts(seen, window)[1]], minlength=4)
    expected = 0.3 * np.bincount(window.detections.frame)
    np.testing.assert_allclose(counts / 300, expected, rtol=0.08)


def test_clutter_lasts_in_half_of_the_windows_and_is_its_own_parent():
    window, n_lasting = WINDOWS[2], 0
    for seed in range(60):
        seen = with_clutter(window, 0.3, np.random.default_rng(seed))
        found = seen.detections
        _, others = parts(seen, window)
        lasting = others[seen.parent[others] >= 0]
        before = seen.parent[lasting]
        n_lasting += bool(len(lasting))
        assert np.isin(before, others).all()
        np.testing.assert_array_equal(found.frame[lasting] - found.frame[before], 1)
        step = np.linalg.norm(found.centroid[lasting] - found.centroid[before], axis=1)
        assert (step < typical_spacing(window.detections)).all()
        growth = np.log(found.features[lasting, 0] / found.features[before, 0])
        assert (np.abs(growth) < 0.4).all()
        np.testing.assert_array_equal(seen.n_children[others], np.isin(others, seen.parent[others]))
    assert 20 <= n_lasting <= 40


def test_clutter_is_beside_the_cells_and_has_sizes_and_shapes_like_theirs():
    window = WINDOWS[3]
    distances, sizes = [], []
    for seed in range(30):
        seen = with_clutter(window, 0.2, np.random.default_rng(seed))
        found = seen.detections
        _, others = parts(seen, window)
        for row in others[seen.parent[others] < 0]:
            cells = window.detections.rows(
                np.flatnonzero(window.detections.frame == found.frame[row])
            )
            distance, nearest = cKDTree(cells.centroid).query(found.centroid[row])
            own, near = found.features[row, 0], cells.features[nearest, 0]
            overlap = 0.5 * (own + near) - distance
            assert overlap < 0.25 * near or own < 0.35 * near
            distances.append(distance)
            sizes.append(own)
        value = np.linalg.eigvalsh(covariances(found))
        np.testing.assert_allclose(value[:, -1] * 20, found.features[:, 0] ** 2)  # balls like cells
    cells = window.detections.features[:, 0]
    assert min(distances) < 0.7 * typical_spacing(window.detections)
    assert min(sizes) < cells.min()
    assert max(sizes) > cells.max()


def test_clutter_has_shapes_intensities_and_margins_of_its_own():
    window = cut_window(simulate(replace(DIVIDING, n_cells=60), 5), 0, 4)
    before = window.detections
    low, high = before.centroid.min(axis=0), before.centroid.max(axis=0)
    errors = []
    for seed in range(20):
        seen = with_clutter(window, 0.3, np.random.default_rng(seed))
        found = seen.detections
        assert found.frame.dtype == before.frame.dtype
        _, others = parts(seen, window)
        first = others[seen.parent[others] < 0]
        assert (
            (found.centroid[first] > low - 1) & (found.centroid[first] < high + 1)
        ).mean() > 0.95
        assert not np.isin(found.features[others, 1], before.features[:, 1]).any()
        cell_ratios, ratios = (
            np.divide(*np.linalg.eigvalsh(covariances(part)).T)
            for part in (before, found.rows(others))
        )
        assert not np.isclose(ratios[:, None], cell_ratios, rtol=1e-6).any()
        # The margins of cells in the same places, without these cells.
        rows = np.arange(seed, len(before), 20)
        rest = before.rows(np.setdiff1d(np.arange(len(before)), rows))
        estimated = margins(rest, before.frame[rows], before.centroid[rows])
        true = before.features[rows, -1] + before.features[rows, 0] / 2
        errors.append(np.abs(estimated - true) / typical_spacing(before))
    assert np.median(np.concatenate(errors)) < 0.3


def test_there_is_room_beside_cells_and_without_cells():
    found = wandering_cells().detections
    cell = found.rows(np.array([0]))
    place = cell.centroid + np.array([[0, 0, 10.0], [0, 0, 30.0], [0, 0, 0]])
    diameter = cell.features[0, 0]
    np.testing.assert_allclose(
        room(cell, np.zeros(3, int), place), [20 - diameter, 60 - diameter, -diameter]
    )
    assert room(cell, np.ones(3, int), place).tolist() == [np.inf] * 3


def test_planes_stay_planes():
    flat = WINDOWS[3]
    flat = replace(
        flat, detections=replace(flat.detections, centroid=flat.detections.centroid * [0, 1, 1])
    )
    assert not with_clutter(flat, 0.5, np.random.default_rng(0)).detections.centroid[:, 0].any()


def test_windows_without_clutter_do_not_change():
    window = WINDOWS[2]
    assert with_clutter(window, 0.0, np.random.default_rng(0)) is window


@pytest.mark.parametrize("unknown", [NO_PARENT, PARENT_CUT_AWAY, PARENT_UNKNOWN])
@pytest.mark.parametrize("count", [1, 2])
def test_windows_of_one_or_two_cells_with_unknown_parents(count, unknown):
    found = wandering_cells().detections.rows(np.arange(count))
    window = KnownMovie(found, np.full(count, unknown), np.zeros(count, int))
    errors = replace(Augmentation(), missed=0.5, split=0.0, clutter=1.0)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        seen = spoil(window, errors, rng)
        assert (seen.parent == unknown).all()
        more = with_clutter(seen, 1.0, rng)
        assert (more.parent[parts(more, seen)[0]] == unknown).all()
        assert len(make_example(window, "relative", 100, errors, rng).frame)


def test_rates_are_those_of_windows_without_these_errors(tmp_path, monkeypatch):
    monkeypatch.setattr(batches, "POOL_SIZE", 6)
    rates = []
    for share in (0.0, 1.0):
        errors = dict.fromkeys(NOT_IN_RATES, share)
        options = replace(QUICK, augmentation=replace(Augmentation(), **errors))
        options = replace(options, training=replace(options.training, steps=1, learning_rate=0.0))
        train(new_start(options), tmp_path / str(share), tmp_path)
        rates.append(load_spec(tmp_path / str(share)).training_rates)
    assert rates[0] == rates[1]
    assert rates[0].no_parent_inside > 0


def test_pools_with_other_options_are_of_the_same_movies(monkeypatch):
    monkeypatch.setattr(batches, "POOL_SIZE", 6)
    data = DataOptions(real_share=1.0, max_tokens=1000, batch_tokens=1000, n_workers=0)
    spec = spec_of(tiny_network().config, "tiny", "")
    movie = WINDOWS[2]
    cluttered, clean = (
        Pools([movie], ExampleOptions(spec, data, replace(STILL, clutter=share)), 3)
        for share in (2.0, 0.0)
    )
    expected = [batch.frame.tolist() for batch in clean[5]]
    assert [batch.frame.tolist() for batch in cluttered.changed(clutter=0.0)[5]] == expected
    assert [batch.frame.tolist() for batch in cluttered[5]] != expected


def test_a_share_of_the_examples_has_clutter():
    window = WINDOWS[2]
    options = replace(STILL, clutter=0.5)
    lengths = [
        len(make_example(window, "relative", 1000, options, np.random.default_rng(seed)).frame)
        for seed in range(60)
    ]
    more = [length - len(window.parent) for length in lengths]
    assert 15 <= sum(count == 0 for count in more) <= 45
    assert max(more) > 0.3 * len(window.parent)
