"""`trackastra-engine bench`: figures for a user's own machine and movie."""

import json
from importlib.resources import files

import numpy as np
import pytest
from click.testing import CliRunner

from small_movies import dividing_cell, write_folder
from trackastra_engine import InputError, Tracker
from trackastra_engine.bench import machine
from trackastra_engine.bench.machine import Machine, measure_machine
from trackastra_engine.bench.report import BenchReport
from trackastra_engine.bench.stages import STAGES, MovieTimes, time_movie
from trackastra_engine.cli import main
from trackastra_engine.movie.frames import open_movie


def run(*arguments):
    return CliRunner().invoke(main, ["bench", *map(str, arguments)])


@pytest.fixture
def folders(tmp_path):
    """Return folders of images and masks."""
    images, masks = dividing_cell()
    return write_folder(tmp_path / "images", images), write_folder(tmp_path / "masks", masks)


def test_a_movie_is_timed_and_the_figures_go_to_a_table_and_a_file(folders, tmp_path):
    images, masks = folders
    report = tmp_path / "bench.json"
    done = run("--images", images, "--masks", masks, "--json", report, "--device", "cpu")
    assert done.exit_code == 0, done.output
    found = json.loads(report.read_text())
    (movie,) = found["movies"]
    assert set(movie["stage_s"]) == set(STAGES)
    assert all(seconds > 0 for seconds in movie["stage_s"].values())
    assert movie["n_frames"] == 6
    assert movie["cells"] == 2.5  # two cells, then three
    assert movie["frame_bytes"] == 40 * 48 * (2 + 2)
    for name in (*STAGES, "together", "cells/s", "next: ", "peak memory", "GFLOP/s"):
        assert name in done.output
    assert run("--masks", masks, "--json", report).exit_code == 0  # an earlier report is replaced


def test_without_masks_movies_are_simulated(monkeypatch):
    monkeypatch.setattr("trackastra_engine.bench.CELLS", (8,))
    monkeypatch.setattr("trackastra_engine.bench.N_FRAMES", 5)
    done = run("--device", "cpu")
    assert done.exit_code == 0, done.output
    assert "cells per frame of" in done.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--images", "x"], "no masks"),
        (["--masks", "missing"], "does not exist"),
        (["--json", "notes.txt"], "notes.txt exists; choose another or remove it"),
    ],
)
def test_mistakes_give_one_sentence(arguments, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    done = run(*arguments)
    assert done.exit_code == 2
    assert said in done.output
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_movie_that_begins_without_objects_is_rejected():
    masks = dividing_cell()[1]
    masks[:5] = 0
    with pytest.raises(InputError, match="first frames contain no object"):
        time_movie(open_movie(None, masks), Tracker.load(device="cpu"))


def test_bounds_are_bytes_by_bandwidth_and_products_by_their_rate():
    one = Machine("one", cores=1, memory_gb_s=2.0, product_gflop_s=50.0)
    movie = MovieTimes((100, 100), 5, 10.0, 40_000, 1e9, dict.fromkeys(STAGES, 1.0), 1.0)
    report = BenchReport(one, "model", "cpu", [movie], None)
    assert report.bounds(movie) == pytest.approx({"detect": 2e-5, "score": 0.02})
    assert "not known here" in str(report)


@pytest.mark.parametrize(
    ("read_s", "score_s", "device", "said"),
    [
        (0.9, 0.5, "cpu", "a faster disk"),
        (0.01, 0.5, "cpu", "a GPU, or more cores: 2 share 530 ms"),
        (0.01, 0.02, "cpu", "more cores: 2 share 50 ms"),
        (0.01, 0.5, "cuda", "more cores: 2 share"),
    ],
)
def test_a_bench_reports_possible_speed_ups(read_s, score_s, device, said):
    stage_s = {"read": read_s, "detect": 0.01, "score": score_s, "link": 0.01, "write": 0.01}
    movie = MovieTimes((100, 100), 5, 500, 40_000, 1e9, stage_s, 0.7)
    two = Machine("two", cores=2, memory_gb_s=2.0, product_gflop_s=50.0)
    report = BenchReport(two, "model", device, [movie], None)
    assert report.advice(movie).startswith(said)
    assert f"{500 / 0.7:,.0f}" in str(report)


def test_the_timed_product_is_one_of_matrices():
    onnx = pytest.importorskip("onnx")
    sides = {"a": ("m", "k"), "b": ("k", "n"), "c": ("m", "n")}
    a, b, c = (
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in sides.items()
    )
    product = onnx.helper.make_node("MatMul", ["a", "b"], ["c"])
    model = onnx.helper.make_model(
        onnx.helper.make_graph([product], "product", [a, b], [c]),
        opset_imports=[onnx.helper.make_opsetid("", 17)],
        ir_version=8,
    )
    assert (
        files("trackastra_engine.bench").joinpath(machine.PRODUCT).read_bytes()
        == model.SerializeToString()
    )


def test_the_machine_is_measured():
    this = measure_machine()
    assert this.processor
    assert this.cores >= 1
    assert this.memory_gb_s > 0.01
    assert this.product_gflop_s > 0.01


def test_the_first_frames_of_a_movie_are_a_movie(folders):
    images, masks = dividing_cell()
    for movie in (open_movie(*folders), open_movie(images, masks)):
        first = movie.first(2)
        assert len(first) == 2
        np.testing.assert_array_equal([frame.labels for frame in first], masks[:2])
        np.testing.assert_array_equal([frame.image for frame in first], images[:2])
        assert len(movie.first(100)) == 6
