"""Windows in doubt are aligned again along their links, if those become likelier."""

from dataclasses import replace

import numpy as np
import pytest

from test_motion import STEP, field
from trackastra_engine.association import aligned_windows
from trackastra_engine.association.aligned_windows import (
    DOUBTFUL_FIT,
    MAX_PASSES,
    MIN_DOUBT,
    TURN,
    TURNED_CELLS,
    TURNED_DOUBT,
    score_aligned,
    turned,
)
from trackastra_engine.detection.points import detections_of_points
from trackastra_engine.model.edges import Edges
from trackastra_engine.motion.alignment import flows_of
from trackastra_engine.motion.links import Links, flows_of_links

N_CELLS = 100


def window(move, n_frames=4, seed=0):
    """Return frames of the same cells in the same order; move: where they go from each to the next.

    In each frame they have other sizes, so that their looks do not distinguish them.
    """
    rng = np.random.default_rng(seed)
    places = [field(N_CELLS)[0]]
    for _ in range(n_frames - 1):
        places.append(move(places[-1]) + rng.normal(0, 0.03 * STEP, (N_CELLS, 2)))
    frame = np.repeat(np.arange(n_frames), N_CELLS)
    diameter = rng.choice([6.0, 14.0, 30.0], len(frame))
    return detections_of_points(frame, np.concatenate(places), diameter=diameter)


def growing(place):
    """Return places after growth, by which cells at the edge come where others had been."""
    return place.mean(axis=0) + 1.2 * (place - place.mean(axis=0))


class NearModel:
    """Scores the true links by how near their ends lie, as a network does: certain if they meet."""

    def __init__(self, sharpness=1.0):
        self.passes = []
        self.sharpness = sharpness

    def __call__(self, windows):
        self.passes.append(len(windows))
        return [self.edges(seen) for seen in windows]

    def edges(self, seen):
        source = np.arange(len(seen) - N_CELLS)
        away = np.linalg.norm(seen.centroid[source + N_CELLS] - seen.centroid[source], axis=1)
        score = np.exp(-self.sharpness * (away / STEP) ** 2)
        return Edges(source, source + N_CELLS, score)


def test_links_lead_to_an_alignment_in_which_they_are_likelier():
    found, model = window(growing), NearModel()
    assert max(flow.fit for flow in flows_of(found)) < DOUBTFUL_FIT
    (edges,) = score_aligned([found], model)
    assert 2 <= len(model.passes) <= MAX_PASSES
    assert model.edges(found).score.mean() < 0.8
    assert edges.score.min() > 0.95


@pytest.fixture
def never_turned(monkeypatch):
    monkeypatch.setattr(aligned_windows, "TURNED_CELLS", 0)


@pytest.mark.usefixtures("never_turned")
@pytest.mark.parametrize("left", [1.2, 0.93])
def test_an_alignment_that_leaves_doubt_is_dropped(left):
    found = window(growing)
    calls = []

    def score(windows):
        calls.append(len(windows))
        edges = NearModel().edges(found)
        doubt = (1 - edges.score) * left ** (len(calls) - 1)
        return [Edges(edges.source, edges.target, 1 - doubt)]

    (edges,) = score_aligned([found], score)
    assert calls == [1, 1]
    np.testing.assert_allclose(edges.score, NearModel().edges(found).score)


def test_cells_after_an_empty_frame_cause_no_doubt():
    """In which all others are certain."""
    found = window(growing)
    frame = np.where(found.frame == 3, 4, found.frame)
    certain = NearModel(sharpness=0.002)
    passes = []

    def score(windows):
        passes.append(len(windows))
        edges = certain.edges(windows[0])
        return [edges.rows(np.flatnonzero(edges.source < 2 * N_CELLS))]

    score_aligned([replace(found, frame=frame)], score)
    assert passes == [1]


@pytest.mark.parametrize("move", [lambda place: place, lambda place: place + 0.4 * STEP])
def test_windows_that_fit_are_scored_once(move):
    place, diameter = field(N_CELLS)
    places = [place]
    for _ in range(3):
        places.append(move(places[-1]))
    frame = np.repeat(np.arange(4), N_CELLS)
    found = detections_of_points(frame, np.concatenate(places), diameter=np.tile(diameter, 4))
    model = NearModel()
    score_aligned([found], model)
    assert model.passes == [1]


@pytest.mark.usefixtures("never_turned")
def test_cells_that_hardly_move_are_scored_once_however_they_look():
    found, model = window(lambda place: place), NearModel(sharpness=20)
    assert 1 - model.edges(found).score.mean() > MIN_DOUBT
    score_aligned([found], model)
    assert model.passes == [1]


def test_cells_with_certain_parents_are_scored_once_however_badly_they_fit():
    found, model = window(growing), NearModel(sharpness=0.002)
    assert max(flow.fit for flow in flows_of(found)) < DOUBTFUL_FIT
    assert 1 - model.edges(found).score.mean() < MIN_DOUBT
    score_aligned([found], model)
    assert model.passes == [1]


class TwoSided:
    """Scores the same links as 1 minus a doubt that depends on the direction of the field."""

    def __init__(self, found, doubt, of_turned):
        self.upright, self.doubt, self.of_turned = found, doubt, of_turned
        self.n_turned = 0

    def __call__(self, windows):
        return [self.edges(seen) for seen in windows]

    def edges(self, seen):
        here, upright = (one.centroid - one.centroid.mean(axis=0) for one in (seen, self.upright))
        is_turned = (here * upright).sum() < 0
        self.n_turned += is_turned
        source = np.arange(len(seen) - N_CELLS)
        doubt = self.of_turned if is_turned else self.doubt
        return Edges(source, source + N_CELLS, np.full(len(source), 1 - doubt))


@pytest.mark.parametrize(
    ("doubt", "of_turned", "used"),
    [(0.5, 0.1, 0.1), (0.1, 0.5, 0.1), (0.5, 0.48, 0.49), (0.48, 0.5, 0.49)],
)
def test_small_windows_in_doubt_get_the_likelier_scores_of_two_directions(doubt, of_turned, used):
    found = window(growing)
    assert len(found) <= TURNED_CELLS
    model = TwoSided(found, doubt, of_turned)
    (edges,) = score_aligned([found], model)
    assert model.n_turned >= 1
    assert len(edges) == len(found) - N_CELLS
    np.testing.assert_allclose(edges.score, 1 - used)


def test_a_link_that_one_direction_lacks_counts_as_zero():
    found = window(growing)

    class Model(TwoSided):
        def edges(self, seen):
            edges = super().edges(seen)
            return edges.rows(np.arange(1, len(edges))) if self.n_turned else edges

    (edges,) = score_aligned([found], Model(found, 0.5, 0.5))
    np.testing.assert_array_equal(edges.source, np.arange(len(found) - N_CELLS))
    np.testing.assert_allclose(edges.score, np.where(edges.source == 0, 0.25, 0.5))


@pytest.mark.parametrize(
    ("n_frames", "doubt"), [(1 + TURNED_CELLS // N_CELLS, 0.5), (4, TURNED_DOUBT / 2)]
)
def test_large_or_sure_windows_are_seen_in_one_direction(n_frames, doubt):
    found = window(growing, n_frames)
    model = TwoSided(found, doubt, 0.0)
    (edges,) = score_aligned([found], model)
    assert model.n_turned == 0
    np.testing.assert_allclose(edges.score, 1 - doubt)


@pytest.mark.parametrize("ndim", [2, 3])
def test_turned_windows_have_the_same_cells(ndim):
    rng = np.random.default_rng(0)
    place = rng.normal(size=(20, ndim)) * 30
    found = detections_of_points(np.zeros(20, int), place, diameter=rng.uniform(4, 9, 20))
    seen = turned(found, TURN)
    np.testing.assert_allclose(seen.features, found.features, atol=1e-9)
    distance, after = (
        np.linalg.norm(one.centroid[:, None] - one.centroid, axis=-1) for one in (found, seen)
    )
    np.testing.assert_allclose(after, distance)
    before, after = found.centroid[:, -2:], seen.centroid[:, -2:]
    along = (before * after).sum(axis=1)
    np.testing.assert_allclose(along, np.cos(TURN) * (before**2).sum(axis=1))
    np.testing.assert_array_equal(seen.centroid[:, :-2], found.centroid[:, :-2])


@pytest.mark.usefixtures("never_turned")
def test_windows_do_not_depend_on_those_scored_with_them():
    windows = [window(growing), window(lambda place: place, seed=1), window(growing, seed=2)]
    together, model = score_aligned(windows, NearModel()), NearModel()
    score_aligned(windows, model)
    assert model.passes[:2] == [3, 2]
    for number, alone in enumerate(windows):
        (edges,) = score_aligned([alone], NearModel())
        np.testing.assert_array_equal(edges.score, together[number].score)


GRID = STEP * np.stack(np.meshgrid(*[np.arange(10.0)] * 2), axis=-1).reshape(-1, 2)
ODD = {
    "two cells": detections_of_points([0, 0, 1, 1, 2, 2], [[0, 0], [9, 9]] * 3),
    "an empty frame": detections_of_points(np.repeat([0, 2], 100), np.tile(GRID, (2, 1))),
    "one frame": detections_of_points(np.zeros(100, int), GRID),
    "the same place": replace(window(growing), centroid=np.zeros((4 * N_CELLS, 2))),
    "the same cells on a grid": detections_of_points(np.repeat([0, 1], 100), np.tile(GRID, (2, 1))),
    "NaN": replace(window(growing), centroid=np.full((4 * N_CELLS, 2), np.nan)),
    "one NaN": replace(
        window(growing), centroid=np.where(np.arange(400)[:, None] == 7, np.nan, GRID[0])
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_windows_are_scored_as_they_are(name):
    seen = []

    def score(windows):
        seen.append(windows)
        return [Edges(np.array([0]), np.array([1]), np.array([0.4]))]

    (edges,) = score_aligned([ODD[name]], score)
    assert len(seen) == 1
    assert seen[0][0] is ODD[name]
    assert len(edges) == 1


def test_too_few_likely_links_change_no_flow():
    found = window(growing)
    flows = flows_of(found)
    edges = NearModel().edges(found)
    unlikely = Links(edges.source, edges.target, np.minimum(edges.score, 0.3))
    assert flows_of_links(found, unlikely, flows) == flows
    between = edges.source < N_CELLS
    some = Links(edges.source[between], edges.target[between], edges.score[between])
    changed = flows_of_links(found, some, flows)
    assert changed[0] is not flows[0]
    assert changed[1:] == flows[1:]
    error = np.linalg.norm(changed[0].place + changed[0].move - found.centroid[100:200], axis=1)
    assert np.median(error) < 0.1 * STEP
