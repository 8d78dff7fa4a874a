"""The end of every command: its result, or a one-line error and an exit code."""

import errno
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec

import click

from trackastra_engine.errors import InputError, MissingDependencyError, ModelError, naming_flags
from trackastra_engine.progress import NOTICE
from trackastra_engine.system import STOP_SIGNALS, why_not

Arguments = ParamSpec("Arguments")

FAILED, INTERRUPTED, TERMINATED = 2, 130, 143  # exit codes; the last two as in shells


def one_sentence_errors(command: Callable[Arguments, None]) -> Callable[Arguments, None]:
    """Print an error as one sentence, and exit with a code."""

    @wraps(command)
    def run(*args: Arguments.args, **kwargs: Arguments.kwargs) -> None:
        try:
            _write_all_signs()
            with _logging_to_terminal(), _stopped_by_terminate(), naming_flags():
                command(*args, **kwargs)
        except (InputError, ModelError, MissingDependencyError) as error:
            _fail(str(error))
        except OSError as error:
            if error.errno == errno.ENOSPC and error.filename is None:  # as file.write raises it
                _fail("a disk is full; free some space, or write the results to another disk")
            place = error.filename or "a file"
            _fail(f"{place} could not be read or written ({why_not(error)})")
        except KeyboardInterrupt:
            click.echo("Stopped; no results were written.", err=True)
            sys.exit(INTERRUPTED)

    return run


def only_warnings() -> None:
    """Hide notices in the running command."""
    logging.getLogger("trackastra_engine").setLevel(logging.WARNING)


@contextmanager
def _logging_to_terminal() -> Iterator[None]:
    """Print our notices and warnings as plain lines; hide tifffile's, which ours cover."""
    loggers = {"trackastra_engine": NOTICE, "tifffile": logging.CRITICAL + 1}
    before = {name: logging.getLogger(name).level for name in loggers}
    handler = _EchoHandler()
    logging.getLogger("trackastra_engine").addHandler(handler)
    for name, level in loggers.items():
        logging.getLogger(name).setLevel(level)
    try:
        yield
    finally:
        logging.getLogger("trackastra_engine").removeHandler(handler)
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)


def _write_all_signs() -> None:
    """Let stdout print file names that its encoding lacks, as that of pipes on Windows."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")  # as Python does on standard error


class _EchoHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        kind = "" if record.levelno == NOTICE else f"{record.levelname.capitalize()}: "
        click.echo(f"{kind}{record.getMessage()}", err=True)


@contextmanager
def _stopped_by_terminate() -> Iterator[None]:
    """Turn a kill (SIGTERM) into an exit, so that no unfinished results stay."""
    before = {name: signal.signal(name, lambda *_: sys.exit(TERMINATED)) for name in STOP_SIGNALS}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _fail(message: str) -> None:
    click.echo(f"Error: {message}", err=True)
    sys.exit(FAILED)
