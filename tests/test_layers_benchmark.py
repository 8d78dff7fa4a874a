"""The benchmark of layers: 2D movies get depth, and all else stays."""

import numpy as np

from benchmarks import layers
from benchmarks.true_movies import as_true_movie
from trackastra_engine.simulation import Division, SimulationParameters, render


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
