"""The network: from the tokens of a window to association logits and scores.

Parameter names, shapes and arithmetic are those of upstream's `TrackingTransformer` (model.py), so
that its published weights load and give the same scores. The part that depends only on the
coordinates is computed once per forward pass and shared by all layers.
"""

import math

import torch
from torch import Tensor, nn

from trackastra_training.layers import (
    DecoderLayer,
    EncoderLayer,
    FeedForward,
    FourierEncoding,
    Geometry,
    encoding_periods,
)
from trackastra_training.shape_overlap import PairTerms
from trackastra_training.transformer_config import TransformerConfig

__all__ = ["TrackingTransformer", "TransformerConfig"]

MASKED_LOGIT = -1e3  # attention between tokens beyond the cutoff; upstream's value, finite
DISTANCE_DECAY_V0 = 0.1  # per unit of distance in (t, z, y, x), upstream's model_parts.py
DISTANCE_DECAY_V1 = 5.0  # per cutoff of distance in (z, y, x), upstream's model_parts.py
FEATURE_PERIOD = 1000.0  # longest initial period of the feature encoding, upstream's model.py
NORMALISATION_EPS = 1e-6  # in the denominator of the parental softmax, upstream's utils.py


class TrackingTransformer(nn.Module):
    """Scores which token is the parent of which, for the tokens of one window (paper, sec. 3)."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.config = config
        encoded = (1 + config.coord_dim) * config.pos_embed_per_dim
        self.proj = nn.Linear(encoded + config.feat_dim * config.feat_embed_per_dim, config.d_model)
        self.norm = nn.LayerNorm(config.d_model)
        self.encoder = nn.ModuleList(EncoderLayer(config) for _ in range(config.num_encoder_layers))
        self.decoder = nn.ModuleList(DecoderLayer(config) for _ in range(config.num_decoder_layers))
        self.head_x = FeedForward(config.d_model)
        self.head_y = FeedForward(config.d_model)
        self.pair_terms = PairTerms(config) if config.pair_width else None
        self.pos_embed = FourierEncoding(encoding_periods(config), config.pos_embed_per_dim)
        self.feat_embed = (
            nn.Identity()
            if config.feat_embed_per_dim == 1
            else FourierEncoding((FEATURE_PERIOD,) * config.feat_dim, config.feat_embed_per_dim)
        )

    def forward(
        self, coordinates: Tensor, features: Tensor, padding_mask: Tensor | None = None
    ) -> Tensor:
        """Return the association logits (B, N, N): row = source, column = target.

        `coordinates` (B, N, 1 + D) are (t, [z,] y, x) as `tokens.prepare_tokens` returns them: time
        counts from the window's first frame. `features` are (B, N, F). `padding_mask` (B, N) is
        True for tokens to ignore; their coordinates and features must be finite, and their rows and
        columns of the result mean nothing.
        """
        geometry = self._geometry(coordinates, padding_mask)
        encodings = [self.pos_embed(geometry.phase)]
        if self.config.feat_embed_per_dim == 1:
            encodings.append(features)
        elif self.config.feat_dim:
            encodings.append(self.feat_embed(0.5 * math.pi * features))
        tokens = self.norm(self.proj(torch.cat(encodings, dim=-1)))
        memory = tokens
        for layer in self.encoder:
            memory = layer(memory, geometry)
        targets = tokens
        for layer in self.decoder:
            targets = layer(targets, memory, geometry)
        logits = self.head_x(memory) @ self.head_y(targets).transpose(1, 2)
        if self.pair_terms is not None:
            logits = logits + self.pair_terms(memory, targets, coordinates, features)
        return logits

    def normalised_scores(
        self, logits: Tensor, frame: Tensor, coordinates: Tensor, *, forward_only: bool = False
    ) -> Tensor:
        """Return the association scores (B, N, N) in 0..1: the parental softmax (paper, eq. 5).

        `frame` (B, N) holds integers, -1 for padding, that span at most `config.window` frames. An
        entry whose target is later than its source is normalised over the sources of that frame;
        the others over the targets of their frame, or 0 if `forward_only`, as in tracking. Pairs
        beyond the cutoff, or with padding, score 0 and do not count. As upstream's
        `normalize_output` and `blockwise_causal_norm`, for a whole batch at once.
        """
        with torch.no_grad():
            distance = _squared_distance(coordinates[..., 1:]).sqrt()
            padding = frame < 0
            invalid = distance > self.config.spatial_pos_cutoff
            invalid |= padding[:, :, None] | padding[:, None, :]
            is_forward = frame[:, None, :] > frame[:, :, None]
            in_frame = _one_hot_frames(frame, self.config.window)
        if self.config.causal_norm == "none":
            scores = torch.sigmoid(logits).masked_fill(invalid, 0.0)
            return scores.masked_fill(~is_forward, 0.0) if forward_only else scores
        forward = _parental_scores(logits, invalid, in_frame, self.config.causal_norm)
        if forward_only:
            return forward.masked_fill(~is_forward, 0.0)
        backward = _parental_scores(
            logits.transpose(1, 2), invalid, in_frame, self.config.causal_norm
        )
        return torch.where(is_forward, forward, backward.transpose(1, 2))

    @torch.no_grad()
    def _geometry(self, coordinates: Tensor, padding_mask: Tensor | None) -> Geometry:
        config = self.config
        time, space = coordinates[..., :1], coordinates[..., 1:]
        squared = _squared_distance(space)
        distance = squared.sqrt()
        if config.attn_dist_mode == "v0":
            closeness = torch.exp(-DISTANCE_DECAY_V0 * (squared + _squared_distance(time)).sqrt())
        else:
            closeness = torch.exp(-DISTANCE_DECAY_V1 * distance / config.spatial_pos_cutoff)
        mask = closeness + MASKED_LOGIT * (distance > config.spatial_pos_cutoff)
        if padding_mask is not None:
            mask.masked_fill_(padding_mask[:, None, :] | padding_mask[:, :, None], MASKED_LOGIT)
        bucket = None
        if config.attn_positional_bias == "bias":
            bucket = self.encoder[0].attn.pos_bias.bucket(time.squeeze(-1), distance)
        return Geometry(0.5 * math.pi * coordinates, mask.unsqueeze(1), bucket)


def _squared_distance(positions: Tensor) -> Tensor:
    """Return squared distances (B, N, N) of positions (B, N, D), by differences.

    torch.cdist uses a matrix product above 25 points, with errors of 2e-2 in logits.
    """
    squared = torch.zeros((), dtype=positions.dtype, device=positions.device)
    for position in positions.unbind(-1):
        squared = squared + (position[:, :, None] - position[:, None, :]).square()
    return squared


def _one_hot_frames(frame: Tensor, window: int) -> Tensor:
    """Return (B, T, N) booleans, True where a token lies in a frame of its window."""
    first = frame.masked_fill(frame < 0, torch.iinfo(frame.dtype).max).amin(1, keepdim=True)
    from_first = (frame - first).masked_fill(frame < 0, -1)
    return from_first[:, None, :] == torch.arange(window, device=frame.device)[:, None]


def _parental_scores(logits: Tensor, invalid: Tensor, in_frame: Tensor, mode: str) -> Tensor:
    """Return the scores (B, N, N), normalised over the sources of each frame.

    `invalid` (B, N, N) pairs score 0; `in_frame` (B, T, N) is True for the tokens of each frame.
    """
    # Products with 0 and 1 sum the values of a frame and copy the sums back, without an N x N
    # index.
    membership = in_frame.to(logits.dtype)
    if mode == "linear":
        weight = torch.sigmoid(logits).masked_fill(invalid, 0.0)
        rest = torch.zeros_like(membership)
    else:
        logits = logits.masked_fill(invalid, -torch.inf)
        with torch.no_grad():
            frames = in_frame.unbind(1)
            largest = torch.stack(
                [
                    logits.masked_fill(~rows[:, :, None], 0.0).amax(1).clamp(min=0)
                    for rows in frames
                ],
                dim=1,
            )  # (B, T, N)
        weight = torch.exp(logits - membership.transpose(1, 2) @ largest)
        rest = torch.exp(-largest) if mode == "quiet_softmax" else torch.zeros_like(largest)
    total = membership @ weight + NORMALISATION_EPS + rest
    padding = ~in_frame.any(1)
    total_of_pair = membership.transpose(1, 2) @ total + padding[:, :, None].to(total.dtype)
    return (weight / total_of_pair).clamp(0, 1)
