"""The training loop: batches in, a checkpoint folder out."""

import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from trackastra_engine.simulation import KnownMovie
from trackastra_engine.spec import ModelSpec
from trackastra_engine.tokens import token_feature_count
from trackastra_training.checkpoint import save_model
from trackastra_training.data import DataOptions, batches
from trackastra_training.loss import Batch, batch_loss
from trackastra_training.transformer import TrackingTransformer, TransformerConfig
from trackastra_training.validation import simulated_validation_movies, validate

logger = logging.getLogger(__name__)

SMOOTHING = 0.99  # share of the loss reported that comes from the steps before
CUTOFF = 128.0  # reach of the network: 8 typical spacings of 16 units (tokens.py)


@dataclass(frozen=True, slots=True)
class TrainingOptions:
    """How long and how fast to learn."""

    minutes: float = 25.0
    max_steps: int = 1_000_000
    seed: int = 0
    learning_rate: float = 8e-4  # at its highest
    warmup_steps: int = 150
    weight_decay: float = 0.01
    max_gradient: float = 1.0  # norm at which gradients are clipped
    minutes_between_checks: float = 4.0  # checks validate and save
    n_validation_movies: int = 16  # simulated


@dataclass(frozen=True, slots=True)
class TrainingState:
    """Where a training stands."""

    step: int
    share_done: float  # 0 to 1, of the steps or of the time
    loss: float  # smoothed


Report = Callable[[TrainingState], None]


def default_config(
    ndim: int, window: int, *, d_model: int = 128, n_layers: int = 3
) -> TransformerConfig:
    """Return a network for `relative` tokens; `n_layers` each in encoder and decoder."""
    return TransformerConfig(
        coord_dim=ndim,
        feat_dim=token_feature_count("relative", ndim),
        d_model=d_model,
        num_encoder_layers=n_layers,
        num_decoder_layers=n_layers,
        dropout=0.0,
        pos_embed_per_dim=32,
        feat_embed_per_dim=8,
        window=window,
        spatial_pos_cutoff=CUTOFF,
        attn_positional_bias="rope",
        causal_norm="quiet_softmax",
        attn_dist_mode="v1",
    )


def spec_of(config: TransformerConfig, name: str, description: str) -> ModelSpec:
    """Return what the engine must know of a network that was trained here."""
    return ModelSpec(
        name=name,
        ndim=config.coord_dim,
        window=config.window,
        recipe="relative",
        normalisation="window",
        cutoff=config.spatial_pos_cutoff,
        averaging="all",
        max_frame_gap=2,
        description=description,
    )


def train(
    config: TransformerConfig,
    spec: ModelSpec,
    folder: Path,
    *,
    data: DataOptions,
    options: TrainingOptions,
    movies: Sequence[KnownMovie] = (),
    validation: Sequence[KnownMovie] = (),
    report: Report = lambda state: None,
) -> TrackingTransformer:
    """Train a new network, and leave its latest checkpoint in `folder`.

    movies: annotated ones to learn from beside the simulated; validation: to be measured on only.
    """
    torch.manual_seed(options.seed)
    model = TrackingTransformer(config)
    stream = batches(movies, data, options.seed)
    known = {
        "simulated": simulated_validation_movies(options.n_validation_movies, config.coord_dim)
    }
    if validation:
        known["held out"] = list(validation)

    def check(state: TrainingState) -> None:
        for name, group in known.items():
            scores = validate(model, spec, group)
            logger.info(
                "step %d, loss %.3f, %s: edge F1 %.4f, division F1 %.3f",
                *(state.step, state.loss, name, scores.edges.f1, scores.divisions.f1),
            )
        save_model(model, spec, folder)

    optimise(model, stream, options, report=report, check=check)
    return model


def optimise(
    model: TrackingTransformer,
    stream: Iterable[Batch],
    options: TrainingOptions,
    *,
    report: Report = lambda state: None,
    check: Report = lambda state: None,
) -> TrainingState:
    """Take steps until time or steps are used up; `check` runs now and then, and at the end."""
    optimiser = torch.optim.AdamW(
        model.parameters(), options.learning_rate, weight_decay=options.weight_decay, fused=True
    )
    model.train()
    started = last_check = time.monotonic()
    state = TrainingState(0, 0.0, math.nan)
    for batch in stream:
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(state, options)
        loss = _take_step(model, batch, optimiser, options.max_gradient)
        elapsed = (time.monotonic() - started) / 60
        step = state.step + 1
        share = max(step / options.max_steps, elapsed / options.minutes)
        # Early on, the mean of all steps; later, of about 1 / (1 - SMOOTHING).
        keep = min(SMOOTHING, 1 - 1 / step)
        smoothed = loss if step == 1 else keep * state.loss + (1 - keep) * loss
        state = TrainingState(step, min(share, 1.0), smoothed)
        report(state)
        if share >= 1:
            break
        if time.monotonic() - last_check > 60 * options.minutes_between_checks:
            check(state)
            last_check = time.monotonic()
    check(state)
    return state


def learning_rate(state: TrainingState, options: TrainingOptions) -> float:
    """Return the rate of the next step: a linear warm-up, then a cosine down to 0 at the end."""
    warmup = min(1.0, (state.step + 1) / options.warmup_steps)
    return options.learning_rate * warmup * 0.5 * (1 + math.cos(math.pi * state.share_done))


def _take_step(
    model: TrackingTransformer,
    batch: Batch,
    optimiser: torch.optim.Optimizer,
    max_gradient: float,
) -> float:
    optimiser.zero_grad(set_to_none=True)
    loss = batch_loss(model, batch)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), max_gradient)
    optimiser.step()
    return loss.item()
