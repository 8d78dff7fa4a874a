"""Windows scored side by side: each by one thread, so that their scores are the same to the bit."""

from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from trackastra_engine.detection.detections import Detections
from trackastra_engine.model.edges import Edges
from trackastra_engine.resources import usable_memory_mb

TOKEN_MB = 0.03  # of memory that a run of the published size takes for each token of its window
SHARE_OF_FREE = 0.5  # of free memory that windows take together
LIKELY_FREE_MB = 8192.0  # where the system does not tell what is free


@dataclass(frozen=True, slots=True, eq=False)
class WindowThreads:
    """Threads that score windows, and how many windows may be begun before the first is used."""

    executor: Executor | None  # None: windows are scored in turn, when they are begun
    max_windows: int  # that wait while others are begun
    max_detections: int  # of all of these and the next; one window runs in any case

    def begin(
        self, score: Callable[[Detections], Edges], detections: Detections
    ) -> Callable[[], Edges]:
        """Begin to score a window; what is returned waits for its edges, or raises its error."""
        if self.executor is None:
            edges = score(detections)
            return lambda: edges
        return self.executor.submit(score, detections).result


IN_TURN = WindowThreads(None, 0, 0)


@contextmanager
def window_threads(n_threads: int) -> Iterator[WindowThreads]:
    """Give threads that score windows; at the end, however it comes, they are gone.

    A window that is being scored then is scored to its end, and those that wait are not begun.
    """
    if n_threads == 1:
        yield IN_TURN
        return
    known_mb = usable_memory_mb()
    free_mb = LIKELY_FREE_MB if known_mb is None else known_mb
    executor = ThreadPoolExecutor(n_threads, thread_name_prefix="window")
    try:
        # As many wait as run: threads have work while the edges of many frames are linked.
        yield WindowThreads(executor, 2 * n_threads, int(SHARE_OF_FREE * free_mb / TOKEN_MB))
    finally:
        executor.shutdown(cancel_futures=True)
