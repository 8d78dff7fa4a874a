"""Other trackers, each at several settings where it needs one.

Distances are multiples of the typical spacing of the movie. Some run in their own environments.
"""

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.classical import nearest_neighbour, overlap
from benchmarks.drawn_balls import VOXELS, drawn_balls
from benchmarks.motile_links import motile_links
from benchmarks.movie_variants import typical_spacing
from benchmarks.true_movies import TrueMovie
from trackastra_engine.detection.detections import Detections

SCRIPTS = {
    name: Path(__file__).with_name(f"{name}_links.py") for name in ("btrack", "byotrack", "ultrack")
}
DISTANCES = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)  # spacings
FEW_DISTANCES = (1.0, 1.4, 2.0, 2.8)  # for slow trackers
POLL_S = 0.05  # between checks for the answer of a tracker
SPLIT_COST = 0.4  # of motile, in longest distances

Links = NDArray[np.int64]
Environments = Mapping[str, str]  # the Pythons of environments with some trackers


@dataclass(frozen=True, slots=True, eq=False)
class Attempt:
    """The links of a tracker, with its settings or its notes."""

    links: Links  # (E, 2) rows of the detections
    about: dict[str, Any] = field(default_factory=dict)


OtherTracker = Callable[[TrueMovie], Iterator[Attempt]]


def other_trackers(
    movie: TrueMovie, environments: Environments, distances: Sequence[float] = DISTANCES
) -> dict[str, OtherTracker]:
    """Return the trackers that can track a movie, by name.

    distances: longest ones to try for nearest neighbours and laptrack, in typical spacings.
    """
    found = {"nearest neighbour": _at_distances(nearest_neighbour, distances)}
    if movie.masks is not None:
        found["overlap"] = _overlap
    found["laptrack"] = _at_distances(laptrack_links, distances)
    found["motile"] = _motile
    if python := environments.get("btrack"):
        found["btrack"] = partial(_btrack, python)
    if python := environments.get("byotrack"):
        found["ByoTrack"] = partial(_byotrack, python)
    if python := environments.get("ultrack"):
        found["ultrack"] = partial(_ultrack, python)
    return found


def laptrack_links(detections: Detections, max_distance: float) -> Links:
    """Return the links (E, 2) of laptrack with divisions, none longer than `max_distance` pixels.

    Links over gaps are left out.
    """
    from laptrack import LapTrack  # several seconds

    tracker = LapTrack(
        cutoff=max_distance**2,
        gap_closing_cutoff=max_distance**2,
        splitting_cutoff=max_distance**2,
    )
    first_row = np.searchsorted(detections.frame, np.arange(int(detections.frame[-1]) + 2))
    tree = tracker.predict(np.split(detections.centroid, first_row[1:-1]))
    links = [
        (first_row[t] + i, first_row[u] + j)
        for (t, i), (u, j) in (sorted(edge) for edge in tree.edges)
        if u - t == 1
    ]
    return np.array(links, np.int64).reshape(-1, 2)


def _at_distances(
    links: Callable[[Detections, float], Links], distances: Sequence[float]
) -> OtherTracker:
    def attempts(movie: TrueMovie) -> Iterator[Attempt]:
        detections = movie.in_proportion()
        spacing = typical_spacing(detections)
        for distance in distances:
            yield Attempt(links(detections, distance * spacing), {"distance": distance})

    return attempts


def _overlap(movie: TrueMovie) -> Iterator[Attempt]:
    yield Attempt(overlap(movie.in_proportion(), movie.masks))


def _motile(movie: TrueMovie) -> Iterator[Attempt]:
    detections = movie.in_proportion()
    spacing = typical_spacing(detections)
    for distance in FEW_DISTANCES:
        links = motile_links(detections, distance * spacing, SPLIT_COST)
        yield Attempt(links, {"distance": distance})


def _btrack(python: str, movie: TrueMovie) -> Iterator[Attempt]:
    """Yield the links of the default cell model; the step that finds divisions may fail."""
    result = _run(python, "btrack", movie.in_proportion())
    yield Attempt(result["links"], {"was_optimised": bool(result["was_optimised"])})


def _byotrack(python: str, movie: TrueMovie) -> Iterator[Attempt]:
    detections = movie.in_proportion()
    distances = np.array(DISTANCES) * typical_spacing(detections)
    result = _run(python, "byotrack", detections, distances=distances)
    for linker, (number, distance) in product(("nearest", "kalman"), enumerate(DISTANCES)):
        yield Attempt(result[f"{linker}_{number}"], {"linker": linker, "distance": distance})


def _ultrack(python: str, movie: TrueMovie) -> Iterator[Attempt]:
    """Yield the links of ultrack's linking and its free solver, with each object as one segment.

    Points are drawn as balls.
    """
    masks, spacing = movie.masks, typical_spacing(movie.detections)
    if masks is None:
        masks, spacing = drawn_balls(movie.detections, spacing / VOXELS), VOXELS
    distances = np.array(FEW_DISTANCES) * spacing
    result = _run(python, "ultrack", movie.detections, distances=distances, masks=masks)
    first_row = np.searchsorted(movie.detections.frame, np.arange(movie.n_frames))
    for number, distance in enumerate(FEW_DISTANCES):
        frame, label = result[f"links_{number}"].reshape(-1, 2, 2).transpose(2, 0, 1)
        yield Attempt(first_row[frame] + label - 1, {"distance": distance})


def _run(
    python: str, script: str, detections: Detections, **given: NDArray[Any]
) -> dict[str, NDArray[Any]]:
    """Return the links of a tracker's script, run by the Python of its environment."""
    worker, messages = _worker(python, script)
    with tempfile.TemporaryDirectory() as folder:
        asked, found = Path(folder, "detections.npz"), Path(folder, "links.npz")
        diameter = detections.features[:, 0]
        about = {"frame": detections.frame, "centroid": detections.centroid, "diameter": diameter}
        np.savez(asked, **about, **given)
        print(asked, found, sep="\t", file=worker.stdin, flush=True)
        while not found.exists():
            if worker.poll() is not None:
                raise click.ClickException(
                    f"{SCRIPTS[script].name} failed:\n{messages.read_text()}"
                )
            time.sleep(POLL_S)
        return dict(np.load(found))


@cache  # as its start takes seconds; it ends with this process
def _worker(python: str, script: str) -> tuple[subprocess.Popen[str], Path]:
    """Return a process that answers each line, two paths, and the file of its messages."""
    messages = Path(tempfile.mkdtemp(), f"{script}.txt")
    with messages.open("w") as file:
        worker = subprocess.Popen(
            [python, SCRIPTS[script]], stdin=subprocess.PIPE, stdout=file, stderr=file, text=True
        )
    return worker, messages
