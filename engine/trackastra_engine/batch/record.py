"""The record of a tracked position: a key of its inputs and options, and its figures."""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from trackastra_engine.files.figures import write_figures
from trackastra_engine.output.formats import CORRECTIONS


def files_of(name: str) -> tuple[str, str, str, str]:
    """Return the names of a position's folder of results, log, new figures and record."""
    return name, f"{name}.log", f"{name}.figures.json", f"{name}.json"


class Record:
    """The file next to the results of a position."""

    def __init__(self, output: Path, name: str) -> None:
        self.folder, self.log, self.new_figures, self._path = (
            output / file for file in files_of(name)
        )

    @property
    def exists(self) -> bool:
        """Return whether an earlier batch began the position; its results may be replaced."""
        return self._path.exists()

    def is_finished(self, key: str) -> bool:
        """Return whether there are results of the same inputs and options."""
        known = self._known()
        return known.get("key") == key and known["figures"] is not None and self.folder.is_dir()

    def has_changed(self) -> bool:
        """Return whether files of the results were changed or removed since the batch.

        Corrections do not count: they are an input, too.
        """
        now, known = _results(self.folder), self._known().get("results", {})
        return any(now.get(name) != file for name, file in known.items() if name != CORRECTIONS)

    def has_other_corrections(self) -> bool:
        """Return whether the corrections in the results are others than those of the batch."""
        now, known = _results(self.folder), self._known().get("results", {})
        return bool(now.get(CORRECTIONS) != known.get(CORRECTIONS))

    def figures(self) -> dict[str, Any]:
        """Return the figures of the results; empty if there are none."""
        return self._known().get("figures") or {}

    def peaks_mb(self) -> list[float]:
        """Return the peak memory of the position, or nothing if it is not known."""
        peak = self.figures().get("peak_memory_mb")
        return [] if peak is None else [peak]

    def write(self, key: str, figures: dict[str, Any] | None) -> None:
        """Write the figures, or None for a position that has only begun."""
        results = {} if figures is None else _results(self.folder)
        write_figures({"key": key, "figures": figures, "results": results}, self._path)

    def _known(self) -> dict[str, Any]:
        try:
            known: dict[str, Any] = json.loads(self._path.read_text("utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return {}
        return known


def _results(folder: Path) -> dict[str, list[int]]:
    """Return size and date of each file of a position's results, and nothing of its folders.

    The date of a folder changes if a file browser leaves a file there.
    """
    found = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                stat = entry.stat()
                size_and_date = [stat.st_size, stat.st_mtime_ns]
                found[entry.name] = [] if entry.is_dir() else size_and_date
    return found


def fingerprint(arguments: Sequence[str]) -> str:
    """Return a hash of the engine's version, the options, and names, sizes and dates of files.

    arguments: of the command `track`; those that are paths, or end with one as --model=PATH,
    represent the files there, except for the cache, which grows with every run.
    """
    known = [version("trackastra-engine"), *arguments]
    options = ["", *arguments]
    for option, argument in zip(options, arguments, strict=False):
        name, _, value = (
            argument.partition("=") if argument.startswith("-") else (option, "", argument)
        )
        if name != "--cache" and value:
            known += map(str, _files(Path(value)))
    return hashlib.sha256("\0".join(known).encode("utf-8")).hexdigest()


def _files(path: Path) -> Iterator[tuple[str, int, int]]:
    """Yield path, size and date of the files at or below a path, if there are any."""
    if path.is_file():
        stat = path.stat()
        yield str(path), stat.st_size, stat.st_mtime_ns
    elif path.is_dir():
        with os.scandir(path) as entries:
            below = sorted(entry.path for entry in entries)
        for entry in below:
            yield from _files(Path(entry))
