"""What was found is found once, by the first thread that asks, as long as there is room."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest

from trackastra_engine.motion.remembered import Remembered


def test_threads_that_ask_for_the_same_wait_for_the_first_of_them():
    memory, found = Remembered(10, len), []
    begun, may_end = Event(), Event()

    def find():
        found.append("once")
        begun.set()
        assert may_end.wait(10)
        return "flow"

    with ThreadPoolExecutor(3) as threads:
        asked = [threads.submit(memory.found, b"a", find) for _ in range(3)]
        assert begun.wait(10)
        may_end.set()
        assert [one.result(10) for one in asked] == ["flow"] * 3
    assert found == ["once"]


def test_the_oldest_are_forgotten_where_there_is_no_room():
    memory, asked = Remembered(5, len), []

    def ask(key, size):
        return memory.found(key, lambda: asked.append(key) or "x" * size)

    for key, size in ((b"a", 2), (b"b", 3), (b"a", 2), (b"c", 1), (b"b", 3), (b"a", 2)):
        assert ask(key, size) == "x" * size
    assert asked == [b"a", b"b", b"c", b"a"]  # c took the room of a
    assert ask(b"large", 9) == ask(b"large", 9) == "x" * 9  # the last is kept in any case
    assert asked[4:] == [b"large"]


def test_an_error_reaches_all_that_wait_and_is_not_remembered():
    memory, both_ask = Remembered(5, len), Barrier(2)

    def fail():
        raise ValueError("no flow")

    def ask():
        both_ask.wait(10)
        with pytest.raises(ValueError, match="no flow"):
            memory.found(b"a", fail)

    with ThreadPoolExecutor(2) as threads:
        for one in [threads.submit(ask) for _ in range(2)]:
            one.result(10)
    assert memory.found(b"a", lambda: "flow") == "flow"
