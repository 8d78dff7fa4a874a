"""Sockets and pipes as streams of messages."""

import socket
import time
from io import RawIOBase

from trackastra_engine.serving.messages import LostStreamError

MESSAGE_TIMEOUT_S = 30.0  # from the first byte of a message to its last


class SocketStream:
    """A connected socket on which each message has a time limit."""

    def __init__(self, connection: socket.socket, *, timeout_s: float = MESSAGE_TIMEOUT_S) -> None:
        self._socket = connection
        self._timeout_s = timeout_s
        self._deadline = 0.0

    def begin(self, buffer: memoryview) -> int:
        """Wait for a message; see `Stream`. A lost connection is the end of the stream."""
        self._socket.settimeout(None)
        try:
            n_read = self._socket.recv_into(buffer)
        except OSError:
            return 0
        self._deadline = time.monotonic() + self._timeout_s
        return n_read

    def fill(self, buffer: memoryview) -> None:
        """Read the rest of a message; see `Stream`."""
        while len(buffer):
            buffer = buffer[self._receive(buffer) :]

    def _receive(self, buffer: memoryview) -> int:
        """Read some bytes, at least one, of a message that has begun."""
        left_s = self._deadline - time.monotonic()
        try:
            if left_s <= 0:
                raise TimeoutError
            self._socket.settimeout(left_s)
            n_read = self._socket.recv_into(buffer)
        except TimeoutError:
            raise LostStreamError(
                f"the rest of a message did not arrive within {self._timeout_s:g} s"
            ) from None
        except OSError as error:
            raise LostStreamError(f"the client is gone ({error})") from error
        if not n_read:
            raise LostStreamError("the connection ended within a message")
        return n_read

    def send(self, data: bytes) -> None:
        """Send a message; see `Stream`."""
        self._socket.settimeout(self._timeout_s)
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise LostStreamError(f"the client does not read a reply ({error})") from error


class PipeStream:
    """A pipe to read from and a pipe to write to, for one client."""

    def __init__(self, incoming: RawIOBase, outgoing: RawIOBase) -> None:
        """Use unbuffered pipes, which read or write at least one byte unless they have ended."""
        self._incoming = incoming
        self._outgoing = outgoing

    def begin(self, buffer: memoryview) -> int:
        """Wait for a message; see `Stream`."""
        return self._incoming.readinto(buffer) or 0

    def fill(self, buffer: memoryview) -> None:
        """Read the rest of a message; see `Stream`."""
        while len(buffer):
            n_read = self._incoming.readinto(buffer)
            if not n_read:
                raise LostStreamError("the input ended within a message")
            buffer = buffer[n_read:]

    def send(self, data: bytes) -> None:
        """Send a message; see `Stream`."""
        rest = memoryview(data)
        try:
            while len(rest):
                rest = rest[self._outgoing.write(rest) or 0 :]
        except BrokenPipeError as error:
            raise LostStreamError("the client does not read the replies") from error
