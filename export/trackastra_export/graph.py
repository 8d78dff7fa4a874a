"""The network as an ONNX graph, written node by node from its weights.

No tracing: exporters fail on, or take minutes for, what is below (DESIGN.md, section 4). The
graph takes one window as tokens in blocks, with the keys that each block sees
(`trackastra_engine.locality`), and ends with the scores of candidate pairs, so that the engine
needs no arithmetic of its own. Every parameter is in the file under its name, so that
`trackastra_training.exported` can read it back.
"""

import json
from dataclasses import asdict

import numpy as np
from onnx import ModelProto, TensorProto

from trackastra_engine.spec import METADATA_KEY, ModelSpec
from trackastra_export.builder import GraphBuilder
from trackastra_export.geometry import Blocks, first, in_blocks, measure_blocks, turns, waves
from trackastra_export.pairs import n_pair_facts, pair_facts, pair_terms, shape_table
from trackastra_training.exported import NETWORK_KEY
from trackastra_training.transformer import (
    NORMALISATION_EPS,
    TrackingTransformer,
    TransformerConfig,
)


def build_graph(model: TrackingTransformer, spec: ModelSpec) -> ModelProto:
    """Return the model as one self-contained ONNX model with the spec in its metadata.

    Inputs: `coordinates` (M, 1 + D), times being integers 0..window - 1, and `features` (M, F),
    float32, both as `tokens.prepare_tokens` gives them; the rest is an `AttentionPlan`. Output,
    float32: `scores` (B', G, W', S) of the plan's candidates.
    """
    config = model.config
    graph = GraphBuilder(model.state_dict())
    network = Network(graph, config)
    tokens = network.embed()
    memory = network.encode(tokens)
    scores = network.score(memory, network.decode(tokens, memory))
    graph.op("Identity", scores, output="scores")
    real, integer = TensorProto.FLOAT, TensorProto.INT32
    inputs = {
        "coordinates": (real, ["M", 1 + config.coord_dim]),
        "features": (real, ["M", config.feat_dim]),
        "encoder_keys": (integer, ["B", "K"]),
        "encoder_key_count": (integer, ["B"]),
        "target": (integer, ["T"]),
        "decoder_keys": (integer, ["b", "k"]),
        "decoder_key_count": (integer, ["b"]),
        "candidates": (integer, ["b", "G", "W", "S"]),
    }
    metadata = {METADATA_KEY: spec.to_json(), NETWORK_KEY: json.dumps(asdict(config))}
    return graph.model(inputs, {"scores": ["b", "G", "W", "S"]}, metadata)


class Network:
    """Appends the network's parts to a graph; values are named."""

    def __init__(self, graph: GraphBuilder, config: TransformerConfig) -> None:
        self.graph, self.config = graph, config
        self.turns = turns(graph, "coordinates")
        self.everyone = measure_blocks(
            graph, config, "coordinates", "encoder_keys", "encoder_key_count"
        )
        self.of_targets = graph.op("Gather", "coordinates", "target", axis=0)
        self.targets = measure_blocks(
            graph, config, self.of_targets, "decoder_keys", "decoder_key_count"
        )
        if config.attn_positional_bias == "rope":
            axes = [
                axis
                for axis in range(1 + config.coord_dim)
                for _ in graph.array(f"encoder.0.attn.rot_pos_enc.freqs.{axis}").flat
            ]
            self.rotary_turns = graph.op("Gather", self.turns, graph.integers(*axes), axis=1)

    def embed(self) -> str:
        """Append the tokens (M, C) that both encoder and decoder start from."""
        graph, config = self.graph, self.config
        encodings = [self._fourier("pos_embed", self.turns, 1 + config.coord_dim)]
        if config.feat_embed_per_dim == 1:
            encodings.append("features")
        elif config.feat_dim:
            encodings.append(self._fourier("feat_embed", turns(graph, "features"), config.feat_dim))
        encoded = graph.op("Concat", *encodings, axis=1)
        return graph.layer_norm("norm", graph.linear("proj", encoded))

    def encode(self, tokens: str) -> str:
        """Append the encoder's output (M, C)."""
        graph = self.graph
        for i in range(self.config.num_encoder_layers):
            layer = f"encoder.{i}"
            tokens = graph.layer_norm(f"{layer}.norm1", tokens)
            gathered = self._attend(f"{layer}.attn", tokens, tokens, self.everyone)
            tokens = graph.op("Add", tokens, gathered)
            changed = self._feed_forward(f"{layer}.mlp", graph.layer_norm(f"{layer}.norm2", tokens))
            tokens = graph.op("Add", tokens, changed)
        return tokens

    def decode(self, tokens: str, memory: str) -> str:
        """Append the decoder's output (T, C): only targets need one."""
        graph = self.graph
        targets = graph.op("Gather", tokens, "target", axis=0)
        for i in range(self.config.num_decoder_layers):
            layer = f"decoder.{i}"
            targets = graph.layer_norm(f"{layer}.norm1", targets)
            seen = graph.layer_norm(f"{layer}.norm2", memory)
            gathered = self._attend(f"{layer}.attn", targets, seen, self.targets)
            targets = graph.op("Add", targets, gathered)
            changed = self._feed_forward(
                f"{layer}.mlp", graph.layer_norm(f"{layer}.norm3", targets)
            )
            targets = graph.op("Add", targets, changed)
        return targets

    def score(self, memory: str, targets: str) -> str:
        """Append the scores (B', G, W', S) of the candidates."""
        graph, config, blocks = self.graph, self.config, self.targets
        source = self._feed_forward("head_x", memory)
        target = self._feed_forward("head_y", targets)
        sequences = [
            in_blocks(graph, target, blocks.keys, [config.d_model]),
            blocks.keys,
            blocks.n_keys,
            "candidates",
        ]
        if config.pair_width:
            shapes = shape_table(graph, config)
            source_facts = pair_facts(graph, "source", memory, "coordinates", shapes)
            shapes = graph.op("Gather", shapes, "target", axis=0)
            target_facts = pair_facts(graph, "target", targets, self.of_targets, shapes)
            n_facts = n_pair_facts(config)
            sequences.append(in_blocks(graph, target_facts, blocks.keys, [n_facts]))

        def score_block(
            queries: str, keys: str, n_keys: str, candidates: str, *of_queries: str
        ) -> list[str]:
            keys = first(graph, keys, n_keys, axis=0)
            seen = graph.op("Gather", source, keys, axis=0)
            logits = graph.op("MatMul", queries, graph.op("Transpose", seen, perm=[1, 0]))  # (W, K)
            gaps = graph.op("Shape", candidates, start=0, end=1)
            for_gaps = graph.op("Concat", gaps, graph.integers(1, 1), axis=0)
            logits = graph.op("Expand", logits, for_gaps)  # (G, W, K)
            logits = graph.op("GatherElements", logits, candidates, axis=2)
            for facts in of_queries:
                of_keys = graph.op("Gather", source_facts, keys, axis=0)
                of_candidates = graph.op("Gather", of_keys, candidates, axis=0)
                logits = graph.op("Add", logits, pair_terms(graph, config, of_candidates, facts))
            is_there = graph.op("GreaterOrEqual", candidates, graph.constant(0, np.int32))
            return [self._parental_scores(logits, is_there)]

        return graph.scan(score_block, *sequences)[0]

    def _parental_scores(self, logits: str, is_there: str) -> str:
        """Append the scores of logits (..., S), normalised over the S sources of a target.

        As `TrackingTransformer.normalised_scores`.
        """
        graph, mode = self.graph, self.config.causal_norm
        zero, last = graph.constant(0.0), graph.integers(-1)
        rest = graph.constant(NORMALISATION_EPS)
        if mode in ("none", "linear"):
            weight = graph.op("Where", is_there, graph.op("Sigmoid", logits), zero)
            if mode == "none":
                return weight
        else:
            logits = graph.op("Where", is_there, logits, graph.constant(-np.inf))
            largest = graph.op("Max", graph.op("ReduceMax", logits, last, keepdims=1), zero)
            weight = graph.op("Exp", graph.op("Sub", logits, largest))
            if mode == "quiet_softmax":
                rest = graph.op("Add", rest, graph.op("Exp", graph.op("Neg", largest)))
        total = graph.op("Add", graph.op("ReduceSum", weight, last, keepdims=1), rest)
        return graph.op("Clip", graph.op("Div", weight, total), zero, graph.constant(1.0))

    def _attend(self, name: str, tokens: str, memory: str, blocks: Blocks) -> str:
        """Append what the tokens in blocks (B * W, C) gather from the memory (M, C)."""
        graph, config = self.graph, self.config
        query, key, value = (
            graph.op("Unsqueeze", graph.linear(f"{name}.{part}", of), graph.integers(0))
            for part, of in (("q_pro", tokens), ("k_pro", memory), ("v_pro", memory))
        )  # (1, B * W, C) and twice (1, M, C)
        if config.attn_positional_bias == "rope":
            query, key = self._rotate(name, query, key, blocks)
        if blocks.bucket:
            bias = graph.op("Transpose", graph.weight(f"{name}.pos_bias.bias"), perm=[1, 0])
            table = graph.op("Unsqueeze", bias, graph.integers(0))  # (1, H, buckets)

        def attend(queries: str, keys: str, n_keys: str, mask: str, *bucket: str) -> list[str]:
            keys = first(graph, keys, n_keys, axis=0)
            mask = first(graph, mask, n_keys, axis=1)
            if bucket:
                rows = first(graph, bucket[0], n_keys, axis=1)
                mask = graph.op("Add", mask, graph.op("Gather", table, rows, axis=2))
            seen = [graph.op("Gather", values, keys, axis=1) for values in (key, value)]
            heads = {"q_num_heads": config.nhead, "kv_num_heads": config.nhead}
            return [graph.op("Attention", queries, *seen, mask, **heads)]

        queries = in_blocks(graph, query, blocks.keys, [config.d_model])
        queries = graph.op("Unsqueeze", queries, graph.integers(1))  # (B, 1, W, C)
        bucket = [blocks.bucket] if blocks.bucket else []
        gathered = graph.scan(attend, queries, blocks.keys, blocks.n_keys, blocks.mask, *bucket)
        flat = graph.op("Reshape", gathered[0], graph.integers(-1, config.d_model))
        return graph.linear(f"{name}.proj", flat)

    def _rotate(self, name: str, query: str, key: str, blocks: Blocks) -> tuple[str, str]:
        """Append query (1, B * W, C) and key (1, M, C), turned at the learned frequencies."""
        graph = self.graph
        frequencies = self._frequencies(f"{name}.rot_pos_enc", 1 + self.config.coord_dim, axis=2)
        of_all = waves(graph, self.rotary_turns, frequencies)  # (1, M, C / H / 2)
        of_queries = of_all
        if blocks is self.targets:
            of_queries = tuple(graph.op("Gather", wave, "target", axis=1) for wave in of_all)
        heads = {"interleaved": 1, "num_heads": self.config.nhead}
        return (
            graph.op("RotaryEmbedding", query, *of_queries, **heads),
            graph.op("RotaryEmbedding", key, *of_all, **heads),
        )

    def _fourier(self, name: str, turns: str, n_axes: int) -> str:
        """Append the Fourier encoding of turns (M, A): sines, then cosines, axis by axis."""
        graph = self.graph
        frequencies = self._frequencies(name, n_axes, axis=1)  # (1, A, width / 2)
        spread = graph.op("Unsqueeze", turns, graph.integers(2))  # (M, A, 1)
        cosine, sine = waves(graph, spread, frequencies)
        both = graph.op("Concat", sine, cosine, axis=2)
        return graph.op("Reshape", both, graph.integers(0, -1))

    def _frequencies(self, name: str, n_axes: int, *, axis: int) -> str:
        """Append the frequencies (1, 1, n) of all axes, side by side along an axis, in float64."""
        weights = [self.graph.weight(f"{name}.freqs.{a}") for a in range(n_axes)]
        joined = self.graph.op("Concat", *weights, axis=axis)
        return self.graph.op("Cast", joined, to=TensorProto.DOUBLE)

    def _feed_forward(self, name: str, tokens: str) -> str:
        graph = self.graph
        return graph.linear(f"{name}.fc2", graph.op("Gelu", graph.linear(f"{name}.fc1", tokens)))
