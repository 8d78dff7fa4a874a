"""Match the objects of edited tracks with detections: by label, or else by position."""

from itertools import pairwise

import numpy as np

from trackastra_engine.detection.detections import Detections, FloatArray, IntArray, find_rows
from trackastra_engine.errors import InputError
from trackastra_engine.movie.calibration import Calibration
from trackastra_engine.output.edited import EditedTracks

LEAST_REACH_PX = 2.0  # precision of a person who moves a point; more for larger objects
REACH_DIAMETERS = 0.5
LEAST_SHARE = 0.5  # of the objects that must match; fewer mean another movie


def match_objects(found: Detections, edited: EditedTracks, calibration: Calibration) -> IntArray:
    """Return (M,) the row of each object's detection, or -1 for objects that were added.

    Positions may be in pixels, or in units of either voxel: the unit in which most objects lie on
    a detection is used. Raises InputError if more than half of the objects lie on none.
    """
    if edited.place.shape[1] < found.ndim:
        raise InputError(
            "the edited tracks have no z, but the results have; give the edited 3D tracks"
        )
    place = edited.place[:, -found.ndim :]
    units = [(1.0,) * found.ndim, edited.voxel[-found.ndim :], calibration.voxel_um]
    matched = [_match(found, edited, place / unit) for unit in dict.fromkeys(filter(None, units))]
    rows = max(matched, key=lambda rows: int((rows >= 0).sum()))
    n_found = int((rows >= 0).sum())
    if n_found < LEAST_SHARE * len(rows) or n_found == 0:
        raise InputError(
            f"only {n_found} of {len(rows)} edited objects lie on an object of the results; give "
            "the same results, edited"
        )
    return rows


def _match(found: Detections, edited: EditedTracks, place: FloatArray) -> IntArray:
    reach = np.nan_to_num(REACH_DIAMETERS * found.features[:, 0]).clip(min=LEAST_REACH_PX)
    rows = find_rows(found, np.column_stack([edited.frame, edited.label]))
    is_near = np.linalg.norm(place - found.centroid[rows], axis=1) <= reach[rows]
    rows[~is_near] = -1
    _, first = np.unique(rows, return_index=True)  # a copied object has the label twice
    is_first = np.zeros(len(rows), bool)
    is_first[first] = True
    rows[~is_first] = -1
    is_taken = np.zeros(len(found), bool)
    is_taken[rows[rows >= 0]] = True
    others = np.flatnonzero(rows < 0)
    others = others[np.argsort(edited.frame[others], kind="stable")]
    bounds = np.append(np.flatnonzero(np.diff(edited.frame[others], prepend=-1)), len(others))
    for first_place, stop in pairwise(bounds.tolist()):
        own = others[first_place:stop]
        frame = edited.frame[own[0]]
        near = np.arange(*np.searchsorted(found.frame, [frame, frame + 1]))
        near = near[~is_taken[near]]
        if len(near):
            rows[own] = _nearest(found.centroid[near], reach[near], place[own], near)
    return rows


def _nearest(
    centroid: FloatArray, reach: FloatArray, place: FloatArray, near: IntArray
) -> IntArray:
    """Return the row of `near` for each place, or -1; nearest places choose first."""
    from scipy.spatial import cKDTree

    distance, nearest = cKDTree(centroid).query(place)
    rows = np.full(len(place), -1)
    is_taken = np.zeros(len(near), bool)
    for one in np.argsort(distance, kind="stable").tolist():
        other = nearest[one]
        if distance[one] <= reach[other] and not is_taken[other]:
            is_taken[other] = True
            rows[one] = near[other]
    return rows
