"""What an ONNX file says of itself, read without the onnx package (protobuf by hand)."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from trackastra_engine.errors import ModelError

# Field numbers of onnx.proto, which are fixed for ever.
MODEL_GRAPH, MODEL_OPSET = 7, 8
OPSET_DOMAIN, OPSET_VERSION = 1, 2
GRAPH_INITIALIZER = 5
TENSOR_DIMS, TENSOR_TYPE = 1, 2
FLOAT_TYPES = {1, 10, 11, 16}  # float32, float16, float64, bfloat16: others are indices

VARINT, EIGHT_BYTES, COUNTED_BYTES, FOUR_BYTES = 0, 1, 2, 5  # wire types of protobuf


@dataclass(frozen=True, slots=True)
class OnnxSummary:
    """The size of a model."""

    n_bytes: int
    opset: int
    n_parameters: int


def summarise_onnx(path: Path) -> OnnxSummary:
    """Return the size, opset and number of learned parameters of an ONNX file."""
    data = memoryview(path.read_bytes())
    opset, n_parameters = 0, 0
    try:
        for field, value in _fields(data):
            if field == MODEL_OPSET and isinstance(value, memoryview):
                opset = max(opset, _opset_version(value))
            elif field == MODEL_GRAPH and isinstance(value, memoryview):
                n_parameters += sum(
                    _parameters(tensor)
                    for number, tensor in _fields(value)
                    if number == GRAPH_INITIALIZER and isinstance(tensor, memoryview)
                )
    except (IndexError, ValueError):
        raise ModelError(f"{path} is not an ONNX file, or is truncated; export it again") from None
    return OnnxSummary(len(data), opset, n_parameters)


def _opset_version(operator_set: memoryview) -> int:
    """Return the version of the standard operators; 0 for those of others."""
    fields = dict(_fields(operator_set))
    version = fields.get(OPSET_VERSION, 0)
    is_standard = not fields.get(OPSET_DOMAIN)
    return version if is_standard and isinstance(version, int) else 0


def _parameters(tensor: memoryview) -> int:
    dims: list[int] = []
    is_float = False
    for field, value in _fields(tensor):
        if field == TENSOR_DIMS:
            dims += [value] if isinstance(value, int) else _varints(value)
        elif field == TENSOR_TYPE:
            is_float = value in FLOAT_TYPES
    # Single numbers are constants of the graph, such as the softmax's epsilon: not learned.
    return math.prod(dims) if is_float and math.prod(dims) > 1 else 0


def _varints(packed: memoryview) -> list[int]:
    values, at = [], 0
    while at < len(packed):
        value, at = _varint(packed, at)
        values.append(value)
    return values


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield number and value of each field: an integer, or the bytes of anything longer."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        number, wire_type = key >> 3, key & 7
        if wire_type == VARINT:
            value, at = _varint(message, at)
            yield number, value
            continue
        if wire_type == COUNTED_BYTES:
            length, at = _varint(message, at)
        elif wire_type in (EIGHT_BYTES, FOUR_BYTES):
            length = 8 if wire_type == EIGHT_BYTES else 4
        else:
            raise ValueError(f"wire type {wire_type} is not used by ONNX")
        if at + length > len(message):
            raise ValueError("a field ends behind its message")
        yield number, message[at : at + length]
        at += length


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """Return an integer of 7 bits a byte, lowest first, and where it ends."""
    value, shift = 0, 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
