"""Sockets for clients: at an address of this machine, or at a path."""

import socket
import stat
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from trackastra_engine.errors import InputError

UNIX = "unix:"
BACKLOG = 16


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that waits for clients."""

    socket: socket.socket
    name: str  # the address for clients
    path: Path | None  # of a Unix socket

    def close(self) -> None:
        """Close the socket and remove its file."""
        self.socket.close()
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def listen(address: str, *, allow_network: bool = False) -> Listener:
    """Return a listener at HOST:PORT (port 0: any free one) or unix:PATH.

    allow_network: whether other machines may connect, too.

    Raises InputError if the address is invalid, in use, or open to other machines without
    allow_network.
    """
    if address.startswith(UNIX):
        return _listen_at_path(Path(address.removeprefix(UNIX)))
    host, _, port = address.rpartition(":")
    if not host or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise InputError(
            f"{address!r} is not an address; give HOST:PORT such as 127.0.0.1:41800, or unix:PATH"
        )
    try:
        family, _, _, _, place = socket.getaddrinfo(
            host.strip("[]"), int(port), type=socket.SOCK_STREAM
        )[0]
        if not allow_network and not ip_address(str(place[0])).is_loopback:
            raise InputError(
                f"{host} can be reached from other machines, which could use this one without "
                "password or encryption; pass --allow-network to accept that"
            )
        found = socket.create_server(place, family=family, backlog=BACKLOG)
    except OSError as error:
        raise InputError(f"cannot listen at {address} ({error}); choose another") from error
    return Listener(found, f"{host}:{found.getsockname()[1]}", None)


def _listen_at_path(path: Path) -> Listener:
    if not hasattr(socket, "AF_UNIX"):
        raise InputError("this system has no Unix sockets; give HOST:PORT")
    if path.exists() and not stat.S_ISSOCK(path.stat().st_mode):
        raise InputError(f"{path} is a file; give a path for a new socket")
    found = socket.socket(socket.AF_UNIX)
    try:
        _remove_if_dead(path)
        found.bind(str(path))
        path.chmod(0o600)  # before it listens: other users must not connect
        found.listen(BACKLOG)
    except OSError as error:
        found.close()
        raise InputError(f"cannot listen at {path} ({error}); choose another") from error
    return Listener(found, f"{UNIX}{path}", path)


def _remove_if_dead(path: Path) -> None:
    """Remove the socket of a server that was killed."""
    with socket.socket(socket.AF_UNIX) as client, suppress(FileNotFoundError):
        try:
            client.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
