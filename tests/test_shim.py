"""TrackMate finds a `trackastra`, whose CSV means success: killed at any moment, there is none."""

import codecs
import os
import random
import subprocess
import sys
import time
import venv

import numpy as np
import pytest
import tifffile

from command_line import error_of, run
from golden_cases import model_folder
from small_movies import dividing_cell
from trackastra_engine import InputError, system
from trackastra_engine.shim import write_shim
from trackastra_export.export import export_model
from trackastra_training.checkpoint import load_model, load_spec

TABLE, LOG = "trackastra-edge-table.csv", "trackastra-log.txt"
KILLED = -9


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    return write_shim(tmp_path_factory.mktemp("bin")).script


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    export_model(load_model(model_folder("rope2d")), load_spec(model_folder("rope2d")), path)
    return path


@pytest.fixture
def trackmate(tmp_path, model):
    """Return TrackMate's arguments, with folders named and filled as by TrackastraTracker.java.

    Labels are unique over the movie: the same object has another label in every frame.
    """
    images, masks = dividing_cell()
    labels = np.arange(masks.max() * len(masks) + 1, dtype=np.uint16)
    unique = [np.where(mask > 0, labels[mask + t * masks.max()], 0) for t, mask in enumerate(masks)]
    folders = {
        "imgs": (tmp_path / "TrackMate-Trackastra-imgs_123", images, "My movie-img-t{:04}.tif"),
        "masks": (tmp_path / "TrackMate-Trackastra-masks_456", unique, "masks-mask-t{:04}.tif"),
    }
    for folder, frames, name in folders.values():
        folder.mkdir()
        for t, frame in enumerate(frames, start=1):
            metadata = {"axes": "YX"}
            tifffile.imwrite(folder / name.format(t), frame, imagej=True, metadata=metadata)
    (folders["masks"][0] / LOG).touch()
    return {
        "--model-custom": model,
        "--mode": "greedy",
        "--device": "automatic",
        "--imgs": folders["imgs"][0],
        "--masks": folders["masks"][0],
        "--output-edge-table": folders["masks"][0] / TABLE,
    }


def start(shim, trackmate):
    """Start the command as TrackMate does: all output is written to a log among the masks."""
    program = shim if isinstance(shim, list) else [shim]
    words = [str(word) for pair in trackmate.items() for word in pair]
    with (trackmate["--masks"] / LOG).open("a") as log:
        return subprocess.Popen([*program, "track", *words], stdout=log, stderr=log)


def assert_no_table(folder):
    """TrackMate searches the name; a person might search any CSV."""
    assert not (folder / TABLE).exists()
    assert not list(folder.glob("*.csv"))


def test_trackmate_gets_its_edges(shim, trackmate):
    assert start(shim, trackmate).wait() == 0
    masks = trackmate["--masks"]
    header, *lines = (masks / TABLE).read_text().splitlines()
    assert header == "source_frame,source_label,target_frame,target_label,weight"
    labels = [
        set(np.unique(tifffile.imread(path)).tolist()) for path in sorted(masks.glob("*.tif"))
    ]
    assert lines
    for line in lines:
        *ends, weight = line.split(",")
        source_frame, source, target_frame, target = map(int, ends)
        assert source in labels[source_frame]
        assert target in labels[target_frame]
        assert 0.5 <= float(weight) <= 1
    log = (masks / LOG).read_text()
    assert "finding detections: 6/6 frames\n" in log
    assert "scoring associations: 6/6 frames\n" in log
    assert not {"\r", "\x1b"} & set(log)


def test_a_failed_run_leaves_a_sentence_and_no_table(shim, trackmate):
    next(trackmate["--masks"].glob("*.tif")).write_bytes(b"")
    assert start(shim, trackmate).wait() == 2
    assert (trackmate["--masks"] / LOG).read_text().splitlines()[-1].startswith("Error: ")
    assert_no_table(trackmate["--masks"])


@pytest.mark.parametrize("line", ["", "finding detections: 1/6", "scoring associations: 4/6"])
def test_killed_at_some_moment_there_is_no_table_or_a_whole_one(shim, trackmate, line):
    process = start(shim, trackmate)
    log = trackmate["--masks"] / LOG
    while line not in log.read_text() and process.poll() is None:
        time.sleep(0.002)
    time.sleep(random.random() * (0.01 if line else 0.5))
    process.kill()
    process.wait()
    table = trackmate["--masks"] / TABLE
    if not table.exists():
        assert_no_table(trackmate["--masks"])
        return
    written = table.read_bytes()  # the process had ended, or nearly so
    assert start(shim, trackmate).wait() == 0
    assert table.read_bytes() == written


def test_killed_while_the_table_is_written_there_is_none(trackmate):
    """The last moment: every line is written, but the file does not have its name yet."""
    words = [str(word) for pair in trackmate.items() for word in pair]
    code = (
        "import os, sys; from pathlib import Path; from trackastra_engine.cli import main\n"
        "Path.replace = lambda path, target: os.kill(os.getpid(), 9)\n"
        "main(['track', *sys.argv[1:]])"
    )
    process = subprocess.run([sys.executable, "-c", code, *words], capture_output=True)
    assert process.returncode == KILLED
    (written,) = (path for path in trackmate["--masks"].iterdir() if TABLE in path.name)
    assert written.read_text().count("\n") > 1
    assert_no_table(trackmate["--masks"])


@pytest.mark.skipif(os.name == "nt", reason="a script of the POSIX shell")
def test_a_shim_replaces_itself_but_no_other_program(tmp_path):
    path = write_shim(tmp_path).script
    assert os.access(path, os.X_OK)
    assert write_shim(tmp_path).script == path
    path.write_text("#!/usr/bin/python3\nfrom trackastra.cli import cli\n")
    with pytest.raises(InputError, match="another program, perhaps upstream's"):
        write_shim(tmp_path)
    assert "trackastra.cli" in path.read_text()
    with pytest.raises(InputError, match="does not exist"):
        write_shim(tmp_path / "nowhere")


@pytest.fixture
def environment(tmp_path):
    """Return the folder of programs of an empty Python environment."""
    venv.create(tmp_path / "env", symlinks=True)
    return tmp_path / "env" / "bin"


@pytest.mark.skipif(os.name == "nt", reason="programs lie elsewhere there")
def test_trackmate_of_2025_calls_a_module(environment, trackmate):
    written = write_shim(environment)
    assert write_shim(environment) == written
    program = [environment / "python", "-m", "trackastra.cli"]
    assert start(program, trackmate).wait() == 0
    assert (trackmate["--masks"] / TABLE).exists()
    (written.package / "__init__.py").write_text('"""Upstream\'s own."""')
    with pytest.raises(InputError, match=r"trackastra is another program, perhaps upstream's"):
        write_shim(environment)


def test_without_cuda_the_shim_computes_on_the_cpu_with_a_warning(shim, trackmate):
    assert start(shim, {**trackmate, "--device": "cuda"}).wait() == 0
    log = (trackmate["--masks"] / LOG).read_text()
    assert log.count("CUDA is not available, so the CPU is used: ") == 1
    assert (trackmate["--masks"] / TABLE).exists()


def test_the_engine_itself_stops_without_cuda(trackmate):
    engine = [sys.executable, "-m", "trackastra_engine"]
    assert start(engine, {**trackmate, "--device": "cuda"}).wait() == 2


def lengths(trackmate):
    """Return the number of links."""
    return len((trackmate["--masks"] / TABLE).read_text().splitlines()) - 1


def test_the_longest_link_is_set_when_the_shim_is_written(trackmate, tmp_path):
    """Cells move by 4 pixels a frame and divide over more."""
    (tmp_path / "bin").mkdir()
    near = write_shim(tmp_path / "bin", max_distance="2").script
    assert start(near, trackmate).wait() == 0
    n_near = lengths(trackmate)
    more = {**trackmate, "--max-distance": "40"}
    assert start(near, more).wait() == 0
    assert lengths(trackmate) > n_near


def test_the_command_checks_the_longest_link(tmp_path):
    assert "3 miles" in error_of(tmp_path, "shim", tmp_path, "--max-distance", "3 miles")
    done = run("shim", tmp_path, "--max-distance", "40")
    assert "--default-max-distance 40" in (tmp_path / "trackastra").read_text()
    assert "No Python in" in done.stdout


def test_the_shim_of_windows_escapes_special_characters_of_its_shell(tmp_path, monkeypatch):
    monkeypatch.setattr(system, "ON_WINDOWS", True)
    monkeypatch.setattr(sys, "executable", r"C:\100% free\python.exe")
    codecs.register(oem := lambda name: codecs.lookup("cp437") if name == "oem" else None)
    try:
        script = write_shim(tmp_path).script
    finally:
        codecs.unregister(oem)
    assert script.name == "trackastra.cmd"
    lines = script.read_bytes().split(b"\r\n")
    assert lines[1].startswith(rb'@"C:\100%% free\python.exe" -P -m trackastra_engine.')
    assert lines[1].endswith(b" %*")
