"""The loss of the paper, eq. (5) to (7)."""

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from trackastra_training.transformer import TrackingTransformer

SIGMOID_SHARE = 0.01  # λ of eq. (6)
TEACHER_SHARE = 0.5  # of a teacher's scores in the associations to learn; the rest is the truth


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """B windows, padded to N tokens; matrices have sources as rows, targets as columns."""

    coordinates: Tensor  # (B, N, 1 + D) float32
    features: Tensor  # (B, N, F) float32
    frame: Tensor  # (B, N) int64, -1 for padding
    association: Tensor  # (B, N, N) float32, 0 or 1; in between with a teacher
    weight: Tensor  # (B, N, N) float32, 0 with padding

    def n_tokens(self) -> int:
        """Return the number of tokens without the padding."""
        return int((self.frame >= 0).sum())

    def to(self, device: torch.device) -> "Batch":
        """Return the batch on a device."""
        return Batch(*(getattr(self, f.name).to(device, non_blocking=True) for f in fields(self)))


def association_loss(logits: Tensor, scores: Tensor, batch: Batch) -> Tensor:
    """Return the weighted cross-entropy of the scores and, a little, of the logits, summed."""
    of_scores = functional.binary_cross_entropy(
        scores, batch.association, batch.weight, reduction="sum"
    )
    of_logits = functional.binary_cross_entropy_with_logits(
        logits, batch.association, batch.weight, reduction="sum"
    )
    return of_scores + SIGMOID_SHARE * of_logits


@torch.no_grad()
def softened(batch: Batch, teacher: TrackingTransformer) -> Batch:
    """Return the batch with associations between the truth and the scores of a teacher.

    These also show how similar the wrong pairs are (Hinton et al., "Distilling the knowledge in a
    neural network", 2015).
    """
    logits = teacher(batch.coordinates, batch.features, batch.frame < 0)
    scores = teacher.normalised_scores(logits, batch.frame, batch.coordinates, forward_only=True)
    return replace(batch, association=batch.association.lerp(scores, TEACHER_SHARE))


def batch_loss(
    model: TrackingTransformer,
    batch: Batch,
    *,
    network: nn.Module | None = None,
    precision: torch.dtype = torch.float32,
) -> Tensor:
    """Return the loss of the model's scores for a batch, summed over its tokens.

    network: the model to call, which may be wrapped for several processes. precision: of the
    network only; scores and loss are always computed in float32.
    """
    with torch.autocast(
        batch.frame.device.type, dtype=precision, enabled=precision != torch.float32
    ):
        logits = (network or model)(batch.coordinates, batch.features, batch.frame < 0)
    logits = logits.float()
    scores = model.normalised_scores(logits, batch.frame, batch.coordinates, forward_only=True)
    # A NaN among the scores would abort the process on a GPU; the logits make the loss NaN, too.
    scores = torch.nan_to_num(scores).clamp(0.0, 1.0)
    return association_loss(logits, scores, batch)
