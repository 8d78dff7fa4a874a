"""The benchmark of objects that are not cells and of missed cells: each changes what it names."""

from dataclasses import replace

import numpy as np
import pytest

from benchmarks import clutter
from benchmarks.cluttered_movies import missed_for, mothers_missed, with_others
from benchmarks.true_movies import as_true_movie
from trackastra_engine.simulation import (
    Division,
    SimulationParameters,
    count_children,
    render,
)


@pytest.fixture(scope="module")
def movie():
    parameters = SimulationParameters(
        n_frames=8, n_cells=120, spacing=1.3, division=Division(cycle_frames=15.0)
    )
    return as_true_movie(render(parameters, 3), 1.0)


def places(movie):
    found = movie.detections
    return [(t, *place) for t, place in zip(found.frame, found.centroid.tolist(), strict=True)]


@pytest.mark.parametrize("n_seen", [1, 4])
def test_others_come_besides_the_cells_and_link_to_themselves_only(movie, n_seen):
    seen = with_others(movie, 0.3, n_seen)
    row_of = {place: row for row, place in enumerate(places(seen))}
    cells = np.array([row_of[place] for place in places(movie)])
    np.testing.assert_array_equal(
        seen.parent[cells], np.where(movie.parent >= 0, cells[movie.parent], -1)
    )
    np.testing.assert_array_equal(seen.detections.features[cells], movie.detections.features)
    others = np.setdiff1d(np.arange(len(seen.parent)), cells)
    assert len(others) == pytest.approx(0.3 * len(cells), rel=0.25)
    frame = seen.detections.frame
    counts = np.bincount(frame[others], minlength=8)
    assert len(counts) == 8
    assert counts.min() > 0.4 * counts.max()
    own = others[seen.parent[others] >= 0]
    assert bool(len(own)) == (n_seen > 1)
    before = seen.parent[own]
    assert np.isin(before, others).all()
    np.testing.assert_array_equal(frame[own], frame[before] + 1)
    found = seen.detections
    np.testing.assert_array_equal(found.centroid[own], found.centroid[before])
    np.testing.assert_array_equal(found.features[own, :-1], found.features[before, :-1])
    for row in others:
        at_once = cells[frame[cells] == frame[row]]
        distance = np.linalg.norm(found.centroid[at_once] - found.centroid[row], axis=1)
        reach = 0.5 * (found.features[at_once, 0] + found.features[row, 0])
        assert distance[distance.argmin()] >= 0.9 * reach[distance.argmin()]  # beside the nearest
    away = np.array([np.inf]) if movie.masks is None else np.array(movie.masks.shape[1:])
    place, size = found.centroid[others], found.features[others, 0]
    margin = np.minimum(place, away - 1 - place).min(axis=1) - size / 2
    assert np.median(np.abs(margin - found.features[others, -1])) < 0.5 * np.median(size)
    seen_times = np.unique(found.centroid[others], axis=0, return_counts=True)[1]
    assert seen_times.max() == n_seen


def test_no_others_fit_between_cells_without_gaps(movie):
    found = movie.detections
    features = found.features.copy()
    features[:, 0] *= 20
    full = replace(movie, detections=replace(found, features=features))
    assert len(with_others(full, 0.3, 4).detections) == len(found)


def test_half_of_the_mothers_are_missed_and_no_other_cell(movie):
    seen = mothers_missed(movie, 0.5)
    left = set(places(seen))
    is_missed = np.array([place not in left for place in places(movie)])
    n_children = count_children(movie.parent)
    assert (n_children[is_missed] == 2).all()
    assert 0.3 < is_missed.sum() / (n_children == 2).sum() < 0.7


def test_cells_are_missed_several_frames_in_a_row(movie):
    seen = missed_for(movie, 0.1, 3)
    left = set(places(seen))
    is_missed = np.array([place not in left for place in places(movie)])
    assert is_missed.mean() == pytest.approx(0.1, abs=0.05)
    n_frames = []
    for row in np.flatnonzero(is_missed & (movie.parent >= 0)):
        if is_missed[movie.parent[row]]:
            continue
        length, children = 0, [row]
        while any(is_missed[children]):
            length += 1
            children = np.flatnonzero(np.isin(movie.parent, children)).tolist()
        n_frames.append(length)
    assert np.median(n_frames) == 3


def test_cells_can_be_missed_before_the_movie_begins(movie):
    left = np.bincount(missed_for(movie, 0.5, 5).detections.frame)[0]
    n_missed = np.bincount(movie.detections.frame)[0] - left
    assert n_missed / (n_missed + left) == pytest.approx(0.5, abs=0.15)  # 0.1 begin in this frame


def rows_of_a_movie():
    score = {"edge_f1": 0.98765, "division_f1": 0.8769}
    for kind in clutter.KINDS:
        yield {
            "movie": "a",
            "noise": kind,
            "best": "laptrack",
            "positions_only": {"edge_f1": 0.9, "division_f1": 0.5},
            "trackers": {"general_2d": score, "old": score, "general_2d, --max-gap 1": score},
            "errors": {"general_2d": 3, "old": 5},
        }


def test_table_compares_ours_with_trackers_of_positions():
    head, ours, pairs, others = clutter.table({"rows": list(rows_of_a_movie())})
    assert head == ["edge F1 / division F1", "tracker", *clutter.KINDS]
    assert ours == ["a", "general_2d", *["0.9877 / 0.877"] * len(clutter.KINDS)]
    assert pairs == ["", "--max-gap 1", *["0.9877 / 0.877"] * len(clutter.KINDS)]
    assert others == ["", "positions only", *["0.9000 / 0.500"] * len(clutter.KINDS)]
