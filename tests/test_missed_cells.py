"""Cells that are missed for a frame: they are counted, and a warning names the remedy."""

import logging
from dataclasses import replace

import numpy as np
import pytest

from small_networks import DIVIDING
from trackastra_engine import Tracker
from trackastra_engine.detection.points import detections_of_points
from trackastra_engine.errors import naming_flags
from trackastra_engine.linking import linker, stream
from trackastra_engine.linking.lineage import build_lineage
from trackastra_engine.linking.missed_cells import (
    found_again,
    n_missed_for_a_frame,
    warn_of_missed_cells,
)
from trackastra_engine.model.edges import Edges
from trackastra_engine.motion.summary import movie_motion
from trackastra_engine.simulation import Errors, KnownMovie, simulate
from trackastra_training.clutter import together
from trackastra_training.examples import cut_window
from trackastra_training.segmentation_errors import keep_rows

N_FRAMES = 12
MOVIE = simulate(replace(DIVIDING, n_cells=80, n_frames=N_FRAMES, errors=Errors()), 2)
FLAT = np.ones(2)


def without(share):
    """Return the movie without some cells of inner frames, and how many were missed."""
    frame = MOVIE.detections.frame
    is_inner = (frame > 0) & (frame < frame[-1])
    is_missed = is_inner & (np.random.default_rng(0).random(len(frame)) < share)
    return keep_rows(MOVIE, np.flatnonzero(~is_missed)), int(is_missed.sum())


def with_objects(window, rng):
    """Return a window with half as many objects, each seen once, at random places."""
    found = window.detections
    rows = rng.integers(len(found), size=len(found) // 2)
    low, high = found.centroid.min(axis=0), found.centroid.max(axis=0)
    objects = replace(found.rows(rows), centroid=rng.uniform(low, high, (len(rows), 2)))
    return together(window, KnownMovie(objects, np.full(len(rows), -1), np.zeros(len(rows), int)))


def true_lineage(movie):
    """Return the lineage of the true links between neighbouring frames."""
    frame, target = movie.detections.frame, np.flatnonzero(movie.parent >= 0)
    target = target[frame[target] - frame[movie.parent[target]] == 1]
    source = movie.parent[target]
    order = np.argsort(source, kind="stable")
    edges = Edges(source[order], target[order], np.ones(len(target)))
    return build_lineage(movie.detections, edges)


def test_cells_that_are_missed_for_a_frame_are_counted():
    assert n_missed_for_a_frame(true_lineage(MOVIE), FLAT) < 0.005 * len(MOVIE.parent)
    movie, n_missed = without(0.05)
    assert 0.5 * n_missed < n_missed_for_a_frame(true_lineage(movie), FLAT) < 1.2 * n_missed


def test_a_cell_that_is_missed_is_found_by_its_place():
    found = MOVIE.detections
    child = np.bincount(MOVIE.parent[MOVIE.parent >= 0], minlength=len(found))
    inside = np.flatnonzero((found.frame == 5) & (MOVIE.parent >= 0) & (child == 1))
    movie = keep_rows(MOVIE, np.setdiff1d(np.arange(len(found)), inside))
    frame = movie.detections.frame
    again = found_again(true_lineage(movie), 2, FLAT)
    assert (frame[again] == 4).sum() > 0.8 * len(np.unique(MOVIE.parent[inside]))
    assert not len(found_again(true_lineage(movie), 12, FLAT))


def test_units_of_voxels_do_not_matter():
    lineage = true_lineage(without(0.05)[0])
    found = lineage.detections
    half = replace(found, centroid=found.centroid * [0.5, 1], features=found.features.copy())
    half.features[:, 0] *= 0.5**0.5  # of the same areas
    halved = replace(lineage, detections=half)
    for n_frames in (2, 3):
        rows = found_again(lineage, n_frames, FLAT)
        np.testing.assert_array_equal(found_again(halved, n_frames, np.array([2.0, 1.0])), rows)


def test_the_field_may_move():
    """The places of ends are carried along the motion of the other cells."""
    movie, n_missed = without(0.05)
    found = movie.detections
    place = found.centroid + found.frame[:, None] * [0.0, 60.0]
    moved = KnownMovie(replace(found, centroid=place), movie.parent, movie.n_children)
    motion = movie_motion(moved.detections, N_FRAMES)
    assert motion.is_aligned.sum() > 8
    assert n_missed_for_a_frame(true_lineage(moved), FLAT, motion) > 0.5 * n_missed
    assert n_missed_for_a_frame(true_lineage(moved), FLAT) < 0.3 * n_missed


def test_few_missed_cells_cause_no_warning(caplog):
    warn_of_missed_cells(true_lineage(MOVIE), FLAT)
    warn_of_missed_cells(true_lineage(without(0.002)[0]), FLAT)
    assert not caplog.records
    warn_of_missed_cells(true_lineage(without(0.05)[0]), FLAT)
    assert "max_gap=2" in caplog.text
    with naming_flags():
        warn_of_missed_cells(true_lineage(without(0.05)[0]), FLAT)
    assert "--max-gap 2 links over such gaps" in caplog.text


@pytest.mark.parametrize("n_frames", [3, 4, 6, 12])
@pytest.mark.parametrize("seed", range(3))
def test_objects_that_are_seen_once_are_not_missed_cells(n_frames, seed, caplog):
    window = cut_window(MOVIE, 0, n_frames)
    objects = with_objects(window, np.random.default_rng(seed))
    assert len(found_again(true_lineage(objects), 2, FLAT)) > n_frames - 3
    warn_of_missed_cells(true_lineage(objects), FLAT)
    assert not caplog.records


@pytest.mark.parametrize("n_frames", [1, 2, 3, 4, 12])
def test_movies_without_links_cause_no_warning(n_frames, caplog):
    """There, the linking failed rather than the segmentation."""
    window = cut_window(MOVIE, 0, n_frames)
    apart = replace(window, parent=np.full(len(window.parent), -1))
    warn_of_missed_cells(true_lineage(apart), FLAT)
    assert not caplog.records


def test_cells_of_a_stack_are_found_again():
    """One of 27 cells is missed in frame 2; planes are 4 pixels apart."""
    cells = np.moveaxis(np.indices((3, 3, 3)), 0, -1).reshape(-1, 3) * [5.0, 20.0, 20.0]
    is_seen = np.ones((5, 27), bool)
    is_seen[2, 13] = False
    frame, cell = np.nonzero(is_seen)
    points = detections_of_points(frame, cells[cell], diameter=np.full(len(frame), 6.0))
    row_of = np.full((6, 27), -1)
    row_of[frame, cell] = np.arange(len(frame))
    target = row_of[frame + 1, cell]
    source = np.flatnonzero(target >= 0)
    lineage = build_lineage(points, Edges(source, target[source], np.ones(len(source))))
    assert found_again(lineage, 2, np.array([4.0, 1.0, 1.0])).tolist() == [row_of[1, 13]]


@pytest.mark.parametrize(
    ("max_gap", "rates", "warns"), [(1, "auto", 1), (2, "auto", 0), (1, "off", 0)]
)
def test_tracking_warns_where_links_over_gaps_would_help(max_gap, rates, warns, caplog):
    """With rates that are not adapted, as of upstream's models, nothing changes."""
    tracker = Tracker.load("general_2d")
    link = linker("greedy", max_gap=max_gap, probabilities=True)
    with caplog.at_level(logging.WARNING):
        Tracker(tracker.model, link, rates=rates).track_detections(without(0.05)[0].detections)
    assert caplog.text.count("max_gap=2") == warns


@pytest.mark.parametrize("max_gap", [1, 2])
def test_links_over_gaps_are_not_advised_to_those_who_use_them(max_gap, monkeypatch):
    asked = []
    monkeypatch.setattr(stream, "warn_of_missed_cells", lambda *_: asked.append(1))
    link = linker("greedy", max_gap=max_gap, probabilities=True)
    Tracker(Tracker.load("general_2d").model, link).track_detections(MOVIE.detections)
    assert len(asked) == (max_gap == 1)
