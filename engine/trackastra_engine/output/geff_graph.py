"""Write a lineage as a GEFF, the exchange format for graphs of tracks (package `geff`)."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from trackastra_engine.detection.detections import FloatArray, IntArray, feature_names
from trackastra_engine.errors import MissingDependencyError
from trackastra_engine.linking.lineage import Lineage, cell_of_tracklets, root_of_tracklets
from trackastra_engine.movie.axes import space_axes
from trackastra_engine.movie.calibration import UNKNOWN, Calibration

if TYPE_CHECKING:
    import geff_spec

GEFF_ENTRIES = (".zattrs", ".zgroup", "nodes", "edges")


def write_geff(
    lineage: Lineage,
    folder: str | Path,
    calibration: Calibration = UNKNOWN,
    *,
    labels: str | None = None,
) -> None:
    """Write detections as nodes, numbered from 1 by frame and label, and links as edges.

    Axes are t in frames and ([z,] y, x) in pixels, as in the masks; `scale` gives seconds and
    micrometres if these are known. Nodes have the properties `label` (in the mask), `track` (in the
    tracked mask), `tracklet`, `lineage` and `feature_names`, edges `score`; properties without any
    known value are left out. A tracklet ends where a cell divides, a track also at a gap.

    labels: path of an OME-Zarr of the tracked masks, from the folder.
    """
    try:
        from geff.core_io import write_arrays  # 2 s: only when a GEFF is written
    except ImportError:
        raise MissingDependencyError(
            "a GEFF needs the package geff; install trackastra-engine[geff]"
        ) from None

    found, edges = lineage.detections, lineage.edges
    values = {
        "t": found.frame,
        **dict(zip(space_axes(found.ndim), found.centroid.T, strict=True)),
        "label": found.label,
        "track": lineage.tracklet_id,
        "tracklet": cell_of_tracklets(lineage.tracklets)[lineage.tracklet_id],
        "lineage": root_of_tracklets(lineage.tracklets)[lineage.tracklet_id],
        **dict(zip(feature_names(found.ndim), found.features.T, strict=True)),
    }
    # Node ids from 1: funtracks uses 0 for the background.
    write_arrays(
        folder,
        np.arange(1, len(found) + 1, dtype=np.uint64),
        _properties(values),
        np.column_stack([edges.source, edges.target]).astype(np.uint64) + np.uint64(1),
        _properties({"score": edges.score}),
        _metadata(found.ndim, calibration, labels),
    )


def _properties(values: dict[str, FloatArray | IntArray]) -> dict[str, Any]:
    """Return properties in the form of geff, without those that have no known value."""
    return {
        name: {"values": np.ascontiguousarray(array), "missing": None}
        for name, array in values.items()
        if len(array) == 0 or not np.isnan(array).all()
    }


def _metadata(ndim: int, calibration: Calibration, labels: str | None) -> "geff_spec.GeffMetadata":
    from geff_spec import Axis, DisplayHint, GeffMetadata, RelatedObject

    interval_s, voxel_um = calibration.frame_interval_s, calibration.voxel_um
    time = {"scale": interval_s, "scaled_unit": "second"} if interval_s else {}
    names = space_axes(ndim)
    axes = [Axis(name="t", type="time", unit="frame", **time)]
    for name, size in zip(names, voxel_um or [None] * ndim, strict=True):
        space = {"scale": size, "scaled_unit": "micrometer"} if size else {}
        axes.append(Axis(name=name, type="space", unit="pixel", **space))
    related = (
        [] if labels is None else [RelatedObject(type="labels", path=labels, node_prop="track")]
    )
    return GeffMetadata(
        directed=True,
        related_objects=related or None,
        axes=axes,
        node_props_metadata={},
        edge_props_metadata={},
        track_node_props={"tracklet": "tracklet", "lineage": "lineage"},
        display_hints=DisplayHint(
            display_horizontal="x",
            display_vertical="y",
            display_depth="z" if ndim == 3 else None,
            display_time="t",
        ),
    )
