"""Tables are read as programs and people write them, or rejected; columns are never shifted."""

import logging
import re

import numpy as np
import pandas as pd
import pytest

from command_line import run
from trackastra_engine.detection.point_table import (
    detections_of_table,
    read_point_table,
    read_points,
)
from trackastra_engine.errors import InputError
from trackastra_engine.output.formats import Results
from trackastra_engine.output.results import Outputs, write_outputs
from trackastra_engine.output.saved_tracks import read_tracks
from trackastra_engine.progress import NOTICE

# Two cells in four frames, at y 20 and 60 and x 10, 12, 14, 16.
FRAME = np.repeat(np.arange(4), 2)
Y = np.tile([20.0, 60.0], 4)
X = 10.0 + 2 * FRAME
PLACES = np.column_stack([Y, X])


def lines(form, header):
    """Return a table of these cells; form: of a line, with n, frame, y and x."""
    cells = (
        form.format(n=n, frame=frame, y=y, x=x)
        for n, (frame, y, x) in enumerate(zip(FRAME, Y, X, strict=True))
    )
    return "\n".join([header, *cells, ""])


PLAIN = lines("{frame},{y:g},{x:g}", "frame,y,x")
TRACKMATE = lines(
    "ID{n},{n},{n},1.0,{x},{y},0.0,{frame},{frame},2.5",
    "LABEL,ID,TRACK_ID,QUALITY,POSITION_X,POSITION_Y,POSITION_Z,POSITION_T,FRAME,RADIUS\n"
    "Label,Spot ID,Track ID,Quality,X,Y,Z,T,Frame,Radius\n"
    "Label,Spot ID,Track ID,Quality,X,Y,Z,T,Frame,R\n"
    ",,,(quality),({unit}),({unit}),({unit}),(sec),,({unit})",
)
TABLES = {
    "plain": PLAIN,
    "quoted names, as of R": PLAIN.replace("frame,y,x", '"frame","y","x"'),
    "a quoted comma": lines('"B02, {n}",80,{frame},{y},{x}', "cell,area,frame,y,x"),
    "capital letters": PLAIN.replace("frame,y,x", "Frame,Y,X"),
    "semicolons": PLAIN.replace(",", ";"),
    "semicolons, decimal commas": lines("{frame};{y:.1f};{x:.1f}", "frame;y;x").replace(".", ","),
    "tabs": PLAIN.replace(",", "\t"),
    "spaces": PLAIN.replace(",", " "),
    "Windows": PLAIN.replace("\n", "\r\n"),
    "byte-order mark": "\ufeff" + PLAIN,
    "Excel's first line": "sep=;\n" + PLAIN.replace(",", ";"),
    "empty lines": PLAIN.replace("\n2,", "\n,,\n\n2,") + ",,\n",
    "empty last cells": PLAIN.replace("\n", ",\n").replace("x,", "x"),
    "comments": "# written by hand\n" + PLAIN.replace("\n2,", "\n# half-way\n2,"),
    "numpy.savetxt": "# " + PLAIN,
    "trackpy": lines("{n},{y},{x},9.5,1.2,{frame}", ",y,x,mass,size,frame"),
    "LapTrack": lines("{frame},{x},{y}", "frame,position_x,position_y"),
    "napari points": lines("{n}.0,{frame}.0,{y},{x}", "index,axis-0,axis-1,axis-2"),
    "napari tracks": lines("{n},{frame},{y},{x}", "track_id,t,y,x"),
    "ImageJ's results": lines(" {n}\t80\t{x}\t{y}\t{frame}", " \tArea\tXM\tYM\tSlice"),
    "empty columns": lines("{frame},,{y},{x},,", "frame,label,y,x,diameter,intensity"),
    "frame number": lines("{frame};{y};{x}", "Frame Number;Y;X"),
    "scikit-image": lines("{frame},{n}1,{y},{x}", "frame,label,centroid-0,centroid-1"),
    "CellProfiler": lines(
        "{frame},{n}1,{x},{y},0", "ImageNumber,ObjectNumber,Location_Center_X,Location_Center_Y,"
        "Location_Center_Z"
    ),
    "TrackMate": TRACKMATE.replace("{unit}", "pixel"),
    "Mastodon": lines(
        "{n},{n},{frame},{x},{y},0.0,2.5",
        "Label,ID,Spot frame,Spot position,Spot position,Spot position,Spot radius\n"
        ",,,X,Y,Z,\n"
        ",,,(pixel),(pixel),(pixel),(pixel)",
    ),
    "Mastodon, names once": lines(
        "{n},{n},{frame},{x},{y},0.0,2.5",
        "Label,ID,Spot frame,Spot position,,,Spot radius\n"
        ",,,X,Y,Z,\n"
        ",,,(pixel),(pixel),(pixel),(pixel)",
    ),
}  # fmt: skip


@pytest.fixture
def written(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "spots.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


@pytest.mark.parametrize("text", TABLES.values(), ids=TABLES)
def test_every_kind_of_table_gives_the_same_points(written, text):
    points = read_points(written(text))
    assert points.frame.tolist() == FRAME.tolist()
    np.testing.assert_array_equal(points.centroid, PLACES)


def test_tables_of_excel_in_unicode(written):
    points = read_points(written(PLAIN.replace(",", "\t"), "utf-16"))
    np.testing.assert_array_equal(points.centroid, PLACES)


def test_the_command_links_a_table_with_quotes(written, tmp_path):
    done = run("track", written(TABLES["a quoted comma"]), "-o", tmp_path / "out")
    assert done.exit_code == 0, done.stderr
    assert "Tracked 4 frames with 8 detections: 2 tracks" in done.stdout


@pytest.mark.parametrize("unit", ["micron", "\u00b5m"])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_micrometres_of_trackmate_are_converted_to_pixels(written, caplog, unit, encoding):
    path = written(TRACKMATE.replace("{unit}", unit), encoding)
    table = read_point_table(path, (0.5, 0.25))
    np.testing.assert_allclose(table.detections.centroid, PLACES / (0.5, 0.25))
    # Of a disc of the same area, in pixels of 0.5 x 0.25 um.
    np.testing.assert_allclose(table.detections.features[:, 0], 2 * 2.5 / np.sqrt(0.5 * 0.25))
    assert table.detections.label.tolist() == list(range(1, 9))  # identities, from 0
    assert "are in micrometres" not in caplog.text
    table = read_point_table(path)
    np.testing.assert_allclose(table.detections.centroid, PLACES)
    assert table.voxel_um == (1.0, 1.0)
    assert "are in micrometres and a pixel of 1 um is assumed; give its size" in caplog.text
    caplog.clear()
    assert read_point_table(path, (1.0, 1.0)).voxel_um == (1.0, 1.0)
    assert "is assumed" not in caplog.text


def test_frames_without_points_are_reported(written, caplog):
    caplog.set_level(NOTICE)
    for missing, sentence in (
        ("", ""),
        ("1", "no points of {} are in frame 1\n"),
        ("12", "no points of {} are in frame 1 and 1 more\n"),
    ):
        rows = [line for line in PLAIN.splitlines() if line[0] not in missing]
        path = written("\n".join(rows) + "\n")
        caplog.clear()
        assert len(read_point_table(path).detections) == 8 - 2 * len(missing)
        assert ("no points of" in caplog.text) == bool(missing)
        assert sentence.format(path) in caplog.text


def test_a_dataframe_with_text_is_rejected():
    table = pd.DataFrame({"frame": [0, 1], "y": [1, 2], "x": ["1", "a"]})
    with pytest.raises(InputError, match="a cell that is not a number"):
        detections_of_table(table)


def test_a_dataframe_of_pandas_is_a_table():
    frame = pd.DataFrame({"FRAME": FRAME, "POSITION_X": X, "POSITION_Y": Y, "Mean": 1}, index=X)
    points = detections_of_table(frame)
    assert points.frame.tolist() == FRAME.tolist()
    np.testing.assert_array_equal(points.centroid, PLACES)
    with pytest.raises(InputError, match="the table has the columns a; expected frame, y and x"):
        detections_of_table(pd.DataFrame({"a": X}))


def test_commas_without_quotes_do_not_shift_columns(written):
    text = TABLES["a quoted comma"].replace('"', "")
    with pytest.raises(InputError, match=r"line 2 of .* has 6 cells, the line of names 5; put"):
        read_points(written(text))


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (3_000_000_000, "point 1 has the frame 3000000000; .* it is too large"),
        (2_000_000_000, "frame 2000000003 is too large, as only 4 frames have detections"),
    ],
)
def test_frames_that_are_too_large(written, tmp_path, first, reason):
    text = "frame,y,x\n" + "".join(
        f"{first + frame},{y},{x}\n" for frame, y, x in zip(FRAME, Y, X, strict=True)
    )
    done = run("track", written(text), "-o", tmp_path / "out")
    assert done.exit_code == 2
    assert re.search(reason, done.stderr)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("step", [2, 10])
def test_frames_that_never_follow_each_other_are_rejected(step, written, tmp_path):
    text = "frame,y,x\n" + "".join(
        f"{step * frame},{y},{x}\n" for frame, y, x in zip(FRAME, Y, X, strict=True)
    )
    done = run("track", written(text), "-o", tmp_path / "out")
    assert done.exit_code == 2
    said = f"the frames 0, {step}, {2 * step}, ... do not follow each other"
    assert said in done.stderr


def test_positions_within_one_pixel_give_a_warning(written, caplog):
    with caplog.at_level(logging.WARNING):
        read_points(written("frame,y,x\n0,0.2,0.3\n1,0.2,0.4\n2,0.2,0.5\n"))
    assert "are within one pixel; check that their unit is pixels" in caplog.text


def test_points_that_are_there_twice_are_reported(written, caplog):
    read_points(written(PLAIN + PLAIN.partition("\n")[2]))
    assert "8 points of" in caplog.text
    assert "have the frame and position of another one; remove them" in caplog.text


@pytest.mark.parametrize("names", ["frame,y [um],x", "frame,y (px),x (nm)"])
def test_axes_of_different_units_are_rejected(written, names):
    with pytest.raises(InputError, match="have different units; give all in one unit"):
        read_points(written(PLAIN.replace("frame,y,x", names)))


def test_tables_of_results_are_read_after_a_spreadsheet_saved_them(tmp_path):
    """With semicolons, decimal commas and a byte-order mark."""
    from small_movies import dividing_cell, true_lineage

    results = Results(true_lineage(dividing_cell()[1]))
    write_outputs(results, Outputs(tmp_path, formats=("csv",), report=False))
    expected = read_tracks(tmp_path).lineage
    for name in ("tracks.csv", "edges.csv"):
        text = (tmp_path / name).read_text()
        (tmp_path / name).write_text(text.replace(",", ";").replace(".", ","), "utf-8-sig")
    found = read_tracks(tmp_path).lineage
    np.testing.assert_array_equal(found.tracklets, expected.tracklets)
    np.testing.assert_array_equal(found.detections.centroid, expected.detections.centroid)
