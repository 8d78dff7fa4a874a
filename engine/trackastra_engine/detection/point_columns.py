"""Find the columns of a table of points by the names that programs give them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

FRAME_NAMES = (
    *("frame", "frame_number", "frame_id", "t", "timepoint", "time_point", "slice", "time"),
)
FIELDS = ("frame", "z", "y", "x", "label", "diameter", "radius", "intensity")


@dataclass(frozen=True, slots=True)
class Program:
    """The names that a program gives to columns, in lower case, words joined by _."""

    name: str
    columns: dict[str, str]  # by field, of FIELDS; frame, y and x are required
    may_be_flat: bool = False  # 2D tables have a column z, too, with one value


# Checked in this order; similar programs with more names come first.
PROGRAMS = (
    Program("this engine", {field: field for field in FIELDS if field != "radius"}),
    Program(
        "TrackMate",
        {
            **{"frame": "frame", "z": "position_z", "y": "position_y", "x": "position_x"},
            **{"label": "id", "radius": "radius"},
        },
        may_be_flat=True,
    ),
    Program(
        "Mastodon",
        {
            **{"frame": "spot_frame", "label": "id", "radius": "spot_radius"},
            **{axis: f"spot_position_{axis}" for axis in "zyx"},
        },
        may_be_flat=True,
    ),
    Program(
        "CellProfiler",
        {
            **{"frame": "imagenumber", "label": "objectnumber"},
            **{axis: f"location_center_{axis}" for axis in "zyx"},
        },
        may_be_flat=True,
    ),
    Program(
        "CellProfiler",
        {
            **{"frame": "imagenumber", "label": "objectnumber"},
            **{axis: f"areashape_center_{axis}" for axis in "zyx"},
        },
        may_be_flat=True,
    ),
    *(
        Program("scikit-image", {"frame": "frame", "label": "label", **axes})
        for axes in (
            {"z": "centroid_0", "y": "centroid_1", "x": "centroid_2"},
            {"y": "centroid_0", "x": "centroid_1"},
        )
    ),
    *(
        Program("napari", axes)
        for axes in (
            {"frame": "axis_0", "z": "axis_1", "y": "axis_2", "x": "axis_3"},
            {"frame": "axis_0", "y": "axis_1", "x": "axis_2"},
        )
    ),
    *(
        Program("another program", {"frame": frame, **{axis: form.format(axis) for axis in "zyx"}})
        for frame in FRAME_NAMES
        for form in (
            "{}",
            "position_{}",
            "pos_{}",
            "{}_px",
            "centroid_{}",
            "center_{}",
            "x_{}",
            "{}m",
        )
    ),
)


def find_columns(names: Sequence[str]) -> tuple[Program, dict[str, int]] | None:
    """Return the program that writes such names, and the index of each column by its field.

    None if no program's columns of frames and positions are among the names.
    """
    places: dict[str, int] = {}
    for at, name in enumerate(names):
        places.setdefault(normalised(name), at)
    for program in PROGRAMS:
        found = {
            field: places[column] for field, column in program.columns.items() if column in places
        }
        if {"frame", "y", "x"} <= found.keys():
            return program, found
    return None


def normalised(name: str) -> str:
    """Return a name in lower case, words joined by _, without a unit in brackets."""
    words = re.sub(r"[(\[].*?[)\]]", "", name.lower())
    return re.sub(r"[^a-z0-9]+", "_", words).strip("_")
