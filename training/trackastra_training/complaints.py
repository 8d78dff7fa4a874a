"""Errors of annotated movies that cannot be learned from."""

from collections.abc import Sequence

from trackastra_engine.errors import InputError
from trackastra_training.configuration import AnnotatedMovie

MOST_PROBLEMS = 10  # of a movie that are reported


def complain(movie: AnnotatedMovie, problems: Sequence[str]) -> None:
    """Raise InputError if there are problems."""
    if not problems:
        return
    listed = [f"  {problem}" for problem in problems[:MOST_PROBLEMS]]
    if len(problems) > MOST_PROBLEMS:
        listed.append(f"  and {len(problems) - MOST_PROBLEMS} more")
    raise InputError("\n".join([f"{movie} cannot be learned from:", *listed]))
