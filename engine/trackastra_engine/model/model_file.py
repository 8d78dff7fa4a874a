"""A model file contains the weights once, and two graphs that use them: for CPUs and for GPUs.

ONNX Runtime uses the graph's own nodes, those for CPUs. The nodes for GPUs are in the metadata,
compressed, where they need no time and no memory until they replace the others. (As two branches of
an `If` they cost 70 ms of each start on a CPU; the run option to compute only one of two outputs
exists only in builds of ONNX Runtime with training.)
"""

import base64
import zlib
from collections.abc import Iterator

AT_ONCE_KEY = "trackastra_engine.at_once"
AT_ONCE = "at once"  # name of the graph that computes all blocks at once

# Fields of ONNX messages (onnx.proto3), which never change.
MODEL_GRAPH, MODEL_METADATA = 7, 14
GRAPH_NODE = 1
KEY, VALUE = 1, 2
NUMBER, MESSAGE = 0, 2  # kinds of fields in the encoding


def packed(part: bytes) -> str:
    """Return the metadata for an encoded model that has only nodes and the constants they add."""
    return base64.b85encode(zlib.compress(part, 9)).decode()


def computed_at_once(file: bytes) -> bytes:
    """Return the model of a file with the nodes that compute all blocks at once.

    Raises ValueError if the file has none; a file that is no ONNX model raises many errors.
    """
    rest, kept, part = [], [], b""
    for number, whole, content in _fields(file):
        if number == MODEL_GRAPH:
            kept += [entry for field, entry, _ in _fields(content) if field != GRAPH_NODE]
            continue
        rest.append(whole)
        if number == MODEL_METADATA:
            entry = {field: bytes(text) for field, _, text in _fields(content)}
            if entry[KEY].decode() == AT_ONCE_KEY:
                part = zlib.decompress(base64.b85decode(entry[VALUE]))
    if not part:
        raise ValueError("it was exported for an earlier engine; export the model again")
    # Concatenated messages are one message, with concatenated lists.
    return b"".join([*rest, _message(MODEL_GRAPH, b"".join(kept)), part])


def with_metadata(file: bytes, key: str, text: str) -> bytes:
    """Return the model of a file with one entry of its metadata replaced, or added."""
    kept = []
    for number, whole, content in _fields(file):
        is_entry = number == MODEL_METADATA
        named = {field: bytes(part) for field, _, part in _fields(content)} if is_entry else {}
        if named.get(KEY) != key.encode():
            kept.append(whole)
    entry = _message(KEY, key.encode()) + _message(VALUE, text.encode())
    return b"".join([*kept, _message(MODEL_METADATA, entry)])


def _message(number: int, content: bytes) -> bytes:
    """Return a field as `_fields` reads it."""
    return b"".join([_number(number << 3 | MESSAGE), _number(len(content)), content])


def _fields(message: bytes | memoryview) -> Iterator[tuple[int, memoryview, memoryview]]:
    """Yield each field of an encoded message: its number, all of it, and its content."""
    view, start = memoryview(message), 0
    while start < len(view):
        key, begin = _read_number(view, start)
        length, after = _read_number(view, begin)
        if key & 7 == NUMBER:
            begin, end = begin, after
        elif key & 7 == MESSAGE:
            begin, end = after, after + length
        else:
            raise ValueError(f"field {key >> 3} is of the kind {key & 7}")
        yield key >> 3, view[start:end], view[begin:end]
        start = end


def _read_number(view: memoryview, start: int) -> tuple[int, int]:
    """Return a number of 7 bits a byte, lowest first, and the position after it."""
    value = shift = 0
    while True:
        byte = view[start]
        start += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, start
        shift += 7


def _number(value: int) -> bytes:
    """Return a number as `_read_number` reads it."""
    encoded = bytearray()
    while value > 127:
        encoded.append(value & 127 | 128)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
