"""Annotated movies that are tables: points, and the true edges between them."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from trackastra_engine.detection.detections import Detections, IntArray, find_rows
from trackastra_engine.detection.point_table import read_points
from trackastra_engine.errors import InputError
from trackastra_engine.files.csv_table import open_table
from trackastra_engine.model.spec import ModelSpec
from trackastra_engine.simulation import KnownMovie, count_children
from trackastra_training.complaints import complain
from trackastra_training.configuration import AnnotatedMovie

POINT_FILE, EDGE_FILE = "points.csv", "edges.csv"
COLUMNS = ("source_frame", "source_label", "target_frame", "target_label")


def is_table(movie: AnnotatedMovie) -> bool:
    """Return whether the truth is a table of edges, not a folder of masks."""
    return movie.truth.suffix == ".csv" or (movie.truth / EDGE_FILE).is_file()


def read_tables(
    movie: AnnotatedMovie, spec: ModelSpec, *, sees_otherwise: bool = False
) -> KnownMovie:
    """Return the chosen frames of a movie of two tables, counted from 0, and the true parents.

    sees_otherwise: whether the points may have three axes if the model has two, or two if it has
    three. `upstream` tokens get no intensities, as where points are tracked. Raises InputError with
    the problems of the tables.
    """
    edge_file = movie.truth if movie.truth.suffix == ".csv" else movie.truth / EDGE_FILE
    point_file = movie.points or edge_file.with_name(POINT_FILE)
    if movie.masks or movie.images or movie.voxel:
        problem = "a movie of tables must not have masks, images or a voxel; leave them out"
        complain(movie, [problem])
    for path in (point_file, edge_file):
        if not path.is_file():
            complain(movie, [f"there is no {path}"])
    try:
        points, edges = read_points(point_file), read_edges(edge_file)
    except InputError as error:
        complain(movie, [str(error)])
        raise
    ndims = (spec.ndim, 5 - spec.ndim) if sees_otherwise else (spec.ndim,)
    complain(movie, _selection_problems(movie, points, ndims))
    rows = find_rows(points, edges.reshape(-1, 2)).reshape(-1, 2)
    complain(movie, edge_problems(edges, rows, max_gap=spec.window - 1))
    if spec.recipe == "upstream":
        points.features[:, 1] = np.nan
    parent = np.full(len(points), -1)
    parent[rows[:, 1]] = rows[:, 0]
    known = KnownMovie(points, parent, count_children(parent))
    return known if movie.frames is None else _selected(known, *movie.frames)


def read_edges(path: Path) -> IntArray:
    """Return the edges (E, 4) of a CSV file: source frame and label, target frame and label.

    Other columns are ignored. Raises InputError if the file is not such a table.
    """
    table = open_table(path)
    names = [name.lower() for name in table.names]
    if missing := [name for name in COLUMNS if name not in names]:
        raise InputError(
            f"{path} has no column {missing[0]!r}; expected a line of names, {','.join(COLUMNS)}, "
            "then one line per edge"
        )
    columns = [names.index(name) for name in COLUMNS]
    edges = np.column_stack(table.numbers(columns, whole=columns))
    if not len(edges):
        raise InputError(f"{path} contains no edge")
    return edges


def edge_problems(edges: IntArray, rows: IntArray, max_gap: int) -> list[str]:
    """Return the problems of edges (E, 4), whose ends are rows (E, 2) of the points, -1: none.

    max_gap: the longest edge that fits a window of the model, in frames.
    """
    gap = edges[:, 2] - edges[:, 0]
    order = np.argsort(rows[:, 1], kind="stable")
    is_again = np.zeros(len(edges), bool)
    is_again[order[1:]] = np.diff(rows[order, 1]) == 0
    is_again &= rows[:, 1] >= 0
    kinds = (
        (rows[:, 0] < 0, "has no source: the table of points does not list it"),
        (rows[:, 1] < 0, "has no target: the table of points does not list it"),
        (gap <= 0, "does not go forward in time"),
        (is_again, "gives the target a second parent"),
        (gap > max_gap, f"is longer than {max_gap} frames, the longest link in a window"),
    )
    return [
        "the edge from label {1} of frame {0} to label {3} of frame {2} {4}".format(
            *edges[row].tolist(), text
        )
        for is_wrong, text in kinds
        for row in np.flatnonzero(is_wrong)
    ]


def _selection_problems(
    movie: AnnotatedMovie, points: Detections, ndims: tuple[int, ...]
) -> list[str]:
    problems, n_frames = [], int(points.frame[-1]) + 1
    if points.ndim not in ndims:
        problems.append(f"the points have {points.ndim} axes but the model has {ndims[0]}")
    first, last = movie.frames or (0, n_frames - 1)
    if not 0 <= first < last < n_frames:
        problems.append(
            f"frames {first}-{last} are not in the movie, which has frames 0-{n_frames - 1}"
        )
    return problems


def _selected(movie: KnownMovie, first: int, last: int) -> KnownMovie:
    start, stop = np.searchsorted(movie.detections.frame, [first, last + 1])
    inside = movie.detections.rows(slice(start, stop))
    parent = np.maximum(movie.parent[start:stop] - start, -1)
    detections = replace(inside, frame=inside.frame - first)
    return KnownMovie(detections, parent, count_children(parent))
