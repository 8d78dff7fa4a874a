"""Connections to clients: one thread and one session for each."""

import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from io import RawIOBase

from trackastra_engine.online import Session
from trackastra_engine.serving import replies
from trackastra_engine.serving.address import Listener
from trackastra_engine.serving.conversation import converse
from trackastra_engine.serving.messages import Limits, LostStreamError, message_bytes
from trackastra_engine.serving.streams import PipeStream, SocketStream
from trackastra_engine.system import WAIT_FOR_CLIENT_S

logger = logging.getLogger(__name__)

MAX_CLIENTS = 16
END_S = 10.0  # for a client's thread to end its request when the server ends

NewSession = Callable[[], Session]


def serve_sockets(listener: Listener, new_session: NewSession, limits: Limits) -> None:
    """Answer clients until an exception, such as that of a signal, ends the server.

    Then connections are closed and threads end; the listener stays open.
    """
    clients: dict[socket.socket, threading.Thread] = {}
    listener.socket.settimeout(WAIT_FOR_CLIENT_S)
    try:
        while True:
            try:
                connection, _ = listener.socket.accept()
            except TimeoutError:
                continue
            for gone in [known for known, thread in clients.items() if not thread.is_alive()]:
                del clients[gone]
            if len(clients) >= MAX_CLIENTS:
                _reject(connection)
                continue
            arguments = (connection, new_session, limits)
            clients[connection] = threading.Thread(
                target=_serve, args=arguments, name="client", daemon=True
            )
            clients[connection].start()
    finally:
        for connection in clients:
            with suppress(OSError):  # it was closed by its thread
                connection.shutdown(socket.SHUT_RDWR)
        for thread in clients.values():
            thread.join(END_S)


def serve_standard_streams(new_session: NewSession, limits: Limits) -> None:
    """Answer one client through standard input and output, until the input ends."""
    with _own_output() as output, os.fdopen(os.dup(0), "rb", 0) as incoming:
        converse(PipeStream(incoming, output), new_session(), limits)


def _serve(connection: socket.socket, new_session: NewSession, limits: Limits) -> None:
    with closing(connection):
        if connection.family != getattr(socket, "AF_UNIX", None):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # A microscope may pause for days; only a lost machine must not block a connection.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        converse(SocketStream(connection), new_session(), limits)


def _reject(connection: socket.socket) -> None:
    logger.warning("a client was rejected: there are %d already", MAX_CLIENTS)
    sentence = f"there are {MAX_CLIENTS} clients already; disconnect one"
    with closing(connection), suppress(LostStreamError):
        SocketStream(connection).send(message_bytes(replies.error(sentence)))


@contextmanager
def _own_output() -> Iterator[RawIOBase]:
    """Yield the standard output; all other output to it is sent to standard error."""
    sys.stdout.flush()
    output = os.dup(1)
    os.dup2(2, 1)
    try:
        with os.fdopen(output, "wb", 0, closefd=False) as file:
            yield file
    finally:
        os.dup2(output, 1)
        os.close(output)
