"""Checkpoint folders in upstream's form; ours also have the ModelSpec.

A folder contains `config.yaml` (TransformerConfig), `model.pt` (a state dict) and, if it is ours,
`spec.json`. Upstream's folders have `train_config.yaml` instead (its `TrackingTransformer.save`
and scripts/train.py), so the same functions load both.
"""

from collections.abc import Mapping
from dataclasses import asdict, fields
from json import JSONDecodeError
from pathlib import Path
from typing import Any

import torch
import yaml

from trackastra_engine.errors import ModelError, first_line
from trackastra_engine.files.atomic import new_file
from trackastra_engine.model.spec import ModelSpec
from trackastra_engine.model.tokens import token_feature_count
from trackastra_training.transformer import TrackingTransformer, TransformerConfig

CONFIG_FILE = "config.yaml"
WEIGHTS_FILE = "model.pt"
SPEC_FILE = "spec.json"
UPSTREAM_TRAINING_FILE = "train_config.yaml"
LIGHTNING_PREFIX = "model."  # of parameter names in the checkpoints of upstream's trainer


def save_model(model: TrackingTransformer, spec: ModelSpec, folder: Path) -> None:
    """Write the checkpoint: each file whole or not at all, the weights last.

    Raises ModelError if the spec describes another network than this one.
    """
    check_fit(model.config, spec)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    entries = asdict(model.config)
    if not model.config.pair_width:
        del entries["pair_width"]  # upstream rejects unknown entries
    config = yaml.safe_dump(entries)
    weights = {name: value.detach().cpu() for name, value in model.state_dict().items()}
    with new_file(folder / CONFIG_FILE) as path:
        path.write_text(config)
    with new_file(folder / SPEC_FILE) as path:
        path.write_text(spec.to_json() + "\n")
    with new_file(folder / WEIGHTS_FILE) as path:
        torch.save(weights, path)


def load_model(folder: Path, weights_file: Path | None = None) -> TrackingTransformer:
    """Return the model of a checkpoint folder, ours or upstream's, on the CPU and in eval mode.

    weights_file: a state dict, or a checkpoint of Lightning, instead of the folder's `model.pt`.

    Raises ModelError if a file is missing or the weights are not those of the configuration.
    """
    folder = Path(folder)
    model = TrackingTransformer(load_config(folder))
    path = _existing(weights_file or folder / WEIGHTS_FILE)
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises errors of many kinds, without a common base
        raise ModelError(f"{path} cannot be read as weights ({first_line(error)})") from error
    if not isinstance(weights, Mapping):
        raise ModelError(f"{path} contains no state dict but a {type(weights).__name__}")
    try:
        model.load_state_dict(_without_lightning(weights))
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ModelError(f"the weights in {path} do not fit {folder / CONFIG_FILE}") from error
    return model.eval()


def load_config(folder: Path) -> TransformerConfig:
    """Return the configuration of a checkpoint folder, ours or upstream's.

    Raises ModelError if it is missing or its network cannot be built.
    """
    path = Path(folder) / CONFIG_FILE
    entries = _read_yaml(path)
    if "pretrained_feat_dim" in entries:
        raise ModelError(
            f"{path} describes a model that needs features of a pretrained image network "
            "(pretrained_feat_dim), which the engine does not compute"
        )
    unknown = entries.keys() - {field.name for field in fields(TransformerConfig)}
    if unknown:
        raise ModelError(f"{path} has unknown entries: {', '.join(sorted(map(str, unknown)))}")
    try:
        return TransformerConfig(**entries)
    except TypeError as error:  # a value of a wrong type, such as text for a number
        raise ModelError(f"{path} has a value of a wrong type ({error})") from error


def load_spec(folder: Path) -> ModelSpec:
    """Return the ModelSpec of a checkpoint folder, ours or upstream's.

    Raises ModelError if the folder lacks it, or the engine cannot compute the model's features.
    """
    folder = Path(folder)
    config = load_config(folder)
    path = folder / SPEC_FILE
    if not path.is_file():
        spec = _upstream_spec(config, folder)
    else:
        try:
            spec = ModelSpec.from_json(path.read_text())
        except JSONDecodeError as error:
            raise ModelError(f"{path} is not JSON ({error})") from error
    check_fit(config, spec)
    return spec


def check_fit(config: TransformerConfig, spec: ModelSpec) -> None:
    """Raise ModelError at the first difference between the spec and the network."""
    facts = {
        "spatial axes": (config.coord_dim, spec.ndim),
        "frames in a window": (config.window, spec.window),
        "cutoff": (config.spatial_pos_cutoff, spec.cutoff),
        "features": (config.feat_dim, token_feature_count(spec.recipe, spec.ndim)),
    }
    for fact, (of_network, of_spec) in facts.items():
        if of_network != of_spec:
            raise ModelError(
                f"the model {spec.name!r} does not fit its description: "
                f"{fact} {of_network} against {of_spec}"
            )


def _upstream_spec(config: TransformerConfig, folder: Path) -> ModelSpec:
    path = folder / UPSTREAM_TRAINING_FILE
    options = _read_yaml(path)
    features = options.get("features")
    if features != "wrfeat":
        raise ModelError(
            f"{path} names the features {features!r}; the engine computes upstream's 'wrfeat' only"
        )
    return ModelSpec(
        name=folder.resolve().name,
        ndim=config.coord_dim,
        window=config.window,
        recipe="upstream",
        normalisation="movie",
        cutoff=config.spatial_pos_cutoff,
        averaging="above_threshold",
        max_frame_gap=_learned_gap(options.get("delta_cutoff"), config.window),
        accepts_planes=config.coord_dim == 3,
    )


def _learned_gap(delta_cutoff: Any, window: int) -> int:
    """Return the longest link, in frames, in upstream's loss (scripts/train.py)."""
    return min(delta_cutoff, window - 1) if isinstance(delta_cutoff, int) else 1


def _without_lightning(weights: Mapping[str, Any]) -> Mapping[str, Any]:
    if "state_dict" not in weights:
        return weights
    return {
        name.removeprefix(LIGHTNING_PREFIX): value
        for name, value in weights["state_dict"].items()
        if name.startswith(LIGHTNING_PREFIX)
    }


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        entries = yaml.safe_load(_existing(path).read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ModelError(f"{path} is not YAML ({first_line(error)})") from error
    if not isinstance(entries, dict):
        raise ModelError(f"{path} must contain names and values")
    return entries


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise ModelError(f"{path} is missing; a checkpoint folder needs it")
    return path
