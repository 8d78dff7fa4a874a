"""What training minimises: the paper's eq. (5) to (7)."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from trackastra_training.transformer import TrackingTransformer

SIGMOID_SHARE = 0.01  # λ of eq. (6)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """B windows, padded to N tokens; matrices have sources as rows, targets as columns."""

    coordinates: Tensor  # (B, N, 1 + D) float32
    features: Tensor  # (B, N, F) float32
    frame: Tensor  # (B, N) int64, -1 for padding
    association: Tensor  # (B, N, N) float32, 0 or 1
    weight: Tensor  # (B, N, N) float32, 0 with padding

    def n_tokens(self) -> int:
        """Return the number of tokens without the padding."""
        return int((self.frame >= 0).sum())


def association_loss(logits: Tensor, scores: Tensor, batch: Batch) -> Tensor:
    """Return the weighted cross-entropy of the scores and, a little, of the logits, per token."""
    of_scores = functional.binary_cross_entropy(
        scores, batch.association, batch.weight, reduction="sum"
    )
    of_logits = functional.binary_cross_entropy_with_logits(
        logits, batch.association, batch.weight, reduction="sum"
    )
    return (of_scores + SIGMOID_SHARE * of_logits) / max(batch.n_tokens(), 1)


def batch_loss(model: TrackingTransformer, batch: Batch) -> Tensor:
    """Return the loss of the model's scores for a batch."""
    logits = model(batch.coordinates, batch.features, batch.frame < 0)
    scores = model.normalised_scores(logits, batch.frame, batch.coordinates, forward_only=True)
    return association_loss(logits, torch.clamp(scores, 0.0, 1.0), batch)
