"""A certificate is equal if upstream gives the engine's results, and shows every difference.

Upstream is not installed with the tests: a stand-in returns recorded results. Set UPSTREAM_PYTHON
to a Python with upstream to run the last test.
"""

import inspect
import itertools
import json
import os
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from golden_cases import load_case, model_folder
from small_movies import write_folder
from trackastra_engine.cli import main
from trackastra_export.export import export_model
from trackastra_export.parity.comparison import Computed, compare, unexplained
from trackastra_training.checkpoint import load_model, load_spec

CASE = "rope2d"
MODES = ("greedy", "greedy_nodiv", "ilp")
UPSTREAM = os.environ.get("UPSTREAM_PYTHON")
STAND_IN = """
import types
from pathlib import Path
import networkx, numpy as np

case = np.load({case!r})
nodes = [types.SimpleNamespace(timepoints=case["frame"], labels=case["label"],
                               coords=case["centroid"], features_stacked=case["features"])]
model_api = types.SimpleNamespace(
    get_features=lambda: nodes,
    build_windows=lambda: [],
    build_graph=lambda: networkx.DiGraph(case["candidate_edges"].tolist()),
)

class Trackastra:
    transformer = types.SimpleNamespace(double=lambda: None)

    @classmethod
    def from_folder(cls, folder, device):
        assert device == "cpu" and isinstance(folder, Path)
        return cls()

    def _predict(self, images, masks):
        assert np.array_equal(images, case["imgs"]) and np.array_equal(masks, case["masks"])
        model_api.get_features(), model_api.build_windows()
        return {{"weights": zip(map(tuple, case["edges"].tolist()), case["edge_scores"])}}

    def _track_from_predictions(self, predictions, mode, max_distance):
        assert max_distance == 128
        model_api.build_graph()
        return networkx.DiGraph(case[mode + "_edges"].tolist())
"""


def run(*arguments):
    # Before click 8.2, which the package traccuracy does not accept, both streams are one.
    parameters = inspect.signature(CliRunner).parameters
    runner = CliRunner(**({"mix_stderr": False} if "mix_stderr" in parameters else {}))
    return runner.invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def verify(tmp_path_factory):
    """Return a function that runs the command on a recorded movie with its model."""
    folder = tmp_path_factory.mktemp("verify")
    case, checkpoint = load_case(CASE), model_folder(CASE)
    export_model(load_model(checkpoint), load_spec(checkpoint), folder / "model.onnx")
    movie = [write_folder(folder / name, case[name]) for name in ("imgs", "masks")]

    def run_verify(python, output, *options):
        against = ("--against", checkpoint, "--movie", *movie, "--upstream", python)
        return run("verify", folder / "model.onnx", *against, "-o", output, *options)

    return run_verify


def stand_in(folder, **changes):
    """Return a Python in which upstream returns a recorded case, with some arrays changed."""
    case = {**load_case(CASE), **changes}
    np.savez(folder / "case.npz", **case)
    (folder / "trackastra").mkdir()
    (folder / "trackastra" / "__init__.py").touch()
    code = STAND_IN.format(case=str(folder / "case.npz"))
    (folder / "trackastra" / "model.py").write_text(code)
    # It takes seconds to import, and the stand-in has no network.
    (folder / "torch.py").write_text("float64 = None\ndef set_default_dtype(_): pass\n")
    python = folder / "python"
    python.write_text(f"#!/bin/sh\nPYTHONPATH='{folder}' exec '{sys.executable}' \"$@\"\n")
    python.chmod(0o755)
    return python


def test_equal_results_are_certified(verify, tmp_path):
    python = stand_in(tmp_path)
    result = verify(python, tmp_path / "out", "--mode", "greedy", "--mode", "ilp")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1].startswith("Equal; see ")
    certificate = json.loads((tmp_path / "out" / "certificate.json").read_text())
    assert certificate["verdict"] == "equal"
    checks = {check["subject"]: check for check in certificate["checks"]}
    assert list(checks) == [
        *("detections", "centroids", "features", "scores", "candidate edges"),
        *("tracks, greedy", "tracks, ilp"),
    ]
    assert checks["tracks, ilp"]["compared"] == len(load_case(CASE)["ilp_edges"])
    # The recorded scores are upstream's float32: different, but within the tolerance.
    assert 0 < checks["scores"]["difference"] < checks["scores"]["allowed"]
    assert sum(certificate["score_decades"]) == checks["scores"]["compared"]
    assert any(version.startswith("torch ") for version in certificate["upstream_versions"])
    assert any(version.startswith("onnxruntime") for version in certificate["engine_versions"])


class Page(HTMLParser):
    """The text of a page, and the addresses that it needs."""

    def __init__(self, path):
        super().__init__()
        self.words, self.needs = [], []
        self.feed(path.read_text("utf-8"))

    def handle_data(self, data):
        self.words += data.split()

    def handle_starttag(self, tag, attributes):
        self.needs += [value for name, value in attributes if name in ("src", "href")]


def test_a_difference_is_reported_and_listed_with_exit_code_1(verify, tmp_path):
    case = load_case(CASE)
    lost = case["greedy_edges"][5]
    scores = case["edge_scores"] * np.where((case["edges"] == lost).all(axis=1), 0.9, 1)
    kept = np.delete(case["greedy_edges"], 5, axis=0)
    python = stand_in(tmp_path, edge_scores=scores, greedy_edges=kept)
    result = verify(python, tmp_path / "out", "--mode", "greedy")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1].startswith("Different; see ")
    certificate = json.loads((tmp_path / "out" / "certificate.json").read_text())
    failed = [check["subject"] for check in certificate["checks"] if not check["passed"]]
    assert failed == ["scores", "tracks, greedy"]
    (edge,) = certificate["different_edges"]
    place = [f"{case['frame'][row]}:{case['label'][row]}" for row in lost]
    assert [edge["source"], edge["target"]] == place
    page = Page(tmp_path / "out" / "certificate.html")
    assert not page.needs
    assert {"Different:", *place} <= set(page.words)


def test_without_upstream_a_sentence_asks_to_install_it(verify, tmp_path):
    result = verify(sys.executable, tmp_path / "out")
    assert result.exit_code == 2
    assert "lacks trackastra; install it there" in result.stderr
    assert not (tmp_path / "out").exists()


def test_movies_and_models_that_upstream_cannot_track_are_rejected(verify, tmp_path):
    (tmp_path / "trackastra").mkdir()
    (tmp_path / "trackastra" / "__init__.py").write_text("raise OSError('broken')")
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\nPYTHONPATH='{tmp_path}' exec '{sys.executable}' \"$@\"\n")
    python.chmod(0o755)
    result = verify(python, tmp_path / "out")
    assert result.exit_code == 2
    assert "upstream cannot track the movie with" in result.stderr
    assert "(OSError: broken)" in result.stderr
    movie = [write_folder(tmp_path / name, load_case(CASE)[name]) for name in ("imgs", "masks")]
    ours = run("verify", "general_2d", "--against", model_folder(CASE), "--movie", *movie)
    assert "upstream cannot run the model general_2d" in ours.stderr


# The comparison, on recorded results --------------------------------------------------------------


@pytest.fixture
def recorded():
    case = load_case(CASE)
    scores = dict(zip(map(tuple, case["edges"].tolist()), case["edge_scores"], strict=True))
    return Computed(
        *(case[name] for name in ("frame", "label", "centroid", "features")),
        {pair: scores[pair] for pair in map(tuple, case["candidate_edges"].tolist())},
        {mode: frozenset(map(tuple, case[f"{mode}_edges"].tolist())) for mode in MODES},
    )


def failed(ours, reference):
    return [check.subject for check in compare(ours, reference) if not check.passed]


def test_every_kind_of_difference_is_noticed(recorded):
    assert failed(recorded, recorded) == []
    assert failed(replace(recorded, label=recorded.label + 1), recorded) == ["detections"]
    assert failed(replace(recorded, centroid=recorded.centroid + 1), recorded) == ["centroids"]
    features = recorded.features.copy()
    features[3, 1] = np.nan
    assert failed(replace(recorded, features=features), recorded) == ["features"]
    scores = {pair: score - 2e-4 for pair, score in recorded.scores.items()}
    assert failed(replace(recorded, scores=scores), recorded) == ["scores"]
    scores = dict(list(recorded.scores.items())[1:])
    assert failed(replace(recorded, scores=scores), recorded) == ["candidate edges"]
    tracks = {**recorded.tracks, "ilp": frozenset(list(recorded.tracks["ilp"])[1:])}
    assert failed(replace(recorded, tracks=tracks), recorded) == ["tracks, ilp"]


def test_only_rounding_explains_a_different_edge():
    scores = {(0, 2): 0.50005, (1, 3): 0.8, (1, 4): 0.80005, (0, 5): 0.7, (6, 7): 0.9}
    assert unexplained([], [(0, 2)], scores) == (set(), {(0, 2)})  # at the threshold
    assert unexplained([(1, 3)], [(1, 4)], scores) == (set(), {(1, 3), (1, 4)})  # tied
    assert unexplained([(0, 5)], [(0, 2)], scores) == (set(), {(0, 2), (0, 5)})  # as its rival
    assert unexplained([(6, 7)], [], scores) == ({(6, 7)}, set())
    assert unexplained([(8, 9)], [], scores) == ({(8, 9)}, set())  # never a candidate


def test_a_swapped_link_is_noticed(recorded):
    links = sorted(recorded.tracks["greedy"])
    for (s, t), (other_s, other_t) in itertools.pairwise(links):
        if s != other_s:
            swapped = set(links) - {(s, t), (other_s, other_t)} | {(s, other_t), (other_s, t)}
            assert unexplained(swapped, links, recorded.scores)[0]


@pytest.mark.skipif(UPSTREAM is None, reason="UPSTREAM_PYTHON names no Python with upstream")
def test_upstream_itself_is_equal(verify, tmp_path):
    result = verify(Path(str(UPSTREAM)), tmp_path / "out")
    assert result.exit_code == 0, result.output
