"""The network gives the scores of upstream's, and its checkpoints can be read again."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from golden_cases import CASES, model_folder, recorded_windows
from trackastra_engine.errors import ModelError
from trackastra_engine.model.spec import ModelSpec
from trackastra_training.checkpoint import load_model, load_spec, save_model
from trackastra_training.transformer import TrackingTransformer, TransformerConfig

# Upstream's float64 torch.cdist still forms a matrix product, whose cancellation moves the logits
# of `rope3d` (up to 64) by 1e-8; with cdist instead the difference is 0. Elsewhere 4e-14.
LOGIT_TOLERANCE = 2e-8
SCORE_TOLERANCE = 1e-9  # the same 1e-8, through a softmax: 9e-11 seen

SMALL = TransformerConfig(
    coord_dim=2,
    feat_dim=9,
    d_model=32,
    nhead=2,
    num_encoder_layers=1,
    num_decoder_layers=1,
    window=4,
    spatial_pos_cutoff=40,
)
SMALL_SPEC = ModelSpec(
    name="small",
    ndim=2,
    window=4,
    recipe="relative",
    normalisation="window",
    cutoff=40,
    averaging="all",
)
UPSTREAM = model_folder("rope2d")

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def upstream_copy(tmp_path) -> Path:
    return Path(shutil.copytree(UPSTREAM, tmp_path / "general"))


def random_window(n_tokens: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    frame = torch.randint(0, 4, (1, n_tokens), generator=generator).sort().values
    position = 100 * torch.rand(1, n_tokens, 2, generator=generator)
    features = torch.randn(1, n_tokens, 9, generator=generator)
    return torch.cat([frame[..., None], position], -1).double(), features.double(), frame


@pytest.mark.parametrize("name", CASES)
def test_logits_and_scores_equal_upstreams(name):
    model = load_model(model_folder(name)).double()
    for window in recorded_windows(name):
        coordinates = torch.from_numpy(window.coordinates)[None]
        frame = torch.from_numpy(window.frame)[None]
        with torch.inference_mode():
            logits = model(coordinates, torch.from_numpy(window.features)[None])
            scores = model.normalised_scores(logits, frame, coordinates)
            forward = model.normalised_scores(logits, frame, coordinates, forward_only=True)
        np.testing.assert_allclose(logits[0], window.logits, rtol=0, atol=LOGIT_TOLERANCE)
        np.testing.assert_allclose(scores[0], window.scores, rtol=0, atol=SCORE_TOLERANCE)
        np.testing.assert_allclose(forward[0], window.forward_scores, rtol=0, atol=SCORE_TOLERANCE)


@pytest.mark.parametrize("bias", ["rope", "bias", "none"])
@pytest.mark.parametrize("norm", ["quiet_softmax", "softmax", "linear", "none"])
def test_padding_changes_nothing(bias, norm):
    """Two windows of 12 and 7 tokens in one batch score as in single batches."""
    torch.manual_seed(0)
    config = replace(SMALL, attn_positional_bias=bias, causal_norm=norm)
    model = TrackingTransformer(config).double().eval()
    windows = [random_window(12), random_window(7, seed=1)]
    coordinates, features = torch.zeros(2, 12, 3).double(), torch.zeros(2, 12, 9).double()
    frame = torch.full((2, 12), -1)
    for row, (own_coordinates, own_features, own_frame) in enumerate(windows):
        n_tokens = own_frame.shape[1]
        coordinates[row, :n_tokens], features[row, :n_tokens] = own_coordinates[0], own_features[0]
        frame[row, :n_tokens] = own_frame[0]
    logits = model(coordinates, features, frame < 0)
    batched = model.normalised_scores(logits, frame, coordinates)
    for row, (own_coordinates, own_features, own_frame) in enumerate(windows):
        n_tokens = own_frame.shape[1]
        alone = model.normalised_scores(
            model(own_coordinates, own_features), own_frame, own_coordinates
        )
        # Sums in another order: float64 rounding.
        torch.testing.assert_close(batched[row, :n_tokens, :n_tokens], alone[0], rtol=0, atol=1e-12)
        assert not batched[row, n_tokens:].any()
        assert not batched[row, :, n_tokens:].any()


@pytest.mark.parametrize("bias", ["rope", "bias", "none"])
def test_every_parameter_learns_and_no_gradient_is_nan(bias):
    torch.manual_seed(0)
    model = TrackingTransformer(replace(SMALL, attn_positional_bias=bias)).double()
    coordinates, features, frame = random_window(12)
    coordinates, features, frame = (
        torch.cat([value, value[:, :3]], 1) for value in (coordinates, features, frame)
    )
    frame[:, 12:] = -1
    logits = model(coordinates, features, frame < 0)
    scores = model.normalised_scores(logits, frame, coordinates, forward_only=True)
    scores.square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        # The softmax does not change by an equal shift of all keys.
        assert parameter.grad.any() or name.endswith("k_pro.bias"), name


def test_frames_may_start_anywhere():
    """Normalisation uses only the distance of frames to the first, as in upstream."""
    torch.manual_seed(0)
    model = TrackingTransformer(SMALL).double()
    coordinates, features, frame = random_window(12)
    logits = model(coordinates, features)
    shifted = model.normalised_scores(logits, frame + 700, coordinates)
    assert torch.equal(shifted, model.normalised_scores(logits, frame, coordinates))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"coord_dim": 4}, "coord_dim"),
        ({"d_model": 30}, "multiple"),
        ({"nhead": 0}, "at least 1"),
        ({"pos_embed_per_dim": 5}, "pos_embed_per_dim"),
        ({"feat_embed_per_dim": 3}, "feat_embed_per_dim"),
        ({"spatial_pos_cutoff": 0}, "spatial_pos_cutoff"),
        ({"attn_positional_bias": "alibi"}, "alibi"),
        ({"causal_norm": "sparsemax"}, "sparsemax"),
        ({"attn_dist_mode": "v2"}, "v2"),
        ({"dropout": 1.0}, "dropout"),
    ],
)
def test_impossible_configurations_are_rejected(change, reason):
    with pytest.raises(ModelError, match=reason):
        replace(SMALL, **change)


def test_a_checkpoint_survives_the_disk(tmp_path):
    torch.manual_seed(0)
    model = TrackingTransformer(SMALL)
    save_model(model, SMALL_SPEC, tmp_path / "checkpoint")
    loaded = load_model(tmp_path / "checkpoint")
    assert loaded.config == SMALL
    assert load_spec(tmp_path / "checkpoint") == SMALL_SPEC
    for name, value in model.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[name]), name
    names = {path.name for path in (tmp_path / "checkpoint").iterdir()}
    assert names == {"config.yaml", "model.pt", "spec.json"}  # and no unfinished file


def test_a_checkpoint_that_upstream_can_load_has_no_unknown_entries(tmp_path):
    save_model(TrackingTransformer(SMALL), SMALL_SPEC, tmp_path)
    ours, upstreams = (
        yaml.safe_load((folder / "config.yaml").read_text())
        for folder in (tmp_path, model_folder("rope2d"))
    )
    assert ours.keys() <= upstreams.keys()


def test_a_spec_of_another_network_is_not_saved(tmp_path):
    with pytest.raises(ModelError, match="cutoff 40 against 41"):
        save_model(TrackingTransformer(SMALL), replace(SMALL_SPEC, cutoff=41), tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_lightning_checkpoints_load(upstream_copy):
    plain = torch.load(upstream_copy / "model.pt", weights_only=True)
    lightning = {f"model.{name}": value for name, value in plain.items()}
    lightning["criterion.weight"] = torch.ones(1)
    torch.save({"state_dict": lightning, "epoch": 3}, upstream_copy / "model.pt")
    loaded = load_model(upstream_copy).state_dict()
    assert loaded.keys() == plain.keys()
    assert all(torch.equal(loaded[name], plain[name]) for name in plain)


def test_the_spec_of_an_upstream_folder_follows_from_its_files():
    spec = load_spec(model_folder("rope3d"))
    assert (spec.ndim, spec.window, spec.cutoff, spec.accepts_planes) == (3, 4, 64, True)
    assert (spec.recipe, spec.normalisation) == ("upstream", "movie")
    assert spec.averaging == "above_threshold"
    assert not load_spec(UPSTREAM).accepts_planes


@pytest.mark.parametrize("name", ["config.yaml", "model.pt"])
def test_a_missing_file_is_named(upstream_copy, name):
    (upstream_copy / name).unlink()
    with pytest.raises(ModelError, match=f"{name} is missing"):
        load_model(upstream_copy)


@pytest.mark.parametrize("load", [load_model, load_spec])
def test_models_with_pretrained_features_are_rejected(upstream_copy, load):
    config = yaml.safe_load((upstream_copy / "config.yaml").read_text())
    (upstream_copy / "config.yaml").write_text(yaml.safe_dump(config | {"pretrained_feat_dim": 64}))
    with pytest.raises(ModelError, match="pretrained image network"):
        load(upstream_copy)


def test_other_features_than_wrfeat_are_rejected(upstream_copy):
    (upstream_copy / "train_config.yaml").write_text("features: patch\nndim: 2\nwindow: 4\n")
    with pytest.raises(ModelError, match="'patch'"):
        load_spec(upstream_copy)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.yaml", b"[1, 2"),
        ("config.yaml", b"just text"),
        ("config.yaml", b"coord_dim: 2\nheads: 3\n"),
        ("config.yaml", b"d_model: wide\n"),
        ("model.pt", b"not weights"),
        ("model.pt", b""),
    ],
)
def test_broken_files_give_one_sentence(upstream_copy, name, content):
    (upstream_copy / name).write_bytes(content)
    with pytest.raises(ModelError) as caught:
        load_model(upstream_copy)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_of_another_network_are_rejected(upstream_copy):
    config = yaml.safe_load((upstream_copy / "config.yaml").read_text())
    (upstream_copy / "config.yaml").write_text(yaml.safe_dump(config | {"num_encoder_layers": 3}))
    with pytest.raises(ModelError, match="do not fit"):
        load_model(upstream_copy)
