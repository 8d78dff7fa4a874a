"""Corrections from tracks that a person edited in another program, and our GEFF read again."""

import csv
import logging
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest
import zarr
from geff_spec import Axis, GeffMetadata
from hypothesis import given
from hypothesis import strategies as st
from tracksdata.graph import IndexedRXGraph

from command_line import error_of, run
from random_graphs import graphs
from small_movies import dividing_cell, true_lineage
from test_parity import pairs
from trackastra_engine.jobs.compare import ComparedLinks, compare, decisions
from trackastra_engine.linking import linker
from trackastra_engine.linking.candidates import CandidateGraph
from trackastra_engine.linking.corrections import Corrections, corrected_graph
from trackastra_engine.linking.lineage import build_lineage
from trackastra_engine.model.edges import Edges
from trackastra_engine.movie.calibration import Calibration
from trackastra_engine.movie.frames import open_movie
from trackastra_engine.output.formats import FORMATS, Results
from trackastra_engine.output.results import Outputs, write_outputs
from trackastra_engine.output.saved_tracks import read_tracks

VOXEL_UM = (0.5, 0.25)

# In frame 3 cell 4 is no daughter of 2, which has cell 1 for one; so that of 1 ends in frame 1.
# Cell 2 has a new child, so its other one is decided, too.
CHANGED = {
    (None, (3, 4), True),
    ((2, 2), (3, 1), True),
    ((2, 2), (3, 3), True),
    ((1, 1), None, True),
}


@pytest.fixture(scope="module")
def results():
    """The dividing cell, of which cell 1 is missed in frame 2.

    1 - 1 - . - 1 - 1 - 1
    2 - 2 - 2 < 3 - 3 - 3
                4 - 4 - 4
    """
    images, masks = dividing_cell()
    masks[2][masks[2] == 1] = 0
    lineage = true_lineage(masks)
    return Results(
        linked(lineage.detections, links_of(lineage) | {((1, 1), (3, 1))}),
        open_movie(images, masks),
        calibration=Calibration(VOXEL_UM, 60.0),
    )


@pytest.fixture(scope="module")
def edited(results):
    links = links_of(results.lineage)
    links -= {((2, 2), (3, 4)), ((1, 1), (3, 1))}
    return replace(results, lineage=linked(results.lineage.detections, links | {((2, 2), (3, 1))}))


def places(found):
    return list(zip(found.frame.tolist(), found.label.tolist(), strict=True))


def links_of(lineage):
    place = places(lineage.detections)
    rows = pairs(lineage.edges.source, lineage.edges.target)
    return {(place[source], place[target]) for source, target in rows}


def linked(found, links):
    row = {place: row for row, place in enumerate(places(found))}
    table = np.array(sorted((row[source], row[target]) for source, target in links))
    score = np.linspace(0.5, 1, len(table))
    return build_lineage(found, Edges(table[:, 0], table[:, 1], score))


@pytest.fixture(scope="module")
def folder(results, tmp_path_factory):
    folder = tmp_path_factory.mktemp("results") / "out"
    formats = tuple(name for name in FORMATS if name != "ome-zarr-0.4")  # in the place of another
    write_outputs(results, Outputs(folder, formats=formats, report=False))
    return folder


def written(results, folder, *formats):
    write_outputs(results, Outputs(folder, formats=formats, report=False))
    return folder


def changes(folder, edited, tmp_path):
    return set(compare(folder, edited, tmp_path / "corrections.csv").decisions())


@pytest.mark.parametrize(
    ("form", "name"),
    [("csv", ""), ("geff", "tracks.geff"), ("geff", ""), ("trackmate", "tracks.xml"), ("ctc", "")],
)
def test_our_own_files_give_the_changes(folder, results, edited, tmp_path, form, name):
    same = written(results, tmp_path / "same", form)
    assert changes(folder, same / name, tmp_path) == set()
    (tmp_path / "corrections.csv").unlink()
    assert changes(folder, written(edited, tmp_path / "new", form) / name, tmp_path) == CHANGED


def test_the_changes_give_the_edited_tracks(folder, edited, tmp_path):
    """By linking under it, with every link of the results among the candidates."""
    corrections = compare(
        folder, written(edited, tmp_path / "new", "csv"), tmp_path / "corrections.csv"
    )
    lineage = read_tracks(folder).lineage
    for mode in ("greedy", "ilp", "lap"):
        graph = corrected_graph(lineage, corrections)
        assert links_of(linker(mode, max_gap=2)(graph)) == links_of(edited.lineage)


def test_a_geff_of_napari_track_edit_gives_the_changes(folder, edited, tmp_path):
    """As funtracks writes it: through tracksdata, in a folder of its own, in micrometres."""
    graph, _ = IndexedRXGraph.from_geff(folder / "tracks.geff")
    table = graph.node_attrs()
    ids = dict(
        zip(
            zip(table["t"].to_list(), table["label"].to_list(), strict=True),
            table["node_id"],
            strict=True,
        )
    )
    graph.remove_edge(ids[2, 2], ids[3, 4])
    graph.remove_edge(ids[1, 1], ids[3, 1])
    graph.add_edge(ids[2, 2], ids[3, 1], {"score": 1.0})
    graph.update_node_attrs(
        node_ids=table["node_id"].to_list(),
        attrs={
            axis: (table[axis] * size).to_list() for axis, size in zip("yx", VOXEL_UM, strict=True)
        },
    )
    for name in ("label", "tracklet", "lineage"):
        graph.remove_node_attr_key(name)
    axes = [Axis(name="t", type="time"), *(Axis(name=axis, type="space") for axis in "yx")]
    metadata = GeffMetadata(
        directed=True,
        axes=axes,
        node_props_metadata={},
        edge_props_metadata={},
        extra={"funtracks": {"version": "1.0"}},
    )
    graph.to_geff(tmp_path / "edited" / "tracks.geff", metadata, zarr_format=2)
    assert changes(folder, tmp_path / "edited", tmp_path) == CHANGED


def test_a_file_that_trackmate_saved_gives_the_changes(folder, tmp_path, caplog):
    """A spot was added, which has no label, one was hidden, and a track is hidden by a filter."""
    tree = ElementTree.parse(folder / "tracks.xml")
    root = tree.getroot()
    spots = {(int(s.get("FRAME")), int(s.get("LABEL"))): s for s in root.iter("Spot")}
    frame = root.find("./Model/AllSpots/SpotsInFrame")
    ElementTree.SubElement(frame, "Spot", {**spots[0, 1].attrib, "ID": "999", "POSITION_X": "9"})
    del frame[-1].attrib["LABEL"]
    spots[5, 1].set("VISIBILITY", "0")
    shown = root.find("./Model/FilteredTracks")
    number = {spot.get("ID"): place for place, spot in spots.items()}
    for track in root.iter("Track"):
        if number[track[0].get("SPOT_SOURCE_ID")][1] == 2:
            hidden = track.get("TRACK_ID")
    shown.remove(next(one for one in shown if one.get("TRACK_ID") == hidden))
    tree.write(tmp_path / "saved.xml", encoding="utf-8")
    with caplog.at_level(logging.DEBUG):
        found = changes(folder, tmp_path / "saved.xml", tmp_path)
    assert "saved.xml: 1; their links are left out" in caplog.text
    assert "saved.xml: 1; corrections leave them without links" in caplog.text
    assert {(None, (5, 1), True), ((5, 1), None, True)} <= found
    assert (None, (1, 2), True) in found
    assert not any(source == (0, 1) for source, _, _ in found)


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_tables_of_mastodon_give_the_changes(folder, edited, tmp_path, delimiter):
    """Three lines of names, positions in micrometres, and links by the numbers of spots."""
    found, edges = edited.lineage.detections, edited.lineage.edges
    with (tmp_path / "embryo-Spot.csv").open("w", newline="") as file:
        rows = csv.writer(file, delimiter=delimiter)
        rows.writerow(["Label", "ID", "Spot frame", *["Spot position"] * 3])
        rows.writerow(["", "", "", "X", "Y", "Z"])
        rows.writerow(["", "", "", *["(\u00b5m)"] * 3])
        for row, (y, x) in reversed(list(enumerate(found.centroid * VOXEL_UM))):
            rows.writerow([f"cell {row}", 7 * row, found.frame[row], x, y, 0.0])
    with (tmp_path / "embryo-Link.csv").open("w", newline="") as file:
        rows = csv.writer(file, delimiter=delimiter)
        rows.writerow(["Label", "ID", *["Link target IDs"] * 2])
        rows.writerow(["", "", "Source spot id", "Target spot id"])
        rows.writerow([""] * 4)
        for number, (source, target) in enumerate(zip(edges.source, edges.target, strict=True)):
            rows.writerow(["", number, 7 * source, 7 * target])
    assert changes(folder, tmp_path / "embryo-Spot.csv", tmp_path) == CHANGED


@given(st.data(), graphs(max_step=2))
def test_differences_turn_any_links_into_any_others(data, graph):
    """Linking under them gives each detection the parent that it was given, or none."""
    one, other = (
        linker("greedy", min_division_score=0.5)(replace(graph, edges=shuffled(data, graph.edges)))
        for _ in range(2)
    )
    found = graph.detections
    before, after = (np.full(len(found), -1) for _ in range(2))
    for parent, lineage in ((before, one), (after, other)):
        parent[lineage.edges.target] = lineage.edges.source
    size = len(found)
    is_left = np.array(data.draw(st.lists(st.booleans(), min_size=size, max_size=size)), bool)
    after[~is_left | ~is_left[after]] = -1  # deleted objects have no links
    listed = decisions(found, ComparedLinks(before, after, is_left))
    lineage = linker("greedy")(
        corrected_graph(replace(graph, edges=one.edges), Corrections.of(listed))
    )
    place = places(found)
    children = np.flatnonzero(after >= 0).tolist()
    assert links_of(lineage) == {(place[after[child]], place[child]) for child in children}


def test_a_second_daughter_does_not_replace_the_first():
    """0 -0.4- 1 is a link, 0 - 2 is added: as a second child, 1 would need a score of 0.5."""
    found = true_lineage(dividing_cell()[1]).detections.rows(np.array([2, 4, 5]))
    graph = CandidateGraph(found, Edges(np.array([0]), np.array([1]), np.array([0.4])))
    links = ComparedLinks(np.array([-1, 0, -1]), np.array([-1, 0, 0]), np.ones(3, bool))
    decided = Corrections.of(decisions(found, links))
    lineage = linker("greedy", probabilities=True)(corrected_graph(graph, decided))
    assert lineage.edges.target.tolist() == [1, 2]


def test_a_deleted_object_gets_no_other_links():
    found = true_lineage(dividing_cell()[1]).detections.rows(np.array([2, 3, 4, 6]))
    scored = Edges(np.array([0, 1, 2]), np.array([2, 2, 3]), np.array([0.7, 0.6, 0.9]))
    parent, is_left = np.array([-1, -1, 0, 2]), np.array([True, True, False, True])
    links = ComparedLinks(parent, np.full(4, -1), is_left)
    decided = Corrections.of(decisions(found, links))
    lineage = linker("greedy")(corrected_graph(CandidateGraph(found, scored), decided))
    assert len(lineage.edges) == 0


def test_earlier_corrections_that_still_hold_are_written_again(results, edited, tmp_path):
    """The edited tracks undo two of them; the last is of a track that was dropped."""
    kept = [
        ((4, 4), (5, 4), True),
        ((0, 1), (1, 2), False),
        (None, (0, 2), True),
        ((5, 3), None, True),
        ((6, 8), (7, 8), True),
    ]
    undone = [((2, 2), (3, 4), True), ((2, 2), (3, 1), False), ((0, 8), (1, 1), True)]
    corrected = replace(results, corrections=Corrections.of([*kept, *undone]))
    folder = written(corrected, tmp_path / "corrected", "csv")
    same = written(edited, tmp_path / "new", "csv")
    found = compare(folder, same, tmp_path / "corrections.csv").decisions()
    assert found[: len(kept)] == kept
    assert set(found[len(kept) :]) == CHANGED


def shuffled(data, edges):
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    return replace(edges, score=rng.uniform(0.5, 1, len(edges)))


def test_our_geff_is_read_without_loss(folder, results):
    """Features of which nothing is known are left out, and are unknown again."""
    saved = read_tracks(folder / "tracks.geff")
    expected = results.lineage
    for name in ("frame", "label", "centroid", "features"):
        array = getattr(saved.lineage.detections, name)
        np.testing.assert_array_equal(array, getattr(expected.detections, name))
    assert saved.calibration == results.calibration
    kept = expected.edges
    rows = zip(kept.source.tolist(), kept.target.tolist(), kept.score.tolist(), strict=True)
    table = {(source, target): score for source, target, score in rows}
    edges = saved.lineage.edges
    read = zip(edges.source.tolist(), edges.target.tolist(), edges.score.tolist(), strict=True)
    assert {(source, target): score for source, target, score in read} == table
    assert (saved.lineage.tracklets == expected.tracklets).all()


def test_a_geff_whose_links_were_edited_is_read(folder, edited, tmp_path):
    geff = written(edited, tmp_path / "new", "geff") / "tracks.geff"
    assert links_of(read_tracks(geff).lineage) == links_of(edited.lineage)


def test_files_without_edited_results_are_rejected(folder, results, edited, tmp_path):
    def sentence(path):
        return error_of(tmp_path, "corrections", folder, path, "-o", tmp_path / "new.csv")

    (tmp_path / "empty").mkdir()
    assert "contains no tracks to compare; give a GEFF" in sentence(tmp_path / "empty")
    (tmp_path / "a.csv").write_text("x\n")
    assert "has no table of links next to it" in sentence(tmp_path / "a.csv")
    (tmp_path / "a.xml").write_text("<TrackMate>")
    assert "cannot be read as a file of TrackMate" in sentence(tmp_path / "a.xml")
    far = results.lineage.detections
    moved = replace(results.lineage, detections=replace(far, centroid=far.centroid + 100))
    written(replace(results, lineage=moved), tmp_path / "far", "csv")
    assert "only 0 of " in sentence(tmp_path / "far")
    geff = written(edited, tmp_path / "merged", "geff") / "tracks.geff"
    group = zarr.open_group(str(geff), mode="a")
    ids = group["edges/ids"][:]
    ids[0] = [ids[0, 0], ids[-1, 1]]
    group["edges/ids"][:] = ids
    assert "two parents; remove a link there" in sentence(geff)


def test_the_command_writes_a_table_that_it_does_not_replace_unasked(folder, edited, tmp_path):
    new, table = written(edited, tmp_path / "new", "csv"), tmp_path / "corrections.csv"
    result = run("corrections", folder, new, "-o", table)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"Found 4 corrections; see {table}\n"
    assert len(table.read_text().splitlines()) == 5
    assert "exists" in error_of(tmp_path, "corrections", folder, new, "-o", table)
    assert run("corrections", folder, new, "-o", table, "--overwrite").exit_code == 0
