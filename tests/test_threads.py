"""Work that threads share: the same results to the bit, bounded memory, and no thread left."""

import threading
import time

import numpy as np
import pytest

from small_movies import write_folder
from test_streaming import RandomModel, crowd
from trackastra_engine import InputError, Tracker
from trackastra_engine.association import association as chunk_module
from trackastra_engine.association import edge_stream
from trackastra_engine.association import window_threads as threads_module
from trackastra_engine.linking import linker
from trackastra_engine.model.onnx_model import AssociationModel, model_path
from trackastra_engine.model.tokens import Tokens
from trackastra_engine.movie.frames import open_movie
from trackastra_engine.output.formats import Results
from trackastra_engine.output.results import Outputs, write_outputs
from trackastra_engine.prefetch import computed_side_by_side
from trackastra_engine.resources import usable_threads

THREADS = (1, 2, 3, 8)


@pytest.fixture(autouse=True)
def no_thread_left():
    yield
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if name.startswith(("ahead", "window"))]


class HurriedModel(RandomModel):
    """Takes a random time for a window, and notes how many windows are scored at a time."""

    identity = "random"

    def __init__(self):
        self.n_at_a_time = self.most_at_a_time = 0
        self.lock, self.rng = threading.Lock(), np.random.default_rng(0)

    def associate(self, tokens, max_gap=1):
        with self.lock:
            self.n_at_a_time += 1
            self.most_at_a_time = max(self.most_at_a_time, self.n_at_a_time)
            pause = self.rng.uniform(0, 0.004)
        time.sleep(pause)
        edges = super().associate(tokens, max_gap)
        with self.lock:
            self.n_at_a_time -= 1
        return edges


def bytes_of(lineage):
    kept = lineage.edges
    return b"".join(array.tobytes() for array in (kept.source, kept.target, kept.score))


@pytest.mark.parametrize(("stride", "max_gap"), [(1, 1), (2, 1), (1, 2)])
@pytest.mark.parametrize("n_frames", [2, 3, 5, 33, 40])
def test_links_are_the_same_for_any_number_of_threads(n_frames, stride, max_gap, monkeypatch):
    monkeypatch.setattr(edge_stream, "SMALL_WINDOW", 40)  # those with the empty frame
    link, masks = linker("greedy", max_gap=max_gap), crowd(40, 12)[:n_frames]
    found, models = [], [HurriedModel() for _ in THREADS]
    for threads, model in zip(THREADS, models, strict=True):
        tracker = Tracker(model, link, stride=stride, threads=threads)
        found.append(bytes_of(tracker.track(None, masks)))
    assert len(found[0]) > 0
    assert found[1:] == found[:1] * 3
    assert [model.most_at_a_time <= n for model, n in zip(models, THREADS, strict=True)] == [
        True
    ] * 4
    assert n_frames < 33 or models[-1].most_at_a_time > 1


def test_scores_of_a_network_are_the_same_for_any_number_of_threads():
    masks = crowd(36, 12)
    found = [
        bytes_of(Tracker.load(device="cpu", threads=threads).track(None, masks))
        for threads in THREADS
    ]
    assert len(found[0]) > 0
    assert found[1:] == found[:1] * 3


@pytest.mark.parametrize("n_tokens", [40, 700])
def test_threads_within_a_window_change_no_score(n_tokens):
    """Online tracking, by threads within a window, gives the scores of offline tracking."""
    model, rng = AssociationModel.load(device="cpu"), np.random.default_rng(0)
    time_, place = rng.integers(0, model.spec.window, n_tokens), rng.uniform(0, 400, (2, n_tokens))
    coordinates = np.column_stack([np.sort(time_), *place]).astype(np.float32)
    window = Tokens(coordinates, rng.normal(size=(n_tokens, 9)).astype(np.float32))
    expected = model.associate(window)
    for threads in THREADS[1:]:
        found = model.in_threads(threads).associate(window)
        np.testing.assert_array_equal(found.score, expected.score)
    assert model.in_threads(2) is model.in_threads(2)


@pytest.mark.parametrize("missing", [[0], [2], [1, 2, 5], [0, 7], [3, 4]])
def test_threads_compute_the_chunks_that_a_cache_lacks(missing, tmp_path, monkeypatch):
    monkeypatch.setattr(chunk_module, "CHUNK_FRAMES", 5)
    monkeypatch.setattr(edge_stream, "SMALL_WINDOW", 40)  # those with the empty frame
    masks = write_folder(tmp_path / "masks", crowd(40, 12))

    def tracked(threads, cache):
        tracker = Tracker(HurriedModel(), linker("greedy"), threads=threads)
        return bytes_of(tracker.track_movie(open_movie(None, masks), cache=cache))

    expected = tracked(1, None)
    assert tracked(1, tmp_path / "cache") == expected
    files = sorted((tmp_path / "cache").glob("edges-*"), key=lambda path: path.stat().st_mtime_ns)
    assert len(files) == 8
    for number in missing:
        files[number].unlink()
    assert tracked(3, tmp_path / "cache") == expected
    again = sorted((tmp_path / "cache").glob("edges-*"))
    assert again == sorted(files)  # no number of threads changes a key


class WatchedModel(HurriedModel):
    """Counts the windows that were begun, and those whose first frame is linked."""

    def __init__(self):
        super().__init__()
        self.most_begun = self.n_begun = self.n_final = 0

    def associate(self, tokens, max_gap=1):
        with self.lock:
            self.n_begun += 1
            self.most_begun = max(self.most_begun, self.n_begun - self.n_final)
        return super().associate(tokens, max_gap)

    def told(self, stage, done, _):
        if stage == "associate":
            self.n_final = done


@pytest.mark.parametrize("threads", [2, 3])
def test_windows_in_flight_are_bounded(threads):
    model = WatchedModel()
    # Each window is scored once.
    tracker = Tracker(model, linker("greedy"), stride=1, threads=threads, align="off")
    masks = np.tile(crowd(12, 8)[:5], (20, 1, 1))
    tracker.track(None, masks, progress=model.told)
    assert model.n_begun == 97
    assert threads < model.most_begun <= 2 * threads + 2


@pytest.mark.parametrize("free_mb", [0.0, 1.0])
def test_large_windows_are_scored_one_by_one_where_memory_is_small(monkeypatch, free_mb):
    monkeypatch.setattr(threads_module, "usable_memory_mb", lambda: free_mb)
    model = HurriedModel()
    lineage = Tracker(model, linker("greedy"), threads=4).track(None, crowd(40, 12))
    assert model.most_at_a_time == 1
    alone = Tracker(HurriedModel(), linker("greedy"), threads=1).track(None, crowd(40, 12))
    assert bytes_of(lineage) == bytes_of(alone)


class FailingModel(HurriedModel):
    """Fails in the 10th window."""

    def associate(self, tokens, max_gap=1):
        with self.lock:
            self.n_begun = getattr(self, "n_begun", 0) + 1
            is_tenth = self.n_begun == 10
        if is_tenth:
            raise InputError("too many detections lie within reach of one")
        return super().associate(tokens, max_gap)


def test_an_error_in_a_window_ends_the_tracking():
    model = FailingModel()
    tracker = Tracker(model, linker("greedy"), threads=3, align="off")  # windows are scored once
    with pytest.raises(InputError, match="too many detections"):
        tracker.track(None, np.tile(crowd(12, 8)[:5], (20, 1, 1)))
    assert model.n_begun < 10 + 3 * 3  # those that waited were not begun


def test_an_interrupt_ends_the_threads():
    model = HurriedModel()

    def interrupted(stage, done, _):
        if stage == "associate" and done == 10:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Tracker(model, linker("greedy"), threads=3).track(
            None, np.tile(crowd(12, 8)[:5], (20, 1, 1)), progress=interrupted
        )
    assert model.n_at_a_time == 0  # what was begun has ended


def test_results_of_threads_come_in_order_and_errors_in_their_place():
    def late(item):
        time.sleep(0.002 * (item % 3))
        if item == 17:
            raise OSError("the disk is full")
        return item

    seen = []
    with (
        pytest.raises(OSError, match="the disk is full"),
        computed_side_by_side(late, range(40), 4) as results,
    ):
        seen.extend(results)
    assert seen == list(range(17))


@pytest.mark.parametrize("threads", [1, 4])
def test_items_wait_until_earlier_results_are_used(threads):
    n_taken = 0

    def items():
        nonlocal n_taken
        for item in range(40):
            n_taken += 1
            yield item

    with computed_side_by_side(lambda item: item, items(), threads) as results:
        for used, _ in enumerate(results):
            assert n_taken <= used + 1 + threads
    assert n_taken == 40


def test_files_are_the_same_for_any_number_of_threads(tmp_path):
    masks = crowd(20, 12)
    images = (masks * 7).astype(np.uint8)
    movie = open_movie(write_folder(tmp_path / "i", images), write_folder(tmp_path / "m", masks))
    lineage = Tracker.load(device="cpu").track_movie(movie)
    for threads in THREADS:
        outputs = Outputs(folder=tmp_path / f"out{threads}")
        write_outputs(Results(lineage, movie, ()), outputs, threads=threads)
    files = {path.relative_to(tmp_path / "out1") for path in (tmp_path / "out1").rglob("*.*")}
    assert len(files) > 20
    for threads in THREADS[1:]:
        for file in files:
            other = tmp_path / f"out{threads}" / file
            assert other.read_bytes() == (tmp_path / "out1" / file).read_bytes()


def test_frames_in_memory_are_bounded():
    movie = open_movie(None, np.zeros((3, 64, 64), np.uint16))
    assert movie.threads(8) == 8
    large = open_movie(None, np.broadcast_to(np.uint16(0), (3, 100, 1000, 1000)))
    assert large.threads(8) == 2
    assert open_movie(None, np.broadcast_to(np.uint16(0), (3, 999, 1000, 1000))).threads(8) == 1


def test_libraries_get_the_number_of_threads(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert usable_threads() == 1
    assert Tracker(RandomModel(), linker("greedy")).threads == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert usable_threads() >= 1
    with pytest.raises(InputError, match="number of threads is 0"):
        Tracker(RandomModel(), linker("greedy"), threads=0)


def test_models_of_files_score_in_one_thread():
    model = AssociationModel.load(model_path("general_2d"), device="cpu")
    assert model._session.get_session_options().intra_op_num_threads == 1
