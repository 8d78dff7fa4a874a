"""The replies to requests."""

from dataclasses import asdict, fields
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.linking.lineage import Lineage
from trackastra_engine.online import Links, Objects, Session, Update
from trackastra_engine.serving.messages import PROTOCOL, Limits, Message

# Not by `asdict`, which would copy all arrays of each update.
COLUMNS = {kind: [field.name for field in fields(kind)] for kind in (Objects, Links)}


def hello(session: Session, limits: Limits) -> Message:
    """Return the versions, the model and the limits."""
    spec = session.tracker.model.spec
    return Message(
        {
            "type": "hello",
            "protocol": PROTOCOL,
            "engine": version("trackastra-engine"),
            "model": spec.name,
            "ndim": spec.ndim,
            "delay": session.delay,
            "limits": asdict(limits),
        }
    )


def update_or_waiting(update: Update | None) -> Message:
    """Return the update of a frame, or `waiting` while its links wait for the delay."""
    if update is None:
        return Message({"type": "waiting"})
    header: dict[str, Any] = {"type": "update"}
    arrays: dict[str, NDArray[Any]] = {}
    for field in fields(update):
        value = getattr(update, field.name)
        if isinstance(value, Objects | Links):
            arrays |= _columns(field.name, value)
        else:
            header[field.name] = value
    return Message(header, arrays)


def tracks(lineage: Lineage) -> Message:
    """Return the tracks of a field of view."""
    found, edges = lineage.detections, lineage.edges
    source, target = edges.source, edges.target
    objects = Objects(found.frame, found.label, lineage.tracklet_id, found.centroid)
    links = Links(
        *(found.frame[source], found.label[source]),
        *(found.frame[target], found.label[target]),
        edges.score,
    )
    arrays = {
        **_columns("objects", objects),
        "tracklets": lineage.tracklets,
        **_columns("links", links),
    }
    return Message({"type": "tracks"}, arrays)


def error(sentence: str) -> Message:
    """Return an error."""
    return Message({"type": "error", "message": sentence})


def _columns(name: str, table: Objects | Links) -> dict[str, NDArray[Any]]:
    """Return the columns of a table as int64 or float64."""
    columns = {column: getattr(table, column) for column in COLUMNS[type(table)]}
    return {
        f"{name}.{column}": array.astype(float if array.dtype.kind == "f" else np.int64, copy=False)
        for column, array in columns.items()
    }
