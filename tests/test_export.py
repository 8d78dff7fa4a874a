"""An exported model scores as upstream's network does, or there is no exported model."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from click.testing import CliRunner

from golden_cases import CASES, model_folder, recorded_windows
from trackastra_engine.errors import ModelError
from trackastra_engine.spec import METADATA_KEY, ModelSpec
from trackastra_export import export
from trackastra_export.builder import OPSET
from trackastra_export.cli import main
from trackastra_export.graph import build_graph
from trackastra_training.checkpoint import load_model, load_spec

# The rounding of float32 in the layers: 6e-6 seen. Wrong arithmetic shows as 1e-2 or more.
SCORE_TOLERANCE = 3e-5

UPSTREAM = model_folder("rope2d")


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def quick_verification(monkeypatch):
    """Leave out the windows of 1000 tokens, which take a second."""
    monkeypatch.setattr(export, "VERIFIED_SIZES", (1, 2, 10, 100))


def session_of(model_folder: Path) -> onnxruntime.InferenceSession:
    graph = build_graph(load_model(model_folder), load_spec(model_folder))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def scores_of(session, coordinates, features) -> np.ndarray:
    inputs = {"coordinates": coordinates, "features": features}
    return session.run(
        ["scores"], {name: value.astype(np.float32) for name, value in inputs.items()}
    )[0]


@pytest.mark.parametrize("name", CASES)
def test_scores_equal_upstreams(name):
    session = session_of(model_folder(name))
    for window in recorded_windows(name):
        scores = scores_of(session, window.coordinates, window.features)
        np.testing.assert_allclose(scores, window.forward_scores, rtol=0, atol=SCORE_TOLERANCE)
        is_forward = window.frame[None, :] > window.frame[:, None]
        assert not scores[~is_forward].any()


def test_the_order_of_tokens_does_not_matter():
    window = next(recorded_windows("rope2d"))
    session = session_of(UPSTREAM)
    order = np.random.default_rng(0).permutation(len(window.frame))
    scores = scores_of(session, window.coordinates, window.features)
    shuffled = scores_of(session, window.coordinates[order], window.features[order])
    # Sums in another order: the rounding of float32.
    np.testing.assert_allclose(shuffled, scores[np.ix_(order, order)], rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", CASES)
def test_a_window_of_one_token_has_no_links(name):
    window = next(recorded_windows(name))
    session = session_of(model_folder(name))
    scores = scores_of(session, window.coordinates[:1], window.features[:1])
    assert scores.tolist() == [[0.0]]


def test_a_window_of_one_frame_has_no_links():
    window = next(recorded_windows("rope2d"))
    first = window.frame == window.frame[0]
    scores = scores_of(session_of(UPSTREAM), window.coordinates[first], window.features[first])
    assert not scores.any()


def test_far_from_the_origin_scores_keep_their_precision():
    """Attention and scores depend on positions through angles, which grow with the movie."""
    rng = np.random.default_rng(0)
    model, session = load_model(UPSTREAM).double(), session_of(UPSTREAM)
    frame = np.repeat(np.arange(4), 20)
    coordinates = np.column_stack([frame, rng.integers(0, 100, (80, 2)) + 4000]).astype(float)
    features = next(recorded_windows("rope2d")).features[:1].repeat(80, axis=0)
    with torch.inference_mode():
        points = torch.from_numpy(coordinates)[None]
        logits = model(points, torch.from_numpy(features.astype(np.float32)).double()[None])
        times = torch.from_numpy(frame)[None]
        expected = model.normalised_scores(logits, times, points, forward_only=True)[0].numpy()
    assert expected.max() > 0.5
    # Angles in float32 would differ by 4000 * 6e-8 in the last digit, and scores by 1e-4 and more.
    np.testing.assert_allclose(
        scores_of(session, coordinates, features), expected, rtol=0, atol=3e-5
    )


def test_the_file_holds_the_spec_and_stands_alone(tmp_path):
    spec = load_spec(UPSTREAM)
    path = tmp_path / "new" / "model.onnx"
    difference = export.export_model(load_model(UPSTREAM), spec, path)
    assert difference < export.MAX_SCORE_DIFFERENCE
    assert [entry.name for entry in path.parent.iterdir()] == ["model.onnx"]
    model = onnx.load(path, load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert model.opset_import[0].version == OPSET
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    n_parameters = sum(parameter.numel() for parameter in load_model(UPSTREAM).parameters())
    expected = replace(spec, n_parameters=n_parameters)
    assert ModelSpec.from_json(metadata[METADATA_KEY]) == expected


@pytest.mark.parametrize("parameter", ["encoder.1.attn.q_pro.weight", "head_y.fc2.bias"])
@pytest.mark.usefixtures("quick_verification")
def test_a_graph_that_differs_is_refused_and_not_written(tmp_path, monkeypatch, parameter):
    model, other = load_model(UPSTREAM), load_model(UPSTREAM)
    with torch.no_grad():
        other.get_parameter(parameter).mul_(1.01)
    monkeypatch.setattr(export, "build_graph", lambda _, spec: build_graph(other, spec))
    with pytest.raises(ModelError, match="differs from its checkpoint"):
        export.export_model(model, load_spec(UPSTREAM), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("quick_verification")
def test_a_model_of_nan_is_refused(tmp_path):
    model = load_model(UPSTREAM)
    with torch.no_grad():
        model.norm.weight.fill_(torch.nan)
    with pytest.raises(ModelError, match="nan"):
        export.export_model(model, load_spec(UPSTREAM), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_verification_sees_links_in_crowded_and_sparse_windows():
    """Else the comparison would be one of zeros."""
    spec = load_spec(UPSTREAM)
    session = session_of(UPSTREAM)
    windows = [tokens for tokens in export.verification_windows(spec) if len(tokens.features) > 10]
    assert {len(tokens.features) for tokens in windows} == {100, 1000}
    for tokens in windows:
        assert len(np.unique(tokens.coordinates[:, 0])) == spec.window - 1
        assert scores_of(session, tokens.coordinates, tokens.features).max() > 0.5


@pytest.mark.usefixtures("quick_verification")
def test_the_command_writes_a_model(tmp_path):
    path = tmp_path / "model.onnx"
    result = CliRunner().invoke(main, [str(UPSTREAM), "-o", str(path)])
    assert result.exit_code == 0, result.output
    assert path.is_file()


def test_the_command_says_in_one_sentence_what_is_wrong(tmp_path):
    result = CliRunner().invoke(main, [str(tmp_path), "-o", str(tmp_path / "model.onnx")])
    assert result.exit_code == 2
    # Not its stderr, which click 8.1 does not keep apart.
    assert result.output.startswith("trackastra-export: ")
    assert "config.yaml is missing" in result.output
    assert result.output.count("\n") == 1
    assert not list(tmp_path.iterdir())
