"""Cells of one layer in stacks: they are found, and a 2D model sees them in the plane."""

import numpy as np
import pytest

from command_line import run
from small_movies import dividing_cell, write_folder
from trackastra_engine import Tracker
from trackastra_engine.detection.detections import concatenate, detect
from trackastra_engine.detection.layer import in_plane, is_layer
from trackastra_engine.detection.points import detections_of_points
from trackastra_engine.linking import linker
from trackastra_engine.movie.frames import Frame
from wandering_cells import wandering_cells

_, MASKS = dividing_cell()
STACKS = np.stack([np.zeros_like(MASKS), MASKS, MASKS], axis=1)


def measured(masks, ndim):
    return concatenate((detect(Frame(t, None, mask), ndim) for t, mask in enumerate(masks)), ndim)


def layer_of_points(depth_deviation, n_cells=200, n_frames=3):
    rng = np.random.default_rng(0)
    frame = np.repeat(np.arange(n_frames), n_cells)
    place = rng.uniform(0, 100, (len(frame), 3))
    place[:, 0] = 0.1 * place[:, 1] + depth_deviation * rng.normal(size=len(frame))
    return detections_of_points(frame, place)


def test_sloping_layers_and_thick_tissues_differ():
    spacing = 0.5 * 100 / np.sqrt(200)  # mean distance to the nearest of random points
    assert is_layer(layer_of_points(0))
    assert is_layer(layer_of_points(0.1 * spacing))
    assert not is_layer(layer_of_points(0.6 * spacing))
    assert not is_layer(wandering_cells().detections)
    assert not is_layer(layer_of_points(0, n_cells=3))  # too few
    assert is_layer(measured(STACKS[:1], 3))  # except in one plane


@pytest.mark.parametrize("shape", ["squares", "lines"])
def test_stacks_seen_in_the_plane_are_like_their_planes(shape):
    masks = MASKS.copy()
    if shape == "lines":
        masks[:, 1:] *= masks[:, 1:] != masks[:, :-1]
    flat, seen = measured(masks, 2), in_plane(measured(np.stack([masks] * 3, axis=1), 3))
    np.testing.assert_allclose(seen.centroid, flat.centroid)
    np.testing.assert_allclose(seen.features[:, 2:], flat.features[:, 2:], atol=1e-9)
    if shape == "squares":
        np.testing.assert_allclose(seen.features[:, 0], flat.features[:, 0], rtol=0.03)
    assert (seen.features[:, 0] > 0.4 * flat.features[:, 0]).all()


def test_a_2d_model_links_stacks_like_their_planes(tmp_path):
    tracker = Tracker.load("general_2d", mode=linker("greedy", min_division_score=0.5))
    flat, stacks = tracker.track(None, MASKS), tracker.track(None, STACKS)
    assert ends(stacks) == ends(flat)
    np.testing.assert_allclose(stacks.edges.score, flat.edges.score, atol=0.05)
    assert stacks.detections.ndim == 3
    points = tracker.track_detections(stacks.detections)
    assert ends(points) == ends(stacks)


def ends(lineage):
    return np.column_stack([lineage.edges.source, lineage.edges.target]).tolist()


def test_stacks_are_tracked_linked_again_and_resumed(tmp_path):
    """From the cache, on a cluster and with another linker, results are the same."""
    stacks = write_folder(tmp_path / "stacks", STACKS)
    out = tmp_path / "out"
    result = run("track", "--masks", stacks, "-o", out)
    assert result.exit_code == 0, result.stderr
    assert "all cells lie in one layer, so general_2d tracks them" in result.stderr
    assert '"general_2d"' in (out / "report.html").read_text()
    tables = [(out / name).read_text() for name in ("edges.csv", "tracks.csv")]
    assert tables[1].startswith("track,parent,frame,label,z,y,x")
    for command in (
        ["track", "--masks", stacks, "-o", out, "--overwrite"],
        ["track", "--masks", stacks, "-o", tmp_path / "dask", "--dask", "local:1"],
        ["link", out, "-o", tmp_path / "linked"],
    ):
        result = run(*command)
        assert result.exit_code == 0, result.stderr
    for folder in (out, tmp_path / "dask", tmp_path / "linked"):
        assert [(folder / name).read_text() for name in ("edges.csv", "tracks.csv")] == tables


def test_a_2d_model_warns_of_cells_at_several_depths(caplog):
    tracker, rows = Tracker.load("general_2d"), np.arange(120)
    tracker.track_detections(layer_of_points(0).rows(rows * 5))
    assert "several depths" not in caplog.text
    tracker.track_detections(layer_of_points(10).rows(rows * 5))
    said = "may lie at several depths, which the model general_2d does not see, but general_3d does"
    assert said in caplog.text


def test_the_model_that_sees_depth_can_be_chosen(tmp_path):
    stacks = write_folder(tmp_path / "stacks", STACKS)
    result = run("track", "--masks", stacks, "-o", tmp_path / "out", "--model", "general_3d")
    assert result.exit_code == 0, result.stderr
    assert "one layer" not in result.stderr
    assert '"general_3d"' in (tmp_path / "out" / "report.html").read_text()
