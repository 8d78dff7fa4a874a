"""3D models learn from 2D movies: windows upon windows, each lineage in a plane of its own."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import tifffile

from quick_training import QUICK, invoke
from small_movies import dividing_cell
from trackastra_training.configuration import AnnotatedMovie, write_configuration
from trackastra_training.deep_views import deep_view
from wandering_cells import in_plane, wandering_cells


def flat_windows():
    windows = [in_plane(wandering_cells(seed)) for seed in range(3)]
    return windows, deep_view(windows, np.random.default_rng(0))


def test_lineages_steps_and_sizes_remain():
    windows, seen = flat_windows()
    found = seen.detections
    assert found.ndim == 3
    assert (np.diff(found.frame) >= 0).all()
    true = sorted(row for window in windows for row in described(window))
    shown = sorted(described(seen))
    np.testing.assert_allclose(shown, true, atol=1e-9)
    assert (seen.parent < 0).sum() == sum((window.parent < 0).sum() for window in windows)


def described(movie):
    """Return of each cell with a parent: frame, diameters, number of children, length of step."""
    child = np.flatnonzero(movie.parent >= 0)
    parent, found = movie.parent[child], movie.detections
    step = np.linalg.norm(found.centroid[child] - found.centroid[parent], axis=1)
    size = found.features[:, 0]
    n_children = movie.n_children
    columns = (found.frame[child], size[child], size[parent], n_children[child], step)
    return np.column_stack(columns).tolist()


def test_cells_wander_in_all_directions():
    _, seen = flat_windows()
    child = np.flatnonzero(seen.parent >= 0)
    place = seen.detections.centroid
    depth, y, x = (place[child] - place[seen.parent[child]]).std(axis=0)
    assert 0.8 < depth / y < 1.25
    assert 0.8 < depth / x < 1.25


def test_windows_lie_upon_each_other():
    windows, seen = flat_windows()
    depth = seen.detections.centroid[seen.parent < 0, 0]
    n_roots = [int((window.parent < 0).sum()) for window in windows]
    layers = [depth[i : i + n] for i, n in zip(np.cumsum([0, *n_roots[:-1]]), n_roots, strict=True)]
    thickness = max(np.ptp(layer) for layer in layers)
    assert all(np.ptp(layer) > 0.8 * thickness for layer in layers)
    assert all(below.max() < above.min() for below, above in pairwise(layers))


def test_a_3d_model_learns_from_2d_masks_but_is_not_validated_on_them(tmp_path, caplog):
    folder = tmp_path / "cells"
    folder.mkdir()
    for frame, mask in enumerate(dividing_cell()[1]):
        tifffile.imwrite(folder / f"man_track{frame:03}.tif", mask)
    (folder / "man_track.txt").write_text("1 0 5 0\n2 0 2 0\n3 3 5 2\n4 3 5 2\n")
    volumes = replace(QUICK, model=replace(QUICK.model, ndim=3))
    movie = AnnotatedMovie("cells")
    learned = replace(volumes, data=replace(QUICK.data, real_share=1.0), train=(movie,))
    write_configuration(learned, tmp_path / "quick.toml")
    with caplog.at_level("INFO"):
        result = invoke("run", tmp_path / "quick.toml", "-o", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert "cells: a 2D movie; its cells will seem to crawl in 3D" in caplog.text
    write_configuration(replace(learned, validate=(movie,)), tmp_path / "validated.toml")
    result = invoke("run", tmp_path / "validated.toml", "-o", tmp_path / "other")
    assert result.exit_code == 2
    assert "the frames have 2 axes but the model has 3" in result.output
