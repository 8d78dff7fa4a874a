"""The benchmarks of layers and of voxels: depths and heights change, and all else stays."""

import numpy as np

from benchmarks import layers, voxels
from benchmarks.true_movies import TrueMovie, as_true_movie
from trackastra_engine.detection.transform import covariances, in_true_proportion
from trackastra_engine.simulation import Division, SimulationParameters, render
from wandering_cells import wandering_cells


def test_layers_differ_only_in_depth():
    parameters = SimulationParameters(n_frames=4, n_cells=40, division=Division(cycle_frames=8.0))
    movie = as_true_movie(render(parameters, 3), 1.0)
    raised = layers.layers(movie)
    assert len(raised) == layers.N_LAYERS
    for layer in raised:
        np.testing.assert_array_equal(layer.links, movie.links)
        np.testing.assert_array_equal(layer.detections.centroid[:, 1:], movie.detections.centroid)
        assert layer.score(movie.links).edges.f1 == 1
    depths = {tuple(layer.detections.centroid[:, 0]) for layer in raised}
    assert len(depths) == layers.N_LAYERS


def test_slabs_keep_the_cells_near_a_plane():
    cells = wandering_cells()
    movie = TrueMovie(None, None, cells.detections, cells.parent)
    sizes = []
    for thickness in (0.5, 2.0):
        cut = layers.slab(movie, thickness, np.random.default_rng(1))
        depth = cut.detections.centroid[:, 0]
        assert np.ptp(depth) <= thickness * layers.typical_spacing(movie.detections)
        sizes.append(len(depth))
    assert 0 < sizes[0] < sizes[1] < len(movie.detections)


def test_cells_get_a_height_and_are_seen_in_voxels():
    cells = wandering_cells()
    movie = TrueMovie(None, None, cells.detections, cells.parent)
    low = voxels.with_shapes(movie, 0.5)
    np.testing.assert_array_equal(low.detections.centroid, movie.detections.centroid)
    height, *width = covariances(low.detections).diagonal(axis1=1, axis2=2).T
    assert 0.4 < np.median(np.sqrt(height / np.mean(width, axis=0))) < 0.6
    seen = voxels.in_voxels(low, 3.0)
    again = in_true_proportion(seen.detections, np.array([3.0, 1.0, 1.0]))
    np.testing.assert_allclose(again.centroid, low.detections.centroid)
    np.testing.assert_allclose(again.features[:, :-1], low.detections.features[:, :-1])
