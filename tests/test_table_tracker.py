"""Pipelines with tables of cells get their tables back with tracks."""

import threading

import numpy as np
import pytest

from test_session import NearModel, random_tracker
from trackastra_engine import InputError, Tracker
from trackastra_engine.linking import linker
from trackastra_engine.online.tables import TableTracker

pd = pytest.importorskip("pandas")


class FieldState:
    """The state of a field of view, as in rtm-pymmcore (faro/core/data_structures.py)."""

    def __init__(self):
        self.fov_timestep_counter = 0


def near_tracker():
    return TableTracker(Tracker(NearModel(), linker("greedy")))


def table(cells, **columns):
    """Return a table of cells {label: (y, x)}, as from feature extractors."""
    label, places = list(cells), np.array(list(cells.values()), float)
    return pd.DataFrame({"label": label, "x": places[:, 1], "y": places[:, 0], **columns})


def run(tracker, state, frames):
    tracked = pd.DataFrame()
    for t, cells in enumerate(frames):
        state.fov_timestep_counter = t
        tracked = tracker.track_cells(tracked, table(cells, fname=f"{t:03d}"), state)
    return tracked


def test_tables_are_returned_with_tracks_and_mothers():
    """
    Cell 3 moves, cell 7 divides into 2 and 9, and 9 is lost; cell 5 exists in one frame.
    """
    frames = [
        {3: (5, 5), 7: (40, 40)},
        {9: (43, 40), 2: (37, 40), 5: (80, 80), 3: (6, 7)},
        {1: (7, 8), 2: (36, 40)},
    ]
    tracked = run(near_tracker(), FieldState(), frames)
    assert tracked["fov_timestep"].tolist() == [0, 0, 1, 1, 1, 1, 2, 2]
    assert tracked["label"].tolist() == [3, 7, 9, 2, 5, 3, 1, 2]
    assert tracked["fname"].tolist() == ["000"] * 2 + ["001"] * 4 + ["002"] * 2
    moving, mother, lower, upper, new, *later = tracked["particle"].tolist()
    assert later == [moving, moving, upper]
    assert len({moving, mother, lower, upper, new}) == 5
    parents = tracked["parent_particle"]
    assert parents.dtype == "Int64"
    assert parents[2:4].tolist() == [mother, mother]
    assert parents.notna().sum() == 2
    assert tracked["particle"].dtype == np.uint32


def test_returned_rows_never_change():
    """Random scores change all the time."""
    rng, tracker, state = np.random.default_rng(0), TableTracker(random_tracker()), FieldState()
    tracked = pd.DataFrame(columns=["label"])
    for t in range(8):
        cells = {label: rng.uniform(0, 60, 2) for label in range(1, 20)}
        state.fov_timestep_counter = t
        new = table(cells)
        before, given = tracked.copy(), new.copy()
        tracked = tracker.track_cells(tracked, new, state)
        pd.testing.assert_frame_equal(new, given)
        if t > 0:
            pd.testing.assert_frame_equal(tracked.iloc[: len(before)], before)
    assert tracked["particle"].nunique() < len(tracked)


def test_frames_without_cells_and_movies_that_start_again():
    tracker, state, cells = near_tracker(), FieldState(), {1: (5, 5)}
    nothing = pd.DataFrame()
    assert tracker.track_cells(nothing, pd.DataFrame(), state) is nothing
    state.fov_timestep_counter = 1
    tracked = tracker.track_cells(nothing, table(cells), state)
    state.fov_timestep_counter = 2
    assert tracker.track_cells(tracked, pd.DataFrame(columns=["label"]), state) is tracked
    state.fov_timestep_counter = 3
    tracked = tracker.track_cells(tracked, table(cells), state)
    assert tracked["particle"].tolist() == [1, 2]  # not seen for a frame: another track
    state.fov_timestep_counter = 0
    assert tracker.track_cells(nothing, table(cells), state)["particle"].tolist() == [1]


def test_fields_of_view_are_tracked_from_several_threads():
    frames = [{1: (5, 5 + t), 2: (40, 40)} for t in range(10)]
    tracker, found = near_tracker(), []

    def track():
        found.append(run(tracker, FieldState(), frames))

    threads = [threading.Thread(target=track) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [tracked["particle"].tolist() for tracked in found] == [[1, 2] * 10] * 3


def test_tables_that_cannot_be_tracked_are_rejected():
    tracker, state = near_tracker(), FieldState()
    with pytest.raises(InputError, match="no column 'y'; expected label, y, x"):
        tracker.track_cells(pd.DataFrame(), pd.DataFrame({"label": [1], "x": [2.0]}), state)
    tracked = tracker.track_cells(pd.DataFrame(), table({1: (5, 5)}), state)
    with pytest.raises(InputError, match="follows frame 0"):
        tracker.track_cells(tracked, table({1: (5, 5)}), state)
