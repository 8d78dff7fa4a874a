"""An exported model scores as upstream's network does, or there is no exported model."""

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner

from golden_cases import CASES, model_folder, recorded_windows
from model_forms import NARROW_TOLERANCE, WHOLE_AT_ONCE, engine_at_once, engine_in_turn
from trackastra_engine.cli import main
from trackastra_engine.errors import ModelError
from trackastra_engine.locality import plan_attention
from trackastra_engine.model import AssociationModel, embedded_models, model_path
from trackastra_engine.spec import METADATA_KEY, ModelSpec
from trackastra_engine.tokens import Tokens
from trackastra_export import export
from trackastra_export.builder import OPSET
from trackastra_export.geometry import UNSEEN_LOGIT
from trackastra_export.graph import build_graph
from trackastra_training.checkpoint import load_model, load_spec
from trackastra_training.exported import read_exported, read_model
from trackastra_training.transformer import (
    MASKED_LOGIT,
    TrackingTransformer,
    TransformerConfig,
)

# The rounding of float32 in the layers: 6e-6 seen. Wrong arithmetic shows as 1e-2 or more.
SCORE_TOLERANCE = 3e-5

UPSTREAM = model_folder("rope2d")

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def quick_verification(monkeypatch):
    """Leave out the windows of 1000 tokens, which take a second."""
    monkeypatch.setattr(export, "VERIFIED_SIZES", (1, 2, 10, 100))


def engine_of(model: TrackingTransformer, spec: ModelSpec) -> AssociationModel:
    return engine_in_turn(build_graph(model, spec))


def engine_of_folder(model_folder: Path) -> AssociationModel:
    return engine_of(load_model(model_folder), load_spec(model_folder))


def scores_of(engine, coordinates, features) -> np.ndarray:
    """The scores (N, N) of all later targets."""
    tokens = Tokens(coordinates.astype(np.float32), features.astype(np.float32))
    return export.score_matrix(engine, tokens)


@pytest.mark.parametrize("block_size", [64, 5], ids=["one block", "many blocks"])
@pytest.mark.parametrize("name", CASES)
def test_scores_equal_upstreams(name, block_size, monkeypatch):
    cut_small(monkeypatch, block_size)
    for engine, tolerance in engines_of(
        load_model(model_folder(name)), load_spec(model_folder(name))
    ):
        for window in recorded_windows(name):
            scores = scores_of(engine, window.coordinates, window.features)
            np.testing.assert_allclose(scores, window.forward_scores, rtol=0, atol=tolerance)
            is_forward = window.frame[None, :] > window.frame[:, None]
            assert not scores[~is_forward].any()


def engines_of(model, spec):
    """Yield the engines of all forms, and how precise they are."""
    narrow, whole = build_graph(model, spec), build_graph(model, spec, WHOLE_AT_ONCE)
    yield engine_in_turn(narrow), SCORE_TOLERANCE
    yield engine_at_once(whole), SCORE_TOLERANCE
    yield engine_at_once(narrow), NARROW_TOLERANCE


def cut_small(monkeypatch, block_size):
    """Let the engine use small blocks, so that small windows have many."""
    plan = partial(plan_attention, block_size=block_size)
    monkeypatch.setattr("trackastra_engine.model.plan_attention", plan)


@pytest.mark.parametrize("bias", ["rope", "bias", "none"])
@pytest.mark.parametrize("norm", ["quiet_softmax", "softmax", "linear", "none"])
@pytest.mark.parametrize("decay", ["v0", "v1"])
@pytest.mark.parametrize("ndim", [2, 3])
def test_every_option_in_many_blocks_equals_the_dense_network(ndim, decay, norm, bias, monkeypatch):
    config = small_config(ndim, attn_dist_mode=decay, causal_norm=norm, attn_positional_bias=bias)
    check_many_blocks(config, monkeypatch)


@pytest.mark.parametrize("bias", ["rope", "bias", "none"])
@pytest.mark.parametrize("ndim", [2, 3])
def test_pair_terms_in_many_blocks_equal_those_of_the_dense_network(ndim, bias, monkeypatch):
    check_many_blocks(small_config(ndim, attn_positional_bias=bias, pair_width=8), monkeypatch)


def small_config(ndim, **options) -> TransformerConfig:
    return TransformerConfig(
        coord_dim=ndim,
        feat_dim=ndim * ndim + 5,
        d_model=32,
        nhead=2,
        num_encoder_layers=2,
        num_decoder_layers=2,
        window=4,
        spatial_pos_cutoff=32,
        **options,
    )


def check_many_blocks(config, monkeypatch):
    """Blocks of 7 among 150 tokens, of which a fifth lie within the cutoff of each other."""
    cut_small(monkeypatch, 7)
    torch.manual_seed(0)
    ndim = config.coord_dim
    spec = ModelSpec("drawn", ndim, 4, "relative", "window", 32, "all")
    model = TrackingTransformer(config).eval()
    for name, parameter in model.named_parameters():
        if "pair_terms" in name:  # new ones are 0
            torch.nn.init.normal_(parameter, std=0.3)
    engines = list(engines_of(model, spec))
    rng = np.random.default_rng(1)
    frame = np.sort(rng.choice([0, 1, 3], 150))
    coordinates = np.column_stack([frame, rng.integers(0, 1000, (150, ndim)) / 8])
    features = export.random_features(rng, spec, 150).astype(np.float32)
    expected = dense_scores(model.double(), coordinates, features, frame)
    assert expected.max() > 0.02
    assert (expected > 0).mean() < 0.2
    for engine, tolerance in engines:
        scores = scores_of(engine, coordinates, features)
        np.testing.assert_allclose(scores, expected, rtol=0, atol=tolerance)


def dense_scores(model, coordinates, features, frame) -> np.ndarray:
    """The scores (N, N) of the PyTorch network in float64, forward in time."""
    with torch.inference_mode():
        points = torch.from_numpy(coordinates).double()[None]
        logits = model(points, torch.from_numpy(features).double()[None])
        times = torch.from_numpy(frame)[None]
        return model.normalised_scores(logits, times, points, forward_only=True)[0].numpy()


def test_the_order_of_tokens_does_not_matter():
    window = next(recorded_windows("rope2d"))
    engine = engine_of_folder(UPSTREAM)
    order = np.random.default_rng(0).permutation(len(window.frame))
    scores = scores_of(engine, window.coordinates, window.features)
    shuffled = scores_of(engine, window.coordinates[order], window.features[order])
    # Sums in another order: the rounding of float32.
    np.testing.assert_allclose(shuffled, scores[np.ix_(order, order)], rtol=0, atol=2e-5)


@pytest.mark.parametrize("name", CASES)
def test_a_window_of_one_token_has_no_links(name):
    window = next(recorded_windows(name))
    engine = engine_of_folder(model_folder(name))
    scores = scores_of(engine, window.coordinates[:1], window.features[:1])
    assert scores.tolist() == [[0.0]]


def test_a_window_of_one_frame_has_no_links():
    window = next(recorded_windows("rope2d"))
    first = window.frame == window.frame[0]
    scores = scores_of(
        engine_of_folder(UPSTREAM), window.coordinates[first], window.features[first]
    )
    assert not scores.any()


def test_far_from_the_origin_scores_keep_their_precision():
    """Attention and scores depend on positions through angles, which grow with the movie."""
    rng = np.random.default_rng(0)
    model, engine = load_model(UPSTREAM).double(), engine_of_folder(UPSTREAM)
    frame = np.repeat(np.arange(4), 20)
    coordinates = np.column_stack([frame, rng.integers(0, 100, (80, 2)) + 4000]).astype(float)
    features = next(recorded_windows("rope2d")).features[:1].repeat(80, axis=0)
    expected = dense_scores(model, coordinates, features.astype(np.float32), frame)
    assert expected.max() > 0.5
    # Angles in float32 would differ by 4000 * 6e-8 in the last digit, and scores by 1e-4 and more.
    np.testing.assert_allclose(
        scores_of(engine, coordinates, features), expected, rtol=0, atol=3e-5
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
    engine = engine_of_folder(UPSTREAM)
    windows = [tokens for tokens in export.verification_windows(spec) if len(tokens.features) > 10]
    assert {len(tokens.features) for tokens in windows} == {100, 1000}
    for tokens in windows:
        assert len(np.unique(tokens.coordinates[:, 0])) == spec.window - 1
        assert scores_of(engine, tokens.coordinates, tokens.features).max() > 0.5


@pytest.mark.usefixtures("quick_verification")
def test_import_writes_a_model(tmp_path):
    path = tmp_path / "model.onnx"
    result = CliRunner().invoke(main, ["import", str(UPSTREAM), "-o", str(path)])
    assert result.exit_code == 0, result.output
    assert path.is_file()


@pytest.mark.usefixtures("quick_verification")
def test_import_takes_other_weights(tmp_path):
    """Those of Lightning, as upstream's training leaves them beside the best model."""
    other = load_model(UPSTREAM).state_dict()
    other["head_y.fc2.bias"] += 1
    lightning = tmp_path / "checkpoints" / "last.ckpt"
    lightning.parent.mkdir()
    torch.save({"state_dict": {f"model.{key}": value for key, value in other.items()}}, lightning)
    path = tmp_path / "model.onnx"
    command = ["import", str(UPSTREAM), "--weights", str(lightning), "-o", str(path)]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    (bias,) = (v for v in onnx.load(path).graph.initializer if v.name == "head_y.fc2.bias")
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(bias), other["head_y.fc2.bias"])


@pytest.mark.parametrize(
    ("name", "entries", "reason"),
    [
        ("config.yaml", "pretrained_feat_dim: 256\n", "needs features of a pretrained image"),
        ("train_config.yaml", "features: pretrained_feats\n", "the features 'pretrained_feats'"),
        ("model.pt", "", "cannot be read as weights"),
        ("model.pt", None, "model.pt is missing"),
    ],
)
def test_import_says_in_one_sentence_what_is_wrong(tmp_path, name, entries, reason):
    folder = tmp_path / "model"
    shutil.copytree(UPSTREAM, folder)
    if entries is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(entries)
    result = CliRunner().invoke(main, ["import", str(folder), "-o", str(tmp_path / "a.onnx")])
    assert result.exit_code == 2
    # Not its stderr, which click 8.1 does not keep apart.
    assert result.output.startswith("Error: ")
    assert reason in result.output
    assert result.output.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_file_of_an_earlier_engine_is_refused(tmp_path):
    graph = build_graph(load_model(UPSTREAM), load_spec(UPSTREAM))
    renamed = next(value for value in graph.graph.input if value.name == "candidates")
    for node in graph.graph.node:
        node.input[:] = ["pairs" if name == "candidates" else name for name in node.input]
    renamed.name = "pairs"
    path = tmp_path / "old.onnx"
    onnx.save(graph, path)
    with pytest.raises(ModelError, match="earlier engine; export the model again"):
        AssociationModel.load(path, device="cpu")


@pytest.mark.parametrize("name", CASES)
def test_an_exported_model_is_read_back_as_it_was(name, tmp_path, quick_verification):
    """Golden models of all kinds of attention: the same weights, which give the same file."""
    model, spec = load_model(model_folder(name)), load_spec(model_folder(name))
    export.export_model(model, spec, tmp_path / "model.onnx")
    read, read_spec = read_exported(tmp_path / "model.onnx")
    assert read.config == model.config
    assert replace(read_spec, n_parameters=0) == spec
    learned = dict(read.named_parameters())
    for key, weights in model.named_parameters():
        assert torch.equal(learned[key], weights), key
    export.export_model(read, read_spec, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == (tmp_path / "model.onnx").read_bytes()


@pytest.mark.parametrize("name", embedded_models())
def test_embedded_models_are_read_by_name_and_score_as_their_file(name, quick_verification):
    model, spec = read_model(name)
    assert spec.name == name
    assert export.largest_difference(model, model_path(name)) < SCORE_TOLERANCE


def test_files_that_are_no_networks_are_refused_in_one_sentence(tmp_path, quick_verification):
    path = tmp_path / "model.onnx"
    with pytest.raises(ModelError, match="there is no model"):
        read_model(path)
    path.write_bytes(b"nothing")
    with pytest.raises(ModelError, match="cannot be read as an ONNX model"):
        read_model(path)
    model = build_graph(load_model(UPSTREAM), load_spec(UPSTREAM))
    names = [entry.name for entry in model.graph.initializer]
    del model.graph.initializer[names.index("norm.weight")]
    onnx.save(model, path)
    with pytest.raises(ModelError, match=r"lacks the weights norm\.weight"):
        read_model(path)
    onnx.helper.set_model_props(model, {METADATA_KEY: load_spec(UPSTREAM).to_json()})
    onnx.save(model, path)
    with pytest.raises(ModelError, match="does not say what network it holds"):
        read_model(path)


@pytest.mark.parametrize("name", embedded_models())
def test_unseen_tokens_weigh_nothing_and_are_no_subnormal_numbers(name):
    """Whether their logit is 25 above the largest that is seen, or 35 below."""
    graph = onnx.load(model_path(name)).graph
    constants = [onnx.numpy_helper.to_array(entry) for entry in graph.initializer]
    numbers = {float(array.item()) for array in constants if array.size == 1}
    assert UNSEEN_LOGIT in numbers
    assert MASKED_LOGIT not in numbers
    weights = np.exp(np.float32([UNSEEN_LOGIT + 25, UNSEEN_LOGIT - 35]))
    assert 100 * weights[0] < np.finfo(np.float32).eps
    assert weights[1] > np.finfo(np.float32).tiny
