"""The part of the graph that depends only on coordinates; all layers share it."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from trackastra_export.builder import GraphBuilder
from trackastra_training.transformer import (
    DISTANCE_DECAY_V0,
    DISTANCE_DECAY_V1,
    TransformerConfig,
)

# Added to attention logits beyond the cutoff, where upstream has -1000. A weight of exp(-50)
# vanishes next to 1 in float32. With -1000, weights became subnormal numbers, which are slow on
# Intel processors: softmax took ten times as long, and a window up to 1.6 times.
UNSEEN_LOGIT = -50.0


@dataclass(frozen=True, slots=True)
class Blocks:
    """Queries in B blocks of W, each with its own list of keys: names of values in the graph."""

    keys: str  # (B, K) int32, rows of all tokens; -1 for none
    n_keys: str  # (B,) int32, true length of each list
    mask: str  # (B, 1, W, K), added to the attention logits
    bucket: str  # (B, 1, W, K) int32, rows of the bias tables; only in the mode "bias"


def measure_blocks(
    graph: GraphBuilder, config: TransformerConfig, coordinates: str, keys: str, n_keys: str
) -> Blocks:
    """Append the geometry of queries at `coordinates` (B * W, 1 + D), keys (B, K), n_keys (B,)."""
    has_bias = config.attn_positional_bias == "bias"

    def measure(queries: str, block_keys: str) -> list[str]:
        seen = graph.op("Gather", "coordinates", block_keys, axis=0)
        differences = _differences(graph, config, queries, seen)
        squares = [graph.op("Mul", difference, difference) for difference in differences]
        distance = graph.op("Sqrt", graph.op("Sum", *squares[1:]))
        mask = _mask(graph, config, distance, squares, block_keys)
        return [mask, _bias_bucket(graph, distance, differences[0])] if has_bias else [mask]

    queries = in_blocks(graph, coordinates, keys, 1 + config.coord_dim)
    measured = graph.each_block(measure, queries, keys)
    return Blocks(keys, n_keys, measured[0], measured[1] if has_bias else "")


def in_blocks(graph: GraphBuilder, rows: str, keys: str, width: int) -> str:
    """Append rows (B * W, C) as (B, W, C), B being the number of lists of keys (B, K)."""
    n_blocks = graph.op("Shape", keys, start=0, end=1)
    shape = graph.op("Concat", n_blocks, graph.integers(-1, width), axis=0)
    return graph.op("Reshape", rows, shape)


def first(graph: GraphBuilder, values: str, length: str, *, axis: int) -> str:
    """Append the values up to a length (1,) along an axis; a batch of blocks has them all."""
    if graph.form.at_once:
        return values
    start, axes = (graph.constant([number], np.int32) for number in (0, axis))
    return graph.op("Slice", values, start, length, axes)


def turns(graph: GraphBuilder, values: str) -> str:
    """Append the turns, in float64, of the angles `pi / 2 * values` at frequency 1."""
    exact = graph.op("Cast", values, to=TensorProto.DOUBLE)
    return graph.op("Mul", exact, graph.constant(0.25, np.float64))


def waves(graph: GraphBuilder, turns: str, frequencies: str) -> tuple[str, str]:
    """Append the cosines and sines of angles given in turns at frequency 1."""
    # Whole turns are removed in float64: float32 rounds the angles of positions around 1000 so much
    # that scores differ by 1e-4.
    angle = graph.op("Mul", turns, frequencies)
    rest = graph.op("Sub", angle, graph.op("Round", angle))
    radians = graph.op(
        "Mul", graph.op("Cast", rest, to=TensorProto.FLOAT), graph.constant(2 * math.pi)
    )
    return graph.op("Cos", radians), graph.op("Sin", radians)


def _differences(
    graph: GraphBuilder, config: TransformerConfig, queries: str, keys: str
) -> list[str]:
    """Append key minus query (b, 1, W, K) along each axis of (b, W, 1 + D) and (b, K, 1 + D)."""
    columns = graph.op("Transpose", keys, perm=[0, 2, 1])
    keys, queries = (graph.op("Unsqueeze", x, graph.integers(1)) for x in (columns, queries))
    return [
        graph.op(
            "Sub",
            graph.op("Gather", keys, graph.integers(axis), axis=2),
            graph.op("Gather", queries, graph.integers(axis), axis=3),
        )
        for axis in range(1 + config.coord_dim)
    ]


def _mask(
    graph: GraphBuilder, config: TransformerConfig, distance: str, squares: list[str], keys: str
) -> str:
    """Append the addend (b, 1, W, K) to attention logits.

    distance: (b, 1, W, K), as the squared differences; keys: (b, K).
    """
    if config.attn_dist_mode == "v0":
        away = graph.op("Sqrt", graph.op("Sum", *squares))
        decay = graph.constant(-DISTANCE_DECAY_V0)
    else:
        away, decay = distance, graph.constant(-DISTANCE_DECAY_V1 / config.spatial_pos_cutoff)
    closeness = graph.op("Exp", graph.op("Mul", away, decay))
    is_seen = graph.op("LessOrEqual", distance, graph.constant(config.spatial_pos_cutoff))
    if graph.form.at_once:  # else lists are cut to their true length
        is_there = graph.op("GreaterOrEqual", keys, graph.constant(0, np.int32))
        is_there = graph.op("Unsqueeze", is_there, graph.integers(1, 2))
        is_seen = graph.op("And", is_seen, is_there)
    return graph.op("Where", is_seen, closeness, graph.constant(UNSEEN_LOGIT))


def _bias_bucket(graph: GraphBuilder, distance: str, elapsed: str) -> str:
    """Append the bucket (b, 1, W, K) of each pair; time counts from the query to the key."""
    bins = "encoder.0.attn.pos_bias"  # the same in every layer
    spatial_bins = graph.array(f"{bins}.spatial_bins")
    spatial = _bin(graph, distance, spatial_bins)
    temporal = _bin(graph, elapsed, graph.array(f"{bins}.temporal_bins"))
    rows = graph.op("Mul", temporal, graph.constant(float(len(spatial_bins))))
    return graph.op("Cast", graph.op("Add", rows, spatial), to=TensorProto.INT32)


def _bin(graph: GraphBuilder, values: str, bins: NDArray[np.float32]) -> str:
    """Append the number of bins below each value, at most the index of the last (as a float)."""
    is_above = [graph.op("Greater", values, graph.constant(edge)) for edge in bins[:-1]]
    counts = [graph.op("Cast", above, to=TensorProto.FLOAT) for above in is_above]
    return graph.op("Sum", *counts) if counts else graph.op("Mul", values, graph.constant(0.0))
