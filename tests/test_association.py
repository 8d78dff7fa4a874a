"""Edges of frames that arrive one by one, compared with means by hand over all windows."""

from dataclasses import replace
from itertools import pairwise
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackastra_engine import InputError
from trackastra_engine.association import edge_stream
from trackastra_engine.association.edge_stream import (
    NEGLIGIBLE_SCORE,
    EdgeStream,
    associate_movie,
    usual_stride,
)
from trackastra_engine.detection.detections import Detections, concatenate
from trackastra_engine.model.edges import MIN_SCORE, Edges, concatenate_edges
from trackastra_engine.model.spec import ModelSpec


def frame_of(index, n_detections):
    frame, label = np.full(n_detections, index, np.int32), np.arange(1, n_detections + 1)
    return Detections(frame, label, np.ones((n_detections, 2)), np.ones((n_detections, 7)))


def spec_of(window, averaging="all"):
    return ModelSpec("drawn", 2, window, "relative", "window", 1.0, averaging)


def windows_of(counts, window, stride=1):
    """Return the frames of the scored windows of a movie with these numbers of detections."""
    seen = []

    def score(detections):
        seen.append(np.unique(detections.frame).tolist())
        return concatenate_edges([])

    stream = EdgeStream(score, spec_of(window), stride=stride)
    for index, count in enumerate(counts):
        stream.push(frame_of(index, count))
    stream.finish()
    return seen


def test_windows_slide_over_all_frames():
    assert windows_of([2, 1, 3, 1, 1], 3) == [[0, 1, 2], [1, 2, 3], [2, 3, 4]]


def test_windows_without_two_filled_frames_are_left_out():
    assert windows_of([2, 0, 0, 0, 1, 1, 0, 0], 3) == [[4, 5], [4, 5]]


def test_a_short_movie_is_one_window():
    assert windows_of([1, 1], 4) == [[0, 1]]


def test_strides_end_with_the_movie(monkeypatch):
    monkeypatch.setattr(edge_stream, "SMALL_WINDOW", 0)
    assert windows_of([1] * 8, 4, stride=3) == [[0, 1, 2, 3], [3, 4, 5, 6], [4, 5, 6, 7]]
    assert windows_of([1] * 7, 4, stride=3) == [[0, 1, 2, 3], [3, 4, 5, 6]]


def test_small_windows_begin_at_every_frame(monkeypatch):
    monkeypatch.setattr(edge_stream, "SMALL_WINDOW", 6)
    counts = [2, 1, 1, 2, 1, 3, 1, 1, 1]
    assert [frames[0] for frames in windows_of(counts, 4, stride=3)] == [0, 1, 3, 4, 5]
    assert [frames[0] for frames in windows_of(counts, 4, stride=2)] == [0, 1, 2, 4, 5]


@pytest.mark.parametrize(
    ("recipe", "window", "max_gap", "stride"),
    [("relative", 4, 1, 2), ("relative", 4, 2, 2), ("relative", 3, 2, 1), ("upstream", 4, 1, 1)],
)
def test_windows_begin_at_every_second_frame_except_with_models_of_upstream(
    recipe, window, max_gap, stride
):
    assert usual_stride(replace(spec_of(window), recipe=recipe), max_gap=max_gap) == stride


@pytest.mark.parametrize(("stride", "max_gap"), [(0, 1), (4, 1), (3, 2)])
def test_a_stride_that_leaves_out_pairs_is_rejected(stride, max_gap):
    with pytest.raises(InputError, match=f"strides of 1 to {4 - max_gap}; choose one"):
        EdgeStream(concatenate_edges, spec_of(4), stride=stride, max_gap=max_gap)


@st.composite
def scored_movies(draw):
    """A movie of up to 9 frames, options of a stream, a seed for scores, and a small window."""
    counts = draw(st.lists(st.integers(0, 3), min_size=1, max_size=9))
    window = draw(st.integers(2, 5))
    max_gap = draw(st.integers(1, window - 1))
    stride = draw(st.integers(1, window - max_gap))
    averaging = draw(st.sampled_from(["all", "above_threshold"]))
    frames = [frame_of(index, count) for index, count in enumerate(counts)]
    seed, small = draw(st.integers(0, 99)), draw(st.integers(0, 6))
    return frames, spec_of(window, averaging), stride, max_gap, seed, small


def random_scores(max_gap, seed):
    """Return a function that gives about half of all pairs of a window random scores."""
    rng = np.random.default_rng(seed)

    def score(detections):
        gap = detections.frame[None, :] - detections.frame[:, None]
        scores = rng.uniform(0, 1, gap.shape) ** 4
        source, target = np.nonzero((gap >= 1) & (gap <= max_gap) & (rng.random(gap.shape) < 0.5))
        order = rng.permutation(len(source))
        return Edges(source[order], target[order], scores[source, target][order])

    return score


def means_by_hand(frames, spec, stride, max_gap, seed, small):
    """Return {(source row, target row): mean score}, summed over the windows in their order."""
    n_frames, size = len(frames), min(spec.window, len(frames))
    all_starts = range(n_frames - size + 1)
    is_small = [sum(map(len, frames[start : start + size])) <= small for start in all_starts]
    starts = [s for s in all_starts if s % stride == 0 or is_small[s] or s == n_frames - size]
    score, offsets = random_scores(max_gap, seed), np.cumsum([0, *map(len, frames)]).tolist()
    frame = concatenate(frames, 2).frame
    total: dict[tuple[int, int], float] = {}
    n_counted: dict[tuple[int, int], int] = {}
    for start in starts:
        inside = frames[start : start + size]
        if sum(map(bool, map(len, inside))) < 2:
            continue
        found = score(concatenate(inside, 2))
        for source, target, value in zip(found.source, found.target, found.score, strict=True):
            pair = (int(source) + offsets[start], int(target) + offsets[start])
            if value >= (NEGLIGIBLE_SCORE if spec.averaging == "all" else MIN_SCORE):
                total[pair] = total.get(pair, 0.0) + float(value)
                n_counted[pair] = n_counted.get(pair, 0) + 1
    if spec.averaging == "all":
        for source, target in total:
            held = [s for s in starts if s <= frame[source] and frame[target] < s + size]
            n_counted[source, target] = len(held)
    means = {pair: total[pair] / n_counted[pair] for pair in sorted(total)}
    return {pair: mean for pair, mean in means.items() if mean >= MIN_SCORE}


def streamed(frames, spec, stride, max_gap, seed, small):
    with patch.object(edge_stream, "SMALL_WINDOW", small):
        stream = EdgeStream(random_scores(max_gap, seed), spec, stride=stride, max_gap=max_gap)
        return [part for frame in frames for part in stream.push(frame)] + stream.finish()


@given(scored_movies())
def test_the_stream_equals_means_by_hand(movie):
    parts = streamed(*movie)
    edges = concatenate_edges(part.edges.shifted(part.first_row) for part in parts)
    pairs = zip(edges.source.tolist(), edges.target.tolist(), strict=True)
    found = dict(zip(pairs, edges.score.tolist(), strict=True))
    expected = means_by_hand(*movie)
    assert list(found) == list(expected)
    assert found == expected  # to the last bit: sums in the same order


@given(scored_movies())
def test_each_frame_is_yielded_once_with_the_detections_of_its_edges(movie):
    frames, _, _, max_gap, *_ = movie
    parts = streamed(*movie)
    assert [part.frame for part in parts] == list(range(len(frames)))
    for part in parts:
        expected = concatenate(frames[part.frame : part.frame + max_gap + 1], 2)
        np.testing.assert_array_equal(part.detections.frame, expected.frame)
        np.testing.assert_array_equal(part.detections.label, expected.label)
        assert (part.detections.frame[part.edges.source] == part.frame).all()


def test_a_frame_is_final_when_the_window_that_begins_with_it_was_scored():
    stream = EdgeStream(random_scores(1, 0), spec_of(4))
    closed = [[part.frame for part in stream.push(frame_of(t, 2))] for t in range(6)]
    assert closed == [[], [], [], [0], [1], [2]]
    assert [part.frame for part in stream.finish()] == [3, 4, 5]


def test_a_whole_movie_is_a_stream_of_its_frames():
    frames = [frame_of(index, count) for index, count in enumerate([2, 0, 3, 1, 2])]
    edges = associate_movie(random_scores(1, 3), spec_of(3), concatenate(frames, 2))
    expected = means_by_hand(frames, spec_of(3), 1, 1, 3, 0)
    pairs = list(zip(edges.source.tolist(), edges.target.tolist(), strict=True))
    assert pairs == list(expected)
    assert all(first < second for first, second in pairwise(pairs))
