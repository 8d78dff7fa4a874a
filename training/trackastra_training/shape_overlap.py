"""The overlap of the shapes of two detections as ellipses.

Where cells are packed, the overlap of masks is the best single sign of a link, and a product of two
embeddings hardly expresses it. The inertia tensor gives every detection the normal distribution of
its pixels. The overlap of two is their Bhattacharyya coefficient, which follows from tokens only.
Neither the paper nor upstream has it.

The formulas work on all values with arithmetic, `exp`, `log` and `sqrt`: tensors here, values of an
ONNX graph in the export.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from trackastra_engine.model.tokens import SPACING_UNITS
from trackastra_training.transformer_config import TransformerConfig

LOG_SIZE, LOG_SIZE_TO_SPACING, FIRST_INERTIA = 0, 1, 2  # columns of `relative` features
LEAST_VARIANCE = 0.25  # in squared units of the coordinates; that of a single pixel is 0
N_PAIR_FEATURES = 8

Number = Any  # a tensor, or a value of an ONNX graph


@dataclass(frozen=True, slots=True, eq=False)
class Shapes:
    """Ellipses or ellipsoids, in the units of the coordinates."""

    log_size: Number
    covariance: tuple[Number, ...]  # entries on and above the diagonal, row by row
    root: Number  # the fourth root of the covariance's determinant

    @classmethod
    def of(cls, features: Sequence[Number], ndim: int) -> "Shapes":
        """Return the shapes that the columns of `relative` features describe."""
        size = (features[LOG_SIZE] + features[LOG_SIZE_TO_SPACING]).exp() * SPACING_UNITS
        area = size * size
        inertia = [features[FIRST_INERTIA + entry] * area for entry in range(ndim * ndim)]
        # trace(I) = (D - 1) trace(C), as I = trace(C) 1 - C
        trace = _sum(inertia[:: ndim + 1]) * (1 / (ndim - 1)) + LEAST_VARIANCE
        covariance = tuple(
            trace - inertia[row * ndim + column] if row == column else -inertia[row * ndim + column]
            for row in range(ndim)
            for column in range(row, ndim)
        )
        return cls(features[LOG_SIZE], covariance, _adjugate(covariance)[1].sqrt().sqrt())

    def each(self, change: Callable[[Number], Number]) -> "Shapes":
        """Return the shapes with `change` applied to each number, such as a change of axes."""
        covariance = tuple(change(entry) for entry in self.covariance)
        return Shapes(change(self.log_size), covariance, change(self.root))


def squared_distance(covariance: Sequence[Number], step: Sequence[Number]) -> tuple[Number, Number]:
    """Return the squared Mahalanobis distance of a step, and the covariance's determinant."""
    adjugate, determinant = _adjugate(covariance)
    entries = iter(adjugate)
    squared, crossed = [], []
    for row in range(len(step)):
        squared.append(next(entries) * (step[row] * step[row]))
        for column in range(row + 1, len(step)):
            crossed.append(next(entries) * (step[row] * step[column]))
    return (_sum(squared) + _sum(crossed) * 2.0) / determinant, determinant


def overlap(one: Shapes, other: Shapes, step: Sequence[Number]) -> Number:
    """Return the overlap, 0 to 1, of two shapes whose centers are a step apart.

    The Bhattacharyya coefficient of their normal distributions (Bhattacharyya 1943).
    """
    both = [a + b for a, b in zip(one.covariance, other.covariance, strict=True)]
    distance, determinant = squared_distance(both, step)
    # Of the sum of the covariances, not of their mean, hence the powers of 2.
    roots = one.root * (other.root * 2.0 ** (len(step) / 2))
    return (distance * -0.25).exp() * roots / determinant.sqrt()


def pair_features(
    source: Shapes,
    target: Shapes,
    step: Sequence[Number],
    source_move: Sequence[Number],
    target_move: Sequence[Number],
) -> list[Number]:
    """Return N_PAIR_FEATURES numbers for pairs whose target is a step away from the source.

    The moves are the predicted steps of the source to the next frame and of the target from the
    last.
    """
    after_target = [a - b for a, b in zip(step, target_move, strict=True)]
    after_source = [a - b for a, b in zip(step, source_move, strict=True)]
    squared = _sum([a * a for a in step]) * SPACING_UNITS**-2
    return [
        overlap(source, target, step),
        overlap(source, target, after_target),
        overlap(source, target, after_source),
        (squared_distance(source.covariance, step)[0] + 1.0).log(),
        (squared_distance(target.covariance, step)[0] + 1.0).log(),
        (squared_distance(source.covariance, after_target)[0] + 1.0).log(),
        target.log_size - source.log_size,
        (squared + 1.0).log(),
    ]


def _sum(numbers: Sequence[Number]) -> Number:
    return sum(numbers[1:], numbers[0])


def _adjugate(entries: Sequence[Number]) -> tuple[tuple[Number, ...], Number]:
    """Return adjugate and determinant of symmetric matrices (2 x 2 or 3 x 3), by their entries."""
    if len(entries) == 3:
        yy, yx, xx = entries
        return (xx, -yx, yy), yy * xx - yx * yx
    zz, zy, zx, yy, yx, xx = entries
    adjugate = (
        yy * xx - yx * yx,
        zx * yx - zy * xx,
        zy * yx - zx * yy,
        zz * xx - zx * zx,
        zy * zx - zz * yx,
        zz * yy - zy * zy,
    )
    return adjugate, zz * adjugate[0] + zy * adjugate[1] + zx * adjugate[2]


class PairTerms(nn.Module):
    """An addend to the association logits that weighs the features of a pair."""

    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.cutoff = config.spatial_pos_cutoff
        self.source_move = _zero(nn.Linear(config.d_model, config.coord_dim))
        self.target_move = _zero(nn.Linear(config.d_model, config.coord_dim))
        self.of_source = nn.Linear(config.d_model, config.pair_width)
        self.of_target = nn.Linear(config.d_model, config.pair_width)
        self.of_pair = nn.Linear(N_PAIR_FEATURES, config.pair_width, bias=False)
        self.out = _zero(nn.Linear(config.pair_width, 1, bias=False))

    def forward(
        self, memory: Tensor, targets: Tensor, coordinates: Tensor, features: Tensor
    ) -> Tensor:
        """Return the addend (B, N, N), row = source, column = target.

        memory, targets: (B, N, C), outputs of encoder and decoder. The addend is 0 unless the
        target is later than the source and within the cutoff.
        """
        is_later = coordinates[:, None, :, 0] > coordinates[:, :, None, 0]
        step = coordinates[:, None, :, 1:] - coordinates[:, :, None, 1:]
        is_near = step.square().sum(-1) <= self.cutoff**2
        window, source, target = (is_later & is_near).nonzero(as_tuple=True)
        at_source, at_target = (window, source), (window, target)
        shapes = Shapes.of(features.unbind(-1), coordinates.shape[-1] - 1)
        of_pair = pair_features(
            shapes.each(lambda number: number[at_source]),
            shapes.each(lambda number: number[at_target]),
            step[window, source, target].unbind(-1),
            (self.source_move(memory).float() * SPACING_UNITS)[at_source].unbind(-1),
            (self.target_move(targets).float() * SPACING_UNITS)[at_target].unbind(-1),
        )
        hidden = self.of_pair(torch.stack(of_pair, dim=-1))
        hidden = hidden + self.of_source(memory)[at_source] + self.of_target(targets)[at_target]
        addend = self.out(torch.relu(hidden)).squeeze(-1).float()
        pairs = (window, source, target)
        return addend.new_zeros(is_later.shape).index_put(pairs, addend)


def _zero(layer: nn.Linear) -> nn.Linear:
    """Return the layer with weights of 0, so that adding it to a network does not change scores."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer
