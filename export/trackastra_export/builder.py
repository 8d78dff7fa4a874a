"""Collects the nodes and constants of an ONNX graph."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from trackastra_engine.model import model_file

OPSET = 23  # the first with Attention; ONNX Runtime reads it from 1.23 on
IR_VERSION = 11  # that opset's

Shape = Sequence[int | str]


@dataclass(frozen=True, slots=True)
class Form:
    """How the same network is computed on a kind of device."""

    at_once: bool  # all blocks in one batch, or one after the other
    narrow: int = TensorProto.FLOAT  # type of the products of values, of projections and of MLPs


# On a CPU a loop over blocks is faster than a batch of them, needs a sixth of the memory, and gains
# nothing from float16. A GPU needs few large kernels, and multiplies float16 fastest. Queries and
# keys stay float32: rounding either changes scores by 2e-3 to 5e-3 in windows of rendered movies,
# rounding the rest by 1e-3. Every operator but `Scan` has kernels for CUDA in the types used here
# (docs/OperatorKernels.md of ONNX Runtime).
IN_TURN = Form(at_once=False)
AT_ONCE = Form(at_once=True, narrow=TensorProto.FLOAT16)


class GraphBuilder:
    """Collects nodes and constants; values are referred to by name."""

    def __init__(self, weights: dict[str, torch.Tensor], form: Form = IN_TURN) -> None:
        self.form = form
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, TensorProto] = {}
        self._weights = weights
        self._n_names = 0

    def op(self, kind: str, *inputs: str, output: str = "", **attributes: object) -> str:
        """Append a node with one output and return the output's name."""
        output = output or self._new_name(kind)
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def each_block(self, body: Callable[..., Sequence[str]], *sequences: str) -> list[str]:
        """Append the nodes that `body` makes for blocks of (B, ...); return its results (B, ...).

        `body` appends nodes for a batch of blocks. Its arguments are the names of a part (b, ...)
        of each sequence; it may use every value from outside, and returns the names of results
        (b, ...). The batch is all blocks, or, in a loop, one.
        """
        if self.form.at_once:
            return list(body(*sequences))
        elements = [self._new_name("element") for _ in sequences]
        outside, self.nodes = self.nodes, []
        results = body(*elements)
        inside, self.nodes = self.nodes, outside
        name = self._new_name("Scan")
        graph = helper.make_graph(inside, name, _untyped(elements), _untyped(results))
        stacked = [self._new_name("stacked") for _ in results]
        blocks = [self.op("Unsqueeze", sequence, self.integers(1)) for sequence in sequences]
        self.nodes.append(
            helper.make_node("Scan", blocks, stacked, body=graph, num_scan_inputs=len(blocks))
        )
        return [self.op("Squeeze", result, self.integers(1)) for result in stacked]

    def narrowed(self, value: str) -> str:
        """Append float32 values as factors of the layers' products."""
        if self.form.narrow == TensorProto.FLOAT:
            return value
        return self.op("Cast", value, to=self.form.narrow)

    def widened(self, value: str) -> str:
        """Append the layers' products as float32."""
        if self.form.narrow == TensorProto.FLOAT:
            return value
        return self.op("Cast", value, to=TensorProto.FLOAT)

    def constant(self, value: object, dtype: type = np.float32) -> str:
        """Return the name of a constant of that value, which must be short."""
        array = np.asarray(value, dtype)
        return self._initializer(f"{array.dtype}{array.tolist()}", array)

    def integers(self, *values: int) -> str:
        """Return the name of a constant (n,) of axes, indices or lengths."""
        return self.constant(values, np.int64)

    def weight(self, name: str) -> str:
        """Return the name of a parameter or buffer of the network, as it is."""
        return self._initializer(name, self.array(name))

    def array(self, name: str) -> NDArray[np.float32]:
        """Return a parameter or buffer of the network."""
        return self._weights[name].detach().cpu().numpy().astype(np.float32)

    def linear(self, name: str, tokens: str, *, narrow: bool = False) -> str:
        """Append a linear layer of tokens (M, C), in float32 unless they are narrowed."""
        parameters = [self.weight(f"{name}.{part}") for part in ("weight", "bias")]
        if narrow:
            parameters = [self.narrowed(parameter) for parameter in parameters]
        return self.op("Gemm", tokens, *parameters, transB=1)

    def layer_norm(self, name: str, tokens: str) -> str:
        """Append a layer normalisation of tokens (M, C)."""
        weight, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.op("LayerNormalization", tokens, weight, bias, epsilon=1e-5)

    def part_without(self, other: "GraphBuilder") -> bytes:
        """Return an encoded model of the nodes and of the constants that another graph lacks."""
        names = self.initializers.keys() - other.initializers.keys()
        added = [self.initializers[name] for name in sorted(names)]
        graph = onnx.GraphProto(name=model_file.AT_ONCE, node=self.nodes, initializer=added)
        return onnx.ModelProto(graph=graph).SerializeToString()

    def model(
        self,
        inputs: Mapping[str, tuple[int, Shape]],
        outputs: Mapping[str, Shape],
        metadata: dict[str, str],
    ) -> ModelProto:
        """Return everything appended so far as a model.

        `inputs` gives ONNX types and shapes, `outputs` the shapes of float32 values.
        """
        value = helper.make_tensor_value_info
        model = helper.make_model(
            helper.make_graph(
                self.nodes,
                "trackastra-engine",
                [value(name, kind, shape) for name, (kind, shape) in inputs.items()],
                [value(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
                list(self.initializers.values()),
            ),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="trackastra-export",
        )
        helper.set_model_props(model, metadata)
        return model

    def _new_name(self, kind: str) -> str:
        self._n_names += 1
        return f"{kind}_{self._n_names}"

    def _initializer(self, name: str, array: NDArray[np.generic]) -> str:
        if name not in self.initializers:
            self.initializers[name] = numpy_helper.from_array(array.copy(order="C"), name)
        return name


def _untyped(names: Sequence[str]) -> list[onnx.ValueInfoProto]:
    """Return values of the body of a loop, whose types follow from outside."""
    return [onnx.ValueInfoProto(name=name) for name in names]
