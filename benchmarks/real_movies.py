"""Real movies with known tracks, and their frames that no model has learned from.

The data root is a folder with one folder for each of SETS; its README names their sources. Weights
are learned from the parts `train`, constants are chosen on the parts `validate`, and results are
measured on the parts `test`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.true_movies import TrueMovie, read_movie
from trackastra_engine.detection.points import detections_of_points

Part = Literal["train", "validate", "test"]
Command = TypeVar("Command", bound=Callable[..., Any])


def data_option(*, required: bool) -> Callable[[Command], Command]:
    """Return the option that names the folder of the real movies."""
    return click.option(
        "--data",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        required=required,
        envvar="TRACKASTRA_REAL_DATA",
        show_envvar=True,
        help="The folder of the real movies: sparse1, epidermis, ecoli, celegans, phallusia.",
    )


DATA_OPTION, NEEDED_DATA_OPTION = data_option(required=False), data_option(required=True)
SHOWN_OPTION = click.option(
    "--part",
    type=click.Choice(["test", "choosing"]),
    default="test",
    show_default=True,
    help="Of --data; 'choosing' writes a file of its own.",
)
ALL_FRAMES = (0, 10**6)

# Frames of the movies with masks, first and last.
MASKS: dict[str, dict[Part, tuple[int, int]]] = {
    "sparse1": {"train": (0, 49), "validate": (50, 59), "test": (60, 85)},
    "epidermis": {"train": (0, 9), "test": (10, 14)},
    "ecoli": {"test": ALL_FRAMES},
}
# Whole movies with points; those of the part train are the others of the folder.
KEPT_BACK: dict[str, dict[Part, tuple[str, ...]]] = {
    "celegans": {
        "validate": ("CD20241107_JIM767_25_L3",),
        "test": ("CD20140203_sys-1_lit-1i_L1", "CD20241108_JIM767_25_L4"),
    },
    "phallusia": {"validate": ("Pm04",), "test": ("Pm08",)},
}


@dataclass(frozen=True, slots=True)
class RealPart:
    """Some frames of a real movie."""

    name: str  # of the set and, if it holds several movies, of the movie
    folder: Path
    first: int = ALL_FRAMES[0]
    last: int = ALL_FRAMES[1]

    @property
    def set_name(self) -> str:
        """Return the name of the set."""
        return self.name.split()[0]

    @property
    def is_table(self) -> bool:
        """Return whether the movie is a table of points rather than masks."""
        return (self.folder / "points.csv").is_file()

    @property
    def ndim(self) -> int:
        """Return the number of spatial axes: tables are of embryos."""
        return 3 if self.is_table else 2

    def read(self) -> TrueMovie:
        """Return the movie of these frames, counted from 0."""
        read = read_tables if self.is_table else read_movie
        return read(self.folder, self.first, self.last)


def real_parts(root: Path, part: Part) -> list[RealPart]:
    """Return the movies of one part of all sets."""
    found = [
        RealPart(name, root / name / "02_GT", *parts[part])
        for name, parts in MASKS.items()
        if part in parts
    ]
    for name, kept_back in KEPT_BACK.items():
        movies = kept_back.get(part, ())
        if part == "train":
            others = {movie for names in kept_back.values() for movie in names}
            folders = (place.name for place in (root / name).iterdir() if place.is_dir())
            movies = tuple(sorted(set(folders) - others))
        found += [RealPart(f"{name} {movie}", root / name / movie) for movie in movies]
    return found


def parts_shown(root: Path, part: str) -> list[RealPart]:
    """Return the movies of SHOWN_OPTION: the parts for tests, or those for choosing."""
    return real_parts(root, "test") if part == "test" else parts_for_choosing(root)


def parts_for_choosing(root: Path) -> list[RealPart]:
    """Return the movies on which constants may be chosen: of each set its validation parts.

    Of sets without any, what models learned from; and ecoli, which has nothing but a part for
    tests.
    """
    found: dict[str, list[RealPart]] = {}
    parts: tuple[Part, ...] = ("validate", "train", "test")
    for part in parts:
        by_set: dict[str, list[RealPart]] = {}
        for movie in real_parts(root, part):
            by_set.setdefault(movie.set_name, []).append(movie)
        found = {**by_set, **found}
    return [movie for name in sorted(found) for movie in found[name]]


def read_tables(folder: Path, first: int, last: int, *, with_intensity: bool = False) -> TrueMovie:
    """Return frames `first` to `last` of a movie of points.csv and edges.csv.

    Labels are shuffled in each frame. A diameter of 0 is unknown, and becomes the median of the
    known ones in its frame; without a column of diameters, all are unknown.
    """
    names = (folder / "points.csv").read_text().split("\n", 1)[0].split(",")
    table = np.loadtxt(folder / "points.csv", delimiter=",", skiprows=1, ndmin=2)
    table = table[
        (table[:, names.index("frame")] >= first) & (table[:, names.index("frame")] <= last)
    ]
    rng = np.random.default_rng(0)
    table = rng.permutation(table)
    frame, label = (table[:, names.index(name)].astype(np.int64) for name in ("frame", "label"))
    order = np.argsort(frame, kind="stable")  # then detections_of_points numbers them in this order
    frame, label, table = frame[order], label[order], table[order]
    detections = detections_of_points(
        frame - first,
        table[:, [names.index(axis) for axis in "zyx" if axis in names]],
        diameter=_known_diameters(frame, table[:, names.index("diameter")])
        if "diameter" in names
        else None,
        intensity=table[:, names.index("intensity")] if with_intensity else None,
    )
    edges = np.loadtxt(folder / "edges.csv", delimiter=",", skiprows=1, ndmin=2, dtype=np.int64)
    return TrueMovie(None, None, detections, _parents(frame, label, edges))


def _known_diameters(
    frame: NDArray[np.int64], diameter: NDArray[np.float64]
) -> NDArray[np.float64]:
    result = diameter.copy()
    for row in np.flatnonzero(diameter <= 0).tolist():
        result[row] = np.median(diameter[(frame == frame[row]) & (diameter > 0)])
    return result


def _parents(
    frame: NDArray[np.int64], label: NDArray[np.int64], edges: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Return the parent's row (N,) or -1 of points, of edges (E, 4) between them."""
    row_of = {end: row for row, end in enumerate(zip(frame.tolist(), label.tolist(), strict=True))}
    parent = np.full(len(frame), -1)
    for source_frame, source_label, target_frame, target_label in edges.tolist():
        source = row_of.get((source_frame, source_label))
        target = row_of.get((target_frame, target_label))
        if source is not None and target is not None:
            parent[target] = source
    return parent
