"""Upstream's command line works here: its flags, its stored models, its files."""

import inspect
import shutil
from urllib.error import URLError
from urllib.request import urlopen
from zipfile import ZipFile

import numpy as np
import pytest
from click.testing import CliRunner

from golden_cases import load_case, model_folder
from small_movies import write_folder
from trackastra_engine.cli import main
from trackastra_engine.model import upstream
from trackastra_engine.progress import NOTICE

CASE = "rope2d"


def run(*arguments):
    # Before click 8.2, which the package traccuracy does not accept, both streams are one.
    parameters = inspect.signature(CliRunner).parameters
    runner = CliRunner(**({"mix_stderr": False} if "mix_stderr" in parameters else {}))
    return runner.invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache for all tests, so that the model is imported once, which takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setattr("platformdirs.user_cache_dir", lambda name: str(folder / name))
        yield folder


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """A machine without files of upstream and without network."""

    def offline(*_, **__):
        raise URLError("no route to host")

    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: str(tmp_path / "c" / name))
    monkeypatch.setattr("platformdirs.user_data_dir", lambda name: str(tmp_path / "d" / name))
    monkeypatch.setattr("trackastra_engine.model.upstream.urlopen", offline)
    monkeypatch.delenv(upstream.FOLDER_VARIABLE, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def movie(tmp_path):
    """Return upstream's flags for a recorded movie, and the path of its edges."""
    case = load_case(CASE)
    images = write_folder(tmp_path / "imgs", case["imgs"])
    masks = write_folder(tmp_path / "masks", case["masks"])
    return ("track", "--imgs", images, "-m", masks, "--output-edge-table", tmp_path / "edges.csv")


def recorded_edges(mode):
    """Return the edges (E, 4) of upstream, in the form of its edge table."""
    case = load_case(CASE)
    source, target = case[f"{mode}_edges"].T
    frame, label = case["frame"], case["label"]
    ends = np.column_stack([frame[source], label[source], frame[target], label[target]])
    return ends[np.lexsort(ends.T[::-1])]


@pytest.mark.parametrize("mode", ["greedy", "greedy_nodiv", "ilp"])
def test_a_call_of_upstream_gives_upstreams_edges(movie, cache, tmp_path, mode):
    flags = ("--device", "automatic", "--batch-size", "8", "--n-workers", "2", "--mode", mode)
    result = run(*movie, "--model-custom", model_folder(CASE), *flags)
    assert result.exit_code == 0, result.output
    table = np.loadtxt(tmp_path / "edges.csv", delimiter=",", skiprows=1)
    np.testing.assert_array_equal(table[:, :4], recorded_edges(mode))


def test_a_model_is_imported_once_and_again_when_it_changes(movie, cache, tmp_path, caplog):
    caplog.set_level(NOTICE)
    for _ in range(2):
        path = upstream.import_once(model_folder(CASE))
    assert path.is_relative_to(cache)
    said = caplog.messages
    assert len(said) in (0, 2)  # by the first of the tests; never twice
    assert all(line.startswith(("importing the model", f"wrote {path}")) for line in said)

    shutil.copytree(model_folder(CASE), tmp_path / "model")
    (tmp_path / "model" / "config.yaml").write_text("pretrained_feat_dim: 256\n")
    changed = run(*movie, "--model-custom", tmp_path / "model")
    assert changed.exit_code == 2
    assert "importing the model" in changed.stderr
    assert "cannot be imported: " in changed.stderr
    assert "needs features of a pretrained image network" in changed.stderr


def test_links_have_the_longest_distance_of_upstream(movie, monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(
        "trackastra_engine.jobs.track.run_job", lambda job, progress: asked.append(job)
    )
    model = tmp_path / "model.onnx"
    model.touch()
    for options in [
        ("--model-custom", model),
        ("--model-custom", model, "--max-distance", "50"),
        ("--model", model),
    ]:
        assert run(*movie, *options, "--device", "mps").exit_code == 0
    assert [job.linking.max_distance for job in asked] == [128, "50", None]
    assert {job.device for job in asked} == {"cpu"}


def test_a_device_without_an_engine_is_reported(movie, cache):
    result = run(*movie, "--model-custom", model_folder(CASE), "--device", "mps")
    assert result.exit_code == 0
    assert "the device mps is not supported; the CPU is used" in result.stderr


# Folders of pretrained models ---------------------------------------------------------------------


@pytest.mark.parametrize("place", ["variable", "data", "home", "own download"])
@pytest.mark.usefixtures("nowhere")
def test_pretrained_models_are_found_in_their_folders(tmp_path, monkeypatch, place):
    folder = {
        "variable": tmp_path / "models",
        "data": tmp_path / "d" / "trackastra" / "models",
        "home": tmp_path / ".trackastra" / ".models",
        "own download": tmp_path / "c" / "trackastra-engine" / "upstream",
    }[place]
    shutil.copytree(model_folder(CASE), folder / "ctc")
    if place == "variable":
        monkeypatch.setenv(upstream.FOLDER_VARIABLE, str(folder))
    assert upstream.pretrained_folder("ctc") == folder / "ctc"


@pytest.mark.usefixtures("nowhere")
def test_a_pretrained_model_is_downloaded_completely_or_not_at_all(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("trackastra_engine.model.upstream.urlopen", urlopen)
    archive = tmp_path / "ctc.zip"
    monkeypatch.setitem(upstream.DOWNLOADS, "ctc", archive.as_uri())
    with ZipFile(archive, "w") as zipped:
        zipped.write(model_folder(CASE) / "config.yaml", "ctc/config.yaml")
    caplog.set_level(NOTICE)
    with pytest.raises(upstream.ModelError, match=r"train_config\.yaml"):
        upstream.pretrained_folder("ctc")
    assert not (tmp_path / "c").exists()
    with ZipFile(archive, "w") as zipped:
        for file in model_folder(CASE).iterdir():
            zipped.write(file, f"ctc/{file.name}")
    folder = upstream.pretrained_folder("ctc")
    assert caplog.messages == [f"downloading {archive.as_uri()}"] * 2
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == {
        file.name: file.read_bytes() for file in model_folder(CASE).iterdir()
    }


@pytest.mark.usefixtures("nowhere")
def test_without_network_or_cache_one_sentence_gives_the_remedy(movie, tmp_path):
    result = run(*movie, "--model-pretrained", "general_2d")
    assert result.exit_code == 2
    (sentence,) = (line for line in result.stderr.splitlines() if line.startswith("Error: "))
    assert "no route to host" in sentence
    assert "set TRACKASTRA_MODEL_DIR to a folder that contains it" in sentence
    assert "the engine's own with --model general_2d" in sentence
    assert not (tmp_path / "edges.csv").exists()


@pytest.mark.usefixtures("nowhere")
def test_models_that_are_not_available_or_are_given_twice(movie):
    images = run(*movie, "--model-pretrained", "general_2d_w_SAM2_features")
    assert "need no image features are ctc, general_2d" in images.stderr
    twice = run(*movie, "--model-pretrained", "ctc", "--model-custom", "folder")
    assert "--model-pretrained and --model-custom each give a model" in twice.stderr
    missing = run(*movie, "--model-custom", "no_folder")
    assert "the model folder no_folder does not exist" in missing.stderr
    assert {images.exit_code, twice.exit_code, missing.exit_code} == {2}
