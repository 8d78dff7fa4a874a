"""The command line: results where they should be, and every mistake answered in one sentence."""

import inspect
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace
from importlib.metadata import version

import click
import numpy as np
import onnx
import pytest
import tifffile
from click.testing import CliRunner

from golden_cases import model_folder
from small_movies import dividing_cell, write_folder
from trackastra_engine import InputError, Tracker
from trackastra_engine.cli import main
from trackastra_export.export import export_model
from trackastra_training.checkpoint import load_model, load_spec


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return exported("rope2d", tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def volume_model(tmp_path_factory):
    return exported("rope3d", tmp_path_factory.mktemp("models"), accepts_planes=False)


def exported(case, folder, **changes):
    """Return the path of a golden case's model, exported to ONNX with a changed spec."""
    checkpoint, path = model_folder(case), folder / f"{case}.onnx"
    export_model(load_model(checkpoint), replace(load_spec(checkpoint), **changes), path)
    return str(path)


@pytest.fixture
def movie(tmp_path):
    """Return folders of images and masks, and where results may go."""
    images, masks = dividing_cell()
    return (
        str(write_folder(tmp_path / "images", images)),
        str(write_folder(tmp_path / "masks", masks)),
        tmp_path / "out",
    )


def run(*arguments):
    # Until click 8.2, which the package traccuracy refuses, both streams are one if not told.
    parameters = inspect.signature(CliRunner).parameters
    runner = CliRunner(**({"mix_stderr": False} if "mix_stderr" in parameters else {}))
    return runner.invoke(main, [str(argument) for argument in arguments])


def entries(folder):
    """Return what lies in a folder, but for what is kept for a next run."""
    kept = list(folder.rglob(".trackastra"))
    lonely = [path.parent for path in kept if len(list(path.parent.iterdir())) == 1]
    found = [path for path in folder.rglob("*") if ".trackastra" not in path.parts]
    return sorted(str(path.relative_to(folder)) for path in found if path not in lonely)


def refusal(tmp_path, *arguments):
    """Return the one sentence with which a command fails, which must leave no result behind."""
    before = entries(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert entries(tmp_path) == before
    *progress, sentence = result.stderr.splitlines()
    assert all(re.fullmatch(r".*: \d+/\d+ frames", line) for line in progress)
    assert result.stdout == ""
    assert sentence.startswith("Error: ")
    return sentence


def test_track_writes_everything_and_says_so_in_one_line(movie, model):
    images, masks, out = movie
    result = run("track", images, masks, "-o", out, "--model", model)
    assert result.exit_code == 0, result.output
    assert entries(out) == [
        "ctc",
        *(f"ctc/mask00{t}.tif" for t in range(6)),
        "ctc/res_track.txt",
        "edges.csv",
        "report.html",
        "review.csv",
        "tracks.csv",
    ]
    (line,) = result.stdout.splitlines()
    pattern = r"Tracked 6 frames with 15 detections: \d+ tracks, \d+ divisions, [\d.]+ s; see (.*)"
    assert re.fullmatch(pattern, line).group(1) == str(out)
    assert "finding detections: 6/6 frames" in result.stderr.splitlines()
    assert "\r" not in result.stderr  # plain lines where there is no terminal


def test_every_command_and_option_says_what_it_does():
    context = click.Context(main)
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command.help, name
        options = [option for option in command.params if isinstance(option, click.Option)]
        silent = [option.name for option in options if not (option.help or option.hidden)]
        assert silent == [], name


def test_formats_of_other_programs(movie, model):
    images, masks, out = movie
    formats = ("--format", "geff,trackmate", "--format", "napari")
    command = ("track", images, masks, "-o", out, "--model", model, "--voxel", "0.5,0.25")
    result = run(*command, *formats)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.iterdir()) == [
        ".trackastra",
        "napari_graph.json",
        "napari_tracks.csv",
        "report.html",
        "tracks.geff",
        "tracks.xml",
    ]
    assert 'pixelwidth="0.25"' in (out / "tracks.xml").read_text("utf-8")
    assert run(*command, "--overwrite", "--format", "csv").exit_code == 0
    assert (out / "tracks.csv").read_text().startswith("track,parent,frame,label,y,x,y_um,x_um,")


def test_a_format_that_is_not_known(track_refusal, movie):
    assert "no format 'xls'" in track_refusal(*movie[:2], "--format", "xls")


def test_the_files_say_what_python_says(movie, model):
    images, masks, out = movie
    lineage = Tracker.load(model).track(images, masks)
    assert run("track", images, masks, "-o", out, "--model", model).exit_code == 0
    table = np.loadtxt(out / "ctc" / "res_track.txt", int, ndmin=2)
    np.testing.assert_array_equal(table, lineage.tracklets)
    edges = np.loadtxt(out / "edges.csv", delimiter=",", skiprows=1, ndmin=2)
    assert len(edges) == len(lineage.edges)
    mask = tifffile.imread(out / "ctc" / "mask005.tif")
    last = lineage.detections.frame == 5
    assert set(np.unique(mask)) - {0} == set(lineage.tracklet_id[last])


def test_masks_alone(movie, model):
    _, masks, out = movie
    result = run("track", "--masks", masks, "-o", out, "--model", model)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize("with_options", [True, False])
def test_images_and_masks_as_options_or_arguments(movie, model, with_options):
    images, masks, out = movie
    given = ("-i", images, "-m", masks) if with_options else (images, "-m", masks)
    assert run("track", *given, "-o", out, "--model", model).exit_code == 0


def test_single_outputs(movie, model, tmp_path):
    images, masks, _ = movie
    table, ctc = tmp_path / "edges.csv", tmp_path / "deep" / "ctc"
    options = ("--model", model, "--mode", "greedy_nodiv", "--max-distance", "30")
    for _ in range(2):  # an earlier edge table may be replaced without a word, as TrackMate needs
        result = run("track", images, masks, "--output-edge-table", table, *options)
        assert result.exit_code == 0, result.output
    assert ", 0 divisions, " in result.stdout
    assert run("track", images, masks, "--output-ctc", ctc, *options, "--stride", 2).exit_code == 0
    assert entries(ctc) == ["man_track.txt", *(f"man_track000{t}.tif" for t in range(6))]


def test_options_of_linking_together(movie, tmp_path):
    images, masks, out = movie
    gap_model = exported("rope2d", tmp_path, max_frame_gap=2)
    (tmp_path / "costs.toml").write_text("split = 0.5\n")
    options = ("--mode", "ilp", "--ilp-costs", tmp_path / "costs.toml", "--ilp-time-limit", "9")
    limits = ("--max-gap", "2", "--max-distance", "9um", "--voxel", "0.3,0.3")
    kept = ("--min-division-score", "0.3", "--min-track-length", "2")
    command = ("track", images, masks, "-o", out, "--model", gap_model)
    result = run(*command, *options, *limits, *kept)
    assert result.exit_code == 0, result.output
    result = run(*command, "--overwrite", "--max-distance", "auto")
    assert "too few likely links" in result.stderr


def test_empty_frames_are_normal(movie, model, tmp_path):
    images, masks, out = movie
    tifffile.imwrite(tmp_path / "masks" / "t002.tif", np.zeros((40, 48), np.uint16))
    assert run("track", images, masks, "-o", out, "--model", model).exit_code == 0


def test_overwrite_replaces_earlier_results(movie, model, tmp_path):
    images, masks, out = movie
    command = ("track", images, masks, "-o", out, "--model", model)
    assert run(*command).exit_code == 0
    assert "not empty; choose another or pass --overwrite" in refusal(tmp_path, *command)
    assert run(*command, "--overwrite").exit_code == 0


# Bad input: one sentence, exit code 2, no output left ---------------------------------------------


@pytest.fixture
def track_refusal(movie, model, tmp_path):
    """Return a function that tracks the movie with some files changed, and expects a refusal."""

    def refused(images=movie[0], masks=movie[1], *options, model=model):
        output = ("-o", movie[2], "--model", model, *options)
        return refusal(tmp_path, "track", images, masks, *output)

    return refused


def test_missing_path(track_refusal, tmp_path):
    assert "nowhere, does not exist" in track_refusal(masks=tmp_path / "nowhere")


def test_empty_folder(track_refusal, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "empty, holds no .tif" in track_refusal(tmp_path / "empty")


def test_different_numbers_of_images_and_masks(track_refusal, tmp_path):
    (tmp_path / "masks" / "t005.tif").unlink()
    assert "there are 6 images in" in track_refusal()


def test_different_shapes(track_refusal, tmp_path):
    folder = write_folder(tmp_path / "small", dividing_cell()[0][:, :30])
    assert "are 30 x 48 but masks in" in track_refusal(folder)


def test_masks_of_float_type(track_refusal, tmp_path):
    folder = write_folder(tmp_path / "float", dividing_cell()[1].astype(np.float32))
    assert "are of type float32; expected integers" in track_refusal(masks=folder)


def test_negative_label(track_refusal, tmp_path):
    folder = write_folder(tmp_path / "signed", -dividing_cell()[1].astype(np.int16))
    assert "holds the negative label -2" in track_refusal(masks=folder)


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_truncated_tiff_in_a_folder(track_refusal, tmp_path, kept):
    path = tmp_path / "masks" / "t004.tif"
    tifffile.imwrite(path, dividing_cell()[1][4])
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    assert "t004.tif is truncated" in track_refusal()


def test_truncated_imagej_hyperstack(track_refusal, tmp_path):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, dividing_cell()[1], imagej=True, metadata={"axes": "TYX"})
    path.write_bytes(path.read_bytes()[: int(0.6 * path.stat().st_size)])
    assert "stack.tif is truncated" in track_refusal(masks=path)


def test_not_a_tiff(track_refusal, tmp_path):
    (tmp_path / "masks" / "t000.tif").write_text("frame,label\n0,1\n")
    assert "t000.tif is not a TIFF file" in track_refusal()


def test_one_frame_only(track_refusal, tmp_path):
    images, masks = dividing_cell(1)
    folders = write_folder(tmp_path / "one", images), write_folder(tmp_path / "mask", masks)
    assert "a movie of one frame" in track_refusal(*folders)


def test_no_object_in_the_whole_movie(track_refusal, tmp_path):
    folder = write_folder(tmp_path / "blank", np.zeros_like(dividing_cell()[1]))
    assert "holds an object" in track_refusal(masks=folder)


def test_a_planar_movie_for_a_volume_model(track_refusal, volume_model):
    assert "takes 3D movies" in track_refusal(model=volume_model)


def test_an_onnx_file_without_our_metadata(track_refusal, tmp_path, model):
    foreign = onnx.load(model)
    del foreign.metadata_props[:]
    onnx.save(foreign, tmp_path / "foreign.onnx")
    assert "without trackastra-engine's metadata" in track_refusal(model=tmp_path / "foreign.onnx")
    assert "without" in refusal(tmp_path, "info", tmp_path / "foreign.onnx")


def test_a_model_that_is_not_there_or_no_model(track_refusal, tmp_path):
    assert "there is no model 'general_9d'" in track_refusal(model="general_9d")
    (tmp_path / "masks.onnx").write_text("no model")
    assert "cannot be read as an ONNX model" in track_refusal(model=tmp_path / "masks.onnx")


def test_an_output_folder_that_is_not_empty(track_refusal, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("")
    assert "is not empty; choose another or pass --overwrite" in track_refusal()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--max-distance", "0"), "give a positive number"),
        (("--max-distance", "12um"), "give their size with --voxel"),
        (("--voxel", "2,1,1"), "the movie is 2D; give y,x as 2 positive numbers"),
        (("--voxel", "wide"), "give z,y,x or y,x in micrometres"),
        (("--max-gap", "2"), "has learned links over 1 frame"),
        (("--min-division-score", "2"), "give a number from 0.5 to 1"),
        (("--mode", "ilp_nodiv", "--min-division-score", "0.5"), "makes no divisions"),
        (("--mode", "lap", "--ilp-costs", "gt"), "are for the linkers ilp and ilp_nodiv, not lap"),
        (("--mode", "ilp", "--ilp-costs", "cheap"), "there is no file cheap with costs"),
        (("--mode", "ilp", "--ilp-time-limit", "-1"), "the time limit is -1.0 s; give 0 or more"),
        (("--mode", "ilp", "--ilp-time-limit", "nan"), "the time limit is nan s"),
        (("--min-track-length", "7"), "no track is 7 frames long"),
        (("--cache", __file__), "test_cli.py is a file; give a folder"),
    ],
)
def test_options_that_cannot_be_met(track_refusal, movie, options, sentence):
    assert sentence in track_refusal(*movie[:2], *options)


def test_a_track_has_a_frame_at_least(movie):
    result = run("track", *movie[:2], "-o", movie[2], "--min-track-length", "0")
    assert result.exit_code == 2
    assert "'--min-track-length': 0 is not in the range x>=1" in result.stderr


def test_a_stride_that_leaves_frames_out(track_refusal, movie):
    assert "strides of 1 to" in track_refusal(*movie[:2], "--stride", "9")


def test_arguments_that_do_not_fit(movie, tmp_path):
    images, masks, out = movie
    assert "no masks, only" in refusal(tmp_path, "track", images, "-o", out)
    assert "there are no masks" in refusal(tmp_path, "track", "-o", out)
    assert "images are given twice" in refusal(tmp_path, "track", images, masks, "-i", images)
    assert "masks are given twice" in refusal(tmp_path, "track", images, masks, "-m", masks)
    assert "nowhere to write to" in refusal(tmp_path, "track", images, masks)


def test_a_disk_that_fills_up(track_refusal, monkeypatch):
    def fail(*_, **__):
        raise OSError(28, "No space left on device", "mask003.tif")

    monkeypatch.setattr("tifffile.imwrite", fail)
    sentence = "Error: mask003.tif could not be read or written (No space left on device)"
    assert track_refusal() == sentence


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_run_leaves_no_results(movie, model, tmp_path, monkeypatch, sent, code):
    def stop(*_, **__):
        os.kill(os.getpid(), sent)

    before = entries(tmp_path)
    monkeypatch.setattr("trackastra_engine.output.results.write_report", stop)
    # A job in the background ignores SIGINT, and so would these tests.
    ignored = signal.signal(signal.SIGINT, signal.default_int_handler)
    result = run("track", *movie[:2], "-o", movie[2], "--model", model)
    signal.signal(signal.SIGINT, ignored)
    assert result.exit_code == code
    assert entries(tmp_path) == before


# Other commands -----------------------------------------------------------------------------------


def test_info_says_what_a_model_is(model):
    result = run("info", model)
    assert result.exit_code == 0, result.output
    said = dict(re.split(r"\s{2,}", line, maxsplit=1) for line in result.stdout.splitlines())
    parameters = load_model(model_folder("rope2d")).parameters()
    assert said["parameters"] == f"{sum(parameter.numel() for parameter in parameters):,}"
    assert said["file"] == model
    assert said["window"] == str(load_spec(model_folder("rope2d")).window)


def test_the_demo_scores_itself_and_may_be_repeated(tmp_path, model):
    for _ in range(2):
        result = run("demo", "-o", tmp_path / "demo", "--model", model)
        assert result.exit_code == 0, result.output
    assert [path.name for path in sorted((tmp_path / "demo").iterdir())] == [
        "images",
        "masks",
        "tracks",
        "truth.csv",
    ]
    pattern = r"edge F1 [01]\.\d{3} \(\d+ of \d+ found, \d+ wrong\), division F1 [01]\.\d{3} "
    assert re.search(pattern, result.stdout)
    assert "trackastra-engine track IMAGES MASKS -o RESULTS" in result.stdout
    page = (tmp_path / "demo" / "tracks" / "report.html").read_text("utf-8")
    assert "<h1>demo</h1>" in page
    assert ".partial-" not in page  # the name of the folder until it is complete


def test_the_demo_replaces_nothing_but_a_demo(tmp_path, model):
    (tmp_path / "truth.csv").write_text("")
    (tmp_path / "thesis.txt").write_text("")
    assert "thesis.txt" in refusal(tmp_path, "demo", "-o", tmp_path, "--model", model)


def test_the_demo_does_not_take_images_and_masks_for_a_demo(tmp_path, model):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.tif").write_text("precious")
    assert "holds no earlier demo" in refusal(tmp_path, "demo", "-o", tmp_path, "--model", model)


def test_an_unknown_device_is_refused(model):
    with pytest.raises(InputError, match="no device 'gpu'; choose auto, cpu or cuda"):
        Tracker.load(model, device="gpu")


def test_pixels_that_are_no_numbers_are_refused(model):
    images, masks = dividing_cell()
    images = images.astype(np.float32)
    images[2][masks[2] == 1] = np.nan
    with pytest.raises(InputError, match="frame 2 holds pixels inside objects that are not"):
        Tracker.load(model).track(images, masks)


def test_version_and_module():
    assert version("trackastra-engine") in run("--version").stdout
    command = [sys.executable, "-m", "trackastra_engine", "--help"]
    help_text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert help_text.startswith("Usage: trackastra-engine")
    assert all(command in help_text for command in ("track", "info", "demo", "import", "shim"))
