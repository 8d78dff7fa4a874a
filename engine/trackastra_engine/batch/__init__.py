"""Track many movies, a few at a time, each in its own process.

`positions.py` finds the movies of a folder, plate or table; `process.py` tracks one.
"""

import logging
import time
from collections.abc import Generator, Sequence
from pathlib import Path

from trackastra_engine.batch.budget import Budget, need_mb
from trackastra_engine.batch.positions import Position, find_positions
from trackastra_engine.batch.process import Share, TrackProcess, kills_wait
from trackastra_engine.batch.record import Record, fingerprint
from trackastra_engine.batch.summary import Outcome
from trackastra_engine.files.lock import alone_in
from trackastra_engine.progress import NOTICE
from trackastra_engine.resources import n_usable_cores
from trackastra_engine.system import cores

__all__ = ["Budget", "find_positions", "run_batch"]

logger = logging.getLogger(__name__)

POLL_S = 0.1


def run_batch(
    positions: Sequence[Position], options: Sequence[str], output: Path, budget: Budget
) -> Generator[Outcome, None, None]:
    """Track positions into folders of `output`, and yield the outcome of each as it ends.

    options: of the command `track`, for all positions. Positions that an earlier batch tracked from
    the same inputs with the same options and corrections are skipped. If a position fails, the
    others continue. Raises InputError if another batch is writing there.
    """
    with alone_in(output):
        yield from _run(positions, options, output, budget)


def _run(
    positions: Sequence[Position], options: Sequence[str], output: Path, budget: Budget
) -> Generator[Outcome, None, None]:
    waiting, peaks = [], []
    for position in positions:
        record = Record(output, position.name)
        key = fingerprint([*position.arguments, *options])
        peaks += record.peaks_mb()
        earlier = _earlier(position, record) if record.is_finished(key) else None
        if earlier is None:
            waiting.append((position, record, key))
        else:
            yield earlier
    free = _shares(min(budget.jobs, len(waiting)))
    logger.log(NOTICE, "%d to track, up to %d at a time", len(waiting), len(free))
    running: list[TrackProcess] = []
    try:
        while waiting or running:
            need = need_mb(peaks, (process.peak_memory_mb() for process in running))
            if waiting and free and budget.has_room(len(running), need):
                with kills_wait():
                    running.append(TrackProcess(*waiting.pop(0), options, free.pop()))
                continue
            time.sleep(POLL_S)
            for process in [process for process in running if process.has_ended()]:
                running.remove(process)
                free.append(process.share)
                yield process.outcome()
                peaks += process.record.peaks_mb()
    finally:
        for process in running:
            process.stop()


def _earlier(position: Position, record: Record) -> Outcome | None:
    """Return the outcome of a position that an earlier batch tracked.

    None if new corrections lie in its results. They would be lost if the batch gives others.
    """
    are_new, are_given = record.has_other_corrections(), position.gives_corrections
    if record.has_changed() or (are_new and are_given):
        reason = f"its results are not those of the batch; remove {record.folder} to track it again"
        return Outcome(position.name, "changed", {}, reason)
    return None if are_new else Outcome(position.name, "unchanged", record.figures())


def _shares(n_jobs: int) -> list[Share]:
    """Return the cores and threads of each of the jobs that run at a time; jobs may share cores.

    If this process may use fewer cores than it may run on, the busy ones are not known: jobs run on
    all of them, with fewer threads.
    """
    places, n_usable = cores(), n_usable_cores()
    if n_usable < len(places):
        return [Share(tuple(places), max(1, n_usable // n_jobs)) for _ in range(n_jobs)]
    shares = (
        places[job::n_jobs] if n_jobs <= len(places) else [places[job % len(places)]]
        for job in range(n_jobs)
    )
    return [Share(tuple(share), len(share)) for share in shares]
