"""Move the detections of a window along the flows between its frames into the last one."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, get_args

import numpy as np

from trackastra_engine.detection.detections import Detections, IntArray
from trackastra_engine.errors import InputError
from trackastra_engine.motion.flow import Flow, flow_between

Align = Literal["auto", "off"]


def check_align(align: str) -> None:
    """Raise InputError if `align` is not one of the choices."""
    if align not in get_args(Align):
        raise InputError(f"align is {align!r}; choose auto or off")


def flows_of(detections: Detections) -> list[Flow]:
    """Return the flow from each frame of a window that has detections to the next such frame.

    The flow is zero if a frame between the two has none.
    """
    frames, first = frame_rows(detections)
    flows = []
    for place, step in enumerate(np.diff(frames).tolist()):
        begin, middle, end = first[place : place + 3].tolist()
        if step == 1:
            flows.append(flow_between(detections.rows(slice(begin, end)), middle - begin))
        else:
            flows.append(Flow.still(detections.ndim, 1.0))
    return flows


def carried(detections: Detections, flows: Sequence[Flow]) -> Detections:
    """Return the detections of a window at their places in its last frame, see `flows_of`.

    Only positions change. If nothing moves, the same detections are returned.
    """
    if all(flow.is_still for flow in flows):
        return detections
    _, first = frame_rows(detections)
    centroid = detections.centroid.copy()
    for place, flow in enumerate(flows):
        if flow.is_still:
            continue
        begin, middle = first[place : place + 2].tolist()
        centroid[begin:middle] += flow.move
        centroid[:begin] += flow.at(centroid[:begin])
    return replace(detections, centroid=centroid)


def frame_rows(detections: Detections) -> tuple[IntArray, IntArray]:
    """Return the F frames with detections, and their first rows (F + 1,), with the end."""
    frames, first = np.unique(detections.frame, return_index=True)
    return frames, np.append(first, len(detections))
