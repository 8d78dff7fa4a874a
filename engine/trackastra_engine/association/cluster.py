"""Compute the chunks of a movie on the workers of a Dask cluster, which open its files by path.

One task measures a chunk, another scores it from the measurements of the chunk and its neighbours;
so no frame is read twice, and the other workers recompute the results of a lost worker. Results are
returned in order.
"""

import logging
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Any, TypeVar

from trackastra_engine.association.association import Association, Chunk, WindowScores
from trackastra_engine.association.cache import ChunkCache
from trackastra_engine.association.chunks import edges_of_chunks, gathered
from trackastra_engine.association.edge_stream import FrameEdges
from trackastra_engine.association.measured import Measured, measure, needs_range
from trackastra_engine.detection.detections import Detections, concatenate, split_frames
from trackastra_engine.detection.intensity import IntensityHistogram, IntensityRange
from trackastra_engine.errors import InputError, MissingDependencyError
from trackastra_engine.growing_rows import GrowingRows
from trackastra_engine.model.edges import Edges
from trackastra_engine.movie.frames import Movie
from trackastra_engine.progress import Progress

if TYPE_CHECKING:
    from distributed import Client

logger = logging.getLogger(__name__)

Value = TypeVar("Value")

LOCAL = "local:"  # prefix of the address of workers on this machine, before their number
CONNECT_S = 30
PATIENCE_S = 10  # without a result, before a warning that there is no worker
AHEAD_PER_THREAD = 2  # chunks that are started before their results are needed
LOST = "the connection to the Dask scheduler was lost; check that it runs, and track again"


def edges_on_cluster(
    address: str,
    association: Association,
    movie: Movie,
    found: GrowingRows[Detections],
    cache: ChunkCache | None,
    progress: Progress,
) -> Generator[FrameEdges, None, None]:
    """Yield the edges of each chunk of a movie, and add its detections to `found`.

    address: of a Dask scheduler, or local:N for N workers here. The edges are equal
    to those of this process, to the bit, if workers have the same device and versions.

    Raises InputError if the cluster is not available or is lost, or the movie is in memory.
    """
    if movie.masks.stamp(0) is None:
        raise InputError("workers open a movie by path; give paths of files instead of arrays")
    with _connected(address) as client:
        work = _Workers(client, association, movie, cache)
        frames: Iterable[Detections] = gathered(found, work.frames(), movie, progress)
        if needs_range(association.spec, movie):  # the first window is scored when all were seen
            deque(frames, maxlen=0)
            frames = split_frames(found.whole(), len(movie))
            known = work.intensities.range()
        else:
            known = None
        yield from edges_of_chunks(association, frames, len(movie), known, work, progress)


class _Workers:
    """A source of the edges of all chunks: from the cache if stored, otherwise from workers."""

    def __init__(
        self, client: "Client", association: Association, movie: Movie, cache: ChunkCache | None
    ) -> None:
        self.intensities = IntensityHistogram()
        self._client, self._association, self._cache = client, association, cache
        self._spec, self._chunks = association.spec, association.chunks(len(movie))
        self._needs_range = needs_range(self._spec, movie)
        # A task, so that all workers can use its result and recompute it if its worker is lost.
        self._movie = client.submit(_itself, movie, pure=False)
        self._measured: list[Any] = []  # of each chunk: the cached result, or its task
        self._scored: list[Any] = []
        self._n_taken = 0  # chunks whose edges were requested
        self._has_warned = False

    def frames(self) -> Iterator[Detections]:
        """Yield the detections of each frame."""
        for place, chunk in enumerate(self._chunks):
            self._measure_until(place + self._n_ahead)
            begun = self._measured[place]
            measured: Measured = self._result(begun)
            if self._cache is not None and begun is not measured:
                self._cache.store_detections(chunk, measured)
            self.intensities.merge(measured.intensities)
            yield from split_frames(measured.detections, len(chunk.frames), chunk.frames.start)

    def edges(self, chunk: Chunk, intensity_range: IntensityRange | None) -> Edges:
        """Return the edges of the next chunk."""
        place = self._n_taken
        self._score_until(place + self._n_ahead, intensity_range)
        begun = self._scored[place]
        edges: Edges = self._result(begun)
        if self._cache is not None and begun is not edges:
            self._cache.store_edges(chunk, intensity_range, edges)
        self._scored[place] = None
        if place > 1:
            self._measured[place - 2] = None  # later chunks need only the one before them
        self._n_taken += 1
        return edges

    def store_edges(
        self, chunk: Chunk, intensity_range: IntensityRange | None, edges: Edges
    ) -> None:
        """Do nothing: `edges` has stored them."""

    @property
    def _n_ahead(self) -> int:
        # Counted each time, as the number of workers changes.
        return 1 + AHEAD_PER_THREAD * self._n_threads()

    def _measure_until(self, stop: int) -> None:
        for chunk in self._chunks[len(self._measured) : stop]:
            cached = None
            if self._cache is not None and self._cache.has_detections(chunk):
                cached = self._cache.detections(chunk)
            task = self._movie, chunk.frames, self._association.ndim, self._needs_range
            self._measured.append(cached or self._client.submit(_measure, *task, pure=False))

    def _score_until(self, stop: int, intensity_range: IntensityRange | None) -> None:
        for place in range(len(self._scored), min(stop, len(self._chunks))):
            chunk = self._chunks[place]
            cached = None if self._cache is None else self._cache.edges(chunk, intensity_range)
            self._measure_until(place + 2)
            around = self._measured[max(0, place - 1) : place + 2]
            task = self._association, chunk, around, intensity_range
            begun = self._client.submit(_score, *task, pure=False) if cached is None else cached
            self._scored.append(begun)

    def _result(self, begun: Any) -> Any:
        """Return a cached result, or that of a task; wait if there is no worker yet."""
        if not hasattr(begun, "result"):
            return begun
        # Not Dask's own waiting, in which an interrupt at the start causes a traceback.
        is_done = Event()
        begun.add_done_callback(lambda _: is_done.set())
        while not is_done.wait(PATIENCE_S):
            self._warn_without_workers()
        from distributed import CancelledError, KilledWorker
        from distributed.comm import CommClosedError

        try:
            return begun.result()
        except (CancelledError, CommClosedError):
            raise InputError(LOST) from None
        except KilledWorker:
            raise InputError(
                "several Dask workers died of the same work, probably for lack of memory; give "
                "each more memory, and track again"
            ) from None

    def _n_threads(self) -> int:
        try:
            return sum(self._client.nthreads().values())
        except OSError:
            raise InputError(LOST) from None

    def _warn_without_workers(self) -> None:
        if not self._has_warned and not self._n_threads():
            logger.warning("the Dask cluster has no worker; the work continues when one connects")
            self._has_warned = True


def _itself(value: Value) -> Value:
    return value


def _measure(movie: Movie, frames: range, ndim: int, needs_range: bool) -> Measured:
    """Return the measurements of some frames; runs on a worker."""
    measuring = measure(movie.frames(frames), ndim, needs_range=needs_range)
    while True:
        try:
            next(measuring)
        except StopIteration as end:
            measured: Measured = end.value
            return measured


def _score(
    association: Association,
    chunk: Chunk,
    around: Sequence[Measured],
    intensity_range: IntensityRange | None,
) -> Edges:
    """Return the edges of a chunk from the measurements around it; runs on a worker."""
    detections = concatenate((part.detections for part in around), association.ndim)
    frames = split_frames(detections, len(chunk.reach), chunk.reach.start)
    return association.edges(chunk, frames, WindowScores(association, intensity_range))


@contextmanager
def _connected(address: str) -> Iterator["Client"]:
    """Yield a client of the cluster at an address, or of one on this machine.

    Raises InputError if there is none.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise MissingDependencyError("--dask needs Dask; install trackastra-engine[dask]") from None
    if address.startswith(LOCAL):
        with (
            LocalCluster(
                n_workers=_number_of_workers(address), threads_per_worker=1, dashboard_address=":0"
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client
        return
    try:
        client = Client(address, timeout=CONNECT_S)
    except (OSError, ValueError) as error:
        raise InputError(
            f"there is no Dask scheduler at {address} ({error}); give an address such as "
            "tcp://10.0.0.1:8786, or local:N for N workers on this machine"
        ) from None
    with client:
        yield client


def _number_of_workers(address: str) -> int:
    number = address.removeprefix(LOCAL)
    if not number.isdecimal() or int(number) < 1:
        raise InputError(f"--dask {address} gives no number of workers; give local:2 for two")
    return int(number)
