"""Threads that compute the next items of an iterator while the last ones are used."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

ITEMS_AHEAD = 3  # computed before they are used, by default; bounds the memory


@contextmanager
def computed_ahead(
    items: Generator[Item, None, None], n_ahead: int = ITEMS_AHEAD
) -> Iterator[Iterator[Item]]:
    """Yield the items of a generator, in order; a thread computes them before they are used.

    An error in the generator is raised instead of its item. At the end of the context, also after
    an error, the generator is closed and the thread has ended.
    """
    end: list[Item] = []  # a unique marker
    with ThreadPoolExecutor(1, thread_name_prefix="ahead") as thread:

        def computed() -> Iterator[Item]:
            while (item := waiting.popleft().result()) is not end:
                waiting.append(thread.submit(next, items, end))
                yield item  # type: ignore[misc]

        waiting: deque[Future[Item | list[Item]]] = deque(
            thread.submit(next, items, end) for _ in range(n_ahead)
        )
        try:
            yield computed()
        finally:
            for future in waiting:
                future.cancel()
            thread.submit(items.close)


@contextmanager
def computed_side_by_side(
    function: Callable[[Item], Result], items: Iterable[Item], n_threads: int
) -> Iterator[Iterator[Result]]:
    """Yield the results of a function for some items, in order, computed by some threads.

    At most `n_threads` + 1 items wait for the use of their results, which bounds the memory. If
    `n_threads` is 1, the caller computes. An error in the function is raised instead of its
    result. At the end of the context, also after an error, the threads have ended.
    """
    if n_threads == 1:
        yield map(function, items)
        return
    with ThreadPoolExecutor(n_threads, thread_name_prefix="ahead") as threads:
        begun: deque[Future[Result]] = deque()

        def results() -> Iterator[Result]:
            for item in items:
                begun.append(threads.submit(function, item))
                if len(begun) > n_threads:
                    yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()

        try:
            yield results()
        finally:
            for future in begun:
                future.cancel()
