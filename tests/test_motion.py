"""Frames that move as a whole are aligned before links are scored, and others are left alone."""

from dataclasses import replace

import numpy as np
import pytest

from trackastra_engine.detection.detections import concatenate
from trackastra_engine.detection.points import detections_of_points
from trackastra_engine.detection.transform import inertias
from trackastra_engine.motion import flow as flow_module
from trackastra_engine.motion.alignment import carried, flows_of
from trackastra_engine.motion.counterparts import (
    LOG_SIZE,
    PLACE_SPACINGS,
    SHAPE,
    FramePair,
    find_counterparts,
    gain_of_same,
)
from trackastra_engine.motion.flow import Flow, flow_between
from trackastra_engine.motion.smooth import quick_move, smooth_move
from trackastra_engine.motion.summary import movie_motion
from trackastra_engine.motion.votes import Votes, field_move

STEP = 30.0  # pixels between cells, before each is moved a little


def align(window):
    return carried(window, flows_of(window))


def field(n_cells, ndim=2, seed=0):
    """Return places and diameters of cells near the points of a grid, no two of them alike."""
    rng = np.random.default_rng(seed)
    side = round(n_cells ** (1 / ndim))
    grid = np.stack(np.meshgrid(*[np.arange(side)] * ndim, indexing="ij"), axis=-1)
    place = STEP * (grid.reshape(-1, ndim) + rng.uniform(-0.3, 0.3, (side**ndim, ndim)))
    return place, 20 * np.exp(rng.normal(0, 0.15, side**ndim))


def frames_of(places, diameter):
    """Return the detections of frames with the same cells at other places."""
    frame = np.repeat(np.arange(len(places)), [len(place) for place in places])
    return detections_of_points(
        frame, np.concatenate(places), diameter=np.tile(diameter, len(places))
    )


def turned(place, angle):
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = place - place.mean(axis=0)
    moved[:, -2:] = moved[:, -2:] @ turn.T
    return moved + place.mean(axis=0)


def sheared_apart(place, by):
    """Return places of which one half goes up and the other down."""
    side = np.where(place[:, -1] < place[:, -1].mean(), -1, 1)
    moved = place.copy()
    moved[:, -2] += side * by
    return moved


MOTIONS = {
    "shift": lambda place: place + 2.3 * STEP / np.sqrt(place.shape[1]),
    "turn": lambda place: turned(place, 0.12),
    "growth": lambda place: place.mean(axis=0) + 1.15 * (place - place.mean(axis=0)),
    "jump of a growing colony": lambda place: 1.08 * place + 1.5 * STEP,
    "jump of a colony beyond all votes": lambda place: 1.03 * place + 9 * STEP,
    "two groups": lambda place: sheared_apart(place, 0.8 * STEP),
}


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("name", MOTIONS)
def test_known_motion_is_found(name, ndim):
    place, diameter = field(216 if ndim == 3 else 225, ndim)
    own = np.random.default_rng(1).normal(0, 0.05 * STEP, place.shape)
    moved = MOTIONS[name](place) + own
    flow = flow_between(frames_of([place, moved], diameter), len(place))
    error = np.linalg.norm(place + flow.move - moved, axis=1) / STEP
    # Half a step would give a cell to its neighbour; few at the seam of two groups may err.
    assert np.mean(error < 0.3) > (0.85 if name == "two groups" else 0.98)
    assert flow.fit > 0.6


@pytest.mark.parametrize("ndim", [2, 3])
def test_cells_that_move_little_are_left_to_the_model(ndim):
    place, diameter = field(216, ndim)
    rng = np.random.default_rng(1)
    places = [place + rng.normal(0, 0.06 * STEP, place.shape) for _ in range(4)]
    found = frames_of(places, diameter)
    assert align(found) is found


def test_frames_with_nothing_in_common_have_no_flow():
    found = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        places = [rng.uniform(0, 200, (40, 2)) for _ in range(2)]
        found += not flow_between(frames_of(places, np.full(40, 15.0)), 40).is_still
    assert found <= 1  # of same cells at random places, some fit by accident


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_jump_is_found_with_noise_of_sizes(ndim):
    place, diameter = field(216 if ndim == 3 else 225, ndim)
    jump = np.full(ndim, STEP)
    rng = np.random.default_rng(1)
    noise = np.exp(rng.normal(0, 0.4, 2 * len(place)))
    after = place + jump + rng.normal(0, 0.17 * STEP, place.shape)
    found = detections_of_points(
        np.repeat([0, 1], len(place)),
        np.concatenate([place, after]),
        diameter=np.tile(diameter, 2) * noise,
    )
    (flow,) = flows_of(found)
    assert len(flow.move) == len(place)
    assert np.abs(np.median(flow.move - jump, axis=0)).max() < 0.1 * STEP


def test_rods_that_divide_while_the_stage_jumps_are_aligned():
    r"""Rods lie across each other, and each third becomes two halves of it.

    | - | - |        |  --  :  - |
    """
    place, _ = field(100)
    rng = np.random.default_rng(2)
    angle = rng.uniform(0, np.pi, len(place))
    axis = np.column_stack([np.sin(angle), np.cos(angle)])
    length, width, jump = 40.0, 8.0, np.array([0.9 * STEP, -1.1 * STEP])
    splits = np.arange(len(place)) % 3 == 0
    half = length / 4 * axis[splits]
    after = np.concatenate([place[~splits], place[splits] + half, place[splits] - half]) + jump
    axes = np.concatenate([axis[~splits], axis[splits], axis[splits]])
    lengths = np.repeat([length, length / 2], [(~splits).sum(), 2 * splits.sum()])
    found = concatenate(
        [
            rods(0, place, axis, np.full(len(place), length), width),
            rods(1, after, axes, lengths, width),
        ],
        2,
    )
    flow = flow_between(found, len(place))
    np.testing.assert_allclose(flow.move, np.tile(jump, (len(place), 1)), atol=0.2 * STEP)


def rods(frame, place, axis, length, width):
    """Return detections of ellipses with the moments of rods."""
    across = np.stack([-axis[:, 1], axis[:, 0]], axis=1)
    covariance = (length**2 / 12)[:, None, None] * axis[:, :, None] * axis[:, None, :]
    covariance += width**2 / 12 * across[:, :, None] * across[:, None, :]
    diameter = np.sqrt(4 * length * width / np.pi)
    found = detections_of_points(np.full(len(place), frame), place, diameter=diameter)
    found.features[:, 2:-1] = inertias(covariance)
    return found


def test_counterparts_are_those_of_a_slow_twin():
    place, _ = field(64)
    rng = np.random.default_rng(3)
    second = np.delete(place + rng.normal(0, 6, place.shape), [5, 9], axis=0)
    frame = np.repeat([0, 1], [64, 62])
    found = detections_of_points(
        frame, np.concatenate([place, second]), diameter=rng.uniform(14, 26, 126)
    )
    pair = FramePair.of(found, 64)
    move = np.tile([2.0, -1.0], (64, 1))
    result = find_counterparts(pair, move)

    squared = np.empty((64, 62))
    look = np.log(found.features[:, 0]) / LOG_SIZE
    shape = found.features[:, 2:-1] / found.features[:, :1] ** 2 / SHAPE
    for i in range(64):
        for j in range(62):
            away = (second[j] - place[i] - move[i]) / (PLACE_SPACINGS * pair.spacing)
            squared[i, j] = (away**2).sum() + (look[i] - look[64 + j]) ** 2
            squared[i, j] += ((shape[i] - shape[64 + j]) ** 2).sum()
    mutual = [
        (i, j)
        for i in range(64)
        for j in range(62)
        if squared[i, j] == min(squared[i].min(), squared[:, j].min()) and squared[i, j] < 16
    ]
    source, target = np.array(mutual).T
    order = np.lexsort(result.place.T)
    expected = np.lexsort(place[source].T)
    np.testing.assert_array_equal(result.place[order], place[source][expected])
    np.testing.assert_allclose(result.move[order], (second[target] - place[source])[expected])
    assert result.fit == pytest.approx(np.exp(-squared[source, target] / 2).sum() / 62)


def small_motion(common=0.12):
    """Return the detections of 225 cells that move on their own, and share part of their steps."""
    place, diameter = field(225)
    rng = np.random.default_rng(4)
    wave = common * STEP * np.sin(place / (3 * STEP))
    return frames_of([place, place + wave + rng.normal(0, 0.17 * STEP, place.shape)], diameter)


def test_the_gain_of_a_small_motion_is_known_before_cells_are_compared_again():
    pair = FramePair.of(small_motion(), 225)
    still = find_counterparts(pair, np.zeros((225, 2)))
    assert flow_module.VOTED_FIT < still.fit < flow_module.STILL_FIT
    smooth = smooth_move(pair.place, pair.spacing, still)
    quick = quick_move(pair.place, pair.spacing, still)
    gain = find_counterparts(pair, smooth).fit - still.fit
    assert gain > 0.1
    for move in (smooth, quick):
        assert gain_of_same(pair, still, move) == pytest.approx(gain, abs=0.015)


def test_cells_are_compared_once_where_no_motion_would_help(monkeypatch):
    moves = []

    def spied(pair, move):
        moves.append(move)
        return find_counterparts(pair, move)

    monkeypatch.setattr(flow_module, "find_counterparts", spied)
    flow = flow_module._find_flow(small_motion(common=0), 225)
    assert flow.is_still
    assert flow_module.VOTED_FIT < flow.fit < flow_module.STILL_FIT
    assert len(moves) == 1


def test_few_cells_move_as_their_linear_motion():
    place, diameter = field(9)
    pair = FramePair.of(frames_of([place, place + 3.0], diameter), 9)
    still = find_counterparts(pair, np.zeros((9, 2)))
    quick = quick_move(pair.place, pair.spacing, still)
    np.testing.assert_array_equal(quick, smooth_move(pair.place, pair.spacing, still))
    np.testing.assert_allclose(quick, 3.0, atol=0.01)


def test_the_field_moves_by_the_step_of_most_pairs_of_similar_cells():
    place, diameter = field(100)
    found = frames_of([place, place + np.array([41.0, -22.0])], diameter)
    pair = FramePair.of(found, 100)
    move = field_move(pair, Votes.of(pair))
    assert np.ptp(move, axis=0).max() == 0
    np.testing.assert_allclose(move[0], [41, -22], atol=pair.spacing / 8)  # half a bin


def test_a_window_is_carried_into_its_last_frame():
    place, diameter = field(100)
    shifts = np.array([[0, 0], [50, 10], [45, 70], [0, 90]], float)
    found = frames_of([place + shift for shift in shifts], diameter)
    carried = align(found)
    np.testing.assert_allclose(
        carried.centroid, np.tile(place + shifts[-1], (4, 1)), atol=0.1 * STEP
    )
    np.testing.assert_array_equal(carried.centroid[300:], found.centroid[300:])
    assert carried.features is found.features


def test_frames_around_an_empty_one_are_not_aligned():
    place, diameter = field(100)
    found = frames_of([place, place + 50], diameter)
    assert align(found) is not found
    apart = replace(found, frame=2 * found.frame)
    assert align(apart) is apart


@pytest.mark.parametrize(
    "places",
    [
        np.zeros((6, 2)),
        np.full((6, 2), np.nan),
        np.column_stack([np.arange(6.0), np.full(6, np.inf)]),
        np.array([[0, 0], [0, 0], [9, 9], [9, 9], [20, 0], [20, 0]], float),
    ],
    ids=["one place", "NaN", "infinite", "twins"],
)
def test_odd_detections_are_left_as_they_are(places):
    whole = detections_of_points(np.repeat([0, 1, 2], 6), np.tile(np.eye(6, 2), (3, 1)))
    found = replace(whole, centroid=np.tile(places, (3, 1)))
    assert align(found) is found


@pytest.mark.parametrize("n_cells", [1, 2])
def test_few_cells_are_left_as_they_are(n_cells):
    place, diameter = field(100)
    few = [place[:n_cells], place + 50]
    found = detections_of_points(
        np.repeat([0, 1], [n_cells, 100]),
        np.concatenate(few),
        diameter=np.append(diameter[:n_cells], diameter),
    )
    assert align(found) is found


def test_a_flow_between_cells_is_that_of_the_nearest():
    flow = Flow(np.array([[0.0, 0], [0, 10], [90, 0], [90, 10]]), np.eye(4, 2), 1.0)
    np.testing.assert_allclose(
        flow.at(np.array([[0.0, 0.0], [90, 10]])), [[1, 0], [0, 0]], atol=1e-9
    )
    np.testing.assert_allclose(flow.at(np.array([[0.0, 5.0]])), [[0.5, 0.5]], atol=0.01)


def test_a_flow_of_one_cell_is_the_same_everywhere():
    flow = Flow(np.array([[3.0, 4]]), np.array([[1.0, 2]]), 1.0)
    np.testing.assert_allclose(flow.at(np.array([[0.0, 0], [50, 7]])), [[1, 2], [1, 2]])
    assert flow.at(np.zeros((0, 2))).shape == (0, 2)


def test_a_pair_of_frames_is_computed_once(monkeypatch):
    seen = []
    monkeypatch.setattr(flow_module, "FramePair", Recorded(seen))
    place, diameter = field(49, seed=7)
    shifted = frames_of([place + 40 * t for t in range(5)], diameter)
    for first in range(2):
        align(shifted.rows(slice(49 * first, 49 * (first + 4))))
    assert len(seen) == 4  # of 2 * 3 pairs, two are in both windows
    other = replace(shifted, features=1.01 * shifted.features)
    align(other.rows(slice(0, 98)))
    assert len(seen) == 5


class Recorded:
    def __init__(self, seen):
        self.seen = seen

    def of(self, detections, n_before):
        self.seen.append(n_before)
        return FramePair.of(detections, n_before)


def test_flows_of_a_long_movie_are_found_once(monkeypatch):
    place, diameter = field(25)
    movie = frames_of([place + 2.3 * STEP * frame for frame in range(200)], diameter)
    monkeypatch.setattr(flow_module, "_MEMORY", flow_module.new_memory())
    found = []
    find = flow_module._find_flow
    monkeypatch.setattr(flow_module, "_find_flow", lambda *pair: found.append(1) or find(*pair))
    for first in range(197):
        frames = (movie.frame >= first) & (movie.frame < first + 4)
        align(movie.rows(np.flatnonzero(frames)))
    assert movie_motion(movie, 200).is_aligned[1:].all()
    assert len(found) == 199
