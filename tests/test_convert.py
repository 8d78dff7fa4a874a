"""Written tracks are read again, and converted to other formats."""

import inspect

import geff
import numpy as np
import pytest
from click.testing import CliRunner

from small_movies import dividing_cell, true_lineage, write_folder
from trackastra_engine.cli import main
from trackastra_engine.errors import InputError
from trackastra_engine.evaluation import evaluate
from trackastra_engine.linking.lineage import build_lineage
from trackastra_engine.model.edges import Edges
from trackastra_engine.movie.calibration import Calibration
from trackastra_engine.movie.frames import open_movie
from trackastra_engine.napari.reader import read_layers
from trackastra_engine.output.ctc import UPSTREAM, write_ctc
from trackastra_engine.output.formats import FORMATS, Results
from trackastra_engine.output.results import Outputs, write_outputs
from trackastra_engine.output.saved_tracks import read_tracks

CALIBRATION = Calibration((2.0, 0.325, 0.108333), 90.5)


def run(*arguments):
    # Before click 8.2, which the package traccuracy does not accept, both streams are one.
    parameters = inspect.signature(CliRunner).parameters
    runner = CliRunner(**({"mix_stderr": False} if "mix_stderr" in parameters else {}))
    return runner.invoke(main, ["convert", *map(str, arguments)])


def assert_same(read, lineage):
    np.testing.assert_array_equal(read.tracklets, lineage.tracklets)
    np.testing.assert_array_equal(read.tracklet_id, lineage.tracklet_id)
    np.testing.assert_allclose(read.detections.centroid, lineage.detections.centroid, atol=5e-4)
    np.testing.assert_allclose(read.detections.features, lineage.detections.features, rtol=1e-5)
    order, other = np.argsort(read.edges.target), np.argsort(lineage.edges.target)
    for name in ("source", "target"):
        ours, theirs = getattr(read.edges, name)[order], getattr(lineage.edges, name)[other]
        np.testing.assert_array_equal(ours, theirs)


def test_tables_are_read_as_they_were_written(tmp_path):
    lineage = true_lineage(dividing_cell()[1][:, None])  # volumes of one plane
    lineage.detections.label[-1] = 2**60 + 1  # as some programs write hashes
    results = Results(lineage, calibration=CALIBRATION)
    write_outputs(results, Outputs(tmp_path, formats=("csv",), report=False))
    saved = read_tracks(tmp_path)
    assert_same(saved.lineage, lineage)
    assert saved.lineage.detections.label[-1] == 2**60 + 1
    np.testing.assert_allclose(
        np.sort(saved.lineage.edges.score), np.sort(lineage.edges.score), rtol=1e-5
    )
    # z is 0 everywhere, so the depth of a voxel is unknown: as of planes, it is that of x
    np.testing.assert_allclose(
        saved.calibration.voxel_um,
        [CALIBRATION.voxel_um[-1], *CALIBRATION.voxel_um[-2:]],
        rtol=1e-4,
    )
    assert saved.calibration.frame_interval_s == 90.5


@pytest.mark.parametrize("shift", [(0.0, 0.0), (-25.0, 0.0), (-60.0, -70.0)])
@pytest.mark.parametrize("voxel", [(0.325, 0.1), (2.0, 0.7), (0.1083, 0.1083)])
def test_the_size_of_voxels_is_read_from_the_tables(tmp_path, voxel, shift):
    """Also of points on both sides of 0, of which one is hardly away from it."""
    lineage = true_lineage(dividing_cell()[1])
    lineage.detections.centroid[:] += shift
    lineage.detections.centroid[0, 0] = 0.0025
    results = Results(lineage, calibration=Calibration(voxel, None))
    write_outputs(results, Outputs(tmp_path, formats=("csv",), report=False))
    assert read_tracks(tmp_path).calibration == Calibration(voxel, None)


@pytest.mark.parametrize("is_upstream", [True, False])
def test_masks_of_the_challenge_are_measured_again(tmp_path, is_upstream):
    images, masks = dividing_cell()
    lineage = true_lineage(masks)
    names = {"names": UPSTREAM} if is_upstream else {}
    write_ctc(lineage, open_movie(images, masks), tmp_path / "ctc", **names)
    saved = read_tracks(tmp_path)
    assert_same(saved.lineage, lineage)
    assert np.isnan(saved.lineage.edges.score).all()


def test_convert_writes_the_requested_formats(tmp_path):
    images, masks = dividing_cell()
    write_ctc(true_lineage(masks), open_movie(images, masks), tmp_path / "tracks")
    options = ("--voxel", "0.5,0.25", "--interval", "60")
    result = run(tmp_path / "tracks", "--to", "geff,trackmate", "-o", tmp_path / "out", *options)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("Converted 15 detections in 4 tracks; see ")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "tracks.geff",
        "tracks.xml",
    ]
    graph, metadata = geff.read(tmp_path / "out" / "tracks.geff")
    assert (len(graph.nodes), len(graph.edges)) == (15, 13)
    assert [axis.scale for axis in metadata.axes] == [60, 0.5, 0.25]
    assert "score" not in metadata.edge_props_metadata
    assert "LINK_COST=" not in (tmp_path / "out" / "tracks.xml").read_text("utf-8")


def test_tables_are_converted_to_every_format(tmp_path):
    lineage = true_lineage(dividing_cell()[1])
    write_outputs(Results(lineage), Outputs(tmp_path / "tables", formats=("csv",), report=False))
    names = [name for name in FORMATS if not FORMATS[name].needs_masks]
    for name in names:
        result = run(tmp_path / "tables", "--to", name, "-o", tmp_path / name)
        assert result.exit_code == 0, (name, result.output)
    assert_same(read_tracks(tmp_path / "geff").lineage, lineage)


def test_links_without_a_score_have_the_score_one_in_the_table(tmp_path):
    images, masks = dividing_cell()
    write_ctc(true_lineage(masks), open_movie(images, masks), tmp_path / "tracks")
    assert run(tmp_path / "tracks", "--to", "csv", "-o", tmp_path / "out").exit_code == 0
    _, *lines = (tmp_path / "out" / "edges.csv").read_text().splitlines()
    assert {line.rpartition(",")[2] for line in lines} == {"1"}


def test_tracks_that_cannot_be_converted(tmp_path):
    images, masks = dividing_cell()
    write_ctc(true_lineage(masks), open_movie(images, masks), tmp_path / "tracks")
    for folder, options, sentence in (
        ("tracks", ("--to", "ctc"), "convert writes no masks"),
        ("tracks", ("--to", "csv", "--voxel", "1,1,1"), "the movie is 2D"),
        ("tracks", ("--to", "csv", "--interval", "nan"), "the time between frames is nan s"),
        ("tracks", ("--to", "csv", "--interval", "0"), "the time between frames is 0.0 s"),
        ("none", ("--to", "csv"), "does not exist"),
    ):
        result = run(tmp_path / folder, *options, "-o", tmp_path / "out")
        assert result.exit_code == 2
        assert sentence in result.stderr
        assert not (tmp_path / "out").exists()


def test_tables_without_a_link(tmp_path, recwarn):
    lineage = true_lineage(dividing_cell()[1])
    none = Edges(np.empty(0, int), np.empty(0, int), np.empty(0))
    results = Results(build_lineage(lineage.detections, none))
    write_outputs(results, Outputs(tmp_path, formats=("csv",), report=False))
    assert len(read_tracks(tmp_path).lineage.tracklets) == 15
    assert list(recwarn) == []


@pytest.mark.parametrize(
    ("table", "line", "sentence"),
    [
        ("tracks.csv", "1,0,,7" + 10 * ",1", "line 17 .* is '1,0,,7.* for frame"),
        ("tracks.csv", "1,0,1.5,7" + 10 * ",1", "a whole number for frame"),
        ("tracks.csv", "1,0,1,7,here" + 9 * ",1", "line 17 .* a number for y"),
        ("tracks.csv", "1,0", "line 17 "),
        ("tracks.csv", "1,0,1,7," + 9 * ",1", "line 17 of .* has a negative frame or no pos"),
        ("tracks.csv", "1,0,-1,7" + 10 * ",1", "line 17 of .* has a negative frame or no pos"),
        ("tracks.csv", "1,0,5,1" + 10 * ",1", "line 17 of .* lists an object of a frame twice"),
        ("edges.csv", "0,2,1,1,1", "line 15 of .* links an object to a second parent"),
        ("edges.csv", "5,1,0,2,1", "line 15 of .* links an object to no later frame"),
        ("edges.csv", "2,2,2,1,1", "line 15 of .* links an object to no later frame"),
        ("edges.csv", "0,1,1,,1", "line 15 of .* a whole number for target_label"),
    ],
)
def test_invalid_lines_are_rejected(tmp_path, table, line, sentence):
    results = Results(true_lineage(dividing_cell()[1]))
    write_outputs(results, Outputs(tmp_path, formats=("csv",), report=False))
    with (tmp_path / table).open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(InputError, match=sentence):
        read_tracks(tmp_path)


def test_a_third_daughter_is_read_again_and_counted_as_a_division(tmp_path):
    """A cell divides into three daughters."""
    masks = np.zeros((4, 40, 48), np.uint16)
    masks[:2, 10:16, 20:26] = 1
    for label, x in ((2, 10), (3, 20), (4, 30)):
        masks[2:, 10:16, x : x + 6] = label
    truth = write_folder(tmp_path / "truth", masks, "man_track{:03}.tif")
    (truth / "man_track.txt").write_text("1 0 1 0\n2 2 3 1\n3 2 3 1\n4 2 3 1\n")
    assert run(truth, "--to", "csv,napari", "-o", tmp_path / "out").exit_code == 0
    again = run(tmp_path / "out", "--to", "csv", "-o", tmp_path / "again")
    assert again.exit_code == 0, again.output
    for folder in (truth, tmp_path / "out", tmp_path / "again"):
        lineage = read_tracks(folder).lineage
        assert lineage.n_divisions == 1
        assert lineage.tracklets.tolist() == [
            [1, 0, 1, 0],
            [2, 2, 3, 1],
            [3, 2, 3, 1],
            [4, 2, 3, 1],
        ]
    (layer,) = (layer for layer in read_layers(str(tmp_path / "out")) if layer[2] == "tracks")
    assert layer[1]["graph"] == {2: [1], 3: [1], 4: [1]}
    found = evaluate(truth, truth)
    assert (found.divisions.correct, found.divisions.expected) == (1, 1)


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("1\t0\t5\t0\r\n2\t0\t2\t0\r\n\r\n3\t3\t5\t2\r\n4\t3\t5\t2\r\n", "utf-8"),
        ("1,0,5,0\n2,0,2,0\n3,3,5,2\n4,3,5,2\n", "utf-8-sig"),
        ("1.0;0.0;5.0;0.0\n2;0;2;0\n3;3;5;2\n4;3;5;2", "utf-16"),
    ],
    ids=["tabs, Windows", "commas, byte-order mark", "floats, semicolons"],
)
def test_tables_of_the_challenge_that_other_programs_saved_are_read(tmp_path, text, encoding):
    masks = dividing_cell()[1]
    folder = write_folder(tmp_path / "truth", masks, "man_track{:03}.tif")
    (folder / "man_track.txt").write_bytes(text.encode(encoding))
    assert_same(read_tracks(folder).lineage, true_lineage(masks))


def test_tables_without_a_detection_are_rejected(tmp_path):
    results = Results(true_lineage(dividing_cell()[1]))
    write_outputs(results, Outputs(tmp_path, formats=("csv",), report=False))
    for name in ("tracks.csv", "edges.csv"):
        (tmp_path / name).write_text((tmp_path / name).read_text().splitlines()[0] + "\n")
    with pytest.raises(InputError, match=r"tracks\.csv lists no detection"):
        read_tracks(tmp_path)


def test_tables_that_do_not_fit_each_other(tmp_path):
    results = Results(true_lineage(dividing_cell()[1]))
    write_outputs(results, Outputs(tmp_path, formats=("csv",), report=False))
    with (tmp_path / "edges.csv").open("a") as file:
        file.write("4,9,5,9,1\n")
    with pytest.raises(InputError, match="links object 9 of frame 4, which"):
        read_tracks(tmp_path)
    for header in (b"track,parent,frame,label,y,x\n1,0,0,1,2,2\n", b"frame,label,y,x\xff\xfe\n"):
        (tmp_path / "tracks.csv").write_bytes(header)
        with pytest.raises(InputError, match=r"no column '(diameter|x)'"):
            read_tracks(tmp_path)
