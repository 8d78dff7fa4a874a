"""Results on disk: their contents, and that they are complete or absent."""

import csv
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile

from small_movies import dividing_cell, true_lineage
from trackastra_engine.detection.detections import Detections
from trackastra_engine.errors import InputError
from trackastra_engine.files.atomic import check_output_folder, new_file, new_folder
from trackastra_engine.linking.lineage import Lineage
from trackastra_engine.model.edges import Edges
from trackastra_engine.movie.frames import Frame, open_movie
from trackastra_engine.output.ctc import relabel, write_ctc
from trackastra_engine.output.edge_table import write_edge_table
from trackastra_engine.output.formats import Results
from trackastra_engine.output.results import (
    Outputs,
    check_outputs,
    parse_formats,
    reject_inside,
    write_outputs,
)
from trackastra_engine.output.track_table import write_track_table


@pytest.fixture
def tracked():
    images, masks = dividing_cell()
    return true_lineage(masks), open_movie(images, masks)


def entries(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_ctc_folder_of_a_dividing_cell(tmp_path, tracked):
    """Cell 1 in all frames; 2 in frames 0 to 2, then its daughters 3 and 4."""
    lineage, movie = tracked
    write_ctc(lineage, movie, tmp_path / "ctc")
    assert entries(tmp_path / "ctc") == [*(f"mask00{t}.tif" for t in range(6)), "res_track.txt"]
    table = (tmp_path / "ctc" / "res_track.txt").read_text()
    assert table == "1 0 5 0\n2 0 2 0\n3 3 5 2\n4 3 5 2\n"
    for frame in movie:
        written = tifffile.imread(tmp_path / "ctc" / f"mask00{frame.index}.tif")
        assert written.dtype == np.uint16
        np.testing.assert_array_equal(written, frame.labels)


@pytest.mark.parametrize("name", ["ctc", "ome-zarr"])
def test_images_are_not_read_to_write_masks(tmp_path, tracked, name):
    """Images of a large movie take longer to read than its masks."""
    lineage, movie = tracked

    class Unreadable:
        def __getattr__(self, name):
            return getattr(movie.images, name)

        def read(self, indices):
            raise AssertionError("images were read")

    with_images = replace(movie, images=Unreadable())
    outputs = Outputs(tmp_path / "out", formats=parse_formats([name]), report=False)
    write_outputs(Results(lineage, with_images), outputs)
    assert entries(tmp_path / "out")


def test_every_tracklet_is_in_its_frames_and_no_other(tmp_path, tracked):
    lineage, movie = tracked
    write_ctc(lineage, movie, tmp_path / "ctc")
    for tracklet, first, last, _ in lineage.tracklets:
        for t in range(len(movie)):
            mask = tifffile.imread(tmp_path / "ctc" / f"mask{t:03}.tif")
            assert (tracklet in mask) == (first <= t <= last)


def test_movies_of_more_than_1000_frames_have_four_digits(tmp_path):
    masks = np.zeros((1001, 4, 4), np.uint8)
    masks[0, 1, 1] = 1
    one = Detections(np.zeros(1, int), np.ones(1, int), np.ones((1, 2)), np.ones((1, 7)))
    none = Edges(np.empty(0, int), np.empty(0, int), np.empty(0))
    lineage = Lineage(one, none, np.ones(1, int), np.array([[1, 0, 0, 0]]), one.rows(slice(0)))
    write_ctc(lineage, open_movie(None, masks), tmp_path / "ctc")
    names = entries(tmp_path / "ctc")
    assert (names[0], names[1000]) == ("mask0000.tif", "mask1000.tif")


def lineage_of_frame(labels, ids):
    frame = np.zeros(len(labels), int)
    found = Detections(frame, labels, np.zeros((len(labels), 2)), np.zeros((len(labels), 7)))
    none = Edges(np.empty(0, int), np.empty(0, int), np.empty(0))
    return Lineage(found, none, ids, np.zeros((ids.max(), 4), int), found.rows(slice(0)))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, ">u2", np.int64, np.uint64])
@pytest.mark.parametrize("largest", [9, 200, 2**31 - 1, 2**62])
def test_relabelling_matches_a_loop(dtype, largest):
    """Dense labels are looked up, sparse ones searched for."""
    largest = min(largest, np.iinfo(dtype).max)
    mask = np.array([[0, 3, 3], [7, 0, largest]], dtype)
    lineage = lineage_of_frame(np.array([3, 7, largest]), np.array([2, 3, 1]))
    result = relabel(Frame(0, None, mask), lineage, np.dtype(np.uint16))
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result, [[0, 2, 2], [3, 0, 1]])
    result = relabel(Frame(0, None, mask.T), lineage, np.dtype(np.uint32))
    np.testing.assert_array_equal(result, [[0, 3], [2, 0], [2, 1]])


def test_objects_without_a_track_become_background():
    lineage = lineage_of_frame(np.array([3, 7]), np.array([2, 1]))
    lineage = replace(lineage, left_out=lineage_of_frame(np.array([5]), np.array([1])).detections)
    result = relabel(Frame(0, None, np.array([[0, 3, 5], [7, 0, 5]])), lineage, np.dtype("u2"))
    np.testing.assert_array_equal(result, [[0, 2, 0], [1, 0, 0]])


def test_an_empty_frame_stays_empty():
    lineage = lineage_of_frame(np.array([3]), np.array([1]))
    blank = Frame(1, None, np.zeros((2, 2), np.uint8))
    assert not relabel(blank, lineage, np.dtype(np.uint16)).any()


def test_a_link_to_a_folder_stays_a_link(tmp_path):
    (tmp_path / "place").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "place")
    with new_folder(link) as partial:
        (partial / "result").write_text("")
    assert link.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "place"]
    assert (tmp_path / "place" / "result").exists()


def test_the_current_folder_cannot_be_the_output(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="cannot be replaced as a whole; choose one inside it"):
        check_output_folder(Path(), overwrite=False, ours=())


@pytest.mark.parametrize("largest", [9, 2**40])
def test_a_mask_that_changed_meanwhile_is_rejected(largest):
    lineage = lineage_of_frame(np.array([3, largest]), np.array([1, 2]))
    with pytest.raises(InputError, match="changed since it was tracked"):
        relabel(Frame(0, None, np.array([[3, 4, largest]])), lineage, np.dtype(np.uint16))


@pytest.mark.parametrize("largest", [9, 2**45])
def test_objects_of_dropped_tracks_become_background(largest):
    """Also in frames of which no object is left."""
    lineage = lineage_of_frame(np.array([3, largest]), np.array([1, 2]))
    found = lineage.detections
    mask = np.array([[3, 0, largest]])
    for kept in (1, 0):
        rows = np.arange(kept)
        short = replace(
            lineage,
            detections=found.rows(rows),
            tracklet_id=lineage.tracklet_id[rows],
            left_out=found.rows(np.arange(kept, 2)),
        )
        written = relabel(Frame(0, None, mask), short, np.dtype(np.uint16))
        assert written.tolist() == [[kept, 0, 0]]


def test_more_than_65535_tracklets_need_32_bits_with_a_warning(tmp_path, caplog):
    count = 65_536
    masks = np.zeros((2, 256, 256), np.uint32)
    masks[0] = np.arange(1, count + 1).reshape(256, 256)
    lineage = lineage_of_frame(np.arange(1, count + 1), np.arange(1, count + 1))
    with caplog.at_level(logging.WARNING, "trackastra_engine"):
        write_ctc(lineage, open_movie(None, masks), tmp_path / "ctc")
    assert "do not fit into the 16 bits" in caplog.text
    written = tifffile.imread(tmp_path / "ctc" / "mask000.tif")
    assert written.dtype == np.uint32
    np.testing.assert_array_equal(written, masks[0])


def test_edge_table_is_in_the_form_of_trackmate(tmp_path, tracked):
    write_edge_table(tracked[0], tmp_path / "edges.csv")
    lines = (tmp_path / "edges.csv").read_text().splitlines()
    assert lines[0] == "source_frame,source_label,target_frame,target_label,weight"
    rows = list(csv.reader(lines[1:]))
    assert len(rows) == 5 + 2 + 2 + 4
    ends = [tuple(int(value) for value in row[:4]) for row in rows]
    assert ends == sorted(ends)
    assert {(2, 2, 3, 3), (2, 2, 3, 4), (0, 1, 1, 1)} < set(ends)
    assert all(0.6 <= float(row[4]) <= 1 for row in rows)


# All or nothing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_nothing(tmp_path, error):
    def write_half(partial, *, is_folder):
        if is_folder:
            partial /= "half"
        partial.write_text("half")
        raise error

    for context in (new_folder, new_file):
        place = context(tmp_path / "new" / "parents" / "name")
        with pytest.raises(error), place as partial:
            write_half(partial, is_folder=context is new_folder)
    assert entries(tmp_path) == []


def test_a_failure_keeps_earlier_results(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").write_text("old")
    with pytest.raises(OSError, match="full"), new_folder(tmp_path / "folder"):
        raise OSError("disk full")
    assert entries(tmp_path) == ["folder", "folder/old"]


def test_a_folder_replaces_the_old_one_as_a_whole(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").write_text("old")
    with new_folder(tmp_path / "folder") as partial:
        (partial / "new").write_text("new")
        assert (tmp_path / "folder" / "old").exists()
    assert entries(tmp_path) == ["folder", "folder/new"]


def test_the_table_of_tracks_lists_every_detection(tmp_path, tracked):
    lineage, _ = tracked
    write_track_table(lineage, tmp_path / "tracks.csv")
    with (tmp_path / "tracks.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:8] == ["track", "parent", "frame", "label", "y", "x", "score", "diameter"]
    found = lineage.detections
    told = {(int(row["frame"]), int(row["label"])): row for row in rows}
    assert len(told) == len(rows) == len(found)
    for index, (frame, label) in enumerate(zip(found.frame, found.label, strict=True)):
        row = told[frame, label]
        assert int(row["track"]) == lineage.tracklet_id[index]
        assert int(row["parent"]) == (2 if label in (3, 4) else 0)
        place = [float(row["y"]), float(row["x"])]
        np.testing.assert_allclose(place, found.centroid[index], atol=5e-4)
    assert [int(row["track"]) for row in rows] == sorted(lineage.tracklet_id)


def test_without_a_movie_there_are_no_masks(tmp_path, tracked):
    write_outputs(Results(tracked[0], doubtful=[]), Outputs(tmp_path / "out"))
    names = ["edges.csv", "report.html", "review.csv", "track_features.csv", "tracks.csv"]
    assert entries(tmp_path / "out") == names


def test_all_outputs_together(tmp_path, tracked):
    outputs = Outputs(tmp_path / "out", tmp_path / "ctc", tmp_path / "deep" / "edges.csv")
    check_outputs(outputs, [])
    write_outputs(Results(*tracked, []), outputs)
    assert entries(tmp_path / "out")[:2] == ["ctc", "ctc/mask000.tif"]
    assert {"edges.csv", "review.csv", "tracks.csv", "report.html"} < set(entries(tmp_path / "out"))
    assert len(entries(tmp_path / "ctc")) == 7
    write_outputs(Results(*tracked), outputs)  # replaces them


def test_formats_are_chosen_by_name(tmp_path, tracked):
    assert parse_formats([]) is None
    assert parse_formats(["csv", "CTC, csv"]) == ("csv", "ctc")
    with pytest.raises(InputError, match="there is no format 'xls'; choose one of ctc, csv"):
        parse_formats(["csv,xls"])
    write_outputs(Results(*tracked), Outputs(tmp_path / "out", formats=("csv",), report=False))
    assert entries(tmp_path / "out") == ["edges.csv", "track_features.csv", "tracks.csv"]


def test_formats_that_cannot_be_written(tmp_path):
    assert "give --output, too" in error_of(Outputs(ctc=tmp_path / "out", formats=("csv",)))
    reason = "which points do not have"
    check_outputs(Outputs(tmp_path / "out"), [], no_masks=reason)
    for formats, ctc in ((("csv", "ctc"), None), (None, tmp_path / "ctc")):
        with pytest.raises(InputError, match=f"ctc needs masks, {reason}"):
            check_outputs(Outputs(tmp_path / "out", ctc, formats=formats), [], no_masks=reason)


def test_one_failing_output_leaves_none(tmp_path, tracked, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    places = Outputs(tmp_path / "out", tmp_path / "ctc", tmp_path / "e.csv")
    monkeypatch.setattr("trackastra_engine.output.results.write_report", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_outputs(Results(*tracked), places)
    assert entries(tmp_path) == []


def error_of(outputs, inputs=()):
    with pytest.raises(InputError) as caught:
        check_outputs(outputs, inputs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_no_output_at_all():
    assert "there is no output; give --output" in error_of(Outputs())


def test_places_inside_an_output_are_rejected(tmp_path):
    out = tmp_path / "out"
    assert "is inside the output" in error_of(Outputs(out, out))
    reject_inside(out / ".trackastra" / "cache", [out])
    reject_inside(tmp_path / "output", [out])
    for inside in (out / "figures.json", out / "a" / ".." / "cache"):
        with pytest.raises(InputError, match=r"is inside the output .*out; choose separate places"):
            reject_inside(inside, [out])


def test_a_folder_that_is_not_empty(tmp_path):
    (tmp_path / "edges.csv").write_text("")
    assert "is not empty; choose another or pass --overwrite" in error_of(Outputs(tmp_path))
    assert "is not empty" in error_of(Outputs(ctc=tmp_path))
    check_outputs(Outputs(tmp_path, overwrite=True), [])


def test_overwriting_never_costs_other_files(tmp_path):
    (tmp_path / "thesis.txt").write_text("")
    assert "thesis.txt, which is not a result" in error_of(Outputs(tmp_path, overwrite=True))
    (tmp_path / "thesis.txt").unlink()
    (tmp_path / "ctc").mkdir()
    (tmp_path / "ctc" / "man_track.txt").write_text("")
    assert "man_track.txt, which is not a result" in error_of(Outputs(tmp_path, overwrite=True))


def test_a_ground_truth_is_never_replaced(tmp_path):
    (tmp_path / "man_track.txt").write_text("")
    outputs = Outputs(ctc=tmp_path, overwrite=True)
    assert "may be a ground truth and is never replaced" in error_of(outputs)


def test_an_output_never_replaces_the_input(tmp_path):
    (tmp_path / "out" / "ctc").mkdir(parents=True)
    mask = tmp_path / "out" / "ctc" / "mask000.tif"
    mask.write_text("")
    outputs = Outputs(tmp_path / "out", overwrite=True)
    for given in (mask, mask.parent, tmp_path / "out"):
        assert "would replace the input" in error_of(outputs, [given])


def test_an_earlier_edge_table_is_replaced_but_no_other_file(tmp_path, tracked):
    path = tmp_path / "edges.csv"
    write_edge_table(tracked[0], path)
    check_outputs(Outputs(edge_table=path), [])
    path.write_text("my own table")
    assert "exists; choose another or pass --overwrite" in error_of(Outputs(edge_table=path))
    check_outputs(Outputs(edge_table=path, overwrite=True), [])
    assert "is a folder" in error_of(Outputs(edge_table=tmp_path))


def test_outputs_inside_each_other(tmp_path):
    assert "is inside" in error_of(Outputs(tmp_path / "out", tmp_path / "out" / "ctc"))
    assert "is inside" in error_of(Outputs(tmp_path / "out", None, tmp_path / "out" / "e.csv"))


def test_a_file_where_a_folder_should_be(tmp_path):
    (tmp_path / "file").write_text("")
    assert "is a file" in error_of(Outputs(tmp_path / "file"))
    assert "is a file" in error_of(Outputs(tmp_path / "file" / "out"))


def test_read_only_folders(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)  # root may write everywhere
    assert "is read-only; choose another place" in error_of(Outputs(tmp_path / "out"))
