"""Windows in a small field of view: few cells, those that entered, and the new margins."""

from dataclasses import replace

import numpy as np
import pytest

from small_networks import STILL, tiny_network
from trackastra_engine.detection.points import detections_of_points
from trackastra_engine.simulation import KnownMovie
from trackastra_training import batches, small_fields
from trackastra_training.batches import ExampleOptions, Pools
from trackastra_training.configuration import DataOptions
from trackastra_training.small_fields import small_field
from trackastra_training.start import spec_of
from wandering_cells import N_FRAMES, in_plane, rows_of, visible_parents, wandering_cells


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_field_shows_a_box_and_the_lineages_inside(ndim):
    sizes, n_entered = [], 0
    for seed in range(30):
        movie = wandering_cells(seed)
        movie = in_plane(movie) if ndim == 2 else movie
        seen = small_field(movie, np.random.default_rng(seed))
        rows = rows_of(seen, movie)
        assert seen.parent.tolist() == visible_parents(movie, rows)
        np.testing.assert_array_equal(seen.n_children, movie.n_children[rows])
        n_entered += int(((movie.parent[rows] >= 0) & (seen.parent < 0)).sum())
        place = movie.detections.centroid
        low, high = place[rows].min(axis=0), place[rows].max(axis=0)
        is_inside = ((place >= low) & (place <= high)).all(axis=1)
        np.testing.assert_array_equal(np.flatnonzero(is_inside), rows)
        sizes.append(len(rows) / N_FRAMES)
    assert n_entered > 0
    assert min(sizes) < 6
    assert 20 < max(sizes) <= small_fields.CELLS[1] + 1


def test_margins_end_at_the_sides_of_the_field():
    step, diameter = 10.0, 6.0
    places = step * np.argwhere(np.ones((30, 30), bool))
    frame = np.repeat(np.arange(N_FRAMES), len(places))
    grid = detections_of_points(
        frame, np.tile(places, (N_FRAMES, 1)), diameter=np.full(len(frame), diameter)
    )
    movie = KnownMovie(grid, np.full(len(frame), -1), np.zeros(len(frame), int))
    for seed in range(20):
        seen = small_field(movie, np.random.default_rng(seed)).detections
        margin, place = seen.features[:, -1], seen.centroid
        inner = np.minimum(place - place.min(axis=0), place.max(axis=0) - place).min(axis=1)
        behind = margin - inner  # of the outermost cells, or of their edges
        assert behind.max() < step
        assert behind[margin > 0].min() >= -diameter / 2


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_training_shows_a_share_of_windows_in_small_fields(share, monkeypatch):
    monkeypatch.setattr(batches, "POOL_SIZE", 5)
    monkeypatch.setattr(small_fields, "CELLS", (3.0, 20.0))
    data = DataOptions(real_share=1.0, max_tokens=1000, batch_tokens=1000, n_workers=0)
    options = ExampleOptions(
        spec_of(tiny_network().config, "tiny", ""),
        data,
        replace(STILL, small_fields=share),
    )
    pool = Pools([in_plane(wandering_cells())], options, 0)[0]
    n_tokens = [int((row >= 0).sum()) for batch in pool for row in batch.frame]
    assert len(n_tokens) == 5
    if share:
        assert max(n_tokens) <= 20 * N_FRAMES
        assert len(set(n_tokens)) > 1
    else:
        assert set(n_tokens) == {len(wandering_cells().parent)}


def test_a_window_of_few_cells_does_not_change():
    movie = wandering_cells()
    few = KnownMovie(movie.detections.rows(np.arange(3)), np.full(3, -1), np.zeros(3, int))
    assert small_field(few, np.random.default_rng(0)) is few
