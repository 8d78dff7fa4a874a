"""Every mistake gives a one-sentence error; neither it nor a stopped run leaves results."""

import os
import signal

import numpy as np
import onnx
import pytest
import tifffile

from command_line import entries, error_of, exported, run, write_movie
from small_movies import dividing_cell, write_folder
from trackastra_engine import InputError, Tracker


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return exported("rope2d", tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def volume_model(tmp_path_factory):
    return exported("rope3d", tmp_path_factory.mktemp("models"), accepts_planes=False)


@pytest.fixture
def movie(tmp_path):
    return write_movie(tmp_path)


@pytest.fixture
def track_error(movie, model, tmp_path):
    """Return a function that tracks the movie with some files changed, and expects an error."""

    def failed(images=movie[0], masks=movie[1], *options, model=model):
        output = ("-o", movie[2], "--model", model, *options)
        return error_of(tmp_path, "track", images, masks, *output)

    return failed


def test_a_format_that_is_not_known(track_error, movie):
    assert "no format 'xls'" in track_error(*movie[:2], "--format", "xls")


def test_missing_path(track_error, tmp_path):
    assert "nowhere, does not exist" in track_error(masks=tmp_path / "nowhere")


def test_empty_folder(track_error, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "empty, contains no frame (TIFF, PNG" in track_error(tmp_path / "empty")


def test_different_numbers_of_images_and_masks(track_error, tmp_path):
    (tmp_path / "masks" / "t005.tif").unlink()
    assert "images/t005.tif; give one mask for each image" in track_error()


def test_different_shapes(track_error, tmp_path):
    folder = write_folder(tmp_path / "small", dividing_cell()[0][:, :30])
    assert "are 30 x 48 but masks in" in track_error(folder)


def test_masks_of_float_type(track_error, tmp_path):
    folder = write_folder(tmp_path / "float", dividing_cell()[1].astype(np.float32) / 2)
    assert "is of type float32 and contains 0.5, which is no label" in track_error(masks=folder)


def test_negative_label(track_error, tmp_path):
    folder = write_folder(tmp_path / "signed", -dividing_cell()[1].astype(np.int16))
    assert "contains the negative label -2" in track_error(masks=folder)


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_truncated_tiff_in_a_folder(track_error, tmp_path, kept):
    path = tmp_path / "masks" / "t004.tif"
    tifffile.imwrite(path, dividing_cell()[1][4])
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    assert "t004.tif is truncated" in track_error()


def test_truncated_imagej_hyperstack(track_error, tmp_path):
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, dividing_cell()[1], imagej=True, metadata={"axes": "TYX"})
    path.write_bytes(path.read_bytes()[: int(0.6 * path.stat().st_size)])
    assert "stack.tif is truncated" in track_error(masks=path)


def test_not_a_tiff(track_error, tmp_path):
    (tmp_path / "masks" / "t000.tif").write_text("frame,label\n0,1\n")
    assert "t000.tif is not a TIFF file" in track_error()


def test_one_frame_only(track_error, tmp_path):
    images, masks = dividing_cell(1)
    folders = write_folder(tmp_path / "one", images), write_folder(tmp_path / "mask", masks)
    assert "a movie of one frame" in track_error(*folders)


def test_no_object_in_the_whole_movie(track_error, tmp_path):
    folder = write_folder(tmp_path / "blank", np.zeros_like(dividing_cell()[1]))
    assert "contains an object" in track_error(masks=folder)


def test_a_planar_movie_for_a_volume_model(track_error, volume_model):
    assert "needs 3D movies" in track_error(model=volume_model)


def test_an_onnx_file_without_our_metadata(track_error, tmp_path, model):
    foreign = onnx.load(model)
    del foreign.metadata_props[:]
    onnx.save(foreign, tmp_path / "foreign.onnx")
    assert "without trackastra-engine's metadata" in track_error(model=tmp_path / "foreign.onnx")
    assert "without" in error_of(tmp_path, "info", tmp_path / "foreign.onnx")


def test_a_missing_model_and_a_file_that_is_not_a_model(track_error, tmp_path):
    assert "there is no model 'general_9d'" in track_error(model="general_9d")
    (tmp_path / "masks.onnx").write_text("no model")
    assert "cannot be read as an ONNX model" in track_error(model=tmp_path / "masks.onnx")


def test_an_output_folder_that_is_not_empty(track_error, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("")
    assert "is not empty; choose another or pass --overwrite" in track_error()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--max-distance", "0"), "give a positive number"),
        (("--max-distance", "12um"), "its pixel size; give it with --voxel"),
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
        (("--cache", __file__), "test_bad_input.py is a file; give a folder"),
    ],
)
def test_options_that_cannot_be_met(track_error, movie, options, sentence):
    assert sentence in track_error(*movie[:2], *options)


def test_a_track_has_a_frame_at_least(movie):
    result = run("track", *movie[:2], "-o", movie[2], "--min-track-length", "0")
    assert result.exit_code == 2
    assert "'--min-track-length': 0 is not in the range x>=1" in result.stderr


def test_a_stride_that_skips_frames(track_error, movie):
    assert "strides of 1 to" in track_error(*movie[:2], "--stride", "9")


def test_arguments_that_do_not_fit(movie, tmp_path):
    images, masks, out = movie
    assert "is given without masks" in error_of(tmp_path, "track", images, "-o", out)
    assert "there are no masks" in error_of(tmp_path, "track", "-o", out)
    assert "images are given twice" in error_of(tmp_path, "track", images, masks, "-i", images)
    assert "masks are given twice" in error_of(tmp_path, "track", images, masks, "-m", masks)
    assert "there is no output" in error_of(tmp_path, "track", images, masks)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("mask003.tif", "mask003.tif could not be read or written (No space left on device)"),
        (None, "a disk is full; free some space, or write the results to another disk"),
    ],
)
def test_a_disk_that_fills_up(track_error, monkeypatch, name, sentence):
    def fail(*_, **__):
        raise OSError(28, "No space left on device", name)

    monkeypatch.setattr("tifffile.imwrite", fail)
    assert track_error() == f"Error: {sentence}"


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


def test_an_unknown_device_is_rejected(model):
    with pytest.raises(InputError, match="no device 'gpu'; choose auto, cpu, tensorrt, cuda"):
        Tracker.load(model, device="gpu")


def test_pixels_that_are_not_numbers_are_rejected(model):
    images, masks = dividing_cell()
    images = images.astype(np.float32)
    images[2][masks[2] == 1] = np.nan
    with pytest.raises(InputError, match="frame 2 has NaN or infinity inside objects"):
        Tracker.load(model).track(images, masks)
