"""Read the visible spots and links of a TrackMate file."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from trackastra_engine.errors import InputError
from trackastra_engine.output.edited import UNKNOWN_LABEL, EditedTracks, links_of_ids

POSITION = ("POSITION_Z", "POSITION_Y", "POSITION_X")
VOXEL = ("voxeldepth", "pixelheight", "pixelwidth")


def read_trackmate(path: Path) -> EditedTracks:
    """Return the visible spots, and the links of tracks that no filter hides.

    Raises InputError if the file is not one of TrackMate.
    """
    try:
        root = ElementTree.parse(path).getroot()
        spots = [spot for spot in root.iter("Spot") if spot.get("VISIBILITY", "1") != "0"]
        numbers = [[float(spot.attrib[name]) for name in POSITION] for spot in spots]
        frame = np.array([int(float(spot.attrib["FRAME"])) for spot in spots], np.int64)
        ids = np.array([int(spot.attrib["ID"]) for spot in spots], np.int64)
        ends = _ends(root, set(ids.tolist()))
    except (ElementTree.ParseError, OSError, KeyError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a file of TrackMate ({error!r})") from None
    label = np.array([_label(spot) for spot in spots], np.int64)
    image = root.find("./Settings/ImageData")
    voxel = () if image is None else tuple(float(image.get(name, 1)) or 1.0 for name in VOXEL)
    place = np.array(numbers).reshape(-1, len(POSITION))
    # A link may be drawn from a later spot to an earlier one.
    links = links_of_ids(ids, ends, path)
    is_backward = frame[links[:, 0]] > frame[links[:, 1]]
    links[is_backward] = links[is_backward, ::-1]
    return EditedTracks(frame, place, label, links, voxel)


def _ends(root: Any, visible: set[int]) -> np.ndarray[Any, np.dtype[np.int64]]:
    shown = {track.get("TRACK_ID") for track in root.iter("TrackID")}
    ends = [
        (int(edge.attrib["SPOT_SOURCE_ID"]), int(edge.attrib["SPOT_TARGET_ID"]))
        for track in root.iter("Track")
        if track.get("TRACK_ID") in shown
        for edge in track.iter("Edge")
    ]
    seen = [pair for pair in ends if visible.issuperset(pair)]
    return np.array(seen, np.int64).reshape(-1, 2)


def _label(spot: Any) -> int:
    """Return the label in the mask; UNKNOWN_LABEL for spots without one, such as new ones."""
    text = spot.get("LABEL", "")
    try:
        return int(float(text))
    except ValueError:
        return UNKNOWN_LABEL
