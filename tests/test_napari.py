"""The plugin of napari: its manifest, the files it reads, and, under a display, its widgets."""

import shutil
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest

from small_movies import dividing_cell, true_lineage, write_folder
from trackastra_engine.errors import InputError
from trackastra_engine.files.replace import PRIVATE
from trackastra_engine.jobs.track import Job, run_job
from trackastra_engine.linking.correction_table import read_corrections
from trackastra_engine.movie.frames import open_movie
from trackastra_engine.napari.decisions import choices
from trackastra_engine.napari.reader import get_reader
from trackastra_engine.output.ctc import write_ctc
from trackastra_engine.output.formats import Results
from trackastra_engine.output.results import Outputs, write_outputs

ROOT = Path(__file__).parent.parent
TIME_LIMIT_S = 120


@pytest.fixture(scope="module")
def movie():
    images, masks = dividing_cell()
    return images, masks, true_lineage(masks)


@pytest.fixture
def folder(movie, tmp_path):
    """Return a results folder whose masks have other labels than the tracked masks."""
    images, masks, lineage = movie
    write_outputs(
        Results(lineage, open_movie(images, masks)), Outputs(tmp_path / "out", report=False)
    )
    return tmp_path / "out"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_the_manifest_is_valid_and_its_entries_exist_without_napari():
    npe2 = pytest.importorskip("npe2")
    entries = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]
    (name, place), *_ = entries["napari.manifest"].items()
    package, file = place.split(":")
    path = ROOT / "engine" / Path(*package.split(".")) / file
    manifest = npe2.PluginManifest.from_file(path)
    assert manifest.name == name
    manifest.validate_imports()
    commands = {command.id for command in manifest.contributions.commands}
    assert {manifest.contributions.readers[0].command} < commands


def test_a_results_folder_becomes_masks_and_tracks_with_their_graph(folder, movie):
    masks = movie[1]
    (labels, _, labels_kind), (data, options, kind) = get_reader(str(folder))(str(folder))
    assert (labels_kind, kind) == ("labels", "tracks")
    assert (labels.shape, labels.ndim, labels.dtype) == (masks.shape, 3, np.uint16)
    np.testing.assert_array_equal(labels[3], masks[3])
    np.testing.assert_array_equal(labels[3, 10:20, ::2], masks[3, 10:20, ::2])
    np.testing.assert_array_equal(labels[1:3, 10], masks[1:3, 10])
    np.testing.assert_array_equal(labels[..., 10], masks[..., 10])
    np.testing.assert_array_equal(labels[1, ..., 10:20], masks[1, ..., 10:20])
    assert labels[2:2, 10:20].shape == (0, 10, masks.shape[2])
    np.testing.assert_array_equal(np.asarray(labels), masks)
    assert data.shape == (15, 4)
    assert options["graph"] == {3: [2], 4: [2]}
    for track, t, y, x in data:
        assert labels[int(t)][int(y), int(x)] == track
    assert set(options["features"]["lineage"]) == {1, 2}


def test_frames_of_masks_are_read_when_they_are_shown(folder):
    (labels, *_), _ = get_reader(str(folder))(str(folder))
    (folder / "ctc" / "mask004.tif").unlink()
    assert labels[3].any()
    with pytest.raises(InputError, match=r"mask004\.tif does not exist"):
        labels[4]


@pytest.mark.parametrize(
    ("name", "said"),
    [("mask000.tif", "mask000.tif is a damaged|mask000.tif is not"), ("res_track.txt", "no table")],
)
def test_damaged_masks_are_reported_and_the_tracks_are_shown(folder, movie, name, said):
    (folder / "ctc" / name).write_bytes(b"damaged")
    with pytest.warns(UserWarning, match=f"the tracks are shown without masks: .*({said})"):
        ((data, _, kind),) = get_reader(str(folder))(str(folder))
    assert (kind, len(data)) == ("tracks", 15)
    for table in ("tracks.csv", "edges.csv"):
        (folder / table).unlink()
    with pytest.raises(InputError, match=said):
        get_reader(str(folder))(str(folder))


def test_tables_without_masks_are_read_without_a_warning(folder, recwarn):
    shutil.rmtree(folder / "ctc")
    ((_, _, kind),) = get_reader(str(folder))(str(folder))
    assert (kind, list(recwarn)) == ("tracks", [])


def test_a_folder_of_the_challenge_is_read_and_others_are_not(movie, tmp_path):
    images, masks, lineage = movie
    write_ctc(lineage, open_movie(images, masks), tmp_path / "tracked")
    assert len(get_reader(str(tmp_path / "tracked"))(str(tmp_path / "tracked"))) == 2
    assert get_reader(str(tmp_path)) is None
    assert get_reader(str(tmp_path / "tracked" / "mask000.tif")) is None
    assert get_reader([str(tmp_path / "tracked")]) is None


def test_the_widget_decides_links_and_shows_the_tracks_at_once(movie, tmp_path):
    napari = pytest.importorskip("napari")
    from trackastra_engine.napari.decide_widget import LAYER, decide_widget

    images, masks, _ = movie
    folders = write_folder(tmp_path / "images", images), write_folder(tmp_path / "masks", masks)
    out = tmp_path / "out"
    run_job(Job(*folders, Outputs(out, report=False), cache=out / PRIVATE))
    viewer = napari.Viewer(show=False)
    try:
        container = decide_widget(viewer)
        viewer.window.add_dock_widget(container)
        widget = container.decide
        widget.folder.value = out
        widget.buttons["open"].changed.emit(True)
        layer = viewer.layers[LAYER]
        assert len(layer.data) == 15
        decisions, first = widget._decisions, widget._decisions.questions[0]
        assert len(widget.parent.choices) == len(choices(first))
        others = [name for name, place in choices(first).items() if place != first.source]
        widget.parent.value = others[0]
        widget.buttons["choose"].changed.emit(True)
        assert viewer.layers[LAYER] is not layer
        assert parent_of(decisions, first.target) == choices(first)[others[0]]
        assert "1 decided" in widget.question.value
        widget.buttons["undo"].changed.emit(True)
        assert parent_of(decisions, first.target) == first.source
        linked = next(row for row, q in enumerate(decisions.questions) if q.source is not None)
        for _ in range(linked):
            widget.buttons["next"].changed.emit(True)
        wrong = decisions.questions[linked]
        assert viewer.dims.current_step[0] == wrong.target[0]
        widget.buttons["reject"].changed.emit(True)
        assert parent_of(decisions, wrong.target) != wrong.source
        widget.buttons["accept"].changed.emit(True)
        assert decisions.n_made == 2
        widget.buttons["save"].changed.emit(True)
        assert len(read_corrections([out / "corrections.csv"])) == 2
    finally:
        viewer.close()


def parent_of(decisions, target):
    """Return the frame and label of the parent in the tracks, or None."""
    found, edges = decisions.lineage.detections, decisions.lineage.edges
    (row,) = np.flatnonzero((found.frame == target[0]) & (found.label == target[1]))
    sources = edges.source[edges.target == row].tolist()
    return (int(found.frame[sources[0]]), int(found.label[sources[0]])) if sources else None


def test_the_widget_tracks_the_chosen_layers(movie, folder):
    napari = pytest.importorskip("napari")
    from qtpy.QtWidgets import QApplication

    from trackastra_engine.napari.widget import track_widget

    images, masks, _ = movie
    viewer = napari.Viewer(show=False)
    try:
        image, labels = viewer.add_image(images), viewer.add_labels(masks)
        widget = track_widget()
        viewer.window.add_dock_widget(widget)
        widget(labels=labels, image=image)
        end = time.monotonic() + TIME_LIMIT_S
        while len(viewer.layers) < 3 and time.monotonic() < end:
            QApplication.processEvents()
        tracks = viewer.layers[-1]
        assert isinstance(tracks, napari.layers.Tracks)
        assert len(tracks.data) == 15
        for data, options, kind in get_reader(str(folder))(str(folder)):
            getattr(viewer, f"add_{kind}")(data, **options)
        viewer.dims.set_point(0, 4)
        assert viewer.layers["out masks"].get_value((4, 31, 32)) == 4
    finally:
        viewer.close()
