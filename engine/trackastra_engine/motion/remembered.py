"""Cache recent results; each is computed once, by the first thread that needs it."""

from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from threading import Lock
from typing import Generic, TypeVar

Found = TypeVar("Found")


class Remembered(Generic[Found]):
    """The latest results, by key. Threads that need the same key wait for the first of them."""

    def __init__(self, most: int, size: Callable[[Found], int]) -> None:
        """Cache results up to a total size of `most`, and at least the last one."""
        self._most = most
        self._size = size
        self._lock = Lock()
        self._known: dict[bytes, Future[Found]] = {}
        self._sizes: OrderedDict[bytes, int] = OrderedDict()  # of those that are finished
        self._total = 0

    def found(self, key: bytes, find: Callable[[], Found]) -> Found:
        """Return the result of a key, from `find` if it is not cached; raises its errors."""
        with self._lock:
            known = self._known.get(key)
            new = self._known[key] = Future() if known is None else known
        if known is not None:
            return known.result()
        try:
            result = find()
        except BaseException as error:
            with self._lock:
                del self._known[key]
            new.set_exception(error)
            raise
        new.set_result(result)
        self._note(key, self._size(result))
        return result

    def _note(self, key: bytes, size: int) -> None:
        """Register a finished result, and remove the oldest above the limit."""
        with self._lock:
            self._sizes[key] = size
            self._total += size
            while self._total > self._most and len(self._sizes) > 1:
                oldest, freed = self._sizes.popitem(last=False)
                del self._known[oldest]
                self._total -= freed
