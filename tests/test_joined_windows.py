"""Windows upon each other: all cells remain, with their parents and steps."""

from dataclasses import replace

import numpy as np
import pytest

from small_networks import tiny_network
from trackastra_engine.detection.points import detections_of_points
from trackastra_training import batches
from trackastra_training.batches import ExampleOptions, Pools
from trackastra_training.configuration import Augmentation, DataOptions
from trackastra_training.joined_windows import has_sizes, overlaid
from trackastra_training.start import spec_of
from wandering_cells import in_plane, wandering_cells


def without_sizes(seed=0):
    movie = in_plane(wandering_cells(seed))
    found = movie.detections
    points = detections_of_points(found.frame, found.centroid, label=found.label)
    return replace(movie, detections=points)


def steps(movie):
    """Return of each cell with a parent: frame, number of children, length of its step."""
    child = np.flatnonzero(movie.parent >= 0)
    place = movie.detections.centroid
    step = np.linalg.norm(place[child] - place[movie.parent[child]], axis=1)
    return np.column_stack([movie.detections.frame[child], movie.n_children[child], step])


def test_overlaid_windows_keep_cells_and_steps():
    windows = [without_sizes(seed) for seed in range(3)]
    seen = overlaid(windows, np.random.default_rng(0))
    true = np.concatenate([steps(window) for window in windows])
    np.testing.assert_allclose(sorted(steps(seen).tolist()), sorted(true.tolist()))
    assert (np.diff(seen.detections.frame) >= 0).all()
    places = set(map(tuple, seen.detections.centroid.tolist()))
    assert places.issuperset(map(tuple, windows[0].detections.centroid.tolist()))
    assert not places & set(map(tuple, windows[1].detections.centroid.tolist()))
    assert not has_sizes(seen)


def test_sizes_remain_if_known():
    windows = [in_plane(wandering_cells(seed)) for seed in range(2)]
    seen = overlaid(windows, np.random.default_rng(0))
    sizes = np.concatenate([window.detections.features[:, 0] for window in windows])
    assert sorted(seen.detections.features[:, 0]) == sorted(sizes)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_training_lays_others_upon_windows_without_sizes(share, monkeypatch):
    monkeypatch.setattr(batches, "POOL_SIZE", 12)
    joined = []

    def note(windows, rng):
        joined.append([has_sizes(window) for window in windows])
        return overlaid(windows, rng)

    monkeypatch.setattr(batches, "overlaid", note)
    data = DataOptions(real_share=1.0, max_tokens=1000, batch_tokens=1000, n_workers=0)
    augmentation = replace(Augmentation(), overlaid=share)
    options = ExampleOptions(spec_of(tiny_network().config, "tiny", ""), data, augmentation)
    Pools([without_sizes(), in_plane(wandering_cells())], options, 0)[0]
    assert 0 < len(joined) < 12 if share else not joined
    assert all(2 <= len(sizes) <= 4 and not any(sizes) for sizes in joined)
