"""An exported model scores as upstream's network does."""

from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from golden_cases import CASES, model_folder, recorded_windows
from model_forms import NARROW_TOLERANCE, WHOLE_AT_ONCE, engine_at_once, engine_in_turn
from trackastra_engine.model.attention_plan import plan_attention
from trackastra_engine.model.onnx_model import AssociationModel, embedded_models, model_path
from trackastra_engine.model.spec import ModelSpec
from trackastra_engine.model.tokens import Tokens
from trackastra_export import export
from trackastra_export.geometry import UNSEEN_LOGIT
from trackastra_export.graph import build_graph
from trackastra_training.checkpoint import load_model, load_spec
from trackastra_training.transformer import (
    MASKED_LOGIT,
    TrackingTransformer,
    TransformerConfig,
)

# The rounding of float32 in the layers: 6e-6 seen. Wrong arithmetic gives 1e-2 or more.
SCORE_TOLERANCE = 3e-5

UPSTREAM = model_folder("rope2d")

pytestmark = pytest.mark.usefixtures("one_thread")


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
    monkeypatch.setattr("trackastra_engine.model.onnx_model.plan_attention", plan)


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
    """Blocks of 7 among 150 tokens; a fifth of them are within the cutoff of each other."""
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


def test_verification_sees_links_in_crowded_and_sparse_windows():
    """Otherwise only zeros would be compared."""
    spec = load_spec(UPSTREAM)
    engine = engine_of_folder(UPSTREAM)
    windows = [tokens for tokens in export.verification_windows(spec) if len(tokens.features) > 10]
    assert {len(tokens.features) for tokens in windows} == {100, 1000}
    for tokens in windows:
        assert len(np.unique(tokens.coordinates[:, 0])) == spec.window - 1
        assert scores_of(engine, tokens.coordinates, tokens.features).max() > 0.5


@pytest.mark.parametrize("name", embedded_models())
def test_unseen_tokens_have_no_weight_and_give_no_subnormal_numbers(name):
    """Also if their logit is 25 above the largest seen one, or 35 below."""
    graph = onnx.load(model_path(name)).graph
    constants = [onnx.numpy_helper.to_array(entry) for entry in graph.initializer]
    numbers = {float(array.item()) for array in constants if array.size == 1}
    assert UNSEEN_LOGIT in numbers
    assert MASKED_LOGIT not in numbers
    weights = np.exp(np.float32([UNSEEN_LOGIT + 25, UNSEEN_LOGIT - 35]))
    assert 100 * weights[0] < np.finfo(np.float32).eps
    assert weights[1] > np.finfo(np.float32).tiny
