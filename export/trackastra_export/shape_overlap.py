"""The part of the graph that compares the shapes of two detections.

The formulas are those of `trackastra_training.shape_overlap`.
"""

import numpy as np

from trackastra_engine.model.tokens import SPACING_UNITS
from trackastra_export.builder import GraphBuilder
from trackastra_export.values import Value
from trackastra_training.shape_overlap import N_PAIR_FEATURES, Shapes, pair_features
from trackastra_training.transformer import TransformerConfig


def n_shape_numbers(ndim: int) -> int:
    """Return the numbers of a shape: its size, its covariance and the root."""
    return 2 + ndim * (ndim + 1) // 2


def n_pair_facts(config: TransformerConfig) -> int:
    """Return the numbers F that pairs need of each end: time, place, shape, move and the rest."""
    return 1 + 2 * config.coord_dim + n_shape_numbers(config.coord_dim) + config.pair_width


def shape_table(graph: GraphBuilder, config: TransformerConfig) -> str:
    """Append the shapes of all tokens (M, E)."""
    columns = [_element(graph, "features", column, axis=1) for column in range(config.feat_dim)]
    shapes = Shapes.of(columns, config.coord_dim)
    return _stack(graph, [shapes.log_size, *shapes.covariance, shapes.root], axis=1)


def pair_facts(graph: GraphBuilder, role: str, tokens: str, coordinates: str, shapes: str) -> str:
    """Append the numbers (M, F) that pairs need of one end; `role` is source or target.

    tokens: (M, C) of the encoder or decoder; coordinates: (M, 1 + D); shapes: (M, E).
    """
    move = graph.linear(f"pair_terms.{role}_move", tokens)
    move = graph.op("Mul", move, graph.constant(SPACING_UNITS))
    of_token = graph.linear(f"pair_terms.of_{role}", tokens)
    return graph.op("Concat", coordinates, shapes, move, of_token, axis=1)


def pair_terms(graph: GraphBuilder, config: TransformerConfig, sources: str, targets: str) -> str:
    """Append the addend (b, G, W, S) to logits of a batch of blocks.

    sources: facts (b, G, W, S, F); targets: facts (b, W, F). The same as
    `trackastra_training.shape_overlap`.
    """
    ndim = config.coord_dim
    # Each number for all pairs, for the arithmetic: (F, b, G, W, S), (F, b, 1, W, 1). Without the
    # reshaping, ONNX Runtime gathers the numbers one by one from the original table.
    extent = graph.op("Shape", sources, start=0, end=4)
    extent = graph.op("Concat", graph.integers(-1), extent, axis=0)
    sources = graph.op("Reshape", graph.op("Transpose", sources, perm=[4, 0, 1, 2, 3]), extent)
    targets = graph.op("Transpose", targets, perm=[2, 0, 1])
    targets = graph.op("Unsqueeze", targets, graph.integers(2, 4))
    n_numbers = n_pair_facts(config) - config.pair_width
    source, target = (
        [_element(graph, facts, place, axis=0) for place in range(n_numbers)]
        for facts in (sources, targets)
    )
    position, shape, move = slice(1, 1 + ndim), slice(1 + ndim, -ndim), slice(-ndim, None)
    features = pair_features(
        _shapes(source[shape]),
        _shapes(target[shape]),
        [there - here for here, there in zip(source[position], target[position], strict=True)],
        source[move],
        target[move],
    )
    of_source, of_target = (
        graph.op(
            "Slice", facts, graph.integers(n_numbers), graph.integers(2**31), graph.integers(0)
        )
        for facts in (sources, targets)
    )
    flat = graph.op("Reshape", _stack(graph, features), graph.integers(N_PAIR_FEATURES, -1))
    of_pair = graph.op("MatMul", graph.weight("pair_terms.of_pair.weight"), flat)
    of_pair = graph.op("Reshape", of_pair, graph.op("Shape", of_source))
    hidden = graph.op("Relu", graph.op("Sum", of_pair, of_source, of_target))
    hidden = graph.op("Reshape", hidden, graph.integers(config.pair_width, -1))
    summed = graph.op("MatMul", graph.weight("pair_terms.out.weight"), hidden)
    return graph.op("Reshape", summed, graph.op("Shape", of_source, start=1))


def _shapes(numbers: list[Value]) -> Shapes:
    return Shapes(numbers[0], tuple(numbers[1:-1]), numbers[-1])


def _element(graph: GraphBuilder, table: str, place: int, *, axis: int) -> Value:
    return Value(graph, graph.op("Gather", table, graph.constant(place, np.int64), axis=axis))


def _stack(graph: GraphBuilder, values: list[Value], *, axis: int = 0) -> str:
    """Append the values stacked along a new axis."""
    parts = [graph.op("Unsqueeze", value.name, graph.integers(axis)) for value in values]
    return graph.op("Concat", *parts, axis=axis)
