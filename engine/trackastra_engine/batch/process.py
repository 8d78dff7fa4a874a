"""One position of a batch, tracked by a process: the command `track`, as a person would call it."""

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
THREADS = "OMP_NUM_THREADS"  # which the model heeds, too


@contextmanager
def kills_wait() -> Iterator[None]:
    """Let a kill (SIGTERM) wait: of a process that is just starting, nobody knows what to end."""
    if threading.current_thread() is not threading.main_thread():  # signals come to that one alone
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
    if came:
        signal.raise_signal(signal.SIGTERM)


@dataclass(frozen=True, slots=True)
class Share:
    """What of the machine a process may use."""

    cores: tuple[int, ...]  # on which it runs, where the system can bind it to them
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
        told = [*position.arguments, *options, "-o", str(record.folder)]
        told += ["--json", str(record.new_figures)]
        if record.exists:  # what lies there is ours
            told.append("--overwrite")
        # UTF-8, so that the log holds all names of files on Windows, too.
        command = [sys.executable, "-X", "utf8", "-m", "trackastra_engine", "track", *told]
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
        bind(self._process.pid, share.cores)  # Python starts in this time, threads come later

    def has_ended(self) -> bool:
        """Return whether the process is gone."""
        return self._process.poll() is not None

    def peak_memory_mb(self) -> float:
        """Return the most memory it has used so far; 0 where the system does not tell."""
        try:
            status = Path(f"/proc/{self._process.pid}/status").read_text()
        except OSError:
            return 0.0
        peaks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")]
        return float(peaks[0]) / 1024 if peaks else 0.0

    def stop(self) -> None:
        """End the process, which then leaves nothing unfinished."""
        ask_to_end(self._process)
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def outcome(self) -> Outcome:
        """Return what came out when the process has ended, and note it."""
        if self._process.returncode != 0:
            return Outcome(self._name, "failed", {}, self._sentence())
        figures = json.loads(self.record.new_figures.read_text("utf-8"))
        self.record.new_figures.unlink()
        self.record.write(self._key, figures)
        return Outcome(self._name, "tracked", figures)

    def _sentence(self) -> str:
        """Return why it failed, in its own words if it had any."""
        lines = self.record.log.read_text("utf-8", errors="replace").splitlines()
        said = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
        if said:
            return said[-1]
        code = self._process.returncode
        if code == KILLED:
            return "it was killed, as systems do where memory ends; give less --memory or --jobs"
        return f"it ended with exit code {code}; {self.record.log} tells more"


def _environment(n_threads: int) -> dict[str, str]:
    """Return the environment of a process that computes with so many threads at most."""
    told = os.environ.get(THREADS, "")
    if told.isdecimal():
        n_threads = min(n_threads, max(1, int(told)))
    return {**os.environ, THREADS: str(n_threads)}
