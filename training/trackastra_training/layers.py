"""The parts of the network, with the parameter names and arithmetic of upstream's weights.

Upstream: model_parts.py and rope.py; its layers in model.py.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from trackastra_training.transformer_config import TransformerConfig

MLP_EXPANSION = 2  # width of the hidden layer in units of d_model


@dataclass(frozen=True, slots=True, eq=False)
class Geometry:
    """The part of all layers that depends on the coordinates of B windows of N tokens."""

    phase: Tensor  # (B, N, 1 + D), pi / 2 * coordinates
    mask: Tensor  # (B, 1, N, N), added to the attention logits
    bucket: Tensor | None  # (B, N, N) int64, rows of each layer's bias table; None without bias


class FourierEncoding(nn.Module):
    """Sines and cosines of each axis at learned frequencies, `width` numbers an axis."""

    def __init__(self, periods: tuple[float, ...], width: int) -> None:
        super().__init__()
        self.freqs = _frequencies(periods, [width] * len(periods))

    def forward(self, phase: Tensor) -> Tensor:
        """Return the encoding (B, N, A * width) of phase (B, N, A), pi / 2 times the values."""
        parts = []
        for axis, frequency in enumerate(self.freqs):
            angle = phase[..., axis, None] * frequency
            parts += [torch.sin(angle), torch.cos(angle)]
        return torch.cat(parts, dim=-1)


class FeedForward(nn.Module):
    """Two linear layers with a GELU between, (..., C) to (..., C)."""

    def __init__(self, d_model: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(d_model, MLP_EXPANSION * d_model)
        self.fc2 = nn.Linear(MLP_EXPANSION * d_model, d_model)

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the transformed tokens."""
        return self.fc2(functional.gelu(self.fc1(tokens)))


class EncoderLayer(nn.Module):
    """Self-attention whose residual starts at the normalised tokens, as in upstream."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.attn = Attention(config)
        self.mlp = FeedForward(config.d_model)
        self.norm1 = nn.LayerNorm(config.d_model)
        self.norm2 = nn.LayerNorm(config.d_model)

    def forward(self, tokens: Tensor, geometry: Geometry) -> Tensor:
        """Return the encoded tokens (B, N, C)."""
        tokens = self.norm1(tokens)
        tokens = tokens + self.attn(tokens, tokens, geometry)
        return tokens + self.mlp(self.norm2(tokens))


class DecoderLayer(nn.Module):
    """Cross-attention to the encoder; decoder tokens do not see each other."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.attn = Attention(config)
        self.mlp = FeedForward(config.d_model)
        self.norm1 = nn.LayerNorm(config.d_model)
        self.norm2 = nn.LayerNorm(config.d_model)
        self.norm3 = nn.LayerNorm(config.d_model)

    def forward(self, tokens: Tensor, memory: Tensor, geometry: Geometry) -> Tensor:
        """Return the decoded tokens (B, N, C)."""
        tokens = self.norm1(tokens)
        tokens = tokens + self.attn(tokens, self.norm2(memory), geometry)
        return tokens + self.mlp(self.norm3(tokens))


class Attention(nn.Module):
    """Multi-head attention with the positions and times of the tokens."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.n_heads, self.dropout = config.nhead, config.dropout
        self.q_pro = nn.Linear(config.d_model, config.d_model)
        self.k_pro = nn.Linear(config.d_model, config.d_model)
        self.v_pro = nn.Linear(config.d_model, config.d_model)
        self.proj = nn.Linear(config.d_model, config.d_model)
        self.rot_pos_enc = Rotation(config) if config.attn_positional_bias == "rope" else None
        self.pos_bias = RelativeBias(config) if config.attn_positional_bias == "bias" else None

    def forward(self, tokens: Tensor, memory: Tensor, geometry: Geometry) -> Tensor:
        """Return the attention of the tokens (B, N, C) to the memory (B, N, C)."""
        query, key = self._heads(self.q_pro(tokens)), self._heads(self.k_pro(memory))
        value, mask = self._heads(self.v_pro(memory)), geometry.mask
        if self.rot_pos_enc is not None:
            cosine, sine = self.rot_pos_enc(geometry.phase)
            query, key = _rotate(query, cosine, sine), _rotate(key, cosine, sine)
        if self.pos_bias is not None:
            mask = mask + self.pos_bias(geometry.bucket)
        gathered = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=mask, dropout_p=self.dropout if self.training else 0.0
        )
        return self.proj(gathered.transpose(1, 2).flatten(2))

    def _heads(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(-1, (self.n_heads, -1)).transpose(1, 2)  # (B, H, N, C / H)


class Rotation(nn.Module):
    """The angles of rotary attention (Su et al. 2021, eq. 34), at learned frequencies."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        head_width = config.d_model // config.nhead
        per_axis = 2 * (head_width // (2 * (1 + config.coord_dim)))
        widths = [head_width - config.coord_dim * per_axis] + [per_axis] * config.coord_dim
        self.freqs = _frequencies(encoding_periods(config), widths)

    def forward(self, phase: Tensor) -> tuple[Tensor, Tensor]:
        """Return cosines and sines (B, 1, N, C / H / 2) for phase (B, N, 1 + D)."""
        angle = torch.cat([phase[..., a, None] * f for a, f in enumerate(self.freqs)], dim=-1)
        return torch.cos(angle).unsqueeze(1), torch.sin(angle).unsqueeze(1)


class RelativeBias(nn.Module):
    """A learned addend to the attention logits for each bucket of time and distance apart."""

    spatial_bins: Tensor
    temporal_bins: Tensor

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        n_spatial, n_temporal = config.attn_positional_bias_n_spatial, 2 * config.window + 1
        longest = math.log(config.spatial_pos_cutoff + 1)
        self.register_buffer("spatial_bins", torch.exp(torch.linspace(0, longest, n_spatial)))
        self.register_buffer(
            "temporal_bins", torch.linspace(-config.window, config.window, n_temporal)
        )
        self.bias = nn.Parameter(torch.rand(n_temporal * n_spatial, config.nhead) - 0.5)

    def bucket(self, time: Tensor, distance: Tensor) -> Tensor:
        """Return the row of the table (B, N, N) for time (B, N) and distance (B, N, N).

        Time counts from the query to the key: upstream's `transpose(-1, 1)` swaps the two.
        """
        elapsed = time[:, None, :] - time[:, :, None]
        spatial = torch.bucketize(distance, self.spatial_bins)
        temporal = torch.bucketize(elapsed, self.temporal_bins)
        spatial.clamp_(max=len(self.spatial_bins) - 1)
        temporal.clamp_(max=len(self.temporal_bins) - 1)
        return spatial + temporal * len(self.spatial_bins)

    def forward(self, bucket: Tensor) -> Tensor:
        """Return the addend (B, H, N, N) for buckets (B, N, N)."""
        # Rows of a table by index_select: indexing it directly has a slow backward pass.
        rows = self.bias.index_select(0, bucket.flatten())
        return rows.unflatten(0, bucket.shape).permute(0, 3, 1, 2)


def encoding_periods(config: TransformerConfig) -> tuple[float, ...]:
    """Return the longest initial period of each axis: the window in time, the cutoff in space."""
    return (config.window, *[config.spatial_pos_cutoff] * config.coord_dim)


def _frequencies(periods: tuple[float, ...], widths: list[int]) -> nn.ParameterList:
    """Return the initial frequencies of each axis: (1, 1, width / 2), from 1 to 1 / period."""
    return nn.ParameterList(
        torch.exp(torch.linspace(0, -math.log(period), width // 2))[None, None]
        for period, width in zip(periods, widths, strict=True)
    )


def _rotate(heads: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Return neighbouring pairs of channels of heads (B, H, N, C) turned by the angles."""
    even, odd = heads[..., 0::2], heads[..., 1::2]
    turned = even * cosine - odd * sine, odd * cosine + even * sine
    return torch.stack(turned, dim=-1).flatten(-2)
