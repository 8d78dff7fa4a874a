"""Folders of the challenge by their root, and options of all formats."""

import json
import shutil

import numpy as np
import pytest
import tifffile
import zarr

from command_line import run
from opened_movies import IMAGES, MASKS, error_of, labels_of
from small_movies import write_folder
from trackastra_engine.evaluation import evaluate
from trackastra_engine.movie.frames import open_movie


def test_folders_of_the_challenge_are_given_by_their_root(tmp_path):
    root = tmp_path / "Fluo-N2DH-SIM"
    write_folder(root / "01", IMAGES)
    write_folder(root / "01_ST" / "SEG", MASKS, "man_seg{:03}.tif")
    truth = write_folder(root / "01_GT" / "TRA", MASKS, "man_track{:03}.tif")
    (truth / "man_track.txt").write_text("1 0 5 0\n2 0 2 0\n3 3 5 2\n4 3 5 2\n")
    for images, masks in ((root, root), (root / "01", root / "01_ST"), (root, root / "01_GT")):
        movie = open_movie(images, masks)
        np.testing.assert_array_equal([frame.labels for frame in movie], MASKS)
        np.testing.assert_array_equal([frame.image for frame in movie], IMAGES)
    found = write_folder(tmp_path / "found", MASKS, "mask{:03}.tif")
    shutil.copy(truth / "man_track.txt", found / "res_track.txt")
    for folder in (root, root / "01_GT", truth):
        assert evaluate(found, folder).edges.f1 == 1
    write_folder(root / "02", IMAGES)
    assert "contains the movies 01, 02; give one of them, such as" in error_of(root, root)


def test_plain_zarr_arrays_have_names_too(tmp_path):
    array = zarr.create_array(
        tmp_path / "m.zarr", shape=(40, 48, 6), dtype="u2", chunks=(40, 48, 1),
        dimension_names=("y", "x", "time"),
    )  # fmt: skip
    array[:] = np.moveaxis(MASKS, 0, -1)
    np.testing.assert_array_equal(labels_of(tmp_path / "m.zarr"), MASKS)
    assert json.loads((tmp_path / "m.zarr" / "zarr.json").read_text())["dimension_names"]


@pytest.fixture(scope="module")
def masks_path(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("movie") / "masks", MASKS)


def test_the_time_between_frames_can_be_given(masks_path, tmp_path):
    command = ("track", "--masks", masks_path, "-o", tmp_path / "out", "--interval")
    assert "the time between frames is -1.0 s; give a positive" in run(*command, "-1").stderr
    assert run(*command, "90").exit_code == 0
    names, *_ = (tmp_path / "out" / "tracks.csv").read_text().splitlines()
    assert "time_s" in names.split(",")
    last = (tmp_path / "out" / "tracks.csv").read_text().splitlines()[-1].split(",")
    row = dict(zip(names.split(","), last, strict=True))
    assert float(row["time_s"]) == 90 * int(row["frame"])


def test_quiet_runs_print_warnings_only(masks_path, tmp_path):
    done = run("track", "--masks", masks_path, "-o", tmp_path / "out", "--quiet")
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "")
    tifffile.imwrite(tmp_path / "m.tif", MASKS)
    done = run("track", "--masks", tmp_path / "m.tif", "-o", tmp_path / "other", "--quiet")
    assert "Warning: " in done.stderr
    assert "does not name the time axis" in done.stderr


@pytest.mark.parametrize("name", [".DS_Store", "Thumbs.db", "desktop.ini", "._tracks.csv"])
def test_files_of_the_system_do_not_block_results(masks_path, tmp_path, name):
    out = tmp_path / "out"
    (out / "ctc").mkdir(parents=True)
    (out / name).write_text("seen by a file manager")
    command = ("track", "--masks", masks_path, "-o", out)
    (out / "ctc").rmdir()
    assert run(*command).exit_code == 0
    (out / "ctc" / name).write_text("seen again")
    for again in ((*command, "--overwrite"), ("link", out, "--mode", "greedy_nodiv")):
        done = run(*again)
        assert done.exit_code == 0, done.stderr
    (out / "notes.txt").write_text("mine")
    assert "contains notes.txt, which is not a result" in run(*command, "--overwrite").stderr


def test_messages_in_python_name_arguments_and_in_commands_flags(tmp_path):
    colours = np.stack([MASKS, MASKS], axis=1)
    tifffile.imwrite(tmp_path / "m.tif", colours, imagej=True, metadata={"axes": "TCYX"})
    assert "choose one with channel, a number" in error_of(None, tmp_path / "m.tif")
    done = run("track", "--masks", tmp_path / "m.tif", "-o", tmp_path / "out")
    assert "choose one with --channel, a number" in done.stderr
    assert "choose one with channel, a number" in error_of(None, tmp_path / "m.tif")


def test_the_model_is_that_of_the_movies_dimensions(tmp_path):
    """Stacks of cells in one layer are in test_layer.py."""
    planes = write_folder(tmp_path / "planes", MASKS)
    tissue = [MASKS + (MASKS > 0) * (10 * (plane // 3)) for plane in range(9)]
    stacks = write_folder(tmp_path / "stacks", np.stack(tissue, axis=1).astype(np.uint16))
    lines = [f"{frame},{z},5,{5 + frame}" for frame in range(3) for z in (4, 30)]
    points = tmp_path / "points.csv"
    points.write_text("\n".join(["frame,z,y,x", *lines]))
    for given, model in (
        (["--masks", planes], "general_2d"),
        (["--masks", stacks], "general_3d"),
        ([points], "general_3d"),
    ):
        out = tmp_path / "out"
        result = run("track", *given, "-o", out, "--overwrite")
        assert result.exit_code == 0, result.stderr
        assert f'"{model}"' in (out / "report.html").read_text()
    result = run("track", "--masks", planes, "-o", tmp_path / "other", "--model", "general_3d")
    assert result.exit_code == 2
    assert "needs 3D movies; choose another model, such as general_2d" in result.stderr
