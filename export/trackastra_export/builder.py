"""Collects the nodes and constants of an ONNX graph."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from trackastra_engine.spec import METADATA_KEY, ModelSpec

OPSET = 23  # the first with Attention; ONNX Runtime reads it from 1.23 on
IR_VERSION = 11  # that opset's


class GraphBuilder:
    """Collects nodes and constants; values are referred to by name."""

    def __init__(self, weights: dict[str, torch.Tensor]) -> None:
        self._weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._initializers: dict[str, TensorProto] = {}

    def op(self, kind: str, *inputs: str, output: str = "", **attributes: object) -> str:
        """Append a node with one output and return the output's name."""
        output = output or f"{kind}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, value: object, dtype: type = np.float32) -> str:
        """Return the name of a constant of that value, which must be short."""
        array = np.asarray(value, dtype)
        return self._initializer(f"{array.dtype}{array.tolist()}", array)

    def weight(self, name: str) -> str:
        """Return the name of a parameter or buffer of the network, as it is."""
        return self._initializer(name, self.array(name))

    def array(self, name: str) -> NDArray[np.float32]:
        """Return a parameter or buffer of the network."""
        return self._weights[name].detach().cpu().numpy().astype(np.float32)

    def derived(self, name: str, array: NDArray[np.floating[Any]]) -> str:
        """Return the name of a constant that was computed from parameters."""
        return self._initializer(name, array)

    def linear(self, name: str, tokens: str) -> str:
        """Append a linear layer of tokens (N, C)."""
        weight, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.op("Gemm", tokens, weight, bias, transB=1)

    def layer_norm(self, name: str, tokens: str) -> str:
        """Append a layer normalisation of tokens (N, C)."""
        weight, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.op("LayerNormalization", tokens, weight, bias, epsilon=1e-5)

    def model(
        self, inputs: Mapping[str, int | str], outputs: Mapping[str, int | str], spec: ModelSpec
    ) -> ModelProto:
        """Return everything appended so far as a model.

        `inputs` and `outputs` give the widths of float32 values of N rows.
        """
        model = helper.make_model(
            helper.make_graph(
                self._nodes,
                "trackastra-engine",
                _tables(inputs),
                _tables(outputs),
                list(self._initializers.values()),
            ),
            opset_imports=[helper.make_opsetid("", OPSET)],
            ir_version=IR_VERSION,
            producer_name="trackastra-export",
        )
        helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
        return model

    def _initializer(self, name: str, array: NDArray[np.generic]) -> str:
        if name not in self._initializers:
            self._initializers[name] = numpy_helper.from_array(np.ascontiguousarray(array), name)
        return name


def _tables(widths: Mapping[str, int | str]) -> list[onnx.ValueInfoProto]:
    return [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", width])
        for name, width in widths.items()
    ]
