"""How a long job tells where it is and what it does; what is shown of it is the caller's choice."""

from collections.abc import Callable
from typing import TypeAlias

NOTICE = 25  # level of log records, below warnings, that say what was found out and is used

Progress: TypeAlias = Callable[[str, int, int], None]  # stage, done, total


def no_progress(stage: str, done: int, total: int) -> None:
    """Report nothing."""
