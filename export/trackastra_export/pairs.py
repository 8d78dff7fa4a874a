"""The part of the graph that compares the shapes of two detections.

The formulas are those of `trackastra_training.pairs`. Tables hold a number of all tokens in a row,
so that each number of a block lies together.
"""

import numpy as np
from onnx import TensorProto

from trackastra_engine.tokens import SPACING_UNITS
from trackastra_export.builder import GraphBuilder
from trackastra_export.values import Value
from trackastra_training.pairs import N_PAIR_FEATURES, Shapes, overlap, pair_features
from trackastra_training.transformer import TransformerConfig


def shape_table(graph: GraphBuilder, config: TransformerConfig) -> str:
    """Append the shapes of all tokens (E, M)."""
    columns = [_element(graph, "features", column, axis=1) for column in range(config.feat_dim)]
    shapes = Shapes.of(columns, config.coord_dim)
    return _stack(graph, [shapes.log_size, *shapes.covariance, shapes.determinant])


def overlap_planes(
    graph: GraphBuilder, queries: str, keys: str, differences: list[str], mask: str
) -> str:
    """Append (4, W, K): overlap with keys of earlier frames, of the same, of later; the mask.

    queries, keys: shapes (E, W) and (E, K); differences: key minus query (W, K), time first.
    """
    time, *step = differences
    n_rows = _n_shape_rows(len(step))
    of_all = overlap(
        _shapes(_rows(graph, graph.op("Unsqueeze", queries, graph.integers(2)), n_rows)),
        _shapes(_rows(graph, graph.op("Unsqueeze", keys, graph.integers(1)), n_rows)),
        [Value(graph, difference) for difference in step],
    )
    planes = []
    for compare in ("Less", "Equal", "Greater"):
        is_so = graph.op(compare, time, graph.constant(0.0))
        planes.append(of_all * Value(graph, graph.op("Cast", is_so, to=TensorProto.FLOAT)))
    return _stack(graph, [*planes, Value(graph, mask)])


def weighed_planes(graph: GraphBuilder, planes: str, layer: str, n_heads: int) -> str:
    """Append the addend (1, H, W, K) to attention logits for planes (4, W, K)."""
    weight = graph.array(f"{layer}.overlap_weight")
    with_mask = np.hstack([weight, np.ones((n_heads, 1), np.float32)])  # (H, 4)
    flat = graph.op("Reshape", planes, graph.integers(with_mask.shape[1], -1))
    summed = graph.op("MatMul", graph.derived(f"{layer}.overlap_weight", with_mask), flat)
    extent = graph.op("Shape", planes, start=1)
    shape = graph.op("Concat", graph.integers(1, n_heads), extent, axis=0)
    return graph.op("Reshape", summed, shape)


def pair_facts(graph: GraphBuilder, role: str, tokens: str, coordinates: str, shapes: str) -> str:
    """Append all that pairs need of one of their ends (F, M), `role` being source or target.

    tokens: (M, C) of the encoder or decoder; coordinates: (M, 1 + D); shapes: (E, M).
    """
    move = graph.linear(f"pair_terms.{role}_move", tokens)
    move = graph.op("Mul", move, graph.constant(SPACING_UNITS))
    of_token = graph.linear(f"pair_terms.of_{role}", tokens)
    position, move, of_token = (
        graph.op("Transpose", columns, perm=[1, 0]) for columns in (coordinates, move, of_token)
    )
    return graph.op("Concat", position, shapes, move, of_token, axis=0)


def pair_terms(graph: GraphBuilder, config: TransformerConfig, sources: str, targets: str) -> str:
    """Append the addend (G, W, S) to logits for facts (F, G, W, S) of sources, (F, W) of targets.

    As `trackastra_training.pairs.PairTerms`.
    """
    ndim = config.coord_dim
    targets = graph.op("Unsqueeze", targets, graph.integers(1, 3))
    n_rows = 1 + 2 * ndim + _n_shape_rows(ndim)
    source, target = (_rows(graph, facts, n_rows) for facts in (sources, targets))
    position, shape, move = slice(1, 1 + ndim), slice(1 + ndim, -ndim), slice(-ndim, None)
    features = pair_features(
        _shapes(source[shape]),
        _shapes(target[shape]),
        [there - here for here, there in zip(source[position], target[position], strict=True)],
        source[move],
        target[move],
    )
    of_source, of_target = (
        graph.op("Slice", facts, graph.integers(n_rows), graph.integers(2**31), graph.integers(0))
        for facts in (sources, targets)
    )  # (P, G, W, S) and (P, 1, W, 1)
    flat = graph.op("Reshape", _stack(graph, features), graph.integers(N_PAIR_FEATURES, -1))
    of_pair = graph.op("MatMul", graph.weight("pair_terms.of_pair.weight"), flat)
    of_pair = graph.op("Reshape", of_pair, graph.op("Shape", of_source))
    hidden = graph.op("Relu", graph.op("Sum", of_pair, of_source, of_target))
    hidden = graph.op("Reshape", hidden, graph.integers(config.pair_width, -1))
    summed = graph.op("MatMul", graph.weight("pair_terms.out.weight"), hidden)
    return graph.op("Reshape", summed, graph.op("Shape", of_source, start=1))


def _n_shape_rows(ndim: int) -> int:
    """Return the numbers of a shape: its size, its covariance and the determinant."""
    return 2 + ndim * (ndim + 1) // 2


def _shapes(rows: list[Value]) -> Shapes:
    return Shapes(rows[0], tuple(rows[1:-1]), rows[-1])


def _rows(graph: GraphBuilder, table: str, n_rows: int) -> list[Value]:
    """Append the first rows of a table (F, ...)."""
    return [_element(graph, table, row, axis=0) for row in range(n_rows)]


def _element(graph: GraphBuilder, table: str, place: int, *, axis: int) -> Value:
    return Value(graph, graph.op("Gather", table, graph.constant(place, np.int64), axis=axis))


def _stack(graph: GraphBuilder, values: list[Value]) -> str:
    """Append the values (...) as the rows of a table (F, ...)."""
    rows = [graph.op("Unsqueeze", value.name, graph.integers(0)) for value in values]
    return graph.op("Concat", *rows, axis=0)
