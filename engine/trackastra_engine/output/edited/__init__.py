"""Read tracks that a person edited in another program, for comparison."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trackastra_engine.detection.detections import FloatArray, IntArray
from trackastra_engine.errors import InputError
from trackastra_engine.output.saved_tracks import (
    geff_folder,
    has_tables,
    has_tracked_masks,
    read_tracks,
)

UNKNOWN_LABEL = -1
FORMS = (
    "a GEFF, a TrackMate file (.xml), a folder of the Cell Tracking Challenge, the Spot table of "
    "Mastodon (.csv, with its Link table next to it), or an output folder of track"
)


@dataclass(frozen=True, slots=True, eq=False)
class EditedTracks:
    """M objects and the L links between them."""

    frame: IntArray  # (M,) from 0
    place: FloatArray  # (M, D) ([z,] y, x), in pixels or in units of `voxel`
    label: IntArray  # (M,) of the masks, or UNKNOWN_LABEL
    links: IntArray  # (L, 2) rows of the objects: source, target
    voxel: tuple[float, ...] = ()  # size of a voxel (z, y, x) in the file


def read_edited(path: Path) -> EditedTracks:
    """Return the tracks of a file or folder; raises InputError if it is none of FORMS."""
    if path.suffix.lower() == ".xml":
        from trackastra_engine.output.edited.trackmate_file import read_trackmate

        return read_trackmate(path)
    if path.suffix.lower() == ".csv":
        from trackastra_engine.output.edited.mastodon_tables import read_mastodon

        return read_mastodon(path)
    if has_tables(path):
        return _of_saved(path, has_labels=True)
    if has_tracked_masks(path):
        return _of_saved(path, has_labels=False)  # these are numbers of tracks
    folder = geff_folder(path)
    if folder is None:
        raise InputError(f"{path} contains no tracks to compare; give {FORMS}")
    from trackastra_engine.output.edited.geff_file import read_geff

    return read_geff(folder)


def _of_saved(path: Path, *, has_labels: bool) -> EditedTracks:
    lineage = read_tracks(path).lineage
    found, edges = lineage.detections, lineage.edges
    label = found.label if has_labels else np.full(len(found), UNKNOWN_LABEL)
    links = np.column_stack([edges.source, edges.target]).astype(np.int64)
    return EditedTracks(found.frame, found.centroid, label, links)


def links_of_ids(ids: IntArray, ends: IntArray, path: Path) -> IntArray:
    """Return rows (L, 2) of links between objects that are given by ids.

    ids: (M,), ends: (L, 2). Raises InputError if an id of a link is unknown.
    """
    order = np.argsort(ids)
    place = np.searchsorted(ids, ends, sorter=order).clip(max=max(0, len(ids) - 1))
    rows = order[place] if len(ids) else np.empty((0, 2), np.int64)
    if len(ends) and (len(ids) == 0 or (ids[rows] != ends).any()):
        raise InputError(f"{path} links objects that it does not list; save it again")
    return rows.reshape(-1, 2)
