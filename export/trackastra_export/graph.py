"""The network as an ONNX graph, written node by node from its weights.

The graph is not traced: exporters of PyTorch failed on this network or needed minutes. Its input is
one window as tokens in blocks, with the keys that each block sees
(`trackastra_engine.model.attention_plan`). Its output is the scores of candidate pairs, so that the
engine needs no arithmetic of its own. The same code writes two forms of the graph (`builder.Form`):
the one for CPUs, and, in the file's metadata (`trackastra_engine.model.model_file`), the one for
GPUs. Every parameter is in the file under its name, so that `trackastra_training.from_onnx` can
read it back.
"""

import json
from dataclasses import asdict

import numpy as np
from onnx import ModelProto, TensorProto

from trackastra_engine.model.model_file import AT_ONCE_KEY, packed
from trackastra_engine.model.spec import METADATA_KEY, ModelSpec
from trackastra_export.builder import AT_ONCE, IN_TURN, Form, GraphBuilder
from trackastra_export.geometry import Blocks, first, in_blocks, measure_blocks, turns, waves
from trackastra_export.shape_overlap import n_pair_facts, pair_facts, pair_terms, shape_table
from trackastra_training.from_onnx import NETWORK_KEY
from trackastra_training.transformer import (
    NORMALISATION_EPS,
    TrackingTransformer,
    TransformerConfig,
)


def build_graph(model: TrackingTransformer, spec: ModelSpec, at_once: Form = AT_ONCE) -> ModelProto:
    """Return the model as one self-contained ONNX model with the spec in its metadata.

    Inputs: `coordinates` (M, 1 + D), times being integers 0..window - 1, and `features` (M, F),
    float32, both as `tokens.prepare_tokens` returns them; the other inputs are an `AttentionPlan`.
    Output, float32: `scores` (B', G, W', S) of the plan's candidates. `at_once` is the form for
    GPUs.
    """
    config = model.config
    graph, batched = (scored(model, form) for form in (IN_TURN, at_once))
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
    metadata = {
        METADATA_KEY: spec.to_json(),
        NETWORK_KEY: json.dumps(asdict(config)),
        AT_ONCE_KEY: packed(batched.part_without(graph)),
    }
    return graph.model(inputs, {"scores": ["b", "G", "W", "S"]}, metadata)


def scored(model: TrackingTransformer, form: Form) -> GraphBuilder:
    """Return the network in one of its forms, with the output `scores`."""
    graph = GraphBuilder(model.state_dict(), form)
    network = Network(graph, model.config)
    tokens = network.embed()
    memory = network.encode(tokens)
    scores = network.score(memory, network.decode(tokens, memory))
    graph.op("Identity", scores, output="scores")
    return graph


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
        """Append the tokens (M, C), the input of both encoder and decoder."""
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
            changed = self._layer_mlp(f"{layer}.mlp", graph.layer_norm(f"{layer}.norm2", tokens))
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
            changed = self._layer_mlp(f"{layer}.mlp", graph.layer_norm(f"{layer}.norm3", targets))
            targets = graph.op("Add", targets, changed)
        return targets

    def score(self, memory: str, targets: str) -> str:
        """Append the scores (B', G, W', S) of the candidates."""
        graph, config, blocks = self.graph, self.config, self.targets
        source = self._feed_forward("head_x", memory)
        target = self._feed_forward("head_y", targets)
        sequences = [
            in_blocks(graph, target, blocks.keys, config.d_model),
            blocks.keys,
            blocks.n_keys,
            "candidates",
        ]
        if config.pair_width:
            shapes = shape_table(graph, config)
            source_facts = pair_facts(graph, "source", memory, "coordinates", shapes)
            shapes = graph.op("Gather", shapes, "target", axis=0)
            target_facts = pair_facts(graph, "target", targets, self.of_targets, shapes)
            sequences.append(in_blocks(graph, target_facts, blocks.keys, n_pair_facts(config)))

        def score_blocks(
            queries: str, keys: str, n_keys: str, candidates: str, *of_queries: str
        ) -> list[str]:
            keys = first(graph, keys, n_keys, axis=1)
            seen = graph.op("Gather", source, keys, axis=0)  # (b, K, C)
            logits = graph.op("MatMul", queries, graph.op("Transpose", seen, perm=[0, 2, 1]))
            logits = _of_candidates(graph, logits, candidates)
            for facts in of_queries:
                rows = _of_candidates(
                    graph, graph.op("Unsqueeze", keys, graph.integers(1)), candidates
                )
                sources = graph.op("Gather", source_facts, rows, axis=0)  # (b, G, W, S, F)
                logits = graph.op("Add", logits, pair_terms(graph, config, sources, facts))
            is_there = graph.op("GreaterOrEqual", candidates, graph.constant(0, np.int32))
            return [self._parental_scores(logits, is_there)]

        return graph.each_block(score_blocks, *sequences)[0]

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
        """Append the attention of the tokens in blocks (B * W, C) to the memory (M, C)."""
        graph, config = self.graph, self.config
        query = graph.linear(f"{name}.q_pro", tokens)  # (B * W, C)
        key = graph.linear(f"{name}.k_pro", memory)  # (M, C)
        value = graph.linear(f"{name}.v_pro", graph.narrowed(memory), narrow=True)
        value = graph.widened(value)
        if config.attn_positional_bias == "rope":
            query, key = self._rotate(name, query, key, blocks)
        if blocks.bucket:
            table = graph.op("Transpose", graph.weight(f"{name}.pos_bias.bias"), perm=[1, 0])

        def attend(queries: str, keys: str, n_keys: str, mask: str, *bucket: str) -> list[str]:
            keys = first(graph, keys, n_keys, axis=1)
            mask = first(graph, mask, n_keys, axis=3)
            if bucket:
                rows = graph.op(
                    "Squeeze", first(graph, bucket[0], n_keys, axis=3), graph.integers(1)
                )
                bias = graph.op("Gather", table, rows, axis=1)  # (H, b, W, K)
                mask = graph.op("Add", mask, graph.op("Transpose", bias, perm=[1, 0, 2, 3]))
            seen = [graph.op("Gather", values, keys, axis=0) for values in (key, value)]
            heads = {"q_num_heads": config.nhead, "kv_num_heads": config.nhead}
            return [graph.op("Attention", queries, *seen, mask, **heads)]

        queries = in_blocks(graph, query, blocks.keys, config.d_model)
        bucket = [blocks.bucket] if blocks.bucket else []
        gathered = graph.each_block(
            attend, queries, blocks.keys, blocks.n_keys, blocks.mask, *bucket
        )
        flat = graph.op("Reshape", gathered[0], graph.integers(-1, config.d_model))
        return graph.widened(graph.linear(f"{name}.proj", graph.narrowed(flat), narrow=True))

    def _rotate(self, name: str, query: str, key: str, blocks: Blocks) -> list[str]:
        """Append query (B * W, C) and key (M, C), turned at the learned frequencies."""
        graph, config = self.graph, self.config
        frequencies = self._frequencies(f"{name}.rot_pos_enc", 1 + config.coord_dim, axis=2)
        of_all = waves(graph, self.rotary_turns, frequencies)  # (1, M, C / H / 2)
        of_queries = of_all
        if blocks is self.targets:
            of_queries = tuple(graph.op("Gather", wave, "target", axis=1) for wave in of_all)
        turned = []
        for tokens, turning in ((query, of_queries), (key, of_all)):
            one = graph.op("Unsqueeze", tokens, graph.integers(0))
            heads = {"interleaved": 1, "num_heads": config.nhead}
            rotated = graph.op("RotaryEmbedding", one, *turning, **heads)
            turned.append(graph.op("Squeeze", rotated, graph.integers(0)))
        return turned

    def _fourier(self, name: str, turns: str, n_axes: int) -> str:
        """Append the Fourier encoding of turns (M, A): sines, then cosines, axis by axis."""
        graph = self.graph
        frequencies = self._frequencies(name, n_axes, axis=1)  # (1, A, width / 2)
        spread = graph.op("Unsqueeze", turns, graph.integers(2))  # (M, A, 1)
        cosine, sine = waves(graph, spread, frequencies)
        both = graph.op("Concat", sine, cosine, axis=2)
        return graph.op("Reshape", both, graph.integers(0, -1))

    def _frequencies(self, name: str, n_axes: int, *, axis: int) -> str:
        """Append the frequencies (1, 1, n) of all axes, concatenated along an axis, in float64."""
        weights = [self.graph.weight(f"{name}.freqs.{a}") for a in range(n_axes)]
        joined = self.graph.op("Concat", *weights, axis=axis)
        return self.graph.op("Cast", joined, to=TensorProto.DOUBLE)

    def _layer_mlp(self, name: str, tokens: str) -> str:
        graph = self.graph
        return graph.widened(self._feed_forward(name, graph.narrowed(tokens), narrow=True))

    def _feed_forward(self, name: str, tokens: str, *, narrow: bool = False) -> str:
        graph = self.graph
        hidden = graph.op("Gelu", graph.linear(f"{name}.fc1", tokens, narrow=narrow))
        return graph.linear(f"{name}.fc2", hidden, narrow=narrow)


def _of_candidates(graph: GraphBuilder, values: str, candidates: str) -> str:
    """Append the values (b, W or 1, K) at candidates (b, G, W, S), which are places among K."""
    gaps_and_width = graph.op("Shape", candidates, start=1, end=3)
    extent = graph.op("Concat", graph.integers(1), gaps_and_width, graph.integers(1), axis=0)
    spread = graph.op("Expand", graph.op("Unsqueeze", values, graph.integers(1)), extent)
    return graph.op("GatherElements", spread, candidates, axis=3)
