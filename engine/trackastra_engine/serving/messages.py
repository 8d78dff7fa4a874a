"""Messages as bytes: a prefix, a JSON header and raw arrays; see the package's docstring."""

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.errors import InputError

MAGIC = b"TAE1"  # protocol 1
PROTOCOL = 1
PREFIX = struct.Struct("<4sIQ")  # magic, bytes of the header, bytes of all arrays
WHOLE = tuple(f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64))
DTYPES = (*WHOLE, "float32", "float64")
MAX_AXES = 3
MAX_SIDE = 2**20  # NumPy rejects even an array without entries if its other sides are too long
CHUNK_BYTES = 2**16  # read at a time from a rejected message

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits on requests and sessions of a client."""

    header_bytes: int = 2**16
    array_bytes: int = 2**28  # of all arrays of a message
    arrays: int = 8  # of a message
    objects: int = 20_000  # of a frame
    fields: int = 4096  # of view, of a session


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """A request or a reply."""

    header: Mapping[str, Any]  # with a "type", without "arrays"
    arrays: Arrays = field(default_factory=dict)


class Stream(Protocol):
    """A connection that messages are read from and written to."""

    def begin(self, buffer: memoryview) -> int:
        """Wait for a message, without a limit; return the number of bytes read, 0 at the end."""

    def fill(self, buffer: memoryview) -> None:
        """Fill a buffer; raises LostStreamError if the bytes do not arrive in time."""

    def send(self, data: bytes) -> None:
        """Send a message; raises LostStreamError if it is not received in time."""


class LostStreamError(Exception):
    """The next message of a stream cannot be found, or does not exist."""


def read_message(stream: Stream, limits: Limits) -> Message | None:
    """Return the next message; None at the end of the stream.

    Raises InputError if it is rejected (the next one can still be read), or LostStreamError.
    """
    prefix = memoryview(bytearray(PREFIX.size))
    n_read = stream.begin(prefix)
    if not n_read:
        return None
    stream.fill(prefix[n_read:])
    magic, header_bytes, array_bytes = PREFIX.unpack(prefix)
    if magic != MAGIC:
        raise LostStreamError(f"a message begins with {magic!r}; protocol 1 has {MAGIC!r}")
    if header_bytes > limits.header_bytes:
        raise LostStreamError(
            f"a header of {header_bytes} bytes was announced; the limit is {limits.header_bytes}"
        )
    header = bytearray(header_bytes)
    stream.fill(memoryview(header))
    try:
        content = _parse(header)
        layout = _layout(content.pop("arrays", []), array_bytes, limits)
    except InputError:
        _skip(stream, array_bytes)
        raise
    return Message(content, {name: _read(stream, *kind) for name, kind in layout.items()})


def message_bytes(message: Message) -> bytes:
    """Return a message as bytes."""
    arrays = {
        name: np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        for name, array in message.arrays.items()
    }
    header = dict(message.header)
    if arrays:
        header["arrays"] = [
            {"name": name, "dtype": array.dtype.name, "shape": array.shape}
            for name, array in arrays.items()
        ]
    text = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    n_bytes = sum(array.nbytes for array in arrays.values())
    prefix = PREFIX.pack(MAGIC, len(text), n_bytes)
    return b"".join([prefix, text, *(array.tobytes() for array in arrays.values())])


def _parse(header: bytearray) -> dict[str, Any]:
    try:
        content = json.loads(header.decode(), parse_constant=_reject_constant)
    except (ValueError, RecursionError) as error:
        raise InputError(f"the header is not JSON ({error})") from None
    if not isinstance(content, dict) or not isinstance(content.get("type"), str):
        raise InputError('the header is not a JSON object with a "type"')
    return content


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _layout(
    listed: Any, array_bytes: int, limits: Limits
) -> dict[str, tuple[np.dtype[Any], list[int]]]:
    """Return the type and shape of each array in a header; together they fill the message."""
    if array_bytes > limits.array_bytes:
        raise InputError(
            f"the arrays have {array_bytes} bytes; the limit is {limits.array_bytes}, set by "
            "--max-message"
        )
    if not isinstance(listed, list) or len(listed) > limits.arrays:
        raise InputError(f'"arrays" is not a list of at most {limits.arrays} arrays')
    layout = {}
    for entry in listed:
        name, dtype, shape = _array(entry)
        if name in layout:
            raise InputError(f"there are two arrays {name!r}")
        layout[name] = np.dtype(dtype).newbyteorder("<"), shape
    n_bytes = sum(dtype.itemsize * math.prod(shape) for dtype, shape in layout.values())
    if n_bytes != array_bytes:
        raise InputError(
            f"the arrays in the header have {n_bytes} bytes, but the prefix says {array_bytes}"
        )
    return layout


def _array(entry: Any) -> tuple[str, str, list[int]]:
    if not isinstance(entry, dict) or entry.keys() != {"name", "dtype", "shape"}:
        raise InputError('an array is not described by "name", "dtype" and "shape"')
    name, dtype, shape = entry["name"], entry["dtype"], entry["shape"]
    if not isinstance(name, str):
        raise InputError("the name of an array is not a text")
    if dtype not in DTYPES:
        raise InputError(f"the array {name!r} has a dtype other than {', '.join(DTYPES)}")
    is_shape = isinstance(shape, list) and 1 <= len(shape) <= MAX_AXES
    if not is_shape or not all(type(n) is int and 0 <= n < MAX_SIDE for n in shape):
        raise InputError(
            f"the shape of the array {name!r} is not 1 to {MAX_AXES} whole numbers below {MAX_SIDE}"
        )
    return name, dtype, shape


def _read(stream: Stream, dtype: np.dtype[Any], shape: list[int]) -> NDArray[Any]:
    raw = np.empty(dtype.itemsize * math.prod(shape), np.uint8)
    stream.fill(raw.data)
    array: NDArray[Any] = raw.view(dtype).reshape(shape)
    return array


def _skip(stream: Stream, n_bytes: int) -> None:
    chunk = memoryview(bytearray(CHUNK_BYTES))
    while n_bytes > 0:
        part = chunk[:n_bytes]
        stream.fill(part)
        n_bytes -= len(part)
