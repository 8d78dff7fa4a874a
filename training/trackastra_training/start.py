"""A model before its training: a new network, or one to be trained further; and its teacher."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from trackastra_engine.errors import InputError, ModelError
from trackastra_engine.model.spec import ModelSpec
from trackastra_engine.model.tokens import SPACING_UNITS, token_feature_count
from trackastra_training.configuration import Configuration, ModelOptions
from trackastra_training.from_onnx import read_model
from trackastra_training.transformer import TrackingTransformer, TransformerConfig

# Usual reach of attention and links, in typical spacings, by spatial axes: benchmarks/reach.py.
REACH = {2: 8.0, 3: 5.5}


def network_config(options: ModelOptions) -> TransformerConfig:
    """Return the shape of a network for `relative` tokens."""
    return TransformerConfig(
        coord_dim=options.ndim,
        feat_dim=token_feature_count("relative", options.ndim),
        d_model=options.d_model,
        nhead=options.n_heads,
        num_encoder_layers=options.n_layers,
        num_decoder_layers=options.n_layers,
        dropout=options.dropout,
        pos_embed_per_dim=32,
        feat_embed_per_dim=8,
        window=options.window,
        spatial_pos_cutoff=SPACING_UNITS * (options.reach or REACH[options.ndim]),
        attn_positional_bias="rope",
        causal_norm="quiet_softmax",
        attn_dist_mode="v1",
        pair_width=options.pair_width,
    )


def spec_of(config: TransformerConfig, name: str, description: str) -> ModelSpec:
    """Return the ModelSpec of a network that was trained here from scratch."""
    return ModelSpec(
        name=name,
        ndim=config.coord_dim,
        window=config.window,
        recipe="relative",
        normalisation="window",
        cutoff=config.spatial_pos_cutoff,
        averaging="all",
        max_frame_gap=min(2, config.window - 1),
        scores_are_probabilities=True,
        uses_voxel_size=config.coord_dim == 3,
        description=description,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """A model before its training, with its configuration."""

    configuration: Configuration  # its [model] describes `model`
    spec: ModelSpec
    model: TrackingTransformer


def new_start(configuration: Configuration) -> Start:
    """Return a new network with random weights, which follow from the seed.

    Parameters
    ----------
    configuration : Configuration
        See training/README.md.

    Returns
    -------
    Start

    Examples
    --------
    >>> new_start(configuration).spec.window
    4
    """
    # The reach is recorded, so that a run does not resume with another usual one.
    options = configuration.model
    options = replace(options, reach=options.reach or REACH[options.ndim])
    config = network_config(options)
    torch.manual_seed(configuration.training.seed)
    spec = spec_of(config, options.name, options.description)
    return Start(replace(configuration, model=options), spec, TrackingTransformer(config))


def start_from_model(configuration: Configuration, model: str | Path) -> Start:
    """Return a model to be trained further.

    Its shape and tokens stay; the configuration gives a new name, description and dropout, and, if
    chosen, another reach. A model for our tokens that has no pair terms gets them: it scores as
    before until it learns.

    Parameters
    ----------
    configuration : Configuration
        See training/README.md.
    model : str or Path
        A checkpoint folder, the name of an embedded model or the path of an .onnx file.

    Returns
    -------
    Start

    Raises
    ------
    ModelError
        If there is no such model, or it cannot be read.
    InputError
        If a reach is chosen for a model with the tokens of upstream, which are in pixels.

    Examples
    --------
    >>> start_from_model(configuration, "general_2d").configuration.model.ndim
    2
    """
    (trained, spec), options = read_model(model), configuration.model
    pair_width, cutoff = trained.config.pair_width, spec.cutoff
    if spec.recipe == "relative":
        pair_width = pair_width or options.pair_width
        cutoff = SPACING_UNITS * options.reach or cutoff
    elif options.reach:
        raise InputError(f"{model} sees pixels, not spacings; leave out model.reach")
    torch.manual_seed(configuration.training.seed)
    network = TrackingTransformer(
        replace(
            trained.config,
            dropout=options.dropout,
            pair_width=pair_width,
            spatial_pos_cutoff=cutoff,
        )
    )
    network.load_state_dict({**network.state_dict(), **trained.state_dict()})
    shape = replace(
        options,
        ndim=network.config.coord_dim,
        window=network.config.window,
        d_model=network.config.d_model,
        n_layers=network.config.num_encoder_layers,
        n_heads=network.config.nhead,
        pair_width=pair_width,
        reach=cutoff / SPACING_UNITS if spec.recipe == "relative" else 0.0,
    )
    # Decisions adapted the scores of the model before, not those that it learns.
    spec = replace(
        spec,
        name=options.name,
        description=options.description,
        cutoff=cutoff,
        adaptation=None,
    )
    return Start(replace(configuration, model=shape), spec, network)


def read_teacher(model: str, data_root: Path, spec: ModelSpec) -> TrackingTransformer:
    """Return the network of a model that sees windows as a spec describes.

    model: a name, or a path that begins at the data root.

    Raises ModelError if it sees them differently, or cannot be read.
    """
    path = data_root / model
    network, its_spec = read_model(path if path.exists() else model)
    for fact in ("ndim", "window", "recipe", "cutoff"):
        its, ours = getattr(its_spec, fact), getattr(spec, fact)
        if its != ours:
            raise ModelError(
                f"the teacher {model} has {fact} {its}, the model {ours}; choose a teacher that "
                "sees windows as the model does"
            )
    return network
