"""How often cells had no parent in training, by the scores of the model; see `linking/rates.py`."""

from collections.abc import Iterable

import numpy as np
import torch

from trackastra_engine.detection.detections import FloatArray, IntArray
from trackastra_engine.linking.rates import BORDER_DIAMETERS
from trackastra_engine.model.edges import MIN_SCORE
from trackastra_engine.model.spec import TrainingRates
from trackastra_training.loss import Batch
from trackastra_training.transformer import TrackingTransformer


@torch.no_grad()
def measure_rates(model: TrackingTransformer, batches: Iterable[Batch]) -> TrainingRates:
    """Return the mean shares of cells without a parent and of second daughters in some batches.

    The batches have `relative` tokens. Targets without weight do not count.
    """
    was_training, device = model.training, next(model.parameters()).device
    model.eval()
    found: list[FloatArray] = []  # per target: whether at the border, and its shares
    for batch in batches:
        there = batch.to(device)
        logits = model(there.coordinates, there.features, there.frame < 0)
        scores = model.normalised_scores(
            logits.float(), there.frame, there.coordinates, forward_only=True
        )
        arrays = (scores.cpu(), batch.frame, batch.features, batch.weight)
        for window in zip(*(array.numpy() for array in arrays), strict=True):
            found.append(_shares(*window))
    model.train(was_training)
    rows = np.concatenate(found)
    mean = np.array([rows[rows[:, 0] == kind, 1:].mean(axis=0) for kind in (0, 1)], float)
    (none_inside, second_inside), (none_border, second_border) = mean.round(4).tolist()
    return TrainingRates(none_inside, none_border, second_inside, second_border)


def _shares(
    scores: FloatArray, frame: IntArray, features: FloatArray, weight: FloatArray
) -> FloatArray:
    """Return rows (M, 3) of the targets: 1 at the border or 0, no parent, and second daughter.

    scores, weight: (N, N), row = source; frame: (N,), -1 for padding; features: (N, F).
    """
    is_step = (frame[None, :] - frame[:, None] == 1) & (frame[:, None] >= 0)
    is_target = (is_step & (weight > 0)).any(axis=0)
    steps = np.where(is_step & (scores >= MIN_SCORE), scores, 0)
    second = np.where(steps < steps.max(axis=1, keepdims=True), steps, 0).sum(axis=0)
    diameter, margin = np.exp(features[:, 0] + features[:, 1]), -np.log(features[:, -1] + 1e-30)
    is_near = margin < BORDER_DIAMETERS * diameter  # both in typical spacings, see tokens.py
    return np.column_stack([is_near, 1 - steps.sum(axis=0), second])[is_target]
