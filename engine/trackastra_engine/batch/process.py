"""Track one position of a batch in a process that runs the command `track`."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from trackastra_engine.batch.positions import Position
from trackastra_engine.batch.record import Record
from trackastra_engine.batch.summary import Outcome
from trackastra_engine.system import CHILD_FLAGS, KILLED, ask_to_end, bind

STOP_S = 20  # for a process to remove its unfinished results
THREADS = "OMP_NUM_THREADS"  # which limits the threads of the model, too


@contextmanager
def kills_wait() -> Iterator[None]:
    """Delay a kill (SIGTERM) until a new process has started and can be ended."""
    if threading.current_thread() is not threading.main_thread():  # only that one gets signals
        yield
        return
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
    if received:
        signal.raise_signal(signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Share:
    """The cores and threads that a process may use."""

    cores: tuple[int, ...]  # on which it runs, if the system can bind it to them
    n_threads: int


class TrackProcess:
    """A running `track`, with a share of the machine."""

    def __init__(
        self,
        position: Position,
        record: Record,
        key: str,
        options: Sequence[str],
        share: Share,
    ) -> None:
        self.share, self.record = share, record
        self._name, self._key = position.name, key
        arguments = [*position.arguments, *options, "-o", str(record.folder)]
        arguments += ["--json", str(record.new_figures)]
        if record.exists:  # earlier results are of a batch
            arguments.append("--overwrite")
        # UTF-8, so that the log can contain any file name on Windows, too.
        command = [sys.executable, "-X", "utf8", "-m", "trackastra_engine", "track", *arguments]
        record.write(key, None)
        with record.log.open("w") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                creationflags=CHILD_FLAGS,
                env=_environment(share.n_threads),
            )
        bind(self._process.pid, share.cores)  # before Python creates threads

    def has_ended(self) -> bool:
        """Return whether the process has ended."""
        return self._process.poll() is not None

    def peak_memory_mb(self) -> float:
        """Return the most memory it has used so far; 0 if the system does not report it."""
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text()
        except OSError:
            return 0.0
        peaks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
        return float(peaks[0]) / 1024 if peaks else 0.0

    def stop(self) -> None:
        """End the process, which removes its unfinished results."""
        ask_to_end(self._process)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def outcome(self) -> Outcome:
        """Return the outcome of a process that has ended, and record it."""
        if self._process.returncode != 0:
            return Outcome(self._name, "failed", {}, self._sentence())
        figures = json.loads(self.record.new_figures.read_text("utf-8"))
        self.record.new_figures.unlink()
        self.record.write(self._key, figures)
        return Outcome(self._name, "tracked", figures)

    def _sentence(self) -> str:
        """Return the reason of a failure: the last error in the log, or the exit code."""
        lines = self.record.log.read_text("utf-8", errors="replace").splitlines()
        errors = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
        if errors:
            return errors[-1]
        code = self._process.returncode
        if code == KILLED:
            return "it was killed, perhaps for lack of memory; give less --memory or --jobs"
        return f"it ended with exit code {code}; see {self.record.log}"


def _environment(n_threads: int) -> dict[str, str]:
    """Return the environment of a process that computes with at most `n_threads` threads."""
    given = os.environ.get(THREADS, "")
    if given.isdecimal():
        n_threads = min(n_threads, max(1, int(given)))
    return {**os.environ, THREADS: str(n_threads)}
