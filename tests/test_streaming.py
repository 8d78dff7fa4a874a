"""Tracking while frames are read: the same tracks as from the whole movie, and no thread left."""

import threading
import tracemalloc

import numpy as np
import pytest

from equal_edges import assert_equal_edges
from trackastra_engine import InputError, Tracker
from trackastra_engine.association import edge_stream
from trackastra_engine.association.association import CHUNK_FRAMES
from trackastra_engine.association.edge_stream import associate_movie
from trackastra_engine.detection.detections import concatenate, detect
from trackastra_engine.growing_rows import GrowingRows
from trackastra_engine.linking import MODES, linker
from trackastra_engine.linking.candidates import candidate_graph
from trackastra_engine.linking.lineage import without_short_tracks
from trackastra_engine.linking.max_distance import MaxDistance
from trackastra_engine.linking.merges import discount_merges
from trackastra_engine.model.edges import Edges, concatenate_edges
from trackastra_engine.model.spec import ModelSpec
from trackastra_engine.movie.frames import open_movie
from trackastra_engine.prefetch import ITEMS_AHEAD, computed_ahead


@pytest.fixture(autouse=True)
def no_thread_left():
    yield
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead")]


class RandomModel:
    """A model whose scores are random, but the same for the same tokens."""

    spec = ModelSpec("random", 2, 4, "relative", "window", 8.0, "all", max_frame_gap=2)
    is_at_once = False
    n_windows = 0

    def in_threads(self, n_threads):
        return self

    def associate(self, tokens, max_gap=1):
        self.n_windows += 1
        frame = tokens.coordinates[:, 0]
        gap = frame[None, :] - frame[:, None]
        source, target = np.nonzero((gap >= 1) & (gap <= max_gap))
        rng = np.random.default_rng(int(1e6 * np.abs(tokens.coordinates).sum(dtype=float)))
        return Edges(source, target, rng.choice([0.2, 0.5, 0.6, 0.8, 0.9], len(source)))


class InterruptedModel(RandomModel):
    def associate(self, tokens, max_gap=1):
        raise KeyboardInterrupt


def crowd(n_frames=12, n_cells=30):
    """Return masks (T, 64, 64) of single pixels at random places; one frame is empty."""
    rng = np.random.default_rng(0)
    masks = np.zeros((n_frames, 64, 64), np.uint16)
    for mask in masks:
        mask.ravel()[rng.choice(mask.size, n_cells, replace=False)] = np.arange(1, n_cells + 1)
    masks[7] = 0
    return masks


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("max_distance", [None, 12.0])
@pytest.mark.parametrize("max_gap", [1, 2])
def test_links_made_while_streaming_equal_those_of_the_whole_movie(mode, max_gap, max_distance):
    masks, model = crowd(), RandomModel()
    link = linker(mode, max_gap=max_gap)
    longest = MaxDistance(max_distance) if max_distance else None
    lineage = Tracker(model, link, max_distance=longest).track(None, masks)

    tracker = Tracker(model, link)
    detections = concatenate([detect(frame, 2) for frame in open_movie(None, masks)], 2)
    score, options = tracker.scoring(None), {"stride": tracker.stride, "max_gap": max_gap}
    edges = associate_movie(score, model.spec, detections, **options)
    graph = candidate_graph(detections, edges, max_distance=max_distance)
    whole = link(discount_merges(graph) if max_gap > 1 else graph)
    assert len(whole.edges) > 100
    assert_equal_edges(lineage.edges, whole.edges)
    np.testing.assert_array_equal(lineage.tracklets, whole.tracklets)


def test_a_stride_scores_fewer_windows(monkeypatch):
    monkeypatch.setattr(edge_stream, "SMALL_WINDOW", 0)
    model = RandomModel()
    tracker = Tracker(model, linker("greedy"), stride=3, align="off")  # windows are scored once
    lineage = tracker.track(None, crowd(14))
    assert model.n_windows == 5  # from frames 0, 3, 6, 9 and 10
    frame = lineage.detections.frame
    assert set(frame[lineage.edges.source]) == set(range(13)) - {6, 7}  # frame 7 is empty


def test_an_error_in_the_reading_thread_reaches_the_caller():
    masks = crowd(30)
    images = np.where((masks > 0) & (np.arange(30) == 20)[:, None, None], np.inf, 0)
    with pytest.raises(InputError, match="the image of frame 20"):
        Tracker(RandomModel(), linker("greedy")).track(images, masks)


def test_an_interrupt_while_scoring_ends_the_reading():
    with pytest.raises(KeyboardInterrupt):
        Tracker(InterruptedModel(), linker("greedy")).track(None, crowd(30))


class GrowingCrowd:
    """Masks (T, 64, 64) that are made when they are read."""

    def __init__(self, n_frames):
        self.shape, self.dtype = (n_frames, 64, 64), np.dtype(np.uint16)
        self.frames = crowd()[:5]

    def __getitem__(self, index):
        return self.frames[index % 5]


@pytest.mark.parametrize("threads", [1, 3])
def test_memory_grows_only_with_the_tracks_of_a_movie(threads):
    def peak_and_tracks(n_frames):
        tracemalloc.start()
        tracker = Tracker(RandomModel(), linker("greedy"), threads=threads)
        lineage = tracker.track(None, GrowingCrowd(n_frames))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        found, kept = lineage.detections, lineage.edges
        arrays = [found.frame, found.label, found.centroid, found.features, kept.source]
        arrays += [kept.target, kept.score, lineage.tracklet_id, lineage.tracklets]
        return np.array([peak, sum(array.nbytes for array in arrays)])

    peak_and_tracks(5)  # loads and compiles
    peak, tracks = peak_and_tracks(20 * CHUNK_FRAMES) - peak_and_tracks(2 * CHUNK_FRAMES)
    in_flight = (threads - 1) << 20  # windows that are scored at the same time, more or fewer
    assert peak < 1.4 * tracks + in_flight  # a fifth of spare rows, and the building of the lineage


@pytest.mark.parametrize("mode", MODES)
def test_rows_and_numbers_of_tracks_take_four_bytes(mode):
    """Memory beyond the detections of a long movie is mostly these."""
    lineage = Tracker(RandomModel(), linker(mode)).track(None, crowd(CHUNK_FRAMES + 3))
    for kept in (lineage, without_short_tracks(lineage, 2)):
        for numbers in (kept.edges.source, kept.edges.target, kept.tracklet_id):
            assert len(numbers) > 0
            assert numbers.dtype == np.int32


def test_growing_rows_equal_the_parts_and_are_stored_once():
    rng = np.random.default_rng(0)
    parts = [Edges(*rng.integers(0, 9, (2, n)), rng.random(n)) for n in rng.integers(0, 999, 200)]
    tracemalloc.start()
    rows = GrowingRows(concatenate_edges([]))
    for part in parts:
        rows.add(part)
    whole = rows.whole()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    expected = concatenate_edges(parts)
    assert_equal_edges(whole, expected)
    assert peak < 1.3 * (whole.source.nbytes + whole.target.nbytes + whole.score.nbytes)


class Source:
    """Counts the items that are requested of it, and in which thread."""

    def __init__(self, n_items):
        self.n_items, self.n_begun, self.is_closed = n_items, 0, False

    def items(self):
        try:
            for item in range(self.n_items):
                self.n_begun += 1
                self.thread = threading.current_thread()
                yield item
        finally:
            self.is_closed = True


def test_items_arrive_in_order_from_another_thread_and_not_too_early():
    source, seen = Source(50), []
    with computed_ahead(source.items()) as items:
        for item in items:
            seen.append(item)
            assert source.n_begun <= item + 1 + ITEMS_AHEAD
    assert seen == list(range(50))
    assert source.thread is not threading.current_thread()


def test_an_error_is_raised_at_the_place_of_its_item():
    def items():
        yield from range(10)
        raise OSError("the disk is gone")

    seen = []
    with pytest.raises(OSError, match="the disk is gone"), computed_ahead(items()) as ahead:
        seen.extend(ahead)  # which keeps the items before the error
    assert seen == list(range(10))


def test_items_that_are_not_requested_are_not_computed():
    source = Source(50)
    with computed_ahead(source.items()) as items:
        next(items)
    assert source.is_closed
    assert source.n_begun <= 1 + ITEMS_AHEAD
