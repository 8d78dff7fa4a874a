"""The docstrings of the public API: sections for all parameters, and examples that run."""

import doctest
import inspect
import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from quick_training import QUICK
from small_movies import dividing_cell
from small_networks import DIVIDING, tiny_network
from trackastra_engine import Tracker
from trackastra_engine.online import OnlineTracker, Session
from trackastra_training.start import spec_of

PUBLIC = {
    "trackastra_engine.tracker": [
        *("Tracker", "Tracker.load", "Tracker.track", "Tracker.track_movie"),
        "Tracker.track_detections",
    ],
    "trackastra_engine.movie.selection": ["Selection"],
    "trackastra_engine.movie.frames": ["open_movie"],
    "trackastra_engine.detection.detections": ["Detections", "detect"],
    "trackastra_engine.detection.points": ["detections_of_points"],
    "trackastra_engine.detection.point_table": ["detections_of_table", "read_points"],
    "trackastra_engine.model.edges": ["Edges"],
    "trackastra_engine.linking": ["Linker", "linker"],
    "trackastra_engine.linking.candidates": ["CandidateGraph", "candidate_graph"],
    "trackastra_engine.linking.corrections": ["Corrections"],
    "trackastra_engine.linking.correction_table": ["read_corrections"],
    "trackastra_engine.linking.lineage": [
        *("Lineage", "Lineage.to_pandas", "Lineage.to_networkx", "Lineage.to_napari"),
        *("Lineage.to_geff", "build_lineage", "without_short_tracks"),
    ],
    "trackastra_engine.output.saved_tracks": ["read_tracks"],
    "trackastra_engine.evaluation": ["evaluate"],
    "trackastra_engine.online.session": [
        *("Session", "Session.push", "Session.push_detections", "Session.push_points"),
        "Session.finish",
    ],
    "trackastra_engine.online.online_tracker": [
        *("OnlineTracker", "OnlineTracker.push", "OnlineTracker.finish"),
    ],
    "trackastra_engine.online.update": ["Update"],
    "trackastra_engine.online.state": ["load_session", "save_session"],
    "trackastra_engine.online.tables": ["TableTracker", "TableTracker.track_cells"],
    "trackastra_engine.online.micromanager": ["MdaHandler", "image_process_fn"],
    "trackastra_training.start": ["new_start", "start_from_model"],
    "trackastra_training.train": ["train"],
    "trackastra_training.averaging": ["average_models"],
    "trackastra_training.from_onnx": ["read_model"],
    "trackastra_training.validation": ["validate"],
    "trackastra_export.export": ["export_model"],
}
NAMES = [(module, name) for module, names in PUBLIC.items() for name in names]
FIELDS_IN_COMMENTS = {"Update"}  # described where they stand


def found(module, name):
    """Return a public class, function or method."""
    thing = import_module(module)
    for part in name.split("."):
        thing = getattr(thing, part)
    return thing


def section(thing, title):
    """Return the text of a section of a docstring, empty if there is none."""
    text = inspect.getdoc(thing)
    parts = re.split(r"\n\n(\w+)\n-+\n", text)
    return dict(zip(parts[1::2], parts[2::2], strict=True)).get(title, "")


@pytest.fixture(scope="module")
def known():
    """Return the names that examples may use."""
    images, masks = dividing_cell()
    tracker = Tracker.load("general_2d", device="cpu")
    lineage = tracker.track(images, masks)
    network = tiny_network()
    network.eval()
    names = {
        **{"np": np, "Path": Path, "Tracker": Tracker, "Session": Session},
        **{"images": images, "masks": masks, "tracker": tracker, "lineage": lineage},
        **{"detections": lineage.detections, "session": Session(tracker)},
        **{"network": network, "spec": spec_of(network.config, "tiny", ""), "parameters": DIVIDING},
        "configuration": QUICK,
    }
    with OnlineTracker(Session(tracker), lambda update: None, on_error=print) as online:
        yield {**names, "online": online}


@pytest.mark.parametrize(("module", "name"), NAMES, ids=[name for _, name in NAMES])
def test_the_example_of_a_public_name_runs(module, name, known, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    thing = found(module, name)
    names = {**known, **vars(import_module(module))}
    (test,) = doctest.DocTestFinder(recurse=False).find(thing, name, globs=names)
    assert test.examples, "there is no example"
    told = []
    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test, told.append)
    assert not told, "".join(told)


@pytest.mark.parametrize(("module", "name"), NAMES, ids=[name for _, name in NAMES])
def test_every_parameter_and_result_of_a_public_name_is_described(module, name):
    thing = found(module, name)
    signature = inspect.signature(thing)
    listed = re.findall(r"^(\w[\w, ]*?)(?: :.*)?$", section(thing, "Parameters"), re.MULTILINE)
    described = {word.strip() for line in listed for word in line.split(",")}
    if name not in FIELDS_IN_COMMENTS:
        assert set(signature.parameters) - {"self"} <= described
    if inspect.isfunction(thing) and signature.return_annotation not in (None, "None"):
        assert section(thing, "Returns")
