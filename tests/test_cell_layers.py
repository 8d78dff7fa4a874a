"""3D models learn from 2D movies: layers of cells, and the lineage that stays."""

from dataclasses import replace

import numpy as np
import pytest
import tifffile

from quick_training import QUICK, invoke
from small_movies import dividing_cell
from trackastra_engine.detection.detections import concatenate, detect
from trackastra_engine.detection.transform import covariances
from trackastra_engine.movie.frames import Frame
from trackastra_engine.simulation import KnownMovie
from trackastra_training import batches, cell_layers
from trackastra_training.batches import ExampleOptions, Pools
from trackastra_training.cell_layers import as_layer
from trackastra_training.configuration import AnnotatedMovie, Configuration, write_configuration
from trackastra_training.examples import make_example
from trackastra_training.start import new_start
from wandering_cells import in_plane, wandering_cells


def test_only_depth_and_height_are_added():
    depths = []
    for seed in range(20):
        movie = in_plane(wandering_cells(seed))
        movie.detections.features[:, 1] = np.arange(len(movie.parent))
        layer = as_layer(movie, np.random.default_rng(seed))
        found, flat = layer.detections, movie.detections
        np.testing.assert_array_equal(layer.parent, movie.parent)
        np.testing.assert_array_equal(layer.n_children, movie.n_children)
        np.testing.assert_array_equal(found.frame, flat.frame)
        np.testing.assert_array_equal(found.label, flat.label)
        np.testing.assert_array_equal(found.centroid[:, 1:], flat.centroid)
        np.testing.assert_array_equal(found.features[:, [1, -1]], flat.features[:, [1, -1]])
        np.testing.assert_allclose(covariances(found)[:, 1:, 1:], covariances(flat))
        assert not covariances(found)[:, 0, 1:].any()
        depths.append(np.ptp(found.centroid[:, 0]))
    assert np.std(depths) > 0


def test_cells_measure_as_their_pixels_would(monkeypatch):
    """A flat layer of squares, three planes high, equals the stack of three masks."""
    for name, value in {"SLOPE": 0.0, "WAVY_SHARE": 0.0, "UNEVENNESS": 0.0}.items():
        monkeypatch.setattr(cell_layers, name, value)
    monkeypatch.setattr(cell_layers, "HIGH_SHARE", 0.0)
    monkeypatch.setattr(cell_layers, "HEIGHT_SPREAD", 0.0)
    _, masks = dividing_cell()
    flat = measured(masks, 2)
    size = np.median(flat.features[:, 0])
    monkeypatch.setattr(cell_layers, "PLANES", (1 / size, 1 / size))
    monkeypatch.setattr(cell_layers, "HEIGHTS", (3 / size, 3 / size))
    known = KnownMovie(flat, np.full(len(flat), -1), np.zeros(len(flat), int))
    layer = as_layer(known, np.random.default_rng(0)).detections
    stack = measured(np.stack([masks] * 3, axis=1), 3)
    np.testing.assert_allclose(layer.features, stack.features)
    assert np.unique(layer.centroid[:, 0] % 1).tolist() == [0]


def measured(masks, ndim):
    return concatenate((detect(Frame(t, None, mask), ndim) for t, mask in enumerate(masks)), ndim)


def test_heights_and_depths_follow_lineages(monkeypatch):
    monkeypatch.setattr(cell_layers, "UNRELATED", 0.0)
    monkeypatch.setattr(cell_layers, "SLOPE", 0.0)
    monkeypatch.setattr(cell_layers, "WAVY_SHARE", 0.0)
    for seed in range(10):
        movie = in_plane(wandering_cells(seed))
        movie.detections.features[:] = movie.detections.features[0]  # of one size and shape
        depth = as_layer(movie, np.random.default_rng(seed)).detections.centroid[:, 0]
        child = np.flatnonzero(movie.parent >= 0)
        np.testing.assert_array_equal(depth[child], depth[movie.parent[child]])
        if len(np.unique(depth)) > 2:
            return
    pytest.fail("all cells lie in one plane")


@pytest.mark.parametrize("share", [0.0, 1.0], ids=["none", "all"])
def test_simulated_3d_movies_are_layers(monkeypatch, share):
    """In layers, 2D parameters are simulated, and the model sees 3D windows."""
    seen, drawn = [], []
    draw = batches.random_parameters

    def noted(rng, ndim):
        drawn.append(ndim)
        return draw(rng, ndim=ndim)

    def note(window, *options):
        seen.append(window.detections.ndim)
        return make_example(window, *options)

    monkeypatch.setattr(batches, "POOL_SIZE", 4)
    monkeypatch.setattr(batches, "random_parameters", noted)
    monkeypatch.setattr(batches, "make_example", note)
    spec = new_start(replace(QUICK, model=replace(QUICK.model, ndim=3))).spec
    options = ExampleOptions(spec, QUICK.data, replace(Configuration().augmentation, layers=share))
    assert Pools([], options, 0)[0][0].coordinates.shape[-1] == 4
    assert set(drawn) == {2 if share else 3}
    assert set(seen) == {3}


def test_a_3d_model_learns_from_2d_masks_but_is_not_validated_on_them(tmp_path):
    folder = tmp_path / "cells"
    folder.mkdir()
    for frame, mask in enumerate(dividing_cell()[1]):
        tifffile.imwrite(folder / f"man_track{frame:03}.tif", mask)
    (folder / "man_track.txt").write_text("1 0 5 0\n2 0 2 0\n3 3 5 2\n4 3 5 2\n")
    volumes = replace(QUICK, model=replace(QUICK.model, ndim=3))
    movie = AnnotatedMovie("cells")
    learned = replace(volumes, data=replace(QUICK.data, real_share=1.0), train=(movie,))
    write_configuration(learned, tmp_path / "quick.toml")
    result = invoke("run", tmp_path / "quick.toml", "-o", tmp_path / "run")
    assert result.exit_code == 0, result.output
    write_configuration(replace(learned, validate=(movie,)), tmp_path / "validated.toml")
    result = invoke("run", tmp_path / "validated.toml", "-o", tmp_path / "other")
    assert result.exit_code == 2
    assert "the frames have 2 axes but the model has 3" in result.output
