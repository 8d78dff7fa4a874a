"""Read a GEFF of ours, napari-track-edit or tracksdata, only with zarr."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.errors import InputError, first_line
from trackastra_engine.output.edited import UNKNOWN_LABEL, EditedTracks, links_of_ids


def read_geff(folder: Path) -> EditedTracks:
    """Return the objects and links of a GEFF; raises InputError if it cannot be read."""
    import zarr

    try:
        group: Any = zarr.open_group(str(folder), mode="r")
        axes = group.attrs["geff"]["axes"]
        time = next(axis["name"] for axis in axes if axis["type"] == "time")
        space = [axis["name"] for axis in axes if axis["type"] == "space"]
        ids = np.asarray(group["nodes/ids"][:]).astype(np.int64)
        ends = np.asarray(group["edges/ids"][:]).astype(np.int64).reshape(-1, 2)
        frame = _property(group, time)
        place = np.column_stack([_property(group, name) for name in space])
        label = _labels(group, len(ids))
    except (KeyError, StopIteration, TypeError, ValueError, OSError) as error:
        raise InputError(
            f"{folder} cannot be read as a GEFF with positions ({first_line(error)})"
        ) from None
    if (frame != np.rint(frame)).any() or (frame < 0).any():
        raise InputError(
            f"{folder} has times that are not numbers of frames, such as {frame.max()}"
        )
    voxel = tuple(float(axis.get("scale") or 1) for axis in axes if axis["type"] == "space")
    links = links_of_ids(ids, ends, folder)
    return EditedTracks(frame.astype(np.int64), place, label, links, voxel)


def _property(group: Any, name: str) -> NDArray[np.float64]:
    return np.asarray(group[f"nodes/props/{name}/values"][:]).astype(float)


def _labels(group: Any, n_nodes: int) -> NDArray[np.int64]:
    """Return the labels in the masks; objects that a person added have UNKNOWN_LABEL."""
    label = np.full(n_nodes, UNKNOWN_LABEL)
    if "nodes/props/label" in group:
        values = np.asarray(group["nodes/props/label/values"][:])
        is_known = np.isfinite(values.astype(float))
        if "nodes/props/label/missing" in group:
            is_known &= ~np.asarray(group["nodes/props/label/missing"][:])
        label[is_known] = values[is_known].astype(np.int64)
    return label
