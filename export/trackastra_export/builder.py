"""Collects the nodes and constants of an ONNX graph."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

OPSET = 23  # the first with Attention; ONNX Runtime reads it from 1.23 on
IR_VERSION = 11  # that opset's

Shape = Sequence[int | str]


class GraphBuilder:
    """Collects nodes and constants; values are referred to by name."""

    def __init__(self, weights: dict[str, torch.Tensor]) -> None:
        self._weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, TensorProto] = {}
        self._n_names = 0

    def op(self, kind: str, *inputs: str, output: str = "", **attributes: object) -> str:
        """Append a node with one output and return the output's name."""
        output = output or self._new_name(kind)
        self._nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def scan(self, body: Callable[..., Sequence[str]], *sequences: str) -> list[str]:
        """Append a loop over the first axis of the sequences; return its stacked results.

        `body` appends the nodes of one turn: it takes the names of one element of each sequence,
        may use every value from outside, and returns the names of its results.
        """
        elements = [self._new_name("element") for _ in sequences]
        outside, self._nodes = self._nodes, []
        results = body(*elements)
        inside, self._nodes = self._nodes, outside
        name = self._new_name("Scan")
        graph = helper.make_graph(inside, name, _untyped(elements), _untyped(results))
        stacked = [self._new_name("stacked") for _ in results]
        self._nodes.append(
            helper.make_node("Scan", sequences, stacked, body=graph, num_scan_inputs=len(sequences))
        )
        return stacked

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

    def linear(self, name: str, tokens: str) -> str:
        """Append a linear layer of tokens (M, C)."""
        weight, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.op("Gemm", tokens, weight, bias, transB=1)

    def layer_norm(self, name: str, tokens: str) -> str:
        """Append a layer normalisation of tokens (M, C)."""
        weight, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.op("LayerNormalization", tokens, weight, bias, epsilon=1e-5)

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
                self._nodes,
                "trackastra-engine",
                [value(name, kind, shape) for name, (kind, shape) in inputs.items()],
                [value(name, TensorProto.FLOAT, shape) for name, shape in outputs.items()],
                list(self._initializers.values()),
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
        if name not in self._initializers:
            self._initializers[name] = numpy_helper.from_array(array.copy(order="C"), name)
        return name


def _untyped(names: Sequence[str]) -> list[onnx.ValueInfoProto]:
    """Return values of the body of a loop, whose types follow from outside."""
    return [onnx.ValueInfoProto(name=name) for name in names]
