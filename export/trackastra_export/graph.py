"""The network as an ONNX graph, written node by node from its weights.

No tracing: exporters fail on, or take minutes for, what is below (DESIGN.md, section 4). The
graph takes one window, without a batch axis, and ends with the scores, so that the engine needs
no arithmetic of its own. All geometry is computed once and shared by the layers.
"""

import math

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto

from trackastra_engine.spec import ModelSpec
from trackastra_export.builder import GraphBuilder
from trackastra_training.transformer import (
    DISTANCE_DECAY_V0,
    DISTANCE_DECAY_V1,
    MASKED_LOGIT,
    NORMALISATION_EPS,
    TrackingTransformer,
    TransformerConfig,
)


def build_graph(model: TrackingTransformer, spec: ModelSpec) -> ModelProto:
    """Return the model as one self-contained ONNX model with the spec in its metadata.

    Inputs, float32: `coordinates` (N, 1 + D), times being integers 0..window - 1, and `features`
    (N, F), both as `tokens.prepare_tokens` gives them. Output, float32: `scores` (N, N), row =
    source, column = target; 0 unless the target is later and within the cutoff.
    """
    config = model.config
    graph = GraphBuilder(model.state_dict())
    geometry = Geometry(graph, config)
    tokens = _embed(graph, config, geometry)
    memory = tokens
    for i in range(config.num_encoder_layers):
        layer = f"encoder.{i}"
        memory = graph.layer_norm(f"{layer}.norm1", memory)
        gathered = _attend(graph, config, geometry, f"{layer}.attn", memory, memory)
        memory = graph.op("Add", memory, gathered)
        changed = _feed_forward(graph, f"{layer}.mlp", graph.layer_norm(f"{layer}.norm2", memory))
        memory = graph.op("Add", memory, changed)
    targets = tokens
    for i in range(config.num_decoder_layers):
        layer = f"decoder.{i}"
        targets = graph.layer_norm(f"{layer}.norm1", targets)
        seen = graph.layer_norm(f"{layer}.norm2", memory)
        gathered = _attend(graph, config, geometry, f"{layer}.attn", targets, seen)
        targets = graph.op("Add", targets, gathered)
        changed = _feed_forward(graph, f"{layer}.mlp", graph.layer_norm(f"{layer}.norm3", targets))
        targets = graph.op("Add", targets, changed)
    sources = _feed_forward(graph, "head_x", memory)
    targets = graph.op("Transpose", _feed_forward(graph, "head_y", targets), perm=[1, 0])
    logits = graph.op("MatMul", sources, targets)
    graph.op("Identity", _scores(graph, config, geometry, logits), output="scores")
    inputs = {"coordinates": 1 + config.coord_dim, "features": config.feat_dim}
    return graph.model(inputs, {"scores": "N"}, spec)


class Geometry:
    """What depends on the coordinates alone, as names of values in the graph."""

    turns: str  # (N, 1 + D), see `_turns`
    frame: str  # (N, 1), the time column
    is_possible: str  # (N, N) booleans: the target is later than the source and within the cutoff
    mask: str  # (N, N), added to the attention logits
    bucket: str  # (N, N) int64, rows of the bias tables; only in the mode "bias"
    rotary_turns: str  # (N, C / H / 2), the turns behind each angle; only in the mode "rope"

    def __init__(self, graph: GraphBuilder, config: TransformerConfig) -> None:
        cutoff = graph.constant(config.spatial_pos_cutoff)
        self.turns = _turns(graph, "coordinates")
        columns = [
            graph.op("Gather", "coordinates", graph.constant([axis], np.int64), axis=1)
            for axis in range(1 + config.coord_dim)
        ]
        differences = [
            graph.op("Sub", graph.op("Transpose", column, perm=[1, 0]), column)
            for column in columns
        ]  # (N, N), key minus query, or target minus source
        squares = [graph.op("Mul", difference, difference) for difference in differences]
        distance = graph.op("Sqrt", graph.op("Sum", *squares[1:]))
        is_near = graph.op("LessOrEqual", distance, cutoff)
        self.frame = columns[0]
        is_later = graph.op("Greater", differences[0], graph.constant(0.0))
        self.is_possible = graph.op("And", is_near, is_later)
        if config.attn_dist_mode == "v0":
            away = graph.op("Sqrt", graph.op("Sum", *squares))
            decay = graph.constant(-DISTANCE_DECAY_V0)
        else:
            away, decay = distance, graph.constant(-DISTANCE_DECAY_V1 / config.spatial_pos_cutoff)
        closeness = graph.op("Exp", graph.op("Mul", away, decay))
        self.mask = graph.op("Where", is_near, closeness, graph.constant(MASKED_LOGIT))
        if config.attn_positional_bias == "bias":
            self.bucket = _bias_bucket(graph, distance, differences[0])
        if config.attn_positional_bias == "rope":
            axes = [
                axis
                for axis in range(1 + config.coord_dim)
                for _ in graph.array(f"encoder.0.attn.rot_pos_enc.freqs.{axis}").flat
            ]
            self.rotary_turns = graph.op(
                "Gather", self.turns, graph.constant(axes, np.int64), axis=1
            )


def _bias_bucket(graph: GraphBuilder, distance: str, elapsed: str) -> str:
    """Append the bucket (N, N) of each pair; elapsed time counts from the query to the key."""
    bins = "encoder.0.attn.pos_bias"  # the same in every layer
    spatial_bins = graph.array(f"{bins}.spatial_bins")
    spatial = _bin(graph, distance, spatial_bins)
    temporal = _bin(graph, elapsed, graph.array(f"{bins}.temporal_bins"))
    rows = graph.op("Mul", temporal, graph.constant(float(len(spatial_bins))))
    return graph.op("Cast", graph.op("Add", rows, spatial), to=TensorProto.INT64)


def _bin(graph: GraphBuilder, values: str, bins: NDArray[np.float32]) -> str:
    """Append the number of bins below each value, at most the index of the last (as a float)."""
    is_above = [graph.op("Greater", values, graph.constant(edge)) for edge in bins[:-1]]
    counts = [graph.op("Cast", above, to=TensorProto.FLOAT) for above in is_above]
    return graph.op("Sum", *counts) if counts else graph.op("Mul", values, graph.constant(0.0))


def _embed(graph: GraphBuilder, config: TransformerConfig, geometry: Geometry) -> str:
    """Append the tokens (N, C) that both encoder and decoder start from."""
    encodings = [_fourier(graph, "pos_embed", geometry.turns, 1 + config.coord_dim)]
    if config.feat_embed_per_dim == 1:
        encodings.append("features")
    elif config.feat_dim:
        turns = _turns(graph, "features")
        encodings.append(_fourier(graph, "feat_embed", turns, config.feat_dim))
    encoded = graph.op("Concat", *encodings, axis=1)
    return graph.layer_norm("norm", graph.linear("proj", encoded))


def _turns(graph: GraphBuilder, values: str) -> str:
    """Append the turns, in float64, of the angles `pi / 2 * values` at frequency 1."""
    exact = graph.op("Cast", values, to=TensorProto.DOUBLE)
    return graph.op("Mul", exact, graph.constant(0.25, np.float64))


def _waves(graph: GraphBuilder, turns: str, frequencies: str) -> tuple[str, str]:
    """Append the cosines and sines of angles given in turns at frequency 1."""
    # Whole turns go while in float64: float32 rounds the angles of positions around 1000 so much
    # that scores differ by 1e-4.
    angle = graph.op("Mul", turns, frequencies)
    rest = graph.op("Sub", angle, graph.op("Round", angle))
    radians = graph.op(
        "Mul", graph.op("Cast", rest, to=TensorProto.FLOAT), graph.constant(2 * math.pi)
    )
    return graph.op("Cos", radians), graph.op("Sin", radians)


def _fourier(graph: GraphBuilder, name: str, turns: str, n_axes: int) -> str:
    """Append the Fourier encoding of turns (N, A): sines, then cosines, axis by axis."""
    frequencies = np.concatenate([graph.array(f"{name}.freqs.{a}")[0] for a in range(n_axes)])
    spread = graph.op("Unsqueeze", turns, graph.constant([2], np.int64))  # (N, A, 1)
    cosine, sine = _waves(
        graph, spread, graph.derived(f"{name}.freqs", frequencies.astype(np.float64))
    )
    waves = graph.op("Concat", sine, cosine, axis=2)
    return graph.op("Reshape", waves, graph.constant([0, -1], np.int64))


def _feed_forward(graph: GraphBuilder, name: str, tokens: str) -> str:
    return graph.linear(f"{name}.fc2", graph.op("Gelu", graph.linear(f"{name}.fc1", tokens)))


def _attend(
    graph: GraphBuilder,
    config: TransformerConfig,
    geometry: Geometry,
    name: str,
    tokens: str,
    memory: str,
) -> str:
    """Append what the tokens (N, C) gather from the memory (N, C)."""
    query, key, value = (
        graph.op("Unsqueeze", graph.linear(f"{name}.{part}", of), graph.constant([0], np.int64))
        for part, of in (("q_pro", tokens), ("k_pro", memory), ("v_pro", memory))
    )  # (1, N, C)
    mask = geometry.mask
    if config.attn_positional_bias == "rope":
        cosine, sine = _rotation(graph, config, geometry, name)
        query, key = (
            graph.op("RotaryEmbedding", x, cosine, sine, interleaved=1, num_heads=config.nhead)
            for x in (query, key)
        )
    elif config.attn_positional_bias == "bias":
        table = graph.array(f"{name}.pos_bias.bias").T[None]  # (1, H, buckets)
        table_name = graph.derived(f"{name}.pos_bias.table", table)
        mask = graph.op("Add", mask, graph.op("Gather", table_name, geometry.bucket, axis=2))
    gathered = graph.op(
        "Attention",
        query,
        key,
        value,
        mask,
        q_num_heads=config.nhead,
        kv_num_heads=config.nhead,
    )
    gathered = graph.op("Squeeze", gathered, graph.constant([0], np.int64))
    return graph.linear(f"{name}.proj", gathered)


def _rotation(
    graph: GraphBuilder, config: TransformerConfig, geometry: Geometry, name: str
) -> tuple[str, str]:
    """Append the cosines and sines (1, N, C / H / 2) of an attention's learned frequencies."""
    frequencies = np.concatenate(
        [
            graph.array(f"{name}.rot_pos_enc.freqs.{axis}").ravel()
            for axis in range(1 + config.coord_dim)
        ]
    )
    exact = frequencies[None, None].astype(np.float64)
    return _waves(graph, geometry.rotary_turns, graph.derived(f"{name}.rot_pos_enc.freqs", exact))


def _scores(graph: GraphBuilder, config: TransformerConfig, geometry: Geometry, logits: str) -> str:
    """Append the parental softmax of the logits (N, N): `TrackingTransformer.normalised_scores`."""
    zero = graph.constant(0.0)
    if config.causal_norm == "none":
        return graph.op("Where", geometry.is_possible, graph.op("Sigmoid", logits), zero)
    frames = graph.constant(np.arange(config.window)[:, None])  # (T, 1)
    first_axis = graph.constant([0], np.int64)
    row = graph.op("Transpose", geometry.frame, perm=[1, 0])
    in_frame = graph.op("Cast", graph.op("Equal", row, frames), to=TensorProto.FLOAT)  # (T, N)
    frame = graph.op("Cast", graph.op("Squeeze", row, first_axis), to=TensorProto.INT64)
    if config.causal_norm == "linear":
        weight = graph.op("Where", geometry.is_possible, graph.op("Sigmoid", logits), zero)
        rest = graph.constant(NORMALISATION_EPS)
    else:
        possible = graph.op("Where", geometry.is_possible, logits, graph.constant(-np.inf))
        largest = _largest_of_frames(graph, config, geometry, possible)
        spread = graph.op("Gather", largest, frame, axis=0)
        weight = graph.op("Exp", graph.op("Sub", possible, spread))
        rest = graph.constant(NORMALISATION_EPS)
        if config.causal_norm == "quiet_softmax":
            rest = graph.op("Add", rest, graph.op("Exp", graph.op("Neg", largest)))
    total = graph.op("Add", graph.op("MatMul", in_frame, weight), rest)  # (T, N)
    score = graph.op("Div", weight, graph.op("Gather", total, frame, axis=0))
    return graph.op("Clip", score, zero, graph.constant(1.0))


def _largest_of_frames(
    graph: GraphBuilder, config: TransformerConfig, geometry: Geometry, logits: str
) -> str:
    """Append, for each frame and target, the largest logit of its sources, at least 0 (T, N)."""
    zero = graph.constant(0.0)
    first_axis = graph.constant([0], np.int64)
    rows = []
    for frame in range(config.window):
        is_row = graph.op("Equal", geometry.frame, graph.constant(float(frame)))
        of_frame = graph.op("Where", is_row, logits, zero)
        rows.append(graph.op("ReduceMax", of_frame, first_axis, keepdims=1))
    return graph.op("Max", graph.op("Concat", *rows, axis=0), zero)
