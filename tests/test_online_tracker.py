"""Tracking in its own thread: nothing is lost without an error, and no thread is left."""

import contextlib
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from test_session import assert_same, random_tracker
from test_streaming import RandomModel, crowd
from trackastra_engine import InputError, Tracker
from trackastra_engine.linking import linker
from trackastra_engine.online import OnlineTracker, Session


@pytest.fixture(autouse=True)
def no_thread_left():
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) == before


class Heard:
    """Records the calls of both callbacks."""

    def __init__(self):
        self.updates, self.errors = [], []

    def update(self, update):
        self.updates.append(update)

    def error(self, fov, frame, error):
        self.errors.append((fov, frame, error))

    def frames(self, fov=0):
        return [update.frame for update in self.updates if update.fov == fov]


def online(heard, session=None, **options):
    session = session or Session(random_tracker())
    return OnlineTracker(session, heard.update, heard.error, **options)


class Gate:
    """A segmentation that waits until it is opened."""

    def __init__(self):
        self.opened, self.reached = threading.Event(), threading.Event()

    def __call__(self, image):
        self.reached.set()
        assert self.opened.wait(60)
        return image


def test_interleaved_fields_are_tracked_as_whole_movies():
    masks, heard = crowd(), Heard()
    with online(heard) as tracker:
        for mask in masks:
            tracker.push(None, mask, fov="A1")
            tracker.push(mask, mask, fov="B2")
        first, second = tracker.finish("A1"), tracker.finish("B2")
    assert_same(first, random_tracker().track(None, masks))
    assert_same(second, random_tracker().track(masks, masks))
    assert heard.frames("A1") == heard.frames("B2") == list(range(len(masks)))
    assert heard.errors == []


def test_buffers_may_be_used_again_at_once():
    masks, heard, buffer = crowd(), Heard(), np.zeros((64, 64), np.uint16)
    with online(heard) as tracker:
        for mask in masks:
            buffer[:] = mask
            tracker.push(buffer, buffer)
            buffer[:] = 0
        assert_same(tracker.finish(), random_tracker().track(masks, masks))


def test_flush_waits_for_the_callbacks():
    masks, heard = crowd(), Heard()
    with online(heard) as tracker:
        for n_frames, mask in enumerate(masks, start=1):
            tracker.push(None, mask)
            tracker.flush()
            assert len(heard.updates) == n_frames


def test_images_are_segmented_in_the_thread():
    masks, heard, threads = crowd(), Heard(), set()

    def segment(image):
        threads.add(threading.current_thread().name)
        return (image // 10).astype(np.uint16)

    with online(heard, segment=segment) as tracker:
        for mask in masks:
            tracker.push(10.0 * mask)
        lineage = tracker.finish()
    assert_same(lineage, random_tracker().track(10.0 * masks, masks))
    # StarDist returns labels and details, Cellpose masks as floats or integers, flows, styles.
    for returned in (lambda mask: (mask, {}), lambda mask: [mask.astype(np.float32), None, None]):
        with online(Heard(), segment=lambda image, kind=returned: kind(segment(image))) as tracker:
            for mask in masks:
                tracker.push(10.0 * mask)
            assert_same(tracker.finish(), lineage)
    assert len(threads) == 1
    assert threading.current_thread().name not in threads


def test_a_segmentation_without_a_mask_is_reported():
    masks, heard = crowd(), Heard()
    answers = iter((None, masks[1].tolist(), []))
    with online(heard, segment=lambda image: next(answers)) as tracker:
        for mask in masks[:3]:
            tracker.push(10.0 * mask)
    assert heard.frames() == [1]
    said = [str(error) for _, _, error in heard.errors]
    assert "the segmentation returned no mask" in said[0]
    assert "is no array (y, x) or (z, y, x)" in said[1]


def test_errors_in_a_field_are_reported_and_the_others_continue():
    masks, heard = crowd(), Heard()

    def update(update):
        if update.fov == "callback" and update.frame == 3:
            raise KeyError("my bug")
        heard.update(update)

    with OnlineTracker(Session(random_tracker()), update, heard.error) as tracker:
        for t, mask in enumerate(masks):
            tracker.push(None, mask, fov="good")
            tracker.push(None, mask, fov="callback")
            tracker.push(None, mask[:50] if t == 5 else mask, fov="shape")
            tracker.push(None, mask, fov="restart", frame=t % 9)
            if t != 6:
                tracker.push(None, mask, fov="missing", frame=t)
        lineages = {
            fov: tracker.finish(fov) for fov in ("good", "callback", "shape", "restart", "missing")
        }
    said = [(fov, frame, str(error)) for fov, frame, error in heard.errors]
    assert said == [
        ("callback", 3, "'my bug'"),
        ("shape", 5, said[1][2]),
        ("restart", 0, said[2][2]),
        ("restart", 1, said[3][2]),
        ("restart", 2, said[4][2]),
    ]
    assert "the mask of frame 5 in field of view 'shape' is 50 x 64" in said[1][2]
    assert "frame 0 of field of view 'restart' follows frame 8" in said[2][2]
    missed = {(u.fov, u.frame): u.n_missed for u in heard.updates if u.n_missed}
    assert missed == {("shape", 6): 1, ("missing", 7): 1}
    whole = random_tracker().track(None, masks)
    assert_same(lineages["good"], whole)
    assert_same(lineages["callback"], whole)
    assert_same(lineages["restart"], random_tracker().track(None, masks[:9]))
    assert set(lineages["shape"].detections.frame) == set(range(12)) - {5, 7}  # 7 is empty


def test_a_field_starts_again_after_its_finish():
    masks, heard = crowd(), Heard()
    with online(heard) as tracker:
        for _ in range(2):
            for mask in masks:
                tracker.push(None, mask)
            assert_same(tracker.finish(), random_tracker().track(None, masks))
    assert heard.frames() == 2 * list(range(12))
    assert heard.errors == []


def test_a_failing_segmentation_and_a_failing_report_stop_nothing(caplog):
    masks, heard, image = crowd(), Heard(), np.zeros((64, 64))

    def segment(image):
        raise SystemExit("no memory on the GPU")

    def error(fov, frame, error):
        heard.error(fov, frame, error)
        raise OSError("my log is full")

    with OnlineTracker(Session(random_tracker()), heard.update, error, segment=segment) as tracker:
        tracker.push(None, masks[0])
        tracker.push(image)
        tracker.push(None, masks[2])
    assert heard.frames() == [0, 2]
    assert [str(error) for _, _, error in heard.errors] == ["no memory on the GPU"]
    assert "on_error raised an error at frame 1" in caplog.text
    assert "my log is full" in caplog.text


def test_push_waits_for_room():
    heard, gate, is_pushed = Heard(), Gate(), threading.Event()
    with online(heard, segment=gate, max_waiting=2) as tracker:

        def push_all():
            for mask in crowd()[:4]:
                tracker.push(mask)
            is_pushed.set()

        pushing = threading.Thread(target=push_all)
        pushing.start()
        assert gate.reached.wait(60)
        assert not is_pushed.wait(0.2)  # one is being tracked, two wait, and one blocks
        gate.opened.set()
        pushing.join()
    assert heard.frames() == [0, 1, 2, 3]


def test_the_oldest_frames_are_dropped_and_counted_as_missing(caplog):
    heard, gate = Heard(), Gate()
    with online(heard, segment=gate, max_waiting=2, overflow="drop_oldest") as tracker:
        tracker.push(crowd()[0])
        assert gate.reached.wait(60)
        for mask in crowd()[1:6]:
            tracker.push(mask)
        gate.opened.set()
        tracker.flush()
        tracker.push(crowd()[6])
    assert heard.frames() == [0, 4, 5, 6]
    assert [update.n_missed for update in heard.updates] == [0, 3, 0, 0]
    assert caplog.text.count("dropped frame") == 3


def test_a_dropped_frame_leaves_no_room_before_the_end_of_its_field(caplog):
    """A camera starts again while `finish` waits: its frames are of the next movie."""
    heard, gate, is_asked = Heard(), Gate(), threading.Event()
    masks, lineages = crowd(), []
    with online(heard, segment=gate, max_waiting=2, overflow="drop_oldest") as tracker:
        tracker.push(masks[0])
        assert gate.reached.wait(60)
        for mask in masks[1:3]:
            tracker.push(mask)
        submit = tracker._worker.submit

        def submitted(*work):  # `finish` holds a lock, so that no other push is in between
            is_asked.set()
            return submit(*work)

        tracker._worker.submit = submitted
        finishing = threading.Thread(target=lambda: lineages.append(tracker.finish()))
        finishing.start()
        assert is_asked.wait(60)
        for mask in masks[3:5]:  # of two that wait, none is left
            tracker.push(mask)
        gate.opened.set()
        finishing.join(60)
        lineages.append(tracker.finish())
    assert [sorted(set(lineage.detections.frame)) for lineage in lineages] == [[0], [0, 1]]
    assert heard.errors == []
    assert caplog.text.count("dropped frame") == 2


def test_a_frame_too_many_is_rejected():
    heard, gate = Heard(), Gate()
    with online(heard, segment=gate, max_waiting=2, overflow="raise") as tracker:
        tracker.push(crowd()[0])
        assert gate.reached.wait(60)
        tracker.push(crowd()[1])
        tracker.push(crowd()[2])
        with pytest.raises(queue.Full, match="2 frames already wait"):
            tracker.push(crowd()[3])
        gate.opened.set()
        tracker.flush()
        tracker.push(crowd()[4])
    assert heard.frames() == [0, 1, 2, 4]
    assert heard.updates[-1].n_missed == 1


def test_a_session_can_be_used_before_and_after_a_tracker():
    masks, heard, session = crowd(), Heard(), Session(random_tracker())
    for mask in masks[:4]:
        session.push(None, mask)
    with online(heard, session) as tracker:
        for mask in masks[4:8]:
            tracker.push(None, mask)
    assert heard.frames() == [4, 5, 6, 7]
    for mask in masks[8:]:
        session.push(None, mask)
    assert_same(session.finish(), random_tracker().track(None, masks))


def push_until_closed(tracker, gate):
    """Push until the tracker is closed, and only then open the gate."""

    def push_all():
        with contextlib.suppress(RuntimeError):
            for mask in crowd():
                tracker.push(mask)
        gate.opened.set()

    thread = threading.Thread(target=push_all)
    thread.start()
    assert gate.reached.wait(60)
    return thread


def test_frames_that_wait_are_tracked_at_the_close_and_no_more_are_accepted():
    heard, gate = Heard(), Gate()
    tracker = online(heard, segment=gate, max_waiting=3)
    pushing = push_until_closed(tracker, gate)
    while len(tracker._waiting) < 3:
        time.sleep(0.01)
    tracker.close()
    pushing.join()
    assert heard.frames() == [0, 1, 2, 3]
    with pytest.raises(RuntimeError, match="is closed; create a new one"):
        tracker.push(crowd()[0])
    with pytest.raises(RuntimeError, match="is closed; finish the field in its session"):
        tracker.finish()


def test_frames_that_wait_are_dropped_when_the_block_raises():
    heard, gate, threads = Heard(), Gate(), []

    def run():
        with online(heard, segment=gate, max_waiting=3) as tracker:
            threads.append(push_until_closed(tracker, gate))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run()
    threads[0].join()
    assert heard.frames() == [0]


def test_callbacks_may_not_wait_for_themselves():
    heard = Heard()
    with OnlineTracker(
        Session(random_tracker()), lambda update: tracker.finish(update.fov), heard.error
    ) as tracker:
        tracker.push(None, crowd()[0])
        tracker.flush()
    (_, _, error) = heard.errors[0]
    assert isinstance(error, RuntimeError)
    assert "would wait for itself" in str(error)


def test_wrong_options_are_rejected():
    heard = Heard()
    with pytest.raises(InputError, match="overflow is 'drop'; choose one of"):
        online(heard, overflow="drop")
    with pytest.raises(InputError, match="give 1 or more"):
        online(heard, max_waiting=0)
    with online(heard) as tracker, pytest.raises(InputError, match="the frame has no mask"):
        tracker.push(crowd()[0])


def test_an_interpreter_that_ends_tracks_waiting_frames():
    """The tracker is not closed, and the last lines of the script have run."""
    code = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
from test_streaming import RandomModel, crowd
from trackastra_engine import Tracker
from trackastra_engine.linking import linker
from trackastra_engine.online import OnlineTracker, Session
session = Session(Tracker(RandomModel(), linker("greedy")))
tracker = OnlineTracker(session, lambda update: print(update.frame), print)
for mask in crowd(): tracker.push(None, mask)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == [str(t) for t in range(12)]


def test_a_tracker_without_references_ends_its_thread():
    heard = Heard()
    tracker = OnlineTracker(
        Session(Tracker(RandomModel(), linker("greedy"))), heard.update, heard.error
    )
    tracker.push(None, crowd()[0])
    tracker.flush()
    thread = next(t for t in threading.enumerate() if t.name.startswith("trackastra-online"))
    del tracker
    thread.join(60)
    assert not thread.is_alive()
