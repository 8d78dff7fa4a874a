"""The cores and memory that a batch may use, and the memory that a movie needs."""

from collections.abc import Iterable
from dataclasses import dataclass

from trackastra_engine.errors import InputError
from trackastra_engine.resources import usable_memory_mb

FIRST_GUESS_MB = 2048.0  # of a movie, before any has been measured: more than most need
MARGIN = 1.25  # times the measured memory, as the next movie may be larger
SHARE_OF_FREE = 0.8  # of free memory that a batch uses by default


@dataclass(frozen=True, slots=True)
class Budget:
    """The limits on movies that run at a time."""

    jobs: int  # movies, at most
    memory_mb: float  # of all movies together; one runs in any case

    def has_room(self, n_running: int, need_mb: float) -> bool:
        """Return whether another movie may start that needs this memory."""
        fits = (n_running + 1) * need_mb <= self.memory_mb
        return n_running == 0 or (n_running < self.jobs and fits)


def default_memory_mb() -> float:
    """Return the default memory of a batch; raises InputError if free memory is not known."""
    free_mb = usable_memory_mb()
    if free_mb is None:
        raise InputError("the free memory of this machine is not known; give --memory in gigabytes")
    return SHARE_OF_FREE * free_mb


def need_mb(measured: Iterable[float], running: Iterable[float]) -> float:
    """Return the memory that the next movie is assumed to need.

    measured: the peaks of movies that have ended; running: of those that may still grow.
    """
    ended = max(measured, default=FIRST_GUESS_MB / MARGIN)
    return MARGIN * max([ended, *running])
