"""The chunks of a movie made by the workers of a Dask cluster, which open its files by path.

A task measures a chunk, another scores it from what its neighbours' tasks found; so no frame is
read twice, and what a lost worker held is made again by the others. Results come back in order.
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

LOCAL = "local:"  # begins the address of workers on this machine, before their number
CONNECT_S = 30
PATIENCE_S = 10  # without a result, until it is told that there is no worker
AHEAD_PER_THREAD = 2  # chunks that are begun before their results are asked for
LOST = "the connection to the Dask scheduler was lost; see that it runs, and track again"


def edges_on_cluster(
    address: str,
    association: Association,
    movie: Movie,
    found: GrowingRows[Detections],
    cache: ChunkCache | None,
    progress: Progress,
) -> Generator[FrameEdges, None, None]:
    """Yield the edges of each chunk of a movie, and add its detections to `found`.

    address: of a Dask scheduler, or local:N for N workers here. The edges are those that this
    process would make, to the bit, if workers compute with the same device and versions.

    Raises InputError if there is no such cluster, it is lost, or the movie is in memory.
    """
    if movie.masks.stamp(0) is None:
        raise InputError("workers open a movie by path; give paths of files in place of arrays")
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
    """Knows the edges of all chunks, as a cache that is full: what is not kept, workers make."""

    def __init__(
        self, client: "Client", association: Association, movie: Movie, cache: ChunkCache | None
    ) -> None:
        self.intensities = IntensityHistogram()
        self._client, self._association, self._cache = client, association, cache
        self._spec, self._chunks = association.spec, association.chunks(len(movie))
        self._needs_range = needs_range(self._spec, movie)
        # A task, as all can have its result, and it is made again if the worker that has it dies.
        self._movie = client.submit(_itself, movie, pure=False)
        self._measured: list[Any] = []  # of each chunk: what was kept, or the task that makes it
        self._scored: list[Any] = []
        self._n_taken = 0  # chunks whose edges were asked for
        self._has_told = False

    def frames(self) -> Iterator[Detections]:
        """Yield the detections of each frame."""
        for place, chunk in enumerate(self._chunks):
            self._measure_until(place + self._n_ahead)
            begun = self._measured[place]
            measured: Measured = self._result(begun)
            if self._cache is not None and begun is not measured:
                self._cache.keep_detections(chunk, measured)
            self.intensities.merge(measured.intensities)
            yield from split_frames(measured.detections, len(chunk.frames), chunk.frames.start)

    def edges(self, chunk: Chunk, intensity_range: IntensityRange | None) -> Edges:
        """Return the edges of the next chunk."""
        place = self._n_taken
        self._score_until(place + self._n_ahead, intensity_range)
        begun = self._scored[place]
        edges: Edges = self._result(begun)
        if self._cache is not None and begun is not edges:
            self._cache.keep_edges(chunk, intensity_range, edges)
        self._scored[place] = None
        if place > 1:
            self._measured[place - 2] = None  # later chunks see one before them
        self._n_taken += 1
        return edges

    def keep_edges(
        self, chunk: Chunk, intensity_range: IntensityRange | None, edges: Edges
    ) -> None:
        """Do nothing: whatever `edges` returned is kept."""

    @property
    def _n_ahead(self) -> int:
        # Asked each time, as workers come and go.
        return 1 + AHEAD_PER_THREAD * self._n_threads()

    def _measure_until(self, stop: int) -> None:
        for chunk in self._chunks[len(self._measured) : stop]:
            kept = None
            if self._cache is not None and self._cache.has_detections(chunk):
                kept = self._cache.detections(chunk)
            task = self._movie, chunk.frames, self._spec.ndim, self._needs_range
            self._measured.append(kept or self._client.submit(_measure, *task, pure=False))

    def _score_until(self, stop: int, intensity_range: IntensityRange | None) -> None:
        for place in range(len(self._scored), min(stop, len(self._chunks))):
            chunk = self._chunks[place]
            kept = None if self._cache is None else self._cache.edges(chunk, intensity_range)
            self._measure_until(place + 2)
            around = self._measured[max(0, place - 1) : place + 2]
            task = self._association, chunk, around, intensity_range
            begun = self._client.submit(_score, *task, pure=False) if kept is None else kept
            self._scored.append(begun)

    def _result(self, begun: Any) -> Any:
        """Return what was kept, or what a task makes, for which a worker may still have to come."""
        if not hasattr(begun, "result"):
            return begun
        # Not Dask's own waiting, which an interrupt at its begin ends with a traceback.
        is_done = Event()
        begun.add_done_callback(lambda _: is_done.set())
        while not is_done.wait(PATIENCE_S):
            self._tell_if_nobody_works()
        from distributed import CancelledError, KilledWorker
        from distributed.comm import CommClosedError

        try:
            return begun.result()
        except (CancelledError, CommClosedError):
            raise InputError(LOST) from None
        except KilledWorker:
            raise InputError(
                "several Dask workers died of the same work, as they do where memory ends; give "
                "each more of it, and track again"
            ) from None

    def _n_threads(self) -> int:
        try:
            return sum(self._client.nthreads().values())
        except OSError:
            raise InputError(LOST) from None

    def _tell_if_nobody_works(self) -> None:
        if not self._has_told and not self._n_threads():
            logger.warning("the Dask cluster has no worker; the work goes on when one has come")
            self._has_told = True


def _itself(value: Value) -> Value:
    return value


def _measure(movie: Movie, frames: range, ndim: int, needs_range: bool) -> Measured:
    """Return what the pixels of some frames say; runs on a worker."""
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
    """Return the edges of a chunk, given what was measured around it; runs on a worker."""
    detections = concatenate((part.detections for part in around), association.spec.ndim)
    frames = split_frames(detections, len(chunk.reach), chunk.reach.start)
    return association.edges(chunk, frames, WindowScores(association, intensity_range))


@contextmanager
def _connected(address: str) -> Iterator["Client"]:
    """Give a client of the cluster at an address, or of one on this machine.

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
            f"there is no Dask scheduler at {address} ({error}); give its address, such as "
            "tcp://10.0.0.1:8786, or local:N for N workers on this machine"
        ) from None
    with client:
        yield client


def _number_of_workers(address: str) -> int:
    number = address.removeprefix(LOCAL)
    if not number.isdecimal() or int(number) < 1:
        raise InputError(f"--dask {address} gives no number of workers; give local:2 for two")
    return int(number)
