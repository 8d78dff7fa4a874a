"""Read tables of points, from files or pandas, as detections.

Columns are found by the names that programs give them, see point_columns.py.
"""

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.detection.detections import Detections, FloatArray
from trackastra_engine.detection.point_check import check_points
from trackastra_engine.detection.point_columns import Program, find_columns
from trackastra_engine.detection.points import detections_of_points
from trackastra_engine.errors import InputError, option
from trackastra_engine.files.csv_table import Table, open_table
from trackastra_engine.movie.calibration import UM_PER_UNIT
from trackastra_engine.movie.voxels import VoxelSize, check_voxel_size
from trackastra_engine.progress import NOTICE

logger = logging.getLogger(__name__)

EXPECTED = (
    "expected a line of names, frame,y,x or frame,z,y,x or those of TrackMate, Mastodon, "
    "CellProfiler, trackpy, LapTrack or napari, then one line per point"
)

# Columns that name the movie of a point.
OF_MOVIE = re.compile("(metadata_)?(fov|field|position|site|well|series|movie|channel)")
FEWEST_OF_MOVIE = 10  # points of a movie, in the mean, below which a column has another meaning
MAY_BE_EMPTY = {"label", "diameter", "radius", "intensity"}  # columns without any number

DataFrame: TypeAlias = Any  # of pandas, or any type with columns and [name]


@dataclass(frozen=True, slots=True, eq=False)
class PointTable:
    """The points of a table, and the size of a pixel of their positions, if known."""

    detections: Detections
    voxel_um: VoxelSize | None


@dataclass(frozen=True, slots=True, eq=False)
class _Columns:
    """The columns (N,) found in a table, by field."""

    program: Program
    values: dict[str, FloatArray]
    unit_um: float | None  # of positions and radii; None if they are in pixels


def read_points(path: Path) -> Detections:
    r"""Return the detections of a table.

    Parameters
    ----------
    path : Path
        A CSV file, see `read_point_table`; positions in micrometres count as pixels.

    Returns
    -------
    Detections

    Raises
    ------
    InputError
        If the file is no such table.

    Examples
    --------
    >>> from pathlib import Path
    >>> _ = Path("spots.csv").write_text("frame;y;x\n0;5,5;40\n1;6;41\n")
    >>> read_points(Path("spots.csv")).centroid.tolist()
    [[5.5, 40.0], [6.0, 41.0]]
    """
    return read_point_table(path).detections


def read_point_table(path: Path, voxel_um: VoxelSize | None = None) -> PointTable:
    """Return the points of a file: lines of names, then one line per point.

    Columns, in any order: frame, [z,] y, x, and optionally label, diameter, intensity, as in
    `detections_of_points`; others are ignored. Names are these, or a known program's. voxel_um:
    size of a voxel, by which positions in micrometres are divided; without it, a pixel is 1 um.
    Raises InputError if the file is not such a table.
    """
    table = open_table(path, may_have_units=True)
    found = find_columns(table.names)
    if found is None:
        missing = next(
            (name for name in ("frame", "y", "x") if name not in map(str.lower, table.names)), "x"
        )
        raise InputError(f"{path} has no column {missing!r}; {EXPECTED}")
    program, places = found
    values = dict(zip(places, table.numbers(list(places.values())), strict=True))
    if not len(values["frame"]):
        raise InputError(f"{path} contains no points; expected one line per point")
    texts = {axis: (table.names[at], *table.units[at : at + 1]) for axis, at in places.items()}
    try:
        unit_um = _unit_of_axes(texts)
        points = _points(_Columns(program, values, unit_um), voxel_um, str(path))
        _warn_of_movies(table, set(places.values()))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return points


def detections_of_table(table: DataFrame, voxel_um: VoxelSize | None = None) -> Detections:
    """Return the detections of a DataFrame.

    Parameters
    ----------
    table : pandas.DataFrame
        Or anything with `columns` and [name]. Columns are recognised by their names, as in
        `read_point_table`; the index is ignored.
    voxel_um : tuple of float, optional
        Size of a voxel along ([z,] y, x), for positions in micrometres.

    Returns
    -------
    Detections

    Raises
    ------
    InputError
        If there are no frames and positions among the columns, or a point cannot be used.

    Examples
    --------
    >>> import pandas as pd
    >>> table = pd.DataFrame({"frame": [0, 1], "y": [5, 6], "x": [40, 41]})
    >>> detections_of_table(table).frame.tolist()
    [0, 1]
    """
    names = [str(name) for name in table.columns]
    found = find_columns(names)
    if found is None:
        raise InputError(
            f"the table has the columns {', '.join(names)}; expected frame, y and x, and perhaps z"
        )
    program, places = found
    of_name = list(table.columns)
    try:
        values = {
            field: np.asarray(table[of_name[column]], float) for field, column in places.items()
        }
    except (TypeError, ValueError) as error:
        raise InputError(f"the table contains a cell that is not a number ({error})") from None
    unit_um = _unit_of_axes({axis: (names[at],) for axis, at in places.items()})
    return _points(_Columns(program, values, unit_um), voxel_um, "the table").detections


def _points(columns: _Columns, voxel_um: VoxelSize | None, name: str) -> PointTable:
    values = {
        field: column
        for field, column in columns.values.items()
        if field not in MAY_BE_EMPTY or not np.isnan(column).all()
    }
    z = values.get("z")
    if z is not None and columns.program.may_be_flat and not np.ptp(np.nan_to_num(z)):
        values.pop("z")
    axes = [axis for axis in "zyx" if axis in values]
    position = np.column_stack([values.pop(axis) for axis in axes])
    diameter = values.pop("diameter", None)
    if "radius" in values:
        diameter = 2 * values.pop("radius")
    if columns.unit_um is not None:
        is_known = voxel_um is not None
        voxel_um = voxel_um or (1.0,) * len(axes)
        check_voxel_size(voxel_um, len(axes))
        if not is_known:
            logger.warning(
                "positions of %s are in micrometres and a pixel of 1 um is assumed; give its size "
                "with %s",
                name,
                option("voxel"),
            )
        position = position * columns.unit_um / np.array(voxel_um)
        diameter = None if diameter is None else diameter * columns.unit_um / voxel_um[-1]
    label = _labels(values.pop("label", None), columns.program)
    if columns.program.name != "this engine":
        logger.log(NOTICE, "%s is read as a table of %s", name, columns.program.name)
    detections = detections_of_points(
        values.pop("frame"), position, label=label, diameter=diameter, voxel_um=voxel_um, **values
    )
    check_points(detections, name, voxel_um, has_diameters=diameter is not None)
    return PointTable(detections, voxel_um)


def _warn_of_movies(table: Table, used: set[int]) -> None:
    """Warn if an unused column seems to name several movies."""
    columns = [
        at
        for at, name in enumerate(table.names)
        if at not in used and OF_MOVIE.fullmatch(name.strip().lower())
    ]
    values: dict[int, set[str]] = {at: set() for at in columns}
    n_points = 0
    for _, cells in table.rows() if columns else ():
        n_points += 1
        for at, seen in values.items():
            seen.add(cells[at])
    for at, seen in values.items():
        if 1 < len(seen) <= n_points / FEWEST_OF_MOVIE:
            logger.warning(
                "%s has %d values of %s, but is tracked as one movie; give one table for each",
                *(table.path, len(seen), table.names[at]),
            )


def _labels(label: FloatArray | None, program: Program) -> NDArray[Any] | None:
    """Return the labels; ids of programs that count from 0 are increased by 1."""
    if label is None or program.columns["label"] == "label" or not (label == 0).any():
        return label
    logger.log(NOTICE, "ids of %s count from 0; labels are the ids plus 1", program.name)
    return label + 1


def _unit_of_axes(texts: dict[str, tuple[str, ...]]) -> float | None:
    """Return how many micrometres the unit of positions is; None if they are in pixels.

    texts: names and units of columns, by axes and other things that they hold. Raises InputError
    if axes have different units.
    """
    units = {axis: _unit_um(*texts[axis]) for axis in "zyx" if axis in texts}
    if len(set(units.values())) > 1:
        names = ", ".join(texts[axis][0] for axis in units)
        raise InputError(f"the positions {names} have different units; give all in one unit")
    return units["x"]


def _unit_um(*texts: str) -> float | None:
    """Return the unit of a column in micrometres; None if it is not a length."""
    for text in texts:
        match = re.search(r"[(\[]\s*(.*?)\s*[)\]]", text)
        unit = match[1].lower().replace("\ufffd", "u") if match else ""  # from other encodings
        if unit in UM_PER_UNIT:
            return UM_PER_UNIT[unit]
    return None
