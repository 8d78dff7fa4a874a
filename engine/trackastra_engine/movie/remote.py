"""OME-Zarr on a web server or S3, by the package obstore (the extra `remote`).

Credentials are read only from the environment (AWS_ACCESS_KEY_ID and the like); without them,
requests to S3 are not signed.
"""

import os
import re
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from math import prod
from threading import Lock
from typing import Any, TypeVar
from urllib.parse import urlsplit

from trackastra_engine.errors import InputError, MissingDependencyError

Result = TypeVar("Result")

ADDRESS = re.compile(r"(https?|s3):[\\/]+", re.IGNORECASE)  # a Path keeps only one slash
CREDENTIALS = (  # variables; requests to S3 are signed if one is set
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")  # of a server like S3
TIMEOUT_S = 30
WAITS_S = (0.5, 2.0, 8.0)  # before each retry of a failed request
BYTES_AHEAD = 2**28  # limit of data read ahead
MAX_AHEAD = 8  # parts, such as frames, read at a time
STATES_AT_ONCE = 32


def remote_address(source: object) -> str | None:
    """Return the address in a path or text, such as s3://bucket/image.zarr; None for others."""
    match = ADDRESS.match(str(source))
    if match is None:
        return None
    return f"{match[1].lower()}://" + str(source)[match.end() :].replace("\\", "/").rstrip("/")


def open_store(address: str) -> Any:
    """Return the store at an address, for zarr, without reading it.

    Raises MissingDependencyError without obstore, and InputError for an address with a user.
    """
    parts = urlsplit(address)
    if parts.username is not None or parts.password is not None:
        raise InputError(
            f"the address of {parts.hostname} contains a user or password; give credentials in "
            "the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        )
    try:
        from obstore.store import HTTPStore, S3Store
    except ImportError:
        raise MissingDependencyError(
            f"{address} is a remote address, which needs another package; install "
            "trackastra-engine[remote]"
        ) from None
    from zarr.storage import ObjectStore

    wait = timedelta(seconds=WAITS_S[-1])
    backoff = {"init_backoff": timedelta(seconds=WAITS_S[0]), "max_backoff": wait, "base": 4}
    shared: dict[str, Any] = {
        "client_options": {"timeout": timedelta(seconds=TIMEOUT_S), "allow_http": True},
        "retry_config": {
            "max_retries": len(WAITS_S),
            "retry_timeout": wait * 4,
            "backoff": backoff,
        },
    }
    if parts.scheme != "s3":
        return ObjectStore(HTTPStore.from_url(address, **shared), read_only=True)
    given: dict[str, Any] = {"skip_signature": not any(map(os.environ.get, CREDENTIALS))}
    endpoint = next((value for name in ENDPOINTS if (value := os.environ.get(name))), None)
    if endpoint is not None:
        given["endpoint"] = endpoint
    return ObjectStore(S3Store.from_url(address, **given, **shared), read_only=True)


def is_remote(store: Any) -> bool:
    """Return whether a store of zarr was made by `open_store`."""
    return hasattr(store, "store")


def can_list(store: Any) -> bool:
    """Return whether a store of zarr can list its content; web servers cannot."""
    return type(getattr(store, "store", None)).__name__ != "HTTPStore"


class ReadAhead:
    """An array of a remote store that reads the following parts while a part is used.

    Threads read some parts at a time, and retry if a connection drops. All other attributes are
    those of the array.
    """

    def __init__(self, array: Any, time_axis: int) -> None:
        self._array, self._time_axis = array, time_axis
        self._parts: dict[range, Future[Any]] = {}  # by their frames
        self._threads = ThreadPoolExecutor(MAX_AHEAD, thread_name_prefix="remote")
        self._lock = Lock()

    def __reduce__(self) -> tuple[Any, ...]:
        """Make other processes read the array for themselves."""
        return ReadAhead, (self._array, self._time_axis)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._array, name)

    def __getitem__(self, index: tuple[int | slice, ...]) -> Any:
        """Return a part, and start to read the parts after it along time."""
        if self._time_axis < 0:
            return persistently(lambda: self._array[index])
        along_time = index[self._time_axis]
        is_one = isinstance(along_time, int)
        frames = range(self._array.shape[self._time_axis])[
            slice(along_time, along_time + 1) if isinstance(along_time, int) else along_time
        ]
        with self._lock:
            wanted = [frames, *self._following(frames)]
            for started in [started for started in self._parts if started not in wanted]:
                self._parts.pop(started).cancel()
            for some in wanted:
                if some not in self._parts:
                    place = some.start if is_one else slice(some.start, some.stop)
                    self._parts[some] = self._threads.submit(self._read, index, place)
            part = self._parts.pop(frames)
        return part.result()

    def _following(self, frames: range) -> list[range]:
        """Return the frames that are probably read next, as many as fit into BYTES_AHEAD."""
        shape, axis = self._array.shape, self._time_axis
        part_bytes = prod(shape[:axis] + shape[axis + 1 :]) * self._array.dtype.itemsize
        n_ahead = BYTES_AHEAD // max(1, part_bytes * len(frames))
        starts = range(frames.stop, shape[axis], max(1, len(frames)))
        every = range(shape[axis])
        return [
            every[start : start + len(frames)]
            for start in starts[: min(MAX_AHEAD, max(1, n_ahead))]
        ]

    def _read(self, index: tuple[int | slice, ...], place: int | slice) -> Any:
        axis = self._time_axis
        moved = (*index[:axis], place, *index[axis + 1 :])
        return persistently(lambda: self._array[moved])


class RemoteChunks:
    """Existence and state of the chunks of an array on a server, without reading them."""

    def __init__(self, array: Any) -> None:
        self._store, self._path = array.store.store, array.path
        self._states: dict[str, str] = {}

    def any_there(self, keys: Iterable[str]) -> bool:
        """Return whether at least one of some chunks exists."""
        return any(self.ask(keys))

    def stamp(self, keys: Iterable[str]) -> str:
        """Return a text that changes if some chunks change."""
        return " ".join((repr(self._store), *self.ask(keys)))

    def ask(self, keys: Iterable[str]) -> list[str]:
        """Return size, time and tag of some chunks as texts; empty for a missing chunk."""
        names = [f"{self._path}/{key}".strip("/") for key in keys]
        unknown = [name for name in names if name not in self._states]
        with ThreadPoolExecutor(STATES_AT_ONCE) as threads:
            self._states |= zip(unknown, threads.map(self._state, unknown), strict=True)
        return [self._states[name] for name in names]

    def _state(self, name: str) -> str:
        import obstore

        try:
            about = persistently(lambda: obstore.head(self._store, name))
        except FileNotFoundError:
            return ""
        return f"{name} {about['size']} {about['last_modified']} {about['e_tag']}"


def persistently(request: Callable[[], Result]) -> Result:
    """Return the result of a request; retry all errors except a missing file."""
    for wait_s in WAITS_S:
        try:
            return request()
        except FileNotFoundError:
            raise
        except Exception:  # network errors, in classes of the package
            time.sleep(wait_s)
    return request()
