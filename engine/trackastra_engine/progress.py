"""The type of callbacks that report progress, and the level of notices."""

from collections.abc import Callable
from typing import TypeAlias

NOTICE = 25  # level of log records, below warnings, about guesses and choices

Progress: TypeAlias = Callable[[str, int, int], None]  # stage, done, total


def no_progress(stage: str, done: int, total: int) -> None:
    """Report nothing."""
