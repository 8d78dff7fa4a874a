"""The shape of the network, with the names of upstream's config.yaml."""

from dataclasses import dataclass
from typing import Literal

from trackastra_engine.errors import ModelError


@dataclass(frozen=True, slots=True)
class TransformerConfig:
    """The shape of the network; names and defaults are upstream's, except the last field."""

    coord_dim: int = 3  # spatial axes, 2 or 3
    feat_dim: int = 0  # features of a token
    d_model: int = 128
    nhead: int = 4
    num_encoder_layers: int = 4
    num_decoder_layers: int = 4
    dropout: float = 0.1  # of the attention weights, in training
    pos_embed_per_dim: int = 32
    feat_embed_per_dim: int = 1  # 1: features are not encoded
    window: int = 6  # frames
    spatial_pos_cutoff: float = 256  # reach of attention, in the units of the coordinates
    attn_positional_bias: Literal["rope", "bias", "none"] = "rope"
    attn_positional_bias_n_spatial: int = 16  # distance buckets of the mode "bias"
    causal_norm: Literal["quiet_softmax", "softmax", "linear", "none"] = "quiet_softmax"
    attn_dist_mode: Literal["v0", "v1"] = "v0"
    pair_width: int = 0  # ours: numbers that weigh the shapes of a pair (shape_overlap.py); 0: none

    def __post_init__(self) -> None:
        """Raise ModelError at the first invalid field."""
        checks = {
            f"coord_dim must be 2 or 3, not {self.coord_dim}": self.coord_dim in (2, 3),
            "the numbers of layers, heads, frames and distance buckets must be at least 1": min(
                self.num_encoder_layers,
                self.num_decoder_layers,
                self.nhead,
                self.window,
                self.attn_positional_bias_n_spatial,
            )
            >= 1,
            f"d_model {self.d_model} must be a multiple of 2 * nhead = {2 * self.nhead}": (
                self.d_model > 0 and self.nhead > 0 and self.d_model % (2 * self.nhead) == 0
            ),
            f"pos_embed_per_dim must be even, not {self.pos_embed_per_dim}": (
                self.pos_embed_per_dim > 0 and self.pos_embed_per_dim % 2 == 0
            ),
            f"feat_embed_per_dim must be 1 or even, not {self.feat_embed_per_dim}": (
                self.feat_embed_per_dim == 1
                or (self.feat_embed_per_dim > 0 and self.feat_embed_per_dim % 2 == 0)
            ),
            f"feat_dim must not be negative, but is {self.feat_dim}": self.feat_dim >= 0,
            f"pair_width must not be negative, but is {self.pair_width}": self.pair_width >= 0,
            f"dropout must be in [0, 1), not {self.dropout}": 0 <= self.dropout < 1,
            f"spatial_pos_cutoff must be positive, not {self.spatial_pos_cutoff}": (
                self.spatial_pos_cutoff > 0
            ),
            f"attn_positional_bias '{self.attn_positional_bias}' is unknown; "
            "known are rope, bias, none": self.attn_positional_bias in ("rope", "bias", "none"),
            f"causal_norm '{self.causal_norm}' is unknown; known are quiet_softmax, softmax, "
            "linear, none": self.causal_norm in ("quiet_softmax", "softmax", "linear", "none"),
            f"attn_dist_mode '{self.attn_dist_mode}' is unknown; known are v0, v1": (
                self.attn_dist_mode in ("v0", "v1")
            ),
        }
        for message, holds in checks.items():
            if not holds:
                raise ModelError(message)
