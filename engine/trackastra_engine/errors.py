"""The engine's errors, and the names of options in their messages."""

from collections.abc import Iterator
from contextlib import contextmanager

_PYTHON_NAMES = {"voxel": "voxel_um"}  # where they differ
_are_flags = [False]  # of the process, as its threads raise errors, too


class InputError(ValueError):
    """The movie, its masks or an option cannot be used as given."""


class ModelError(ValueError):
    """The model file is not one of the engine's, or does not fit this movie or engine."""


class MissingDependencyError(ImportError):
    """An optional package is missing; the message names it."""


def option(name: str, value: object = None) -> str:
    """Return the name of an option in messages: an argument in Python, a flag in the commands.

    name: as in Python; value: an example value.
    """
    if not _are_flags[0]:
        known = _PYTHON_NAMES.get(name, name)
        return known if value is None else f"{known}={value!r}"
    flag = f"--{name.replace('_', '-')}"
    if value is None:
        return flag
    is_plain = all(sign.isalnum() or sign in "./_-" for sign in str(value))
    return f"{flag} {value}" if is_plain else f'{flag} "{value}"'


@contextmanager
def naming_flags() -> Iterator[None]:
    """Name options by the flags of the commands in messages."""
    before, _are_flags[0] = _are_flags[0], True
    try:
        yield
    finally:
        _are_flags[0] = before


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or its type if there is none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
