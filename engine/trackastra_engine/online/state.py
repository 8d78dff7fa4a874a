"""Save a session to a file, and continue it after a restart: arrays and JSON, no code."""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.detection.detections import Detections, IntArray, concatenate, feature_names
from trackastra_engine.detection.intensity import IntensityRange
from trackastra_engine.errors import InputError
from trackastra_engine.files.atomic import new_file
from trackastra_engine.model.edges import Edges, concatenate_edges
from trackastra_engine.online.field_of_view import FieldOfView
from trackastra_engine.online.session import Session
from trackastra_engine.tracker import Tracker

FORMAT_VERSION = 4
Arrays = Mapping[str, NDArray[Any]]


def save_session(session: Session, path: str | Path) -> None:
    """Write a session with all its fields of view to a file, which is replaced if it exists.

    Parameters
    ----------
    session : Session
    path : str or Path
        The file.

    Raises
    ------
    InputError
        If the name of a field of view is neither text nor a whole number.

    Examples
    --------
    >>> from pathlib import Path
    >>> session = Session(tracker)
    >>> _ = session.push(images[0], masks[0], fov="a")
    >>> save_session(session, Path("session.npz"))
    >>> list(load_session(Path("session.npz"), tracker).fields)
    ['a']
    """
    for fov in session.fields:
        if not isinstance(fov, str | int | np.integer):
            raise InputError(
                f"the field of view {fov!r} cannot be saved; name fields by text or whole numbers"
            )
    given = session.intensity_range
    header = {
        "format_version": FORMAT_VERSION,
        **_options(session.tracker),
        "delay": session.delay,
        "intensity_range": None if given is None else asdict(given),
        "voxel_um": session.voxel_um,
        "max_objects": session.max_objects,
        "fields": [
            [int(fov) if isinstance(fov, np.integer) else fov, movie.frame_shape]
            for fov, movie in session.fields.items()
        ],
    }
    text = json.dumps(header, default=_plain)
    arrays = {"header": np.frombuffer(text.encode(), np.uint8)}
    for place, movie in enumerate(session.fields.values()):
        arrays |= {f"{place}/{name}": array for name, array in _arrays(movie).items()}
    with new_file(Path(path)) as unfinished, unfinished.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def load_session(path: str | Path, tracker: Tracker) -> Session:
    """Return the session of a file.

    Parameters
    ----------
    path : str or Path
        Written by `save_session`.
    tracker : Tracker
        With the same model and options as that of the saved session; device and threads may differ.
        Two linkers of your own are not compared.

    Returns
    -------
    Session

    Raises
    ------
    InputError
        If the file is not a session, or was saved with another model or other options.
    OSError
        If the file cannot be read.

    Examples
    --------
    >>> from pathlib import Path
    >>> save_session(Session(tracker, delay=1), Path("late.npz"))
    >>> load_session(Path("late.npz"), tracker).delay
    1
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = dict(stored)
        header = json.loads(arrays["header"].tobytes())
        if header["format_version"] != FORMAT_VERSION:
            raise ValueError(f"format version {header['format_version']}")
        changed = [name for name, now in _options(tracker).items() if header[name] != now]
        session = None if changed else _restored(tracker, header, arrays)
    except (ValueError, KeyError, TypeError, IndexError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not a saved session ({error}); start a new one") from error
    if session is None:
        saved = " and ".join(
            f"another {name}" if name in ("linker", "max_distance") else f"{name}={header[name]!r}"
            for name in changed
        )
        if "model" in changed:  # on which other options depend
            saved = f"another model than {tracker.model.spec.name}"
        raise InputError(f"{path} was saved with {saved}; load it with the same")
    return session


def _options(tracker: Tracker) -> dict[str, Any]:
    """Return the options that a session must have when it continues, as JSON stores them."""
    choose: object = tracker.link.choose
    linker = None  # of the user
    if isinstance(choose, partial) and choose.func.__module__.startswith("trackastra_engine."):
        linker = [choose.func.__name__, choose.keywords]
    options = {
        "model": tracker.model.spec.to_json(),
        "linker": linker,
        "max_gap": tracker.link.max_gap,
        "max_distance": tracker.max_distance,
        "stride": tracker.stride,
        "align": tracker.align,
        "rates": "off" if tracker.training_rates is None else "on",
    }
    stored: dict[str, Any] = json.loads(json.dumps(options, default=_plain))
    return stored


def _plain(value: Any) -> Any:
    """Return a dataclass, or a number or array of NumPy, as JSON stores it."""
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return np.asarray(value).tolist()


def _restored(tracker: Tracker, header: dict[str, Any], arrays: Arrays) -> Session:
    """Return the session of a header and arrays; raises ValueError if they are damaged."""
    given = header["intensity_range"]
    session = Session(
        tracker,
        delay=header["delay"],
        intensity_range=None if given is None else IntensityRange(**given),
        voxel_um=None if header["voxel_um"] is None else tuple(header["voxel_um"]),
        max_objects=header["max_objects"],
    )
    for place, (fov, shape) in enumerate(header["fields"]):
        movie = session.new_field(fov)
        movie.frame_shape = None if shape is None else tuple(map(int, shape))
        _resume(movie, _group(arrays, str(place)))
        session.fields[fov] = movie
    return session


def _arrays(movie: FieldOfView) -> dict[str, NDArray[Any]]:
    """Return the state of a field as arrays."""
    detections = concatenate(movie.found, movie.ndim)
    links, edges = concatenate_edges(movie.links), concatenate_edges(movie.edges)
    return {
        "numbers": np.array(movie.numbers, np.int64),
        "n_detections": np.array([len(found) for found in movie.found], np.int64),
        "n_links": np.array([len(part) for part in movie.links], np.int64),
        "n_edges": np.array([len(part) for part in movie.edges], np.int64),
        **{f"edges/{f.name}": getattr(edges, f.name) for f in fields(Edges)},
        **{f"links/{f.name}": getattr(links, f.name) for f in fields(Edges)},
        **{f"detections/{f.name}": getattr(detections, f.name) for f in fields(Detections)},
        **{f"stream/{name}": array for name, array in movie.stream.state().items()},
    }


def _resume(movie: FieldOfView, arrays: Arrays) -> None:
    """Restore a new field from the arrays of `_arrays`; raises ValueError if they are damaged."""
    detections = Detections(**_group(arrays, "detections"))
    links, edges = Edges(**_group(arrays, "links")), Edges(**_group(arrays, "edges"))
    numbers, n_detections = arrays["numbers"], arrays["n_detections"]
    frame = np.repeat(np.arange(len(numbers)), n_detections)
    _demand(np.array_equal(detections.frame, frame), "frames without their detections")
    _demand(bool((np.diff(numbers, prepend=-1) > 0).all()), "frames out of order")
    lengths = {len(getattr(detections, f.name)) for f in fields(Detections)}
    _demand(lengths == {len(frame)}, "incomplete detections")
    _demand(detections.centroid.shape[1:] == (movie.ndim,), "detections of other dimensions")
    n_features = len(feature_names(movie.ndim))
    _demand(detections.features.shape[1:] == (n_features,), "detections with other features")
    ends = np.cumsum(n_detections)
    found = [
        detections.rows(slice(end - n, end)) for n, end in zip(n_detections, ends, strict=True)
    ]
    parts = _by_frame(links, arrays["n_links"], detections, movie.max_gap, is_into=True)
    scored = _by_frame(edges, arrays["n_edges"], detections, movie.max_gap, is_into=False)
    movie.stream.restore(_group(arrays, "stream"), found)
    n_scored = movie.stream.n_final if movie.keeps_edges else 0
    _demand(len(scored) == n_scored, "edges of other frames")
    movie.resume(numbers.tolist(), found, parts, scored)


def _by_frame(
    edges: Edges, count: IntArray, detections: Detections, max_gap: int, *, is_into: bool
) -> list[Edges]:
    """Return the edges into or from each frame; count: the number of each."""
    _demand(len(edges.source) == len(edges.target) == len(edges.score), "links without ends")
    parts = [
        edges.rows(np.arange(stop - n, stop))
        for n, stop in zip(count, np.cumsum(count), strict=True)
    ]
    for place, part in enumerate(parts):
        _demand(bool((part.source >= 0).all() and (part.target >= 0).all()), "wrong links")
        source_frame, target_frame = detections.frame[part.source], detections.frame[part.target]
        length = target_frame - source_frame
        own = target_frame if is_into else source_frame
        is_right = (own == place) & (length >= 1) & (length <= max_gap)
        _demand(bool(is_right.all()), "wrong links")
    return parts


def _group(arrays: Arrays, group: str) -> dict[str, NDArray[Any]]:
    """Return the arrays whose names begin with a group, without it."""
    start = f"{group}/"
    return {name[len(start) :]: part for name, part in arrays.items() if name.startswith(start)}


def _demand(condition: bool, damage: str) -> None:
    if not condition:
        raise ValueError(f"it contains {damage}")
