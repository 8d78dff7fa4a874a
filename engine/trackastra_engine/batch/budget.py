"""How much of the machine a batch may use, and how much of it a movie needs."""

from collections.abc import Iterable
from dataclasses import dataclass

from trackastra_engine.errors import InputError
from trackastra_engine.resources import usable_memory_mb

FIRST_GUESS_MB = 2048.0  # of a movie, before any has been measured: more than most need
MARGIN = 1.25  # times what was measured, as the next movie may hold more
SHARE_OF_FREE = 0.8  # of free memory that a batch takes by default


@dataclass(frozen=True, slots=True)
class Budget:
    """How much may run at a time."""

    jobs: int  # movies, at most
    memory_mb: float  # of all movies together; one runs in any case

    def has_room(self, n_running: int, need_mb: float) -> bool:
        """Return whether a movie of that need may join those that run."""
        fits = (n_running + 1) * need_mb <= self.memory_mb
        return n_running == 0 or (n_running < self.jobs and fits)


def default_memory_mb() -> float:
    """Return what a batch may use if nothing is said; raises InputError if that is not known."""
    free_mb = usable_memory_mb()
    if free_mb is None:
        raise InputError("how much memory is free is not known here; give --memory in gigabytes")
    return SHARE_OF_FREE * free_mb


def need_mb(measured: Iterable[float], running: Iterable[float]) -> float:
    """Return what the next movie is taken to need.

    measured: the peaks of movies that have ended; running: of those that may still grow.
    """
    ended = max(measured, default=FIRST_GUESS_MB / MARGIN)
    return MARGIN * max([ended, *running])
