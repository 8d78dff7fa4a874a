"""Windows with some of the lineages: whole ones, unchanged, and about as many as asked for."""

from dataclasses import replace

import numpy as np
import pytest

from small_networks import tiny_network
from trackastra_engine.simulation import KnownMovie
from trackastra_training import batches, sparse_windows
from trackastra_training.batches import ExampleOptions, Pools
from trackastra_training.configuration import Augmentation, DataOptions
from trackastra_training.sparse_windows import sparse_window
from trackastra_training.start import spec_of
from wandering_cells import N_FRAMES, in_plane, rows_of, visible_parents, wandering_cells


def lineages(movie):
    """Return the first ancestor of each row."""
    first = []
    for row, parent in enumerate(movie.parent.tolist()):
        first.append(row if parent < 0 else first[parent])
    return np.array(first)


def test_some_lineages_are_seen_as_a_whole():
    sizes = []
    for seed in range(40):
        movie = wandering_cells(seed)
        seen = sparse_window(movie, np.random.default_rng(seed))
        rows = rows_of(seen, movie)
        first = lineages(movie)
        np.testing.assert_array_equal(rows, np.flatnonzero(np.isin(first, first[rows])))
        assert seen.parent.tolist() == visible_parents(movie, rows)
        np.testing.assert_array_equal(seen.n_children, movie.n_children[rows])
        np.testing.assert_array_equal(seen.detections.centroid, movie.detections.centroid[rows])
        np.testing.assert_array_equal(seen.detections.features, movie.detections.features[rows])
        sizes.append(len(rows) / N_FRAMES)
    assert min(sizes) < 6
    assert 20 < max(sizes) < 60


def test_lineages_are_drawn_from_all_places():
    movie = wandering_cells()
    seen = [sparse_window(movie, np.random.default_rng(seed)) for seed in range(60)]
    rows = np.concatenate([rows_of(one, movie) for one in seen])
    assert set(rows.tolist()) == set(range(len(movie.parent)))


def test_one_lineage_remains_at_least(monkeypatch):
    monkeypatch.setattr(sparse_windows, "CELLS", (0.01, 0.02))
    movie = wandering_cells()
    for seed in range(10):
        seen = sparse_window(movie, np.random.default_rng(seed))
        assert (seen.parent < 0).sum() == 1


def test_a_window_of_few_cells_does_not_change():
    movie = wandering_cells()
    few = KnownMovie(movie.detections.rows(np.arange(3)), np.full(3, -1), np.zeros(3, int))
    assert sparse_window(few, np.random.default_rng(0)) is few


@pytest.mark.parametrize(("sparse", "small_fields"), [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0)])
def test_training_shows_a_share_of_windows_with_some_lineages(sparse, small_fields, monkeypatch):
    monkeypatch.setattr(batches, "POOL_SIZE", 5)
    shown = []
    monkeypatch.setattr(batches, "sparse_window", lambda window, _: shown.append(1) or window)
    data = DataOptions(real_share=1.0, max_tokens=1000, batch_tokens=1000, n_workers=0)
    options = ExampleOptions(
        spec_of(tiny_network().config, "tiny", ""),
        data,
        replace(Augmentation(), sparse=sparse, small_fields=small_fields),
    )
    Pools([in_plane(wandering_cells())], options, 0)[0]
    assert len(shown) == (5 if sparse and not small_fields else 0)
