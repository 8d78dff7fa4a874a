"""Invented intensities and shapes: of lineages or of none, and only where there are none."""

from dataclasses import replace

import numpy as np
import pytest

from small_networks import tiny_network
from trackastra_engine.detection.transform import covariances
from trackastra_engine.simulation import KnownMovie
from trackastra_training import batches
from trackastra_training.batches import ExampleOptions, Pools
from trackastra_training.configuration import Augmentation, DataOptions
from trackastra_training.invented_measurements import (
    with_invented_intensities,
    with_invented_measurements,
    with_invented_shapes,
)
from trackastra_training.segmentation_errors import is_born
from trackastra_training.start import spec_of
from wandering_cells import N_FRAMES, in_plane, wandering_cells


def test_some_windows_show_lineages_and_others_nothing():
    movie = wandering_cells()
    child = np.flatnonzero(movie.parent >= 0)
    likeness = []
    for seed in range(200):
        seen = with_invented_intensities(movie, np.random.default_rng(seed))
        value = seen.detections.features[:, 1]
        assert (value > 0).all()
        assert value.max() == 1
        likeness.append(np.corrcoef(np.log(value[child]), np.log(value[movie.parent[child]]))[0, 1])
        others = np.delete(seen.detections.features, 1, axis=1)
        np.testing.assert_array_equal(others, np.delete(movie.detections.features, 1, axis=1))
        np.testing.assert_array_equal(seen.parent, movie.parent)
    assert max(likeness) > 0.8
    assert min(likeness) < 0.1


def explained(value, causes):
    """Return the share of the variance of values that a linear model of causes explains."""
    causes = causes - causes.mean(axis=0)
    value = value - value.mean()
    rest = value - causes @ np.linalg.lstsq(causes, value, rcond=None)[0]
    return 1 - rest.var() / value.var()


@pytest.mark.parametrize("cause", ["place", "frame", "size"])
def test_intensities_may_follow_places_frames_and_sizes(cause):
    movie = wandering_cells()
    found = replace(movie.detections, centroid=movie.detections.centroid + np.array([0, 0, 5000]))
    movie = replace(movie, detections=found)
    causes = {
        "place": found.centroid,
        "frame": np.eye(N_FRAMES)[found.frame],
        "size": np.log(found.features[:, :1]),
    }
    shares = []
    for seed in range(200):
        seen = with_invented_intensities(movie, np.random.default_rng(seed))
        shares.append(explained(np.log(seen.detections.features[:, 1]), causes[cause]))
    assert max(shares) > 0.3
    assert min(shares) < 0.02


def likeness(movie, seed, is_chosen):
    """Return the correlation of the logarithms of intensity of chosen cells and their parents."""
    seen = with_invented_intensities(movie, np.random.default_rng(seed))
    value, row = np.log(seen.detections.features[:, 1]), np.flatnonzero(is_chosen)
    return np.corrcoef(value[row], value[movie.parent[row]])[0, 1]


def test_daughters_may_differ_where_cells_stay_alike():
    movie = wandering_cells()
    born = is_born(movie)
    same = (movie.parent >= 0) & ~born
    alike = [seed for seed in range(400) if likeness(movie, seed, same) > 0.8]
    assert min(likeness(movie, seed, born) for seed in alike) < 0.7
    assert max(likeness(movie, seed, born) for seed in alike) > 0.9


def test_daughters_may_be_brighter_or_darker():
    movie = wandering_cells()
    is_daughter = (movie.parent >= 0) & (movie.n_children[movie.parent] >= 2)
    is_daughter &= movie.n_children < 2
    values = [
        np.log(
            with_invented_intensities(movie, np.random.default_rng(seed)).detections.features[:, 1]
        )
        for seed in range(200)
    ]
    differences = [
        (value[is_daughter].mean() - value[~is_daughter].mean()) / value.std() for value in values
    ]
    assert max(differences) > 1
    assert min(differences) < -1


def test_an_empty_window_does_not_change():
    movie = wandering_cells()
    none = KnownMovie(movie.detections.rows(slice(0, 0)), np.empty(0, int), np.empty(0, int))
    assert with_invented_measurements(none, Augmentation(), np.random.default_rng(0)) is none


def test_options_of_zero_draw_no_random_number():
    movie, drawn = wandering_cells(), np.random.default_rng(0)
    none = replace(Augmentation(), invented_intensities=0.0, invented_shapes=0.0)
    with_invented_measurements(movie, none, drawn)
    assert drawn.random() == np.random.default_rng(0).random()


def test_dividing_cells_may_be_brighter_or_darker():
    movie = wandering_cells()
    is_mother = movie.n_children >= 2
    differences = []
    for seed in range(200):
        seen = with_invented_intensities(movie, np.random.default_rng(seed))
        value = np.log(seen.detections.features[:, 1])
        differences.append((value[is_mother].mean() - value[~is_mother].mean()) / value.std())
    assert max(differences) > 1
    assert min(differences) < -1


@pytest.mark.parametrize("share", [0.0, 1.0])
@pytest.mark.parametrize("has_images", [False, True])
def test_only_windows_without_intensities_get_some(share, has_images, monkeypatch):
    monkeypatch.setattr(batches, "POOL_SIZE", 5)
    movie = in_plane(wandering_cells())
    if has_images:
        movie.detections.features[:, 1] = 1.0  # all alike
    still = dict.fromkeys(("no_intensity", "brightness", "intensity_noise", "merged"), 0.0)
    options = ExampleOptions(
        spec_of(tiny_network().config, "tiny", ""),
        DataOptions(real_share=1.0, max_tokens=1000, batch_tokens=1000, n_workers=0),
        replace(Augmentation(), **still, invented_intensities=share),
    )
    for batch in Pools([movie], options, 0)[0]:
        is_cell = batch.frame >= 0
        relative, is_known = batch.features[is_cell][:, -3:-1].T
        assert (is_known == float(bool(share) or has_images)).all()
        assert bool(relative.any()) == (bool(share) and not has_images)


@pytest.mark.parametrize(("recipe", "share"), [("relative", 1), ("upstream", 0)])
def test_models_that_track_points_with_equal_intensities_learn_from_them(
    recipe, share, monkeypatch
):
    monkeypatch.setattr(batches, "POOL_SIZE", 5)
    invented = []
    monkeypatch.setattr(
        batches, "with_invented_measurements", lambda window, *_: invented.append(1) or window
    )
    spec = spec_of(tiny_network().config, "tiny", "")
    data = DataOptions(real_share=1.0, max_tokens=1000, batch_tokens=1000, n_workers=0)
    options = ExampleOptions(replace(spec, recipe=recipe), data, Augmentation())
    Pools([in_plane(wandering_cells())], options, 0)[0]
    assert len(invented) == 5 * share


def axes(detections):
    return np.sqrt(np.linalg.eigvalsh(covariances(detections)))


@pytest.mark.parametrize("ndim", [2, 3])
def test_invented_shapes_have_the_same_sizes_and_are_more_or_less_inherited(ndim):
    movie = in_plane(wandering_cells()) if ndim == 2 else wandering_cells()
    child = np.flatnonzero(movie.parent >= 0)
    before, likeness, aspects = axes(movie.detections), [], []
    for seed in range(100):
        seen = with_invented_shapes(movie, np.random.default_rng(seed))
        columns = [0, 1, -1]
        np.testing.assert_array_equal(
            seen.detections.features[:, columns], movie.detections.features[:, columns]
        )
        np.testing.assert_array_equal(seen.detections.centroid, movie.detections.centroid)
        after = axes(seen.detections)
        np.testing.assert_allclose(after.prod(axis=1), before.prod(axis=1))
        aspect = np.log(after[:, -1] / after[:, 0])
        aspects.append(np.median(aspect))
        likeness.append(np.corrcoef(aspect[child], aspect[movie.parent[child]])[0, 1])
    assert max(aspects) > 0.3
    assert min(aspects) < 0.03
    assert max(likeness) > 0.9
    assert min(likeness) < 0.2


def test_measured_shapes_are_not_replaced():
    movie = wandering_cells()
    some = replace(Augmentation(), invented_shapes=1.0, invented_intensities=0.0)
    rng = np.random.default_rng(0)
    shaped = with_invented_measurements(movie, some, rng)
    assert (shaped.detections.features != movie.detections.features).any()
    assert with_invented_measurements(shaped, some, rng) is shaped
    none = replace(some, invented_shapes=0.0)
    assert with_invented_measurements(movie, none, rng) is movie
