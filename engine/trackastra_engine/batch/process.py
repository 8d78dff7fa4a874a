"""One position of a batch, tracked by a process: the command `track`, as a person would call it."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from trackastra_engine.batch.positions import Position
from trackastra_engine.batch.record import Record
from trackastra_engine.batch.summary import Outcome

STOP_S = 20  # for a process to remove its unfinished results


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


class TrackProcess:
    """A running `track`, on cores of its own where the system can hold it to them."""

    def __init__(
        self,
        position: Position,
        record: Record,
        key: str,
        options: Sequence[str],
        cores: tuple[int, ...],
    ) -> None:
        self.cores, self.record = cores, record
        self._name, self._key = position.name, key
        told = [*position.arguments, *options, "-o", str(record.folder)]
        told += ["--json", str(record.new_figures)]
        if record.exists:  # what lies there is ours
            told.append("--overwrite")
        command = [sys.executable, "-m", "trackastra_engine", "track", *told]
        record.write(key, None)
        with record.log.open("w") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        if sys.platform == "linux":  # Python starts in this time, threads come later
            os.sched_setaffinity(self._process.pid, cores)

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
        self._process.terminate()
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
        if code == -signal.SIGKILL:
            return "it was killed, as systems do where memory ends; give less --memory or --jobs"
        return f"it ended with exit code {code}; {self.record.log} tells more"
