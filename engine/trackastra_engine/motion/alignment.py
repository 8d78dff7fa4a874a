"""The detections of a window, carried along the flows between its frames into the last one."""

from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from trackastra_engine.detection.detections import Detections
from trackastra_engine.errors import InputError
from trackastra_engine.motion.flow import flow_between

Align = Literal["auto", "off"]


def check_align(align: str) -> None:
    """Raise InputError if this is no way to align windows."""
    if align not in get_args(Align):
        raise InputError(f"align is {align!r}; choose auto or off")


def align(detections: Detections) -> Detections:
    """Return the detections of some frames in a row where they would lie in the last frame.

    Only positions change. The same detections come back if nothing moves. Pairs of frames in which
    fewer than three detections lie, or between which nothing fits, count as not moving.
    """
    frames, first = np.unique(detections.frame, return_index=True)
    first = np.append(first, len(detections))
    centroid = None
    for place, step in enumerate(np.diff(frames)):
        if step != 1:
            continue
        begin, middle, end = first[place : place + 3].tolist()
        flow = flow_between(detections.rows(slice(begin, end)), middle - begin)
        if flow is None:
            continue
        if centroid is None:
            centroid = detections.centroid.copy()
        centroid[begin:middle] += flow.move
        centroid[:begin] += flow.at(centroid[:begin])
    return detections if centroid is None else replace(detections, centroid=centroid)
