"""Voxel sizes and frame intervals of files; distances in um or found in the movie."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import tifffile

from random_graphs import detections_in
from test_streaming import RandomModel
from trackastra_engine import InputError, Tracker
from trackastra_engine.association.edge_stream import FrameEdges
from trackastra_engine.detection.detections import Detections
from trackastra_engine.detection.transform import USUAL_HEIGHT
from trackastra_engine.linking import linker
from trackastra_engine.linking.candidates import CandidateGraph, candidate_graph
from trackastra_engine.linking.lineage import build_lineage
from trackastra_engine.linking.max_distance import (
    MIN_LINKS,
    MaxDistance,
    auto_distance,
    typical_reach,
    warn_of_far_links,
)
from trackastra_engine.linking.stream import LinkStream
from trackastra_engine.model.edges import Edges
from trackastra_engine.movie.frames import open_movie
from trackastra_engine.movie.voxels import parse_voxel_size, proportions

VOLUMES = np.zeros((3, 4, 16, 20), np.uint16)  # (t, z, y, x)
IMAGEJ = {"axes": "TZYX", "spacing": 2.0, "unit": "um"}
OME = {
    "axes": "TZYX",
    "PhysicalSizeZ": 2000.0,
    "PhysicalSizeZUnit": "nm",
    "PhysicalSizeY": 0.5,
    "PhysicalSizeYUnit": "µm",
    "PhysicalSizeX": 0.5,
}


def voxel_of(path, movie=VOLUMES, **options):
    tifffile.imwrite(path, movie, photometric="minisblack", **options)
    return open_movie(None, path).voxel_um


def test_voxel_sizes_of_imagej(tmp_path):
    path, resolution = tmp_path / "a.tif", (1 / 0.25, 1 / 0.5)  # voxels per unit, x and y
    found = voxel_of(path, imagej=True, metadata=IMAGEJ, resolution=resolution)
    assert found == pytest.approx((2.0, 0.5, 0.25))
    for unit, factor in (("micron", 1), ("\\u00B5m", 1), ("nm", 1e-3), ("mm", 1e3)):
        metadata = {**IMAGEJ, "unit": unit}
        found = voxel_of(path, imagej=True, metadata=metadata, resolution=resolution)
        assert found == pytest.approx((2.0 * factor, 0.5 * factor, 0.25 * factor))
    planes = {"axes": "TYX", "unit": "um"}
    found = voxel_of(path, VOLUMES[:, 0], imagej=True, metadata=planes, resolution=resolution)
    assert found == pytest.approx((0.5, 0.25))


def test_voxel_sizes_of_ome(tmp_path):
    assert voxel_of(tmp_path / "a.ome.tif", metadata=OME) == pytest.approx((2.0, 0.5, 0.5))
    folder = tmp_path / "frames"
    folder.mkdir()
    for frame, volume in enumerate(VOLUMES):
        metadata = {**OME, "axes": "ZYX"}
        tifffile.imwrite(folder / f"t{frame}.ome.tif", volume, metadata=metadata)
    assert open_movie(None, folder).voxel_um == pytest.approx((2.0, 0.5, 0.5))


def interval_of(path, metadata, **options):
    movie = np.zeros((3, 16, 20), np.uint16)
    metadata = {"axes": "TYX", **metadata}
    tifffile.imwrite(path, movie, photometric="minisblack", metadata=metadata, **options)
    return open_movie(None, path).frame_interval_s


def test_frame_intervals_of_imagej_and_ome_are_in_seconds(tmp_path):
    path = tmp_path / "a.tif"
    assert interval_of(path, {"finterval": 2.5}, imagej=True) == 2.5
    assert interval_of(path, {"finterval": 2.5, "tunit": "min"}, imagej=True) == 150
    assert interval_of(path, {"finterval": 0.0}, imagej=True) is None
    assert interval_of(path, {"fps": 7.0}, imagej=True) is None  # how fast ImageJ plays the movie
    path = tmp_path / "a.ome.tif"
    assert interval_of(path, {"TimeIncrement": 2.5}) == 2.5
    assert interval_of(path, {"TimeIncrement": 2.5, "TimeIncrementUnit": "ms"}) == 0.0025
    assert interval_of(path, {"TimeIncrement": 2.5, "TimeIncrementUnit": "pixel"}) is None
    assert interval_of(path, {}) is None
    assert open_movie(None, np.zeros((3, 4, 4), np.uint8)).frame_interval_s is None


def test_files_without_a_voxel_size(tmp_path):
    path = tmp_path / "a.tif"
    assert voxel_of(path, metadata={"axes": "TZYX"}, resolution=(72, 72)) is None
    assert voxel_of(path, imagej=True, metadata={"axes": "TZYX"}, resolution=(2, 2)) is None
    unknown = {**IMAGEJ, "unit": "pixel"}
    assert voxel_of(path, imagej=True, metadata=unknown, resolution=(2, 2)) is None
    without_z = {"axes": "TZYX", "unit": "um"}
    assert voxel_of(path, imagej=True, metadata=without_z, resolution=(2, 2)) is None
    assert voxel_of(tmp_path / "b.ome.tif", metadata={"axes": "TZYX"}) is None


def test_a_given_voxel_size_has_priority_over_that_of_the_images(tmp_path):
    images, masks = tmp_path / "images.tif", tmp_path / "masks.tif"
    for path, size in ((images, 1.0), (masks, 2.0)):
        metadata = {**OME, "PhysicalSizeX": size}
        tifffile.imwrite(path, VOLUMES, ome=True, metadata=metadata)
    assert open_movie(images, masks).voxel_um == pytest.approx((2.0, 0.5, 1.0))
    assert open_movie(None, masks).voxel_um == pytest.approx((2.0, 0.5, 2.0))
    assert open_movie(images, masks, voxel_um=(3, 2, 1)).voxel_um == (3, 2, 1)
    for voxel in ((1, 1), (0, 1, 1), (np.nan, 1, 1), "1,1", "111", 0.5, ("1", "1", "1")):
        with pytest.raises(InputError, match="give z,y,x as 3 positive numbers"):
            open_movie(images, masks, voxel_um=voxel)


def test_voxel_sizes_as_text():
    assert parse_voxel_size("2,0.5, 0.25") == (2.0, 0.5, 0.25)
    with pytest.raises(InputError, match="'2 x 3'; give z,y,x"):
        parse_voxel_size("2 x 3")


def test_proportions_are_in_voxels_along_x():
    assert proportions((2.0, 0.5, 0.25), 3).tolist() == [8, 2, 1]
    assert proportions(None, 3).tolist() == [1, 1, 1]
    assert proportions((0.5, 0.25), 3).tolist() == [1, 2, 1]  # planes taken as volumes


def test_distances_as_text():
    voxel = (2.0, 0.5, 0.5)
    for text in (40, "40", "40px", " 40 px ", "20um", "20 µm"):
        assert MaxDistance.parse(text).in_pixels(voxel) == 40
    assert MaxDistance.parse("auto").in_pixels(voxel) is None
    for text in (0, -1, "nan", "inf", "40mm", "", "far", "1.2.3", "1e999"):
        with pytest.raises(InputError, match="positive number of pixels or micrometres"):
            MaxDistance.parse(text)
    with pytest.raises(InputError, match="its pixel size; give it with voxel_um, or"):
        MaxDistance.parse("20um").in_pixels(None)


def test_steps_between_planes_count_as_long_as_they_are():
    centroid = np.array([[0.0, 0, 0], [1, 0, 0], [0, 3, 0]])
    detections = Detections(np.array([0, 1, 1]), np.array([1, 1, 2]), centroid, np.ones((3, 12)))
    edges = Edges(np.array([0, 0]), np.array([1, 2]), np.full(2, 0.9))
    near = candidate_graph(detections, edges, max_distance=4.0)
    assert near.edges.target.tolist() == [1, 2]
    near = candidate_graph(detections, edges, max_distance=4.0, proportions=np.array([5.0, 1, 1]))
    assert near.edges.target.tolist() == [2]


def steps_of(lengths, diameter=1.0):
    """One cell per step, which moves from frame 0 to 1 by the length of the step."""
    n = len(lengths)
    detections = detections_in([0] * n + [1] * n)
    detections.centroid[:n] = detections.centroid[n:] = 50
    detections.centroid[n:, 1] += lengths
    detections.features[:, 0] = diameter
    edges = Edges(np.arange(n), np.arange(n) + n, np.full(n, 0.9))
    return CandidateGraph(detections, edges)


EVEN = np.arange(41) / 10  # quartiles 1 and 3, so that 9 is the fence


def test_the_typical_length_does_not_depend_on_outliers():
    square = np.ones(2)
    assert typical_reach(steps_of(EVEN), square) == pytest.approx(9)
    odd = np.concatenate([EVEN, [1000.0, 2000.0]])
    assert typical_reach(steps_of(odd), square) == pytest.approx(9, rel=0.1)
    assert typical_reach(steps_of(EVEN, diameter=20.0), square) == 20
    assert auto_distance(steps_of(EVEN), square) == pytest.approx(13.5)
    assert auto_distance(steps_of(EVEN[: MIN_LINKS - 1]), square) is None


def test_far_links_are_listed(caplog):
    graph = steps_of(np.concatenate([EVEN, [30.0, 40.0]]))
    warn_of_far_links(build_lineage(graph.detections, graph.edges), np.ones(2))
    assert "2 of 43 links are longer than is typical of this movie (9 px" in caplog.text
    assert "40 px from label 43 in frame 0 to 43 in frame 1; 30 px from label 42" in caplog.text
    caplog.clear()
    graph = steps_of(EVEN)
    warn_of_far_links(build_lineage(graph.detections, graph.edges), np.ones(2))
    assert caplog.text == ""


@pytest.mark.parametrize("mode", ["greedy", "lap"])
def test_auto_limits_links_by_the_movie_with_a_message(mode, caplog):
    graph = steps_of(np.concatenate([EVEN, [13.0, 40.0]]))
    links = LinkStream(linker(mode), MaxDistance.parse("auto"), None, 2)
    links.push([FrameEdges(0, 2, 0, graph.detections, graph.edges)])
    with caplog.at_level(logging.DEBUG):
        lineage = links.finish(graph.detections)
    assert lineage.edges.source.tolist() == list(range(42))
    assert "links are limited to 14.2 pixels" in caplog.text


class WatchedModel(RandomModel):
    """Records its tokens."""

    spec = replace(RandomModel.spec, ndim=3, uses_voxel_size=True)

    def associate(self, tokens, max_gap=1):
        self.tokens = tokens
        return super().associate(tokens, max_gap)


def tokens_of(masks, voxel_um):
    model = WatchedModel()
    Tracker(model, linker("greedy")).track(None, masks, voxel_um=voxel_um)
    return model.tokens


def test_a_model_sees_volumes_in_true_proportion(caplog):
    """Planes twice as far apart as pixels, or each plane twice."""
    masks = np.zeros((2, 5, 20, 20), np.uint8)
    masks[:, 1:3, 4:9, 4:8], masks[:, 2:5, 12:17, 11:15] = 1, 2
    far, twice = tokens_of(masks, (2, 1, 1)), tokens_of(np.repeat(masks, 2, axis=1), (1, 1, 1))
    for one, other in ((far, twice), (tokens_of(masks, (6, 3, 3)), twice)):
        steps = one.coordinates - one.coordinates[0]
        np.testing.assert_allclose(steps, other.coordinates - other.coordinates[0], rtol=1e-6)
        np.testing.assert_allclose(one.features[:, :2], other.features[:, :2], rtol=1e-6)
    assert "is estimated" not in caplog.text
    cubes = tokens_of(masks, (1, 1, 1))
    assert not np.allclose(cubes.coordinates, far.coordinates)


def test_unknown_voxels_give_cells_a_usual_height(caplog):
    masks = np.zeros((2, 9, 40, 40), np.uint8)
    masks[:, 1:3, 4:14, 4:14], masks[:, 5:8, 20:26, 20:26] = 1, 2  # 5 and 2 times as wide as high
    masks[:, 0:2, 20:30, 2:12] = 3
    likely, known = tokens_of(masks, None), tokens_of(masks, (5 * USUAL_HEIGHT, 1, 1))
    np.testing.assert_allclose(likely.coordinates, known.coordinates)
    np.testing.assert_allclose(likely.features, known.features)
    assert "it is estimated from the shapes of cells (of points, cubes are assumed)" in caplog.text
    low = np.ascontiguousarray(masks.transpose(0, 2, 3, 1))  # pixels of a plane are never flat
    np.testing.assert_allclose(
        tokens_of(low, None).coordinates, tokens_of(low, (1, 1, 1)).coordinates
    )


@pytest.mark.parametrize("planes", [(), (3,)])
def test_pixels_that_are_not_square_are_reported_by_2d_models(planes, caplog):
    """Also in stacks, which these models see in the plane."""
    masks = np.zeros((2, *planes, 20, 20), np.uint8)
    masks[..., 4:9, 4:8], masks[..., 12:17, 11:15] = 1, 2
    tracker, depth = Tracker(RandomModel(), linker("greedy")), (1.0,) * len(planes)
    tracker.track(None, masks, voxel_um=(*depth, 0.5, 0.48))
    assert "squares" not in caplog.text
    tracker.track(None, masks, voxel_um=(*depth, 0.5, 0.25))
    assert "pixels are 0.5 um high and 0.25 um wide, but the model random takes" in caplog.text


def test_the_first_frames_of_a_movie_have_its_voxel_size():
    masks = np.ones((3, 4, 4), np.uint8)
    assert open_movie(None, masks, voxel_um=(0.5, 0.5)).first(2).voxel_um == (0.5, 0.5)
