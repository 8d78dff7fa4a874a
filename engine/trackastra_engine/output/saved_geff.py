"""Read a GEFF that `geff_graph.py` wrote, without loss."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.detection.detections import Detections, feature_names
from trackastra_engine.errors import InputError, first_line
from trackastra_engine.linking.lineage import build_lineage
from trackastra_engine.model.edges import Edges
from trackastra_engine.movie.calibration import Calibration, in_unit
from trackastra_engine.output.saved_tracks import SavedTracks, check_detections, check_links

Property = NDArray[np.float64] | NDArray[np.int64]


def read_saved_geff(folder: Path) -> SavedTracks:
    """Return the tracks of a GEFF with a label for each node.

    Raises InputError if it cannot be read, or its links are not tracks with divisions.
    """
    import zarr

    try:
        group: Any = zarr.open_group(str(folder), mode="r")
        axes = {axis["name"]: axis for axis in group.attrs["geff"]["axes"]}
        space = [name for name in ("z", "y", "x") if name in axes]
        nodes, edges = _properties(group["nodes"]), _properties(group["edges"])
        found = _detections(nodes, space)
        ids = np.asarray(group["nodes/ids"][:]).astype(np.int64)
        ends = np.asarray(group["edges/ids"][:]).astype(np.int64).reshape(-1, 2)
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise InputError(
            f"{folder} cannot be read as a GEFF of track ({first_line(error)})"
        ) from None
    order = np.lexsort((found.label, found.frame))
    check_detections(found.frame, found.label, found.centroid, folder)
    row_of_id = dict(zip(ids[order].tolist(), range(len(ids)), strict=True))
    rows = np.array([row_of_id.get(end, -1) for end in ends.ravel().tolist()], np.int64)
    if (rows < 0).any():
        raise InputError(f"{folder} has an edge to a node that it does not list; export it again")
    source, target = rows.reshape(-1, 2).T
    found = found.rows(order)
    check_links(found, source, target, folder)
    score = edges.get("score", np.full(len(ends), np.nan)).astype(float)
    sizes = {
        name: in_unit(name, axis.get("scale"), axis.get("scaled_unit"))
        for name, axis in axes.items()
    }
    lineage = build_lineage(found, Edges(source, target, score))
    return SavedTracks(lineage, Calibration.of(sizes, len(space)))


def _properties(group: Any) -> dict[str, Property]:
    if "props" not in group:
        return {}
    return {name: np.asarray(group[f"props/{name}/values"][:]) for name in group["props"]}


def _detections(nodes: dict[str, Property], space: list[str]) -> Detections:
    """Return the nodes in order; missing properties are unknown."""
    unknown = np.full(len(nodes["t"]), np.nan)
    names = feature_names(len(space))
    return Detections(
        nodes["t"].astype(np.int32),
        nodes["label"].astype(np.int64),
        np.column_stack([nodes[name] for name in space]).astype(float),
        np.column_stack([nodes.get(name, unknown) for name in names]),
    )
