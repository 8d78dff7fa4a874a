"""Score windows in parallel: each in one thread, so that scores are the same to the bit."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from trackastra_engine.detection.detections import Detections
from trackastra_engine.model.edges import Edges
from trackastra_engine.resources import usable_memory_mb

TOKEN_MB = 0.03  # of memory per token of a window, for a model of the published size
SHARE_OF_FREE = 0.5  # of free memory, for all windows together
LIKELY_FREE_MB = 8192.0  # if the system does not report the free memory


@dataclass(frozen=True, slots=True, eq=False)
class WindowThreads:
    """Threads that score windows, and the limits of windows that are started and not yet used."""

    executor: Executor | None  # None: windows are scored one by one, when they are started
    max_windows: int  # started and not yet used
    max_detections: int  # of these and the next window; one window is always allowed

    def begin(
        self, score: Callable[[Detections], Edges], detections: Detections
    ) -> Callable[[], Edges]:
        """Start to score a window; return a function that waits for its edges, or raises."""
        if self.executor is None:
            edges = score(detections)
            return lambda: edges
        return self.executor.submit(score, detections).result


IN_TURN = WindowThreads(None, 0, 0)


@contextmanager
def window_threads(n_threads: int) -> Iterator[WindowThreads]:
    """Yield threads that score windows; they are stopped at the end, also after an error.

    Then a window that is being scored is finished, and those that wait are not started.
    """
    if n_threads == 1:
        yield IN_TURN
        return
    known_mb = usable_memory_mb()
    free_mb = LIKELY_FREE_MB if known_mb is None else known_mb
    executor = ThreadPoolExecutor(n_threads, thread_name_prefix="window")
    try:
        # Twice the threads: they have work while the edges of many frames are linked.
        yield WindowThreads(executor, 2 * n_threads, int(SHARE_OF_FREE * free_mb / TOKEN_MB))
    finally:
        executor.shutdown(cancel_futures=True)
