"""Formats of other programs, each opened by a program or package that reads it."""

import csv
import json
import logging
from xml.etree import ElementTree

import geff
import numpy as np
import pytest
from ctc_metrics import validate_sequence
from geff.validate.data import ValidationConfig
from pycellin import load_TrackMate_XML
from traccuracy.loaders import load_ctc_data
from tracksdata.graph import IndexedRXGraph

from small_movies import dividing_cell, true_lineage, write_folder
from trackastra_engine.errors import InputError, MissingDependencyError
from trackastra_engine.linking.lineage import build_lineage
from trackastra_engine.model.edges import Edges
from trackastra_engine.movie.calibration import Calibration
from trackastra_engine.movie.frames import open_movie
from trackastra_engine.output.formats import FORMATS, Results
from trackastra_engine.output.results import Outputs, check_outputs, write_outputs
from trackastra_engine.output.track_table import write_track_table
from trackastra_engine.output.trackmate import write_trackmate

VOXEL_UM, INTERVAL_S = (0.5, 0.25), 60.0
EVERY_FORMAT = tuple(name for name in FORMATS if name != "ome-zarr-0.4")  # of one place with 0.5


@pytest.fixture(scope="module")
def results():
    """Return `dividing_cell`, where cell 1 is missed in frame 2, and 9 is only in one frame.

    1 - 1 - . - 1 - 1 - 1          9 only in frame 0
    2 - 2 - 2 < 3 - 3 - 3
                4 - 4 - 4
    """
    images, masks = dividing_cell()
    masks[2][masks[2] == 1] = 0
    masks[0, 35:38, 5:9] = 9
    lineage = true_lineage(masks)
    found, edges = lineage.detections, lineage.edges
    (before,) = np.flatnonzero((found.frame == 1) & (found.label == 1))
    (after,) = np.flatnonzero((found.frame == 3) & (found.label == 1))
    linked = Edges(
        np.append(edges.source, before), np.append(edges.target, after), np.append(edges.score, 0.5)
    )
    return Results(
        build_lineage(found, linked),
        open_movie(images, masks),
        calibration=Calibration(VOXEL_UM, INTERVAL_S),
    )


@pytest.fixture(scope="module")
def folder(results, tmp_path_factory):
    """Return a results folder with all formats."""
    folder = tmp_path_factory.mktemp("results") / "out"
    write_outputs(results, Outputs(folder, formats=EVERY_FORMAT, report=False))
    return folder


def test_masks_and_tracks_are_valid_to_the_challenge_and_to_traccuracy(folder):
    assert validate_sequence(str(folder / "ctc"))["Valid"] == 1
    graph = load_ctc_data(str(folder / "ctc"), run_checks=True).graph
    assert graph.number_of_nodes() == 15
    (mother,) = [node for node, degree in graph.out_degree if degree == 2]
    assert graph.nodes[mother]["t"] == 2


def test_the_track_table_has_micrometres_seconds_scores_and_features(folder):
    with (folder / "tracks.csv").open() as file:
        rows = list(csv.DictReader(file))
    daughter = next(row for row in rows if (row["frame"], row["label"]) == ("3", "4"))
    assert (daughter["y"], daughter["x"]) == ("31.500", "32.500")
    assert (daughter["y_um"], daughter["x_um"]) == ("15.7500", "8.1250")
    assert (daughter["time_s"], daughter["margin"]) == ("180", "5")
    assert float(daughter["diameter"]) == pytest.approx(2 * np.sqrt(36 / np.pi), rel=1e-5)
    assert 0.6 < float(daughter["score"]) < 1
    assert daughter["intensity"] == ""  # there was none to measure
    assert rows[0]["score"] == ""  # the first of its track, which has no parent


def test_a_geff_is_valid_and_has_tracks_in_units(folder, results):
    checks = ValidationConfig(graph=True, tracklet=True, lineage=True)
    graph, metadata = geff.read(folder / "tracks.geff", data_validation=checks)
    assert sorted(graph.nodes) == list(range(1, 16))
    assert [axis.name for axis in metadata.axes] == ["t", "y", "x"]
    assert [(axis.scale, axis.scaled_unit) for axis in metadata.axes] == [
        (INTERVAL_S, "second"),
        *((size, "micrometer") for size in VOXEL_UM),
    ]
    node = {(data["t"], data["label"]): (key, data) for key, data in graph.nodes(data=True)}
    assert node[1, 1][1]["tracklet"] == node[3, 1][1]["tracklet"]  # over the gap, as in GEFF
    lineages = [node[place][1]["lineage"] for place in ((2, 2), (5, 3), (5, 4))]
    assert len(set(lineages)) == 1
    assert graph.edges[node[1, 1][0], node[3, 1][0]]["score"] == 0.5
    assert "intensity" not in node[0, 1][1]
    found = results.lineage.detections
    for key, data in graph.nodes(data=True):
        assert (data["y"], data["x"]) == tuple(found.centroid[key - 1])


def test_a_geff_refers_to_the_labels_next_to_it(folder):
    """By the number of the track, which is the label there."""
    _, metadata = geff.read(folder / "tracks.geff")
    (related,) = metadata.related_objects
    assert (related.type, related.node_prop) == ("labels", "track")
    graph, _ = geff.read(folder / "tracks.geff")
    movie = open_movie(None, folder / "tracks.geff" / related.path)
    for frame in movie:
        tracks = {data["track"] for _, data in graph.nodes(data=True) if data["t"] == frame.index}
        assert set(np.unique(frame.labels)) - {0} == tracks


def test_mastodon_imports_spots_with_links(folder, results):
    """Its importer reads integers in every line, and positions in the units of the image."""
    with (folder / "mastodon.csv").open() as file:
        rows = list(csv.DictReader(file))
    found, edges = results.lineage.detections, results.lineage.edges
    assert [int(row["id"]) for row in rows] == list(range(len(found)))
    links = {(int(row["parent_id"]), int(row["id"])) for row in rows if row["parent_id"] != "-1"}
    assert links == set(zip(edges.source.tolist(), edges.target.tolist(), strict=True))
    daughter = next(row for row in rows if (row["frame"], row["label"]) == ("3", "4"))
    assert [float(daughter[axis]) for axis in "xyz"] == [32.5 * 0.25, 31.5 * 0.5, 0]
    assert float(daughter["radius"]) == pytest.approx(np.sqrt(36 * 0.125 / np.pi), rel=1e-5)
    assert daughter["tag"] == rows[int(daughter["parent_id"])]["tag"]


def test_tracksdata_opens_a_geff(folder):
    graph, _ = IndexedRXGraph.from_geff(folder / "tracks.geff")
    assert (graph.num_nodes(), graph.num_edges()) == (15, 12)
    assert set(graph.node_attr_keys()) >= {"t", "y", "x", "tracklet", "lineage", "diameter"}


def test_pycellin_opens_a_file_of_trackmate(folder, caplog):
    with caplog.at_level(logging.WARNING):
        model = load_TrackMate_XML(folder / "tracks.xml", keep_all_spots=True, keep_all_tracks=True)
    assert caplog.text == ""  # every feature is declared
    metadata = model.model_metadata
    assert (metadata.space_unit, metadata.time_unit) == ("\u00b5m", "sec")
    assert (metadata.pixel_width, metadata.pixel_height, metadata.time_step) == (0.25, 0.5, 60)
    lineages = sorted(model.get_cell_lineages(), key=len)
    assert [len(lineage) for lineage in lineages] == [1, 5, 9]
    _, gap, dividing = lineages
    (mother,) = dividing.get_divisions()
    told = dividing.nodes[mother]
    assert (told["FRAME"], told["POSITION_T"], told["LABEL"]) == (2, 120, 2)
    assert (told["cell_y"], told["cell_x"], told["cell_z"]) == (24.5 * 0.5, 32.5 * 0.25, 0)
    area_um2 = 36 * 0.5 * 0.25
    assert told["RADIUS"] == pytest.approx(np.sqrt(area_um2 / np.pi))
    spans = {(gap.nodes[a]["FRAME"], gap.nodes[b]["FRAME"]): c for a, b, c in gap.edges.data()}
    assert spans[1, 3]["LINK_COST"] == 0.5


@pytest.mark.parametrize(
    ("name", "told"), [('a <"&é> b.tif', 'a <"&é> b.tif'), ("bell\a\ufffe.tif", "bell??.tif")]
)
def test_trackmate_finds_the_image_with_any_name(tmp_path, results, name, told):
    images, masks = dividing_cell()
    folder = write_folder(tmp_path / "images", [images], name)
    movie = open_movie(folder / name, masks)
    write_trackmate(results.lineage, tmp_path / "tracks.xml", movie=movie)
    root = ElementTree.parse(tmp_path / "tracks.xml").getroot()
    data = root.find("Settings/ImageData")
    assert (data.get("filename"), data.get("folder")) == (told, str(folder))
    assert [data.get(name) for name in ("width", "height", "nframes")] == ["48", "40", "6"]
    assert root.find("Model").get("spatialunits") == "pixel"


def test_a_tracks_layer_of_napari_is_a_table_and_a_graph(folder):
    lines = (folder / "napari_tracks.csv").read_text().splitlines()
    assert lines[0] == "track,t,y,x"
    data = np.loadtxt(lines[1:], delimiter=",")
    order = np.lexsort((data[:, 1], data[:, 0]))
    np.testing.assert_array_equal(order, np.arange(15))
    graph = json.loads((folder / "napari_graph.json").read_text())
    last = {int(track): data[data[:, 0] == track][-1] for track in data[:, 0]}
    spans = sorted(
        (int(last[parent][1]), int(last[int(child)][1])) for child, (parent,) in graph.items()
    )
    assert spans == [(1, 5), (2, 5), (2, 5)]  # a gap and two daughters


def test_planes_taken_as_volumes_have_a_depth_of_one_voxel(tmp_path, results):
    _, masks = dividing_cell()
    lineage = true_lineage(masks[:, None])
    calibration = Calibration(VOXEL_UM).along(lineage.detections.ndim)
    write_track_table(lineage, tmp_path / "tracks.csv", calibration)
    header, first = (tmp_path / "tracks.csv").read_text().splitlines()[:2]
    assert "z,y,x,z_um,y_um,x_um,score" in header
    assert first.startswith("1,0,0,1,0.000,6.500,6.500,0.0000,3.2500,1.6250,")


def test_volumes_and_a_movie_without_links_in_every_format(tmp_path):
    masks = np.zeros((2, 3, 8, 8), np.uint8)
    masks[0, 1:, 2:4, 2:4] = 1
    lineage = build_lineage(
        true_lineage(np.repeat(masks[:1], 2, axis=0)).detections,
        Edges(np.empty(0, int), np.empty(0, int), np.empty(0)),
    )
    write_outputs(
        Results(lineage),
        Outputs(tmp_path, formats=("csv", "geff", "trackmate", "napari"), report=False),
    )
    graph, _ = geff.read(tmp_path / "tracks.geff")
    assert [(data["t"], data["z"]) for _, data in graph.nodes(data=True)] == [(0, 1.5), (1, 1.5)]
    root = ElementTree.parse(tmp_path / "tracks.xml").getroot()
    assert [spot.get("POSITION_Z") for spot in root.iter("Spot")] == ["1.5", "1.5"]
    assert list(root.iter("Track")) == []
    assert json.loads((tmp_path / "napari_graph.json").read_text()) == {}


def test_tracks_without_a_detection_are_a_file_of_trackmate(tmp_path):
    """As from a session whose frames were all empty."""
    found = true_lineage(dividing_cell()[1]).detections.rows(slice(0))
    none = Edges(np.empty(0, int), np.empty(0, int), np.empty(0))
    write_trackmate(build_lineage(found, none), tmp_path / "tracks.xml")
    root = ElementTree.parse(tmp_path / "tracks.xml").getroot()
    assert root.find("Model/AllSpots").get("nspots") == "0"
    assert root.find("Settings/ImageData").get("nframes") == "0"


def test_results_of_all_formats_may_be_replaced_but_no_other_files(folder, results):
    outputs = Outputs(folder, overwrite=True)
    check_outputs(outputs, [])
    (folder / "tracks.geff" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=r"notes\.txt, which is not a result"):
        check_outputs(outputs, [])
    (folder / "tracks.geff" / "notes.txt").unlink()


def test_a_format_without_its_package_is_rejected_at_the_start(tmp_path, monkeypatch):
    monkeypatch.setattr("trackastra_engine.output.results.find_spec", lambda _: None)
    with pytest.raises(MissingDependencyError, match=r"install trackastra-engine\[geff\]"):
        check_outputs(Outputs(tmp_path / "out", formats=("csv", "geff")), [])
