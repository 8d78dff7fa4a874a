"""A client of `trackastra-engine serve` that needs only Python and NumPy; copy it as you like.

Start `trackastra-engine serve`, then this file: it sends a few frames and prints the replies.
"""

import json
import socket
import struct
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

PREFIX = struct.Struct("<4sIQ")  # protocol and version, bytes of the header, bytes of all arrays


class Client:
    """A connection to the engine, with fields of view of its own."""

    def __init__(self, host: str = "127.0.0.1", port: int = 41800) -> None:
        self._socket = socket.create_connection((host, port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, kind: str, arrays: dict[str, NDArray[Any]], **fields: Any) -> dict[str, Any]:
        """Send a request and return the reply: its header with its arrays by name.

        Raises RuntimeError with the message of an error, or ConnectionError.
        """
        arrays = {  # little-endian, which pixels of many TIFF files are not
            name: np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
            for name, array in arrays.items()
        }
        layout = [
            {"name": name, "dtype": array.dtype.name, "shape": array.shape}
            for name, array in arrays.items()
        ]
        header = json.dumps({"type": kind, **fields, "arrays": layout}).encode()
        n_bytes = sum(array.nbytes for array in arrays.values())
        self._socket.sendall(PREFIX.pack(b"TAE1", len(header), n_bytes) + header)
        for array in arrays.values():
            self._socket.sendall(array.tobytes())
        return self._reply()

    def _reply(self) -> dict[str, Any]:
        _, header_bytes, _ = PREFIX.unpack(self._receive(PREFIX.size))
        reply: dict[str, Any] = json.loads(self._receive(header_bytes))
        for entry in reply.pop("arrays", []):
            dtype = np.dtype(entry["dtype"]).newbyteorder("<")
            content = self._receive(dtype.itemsize * int(np.prod(entry["shape"])))
            reply[entry["name"]] = np.frombuffer(content, dtype).reshape(entry["shape"])
        if reply["type"] == "error":
            raise RuntimeError(reply["message"])
        return reply

    def _receive(self, n_bytes: int) -> bytes:
        content = self._socket.recv(n_bytes, socket.MSG_WAITALL) if n_bytes else b""
        if len(content) < n_bytes:
            raise ConnectionError("the engine is gone")
        return content

    def close(self) -> None:
        """End the session."""
        self._socket.close()


def _masks() -> list[NDArray[np.uint16]]:
    """Return four masks of two cells that move right; one divides before the last mask."""
    masks = [np.zeros((64, 64), np.uint16) for _ in range(4)]
    for t, mask in enumerate(masks):
        mask[10:18, 10 + 3 * t : 18 + 3 * t] = 1
        if t < 3:
            mask[40:48, 20 + 2 * t : 28 + 2 * t] = 2
        else:
            mask[36:42, 26:34] = 3
            mask[46:52, 26:34] = 4
    return masks


def main() -> None:
    """Send a few frames and print the replies."""
    client = Client(port=int(sys.argv[1]) if len(sys.argv) > 1 else 41800)
    about = client.ask("hello", {})
    print(f"engine {about['engine']} with the model {about['model']}")  # noqa: T201
    for mask in _masks():
        update = client.ask("push", {"mask": mask}, fov="A1")
        tracks = zip(update["objects.label"], update["objects.track"], strict=True)
        text = ", ".join(f"{label} in track {track}" for label, track in tracks)
        print(f"frame {update['frame']}: {text}")  # noqa: T201
        for mother, *daughters in update["divisions.track"].reshape(-1, 3):
            print(f"track {mother} divided into {daughters[0]} and {daughters[1]}")  # noqa: T201
    for number, first, last, parent in client.ask("finish", {}, fov="A1")["tracklets"]:
        print(f"tracklet {number}: frames {first} to {last}, parent {parent}")  # noqa: T201
    client.close()


if __name__ == "__main__":
    main()
