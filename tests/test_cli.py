"""The command line: results are written where they should be, and replace only earlier results."""

import re
import subprocess
import sys
from importlib.metadata import version

import click
import numpy as np
import pytest
import tifffile

from command_line import entries, error_of, exported, run, write_movie
from golden_cases import model_folder
from trackastra_engine import Tracker
from trackastra_engine.cli import main
from trackastra_training.checkpoint import load_model, load_spec


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return exported("rope2d", tmp_path_factory.mktemp("models"))


@pytest.fixture
def movie(tmp_path):
    return write_movie(tmp_path)


def test_track_writes_everything_and_reports_it_in_one_line(movie, model):
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
        "track_features.csv",
        "tracks.csv",
    ]
    (line,) = result.stdout.splitlines()
    pattern = r"Tracked 6 frames with 15 detections: \d+ tracks, \d+ divisions, [\d.]+ s; see (.*)"
    assert re.fullmatch(pattern, line).group(1) == str(out)
    assert "finding detections: 6/6 frames" in result.stderr.splitlines()
    assert "\r" not in result.stderr  # plain lines where there is no terminal


def test_every_command_and_option_has_help():
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


def test_files_have_the_tracks_of_the_python_api(movie, model):
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


def test_only_masks(movie, model):
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
    assert "not empty; choose another or pass --overwrite" in error_of(tmp_path, *command)
    assert run(*command, "--overwrite").exit_code == 0


def test_info_describes_a_model(model):
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


def test_the_demo_replaces_only_a_demo(tmp_path, model):
    (tmp_path / "truth.csv").write_text("")
    (tmp_path / "thesis.txt").write_text("")
    assert "thesis.txt" in error_of(tmp_path, "demo", "-o", tmp_path, "--model", model)


def test_the_demo_does_not_take_images_and_masks_for_a_demo(tmp_path, model):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.tif").write_text("precious")
    assert "is not from an earlier demo" in error_of(
        tmp_path, "demo", "-o", tmp_path, "--model", model
    )


def test_version_and_module():
    assert version("trackastra-engine") in run("--version").stdout
    command = [sys.executable, "-m", "trackastra_engine", "--help"]
    help_text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert help_text.startswith("Usage: trackastra-engine")
    assert all(command in help_text for command in ("track", "info", "demo", "import", "shim"))
