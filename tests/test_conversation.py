"""Requests of programs in other languages are answered or rejected, for any bytes."""

import io
import json
import tracemalloc
from functools import cache

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from test_session import random_tracker
from test_streaming import crowd
from trackastra_engine.online import Links, Objects, Session
from trackastra_engine.serving.conversation import REQUESTS, converse
from trackastra_engine.serving.messages import (
    DTYPES,
    PREFIX,
    Limits,
    Message,
    message_bytes,
    read_message,
)
from trackastra_engine.serving.streams import PipeStream

SMALL = Limits(header_bytes=2000, array_bytes=50_000, objects=60, fields=3)
MASK = np.kron(np.arange(1, 5).reshape(2, 2), np.ones((4, 4))).astype(np.uint8)
MEGABYTE = 1_000_000


@cache
def shared_session():
    return Session(random_tracker(), max_objects=SMALL.objects)


def replies_to(*messages, session=None):
    """Return the replies of a session to the bytes of some messages."""
    outgoing = io.BytesIO()
    if session is None:
        session = shared_session()
        session.fields.clear()
    converse(PipeStream(io.BytesIO(b"".join(messages)), outgoing), session, SMALL)
    stream = PipeStream(io.BytesIO(outgoing.getvalue()), io.BytesIO())
    # Replies may have more arrays than requests.
    return list(iter(lambda: read_message(stream, Limits(arrays=99)), None))


def reply_types(replies):
    """Return the type of each reply, or the sentence of an error."""
    return [reply.header.get("message", reply.header["type"]) for reply in replies]


def request(kind, arrays=None, **fields):
    return message_bytes(Message({"type": kind, **fields}, arrays or {}))


def raw(header, arrays=b"", *, magic=b"TAE1"):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return PREFIX.pack(magic, len(text), len(arrays)) + text + arrays


def announced(dtype="uint8", shape=(8, 8), name="mask"):
    return {"name": name, "dtype": dtype, "shape": shape}


def test_updates_arrive_as_the_session_returns_them():
    masks, session = crowd(), Session(random_tracker())
    replies = replies_to(
        *(request("push", {"mask": mask}, fov="A1", frame=10 + t) for t, mask in enumerate(masks))
    )
    for t, (mask, reply) in enumerate(zip(masks, replies, strict=True)):
        update = session.push(None, mask, fov="A1", frame=10 + t)
        told = ("fov", "frame", "n_missed", "final_frame")
        assert reply.header == {"type": "update", **{name: getattr(update, name) for name in told}}
        expected = {
            f"{name}.{column}": getattr(getattr(update, name), column)
            for name in update.__slots__
            if isinstance(getattr(update, name), Objects | Links)
            for column in getattr(update, name).__slots__
        }
        assert reply.arrays.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_array_equal(reply.arrays[name], array)
            assert reply.arrays[name].dtype in (np.int64, np.float64)
    assert sum(len(reply.arrays["removed_links.score"]) for reply in replies) > 50


def test_tracks_arrive_as_those_of_the_whole_movie():
    masks = crowd()
    *_, reply = replies_to(*(request("push", {"mask": mask}) for mask in masks), request("finish"))
    expected, found = random_tracker().track(None, masks), reply.arrays
    detections = expected.detections
    for name, array in [
        ("objects.frame", detections.frame),
        ("objects.label", detections.label),
        ("objects.track", expected.tracklet_id),
        ("objects.centroid", detections.centroid),
        ("tracklets", expected.tracklets),
        ("links.source_label", detections.label[expected.edges.source]),
        ("links.target_frame", detections.frame[expected.edges.target]),
        ("links.score", expected.edges.score),
    ]:
        np.testing.assert_array_equal(found[name], array)


def test_points_fields_of_view_and_delays_are_as_in_a_session():
    position = np.array([[5.0, 5], [30, 30]])
    session = Session(random_tracker(), delay=1)
    replies = replies_to(
        request("prepare", {"mask": MASK, "image": MASK}),
        request("push_points", {"position": position}, fov="a"),
        request("push_points", {"position": position, "label": np.array([7, 9])}, fov="b"),
        request("push_points", {"position": position + 1}, fov="a"),
        request("finish", fov="b"),
        request("bye"),
        request("hello"),
        session=session,
    )
    assert reply_types(replies) == ["ready", "waiting", "waiting", "update", "tracks", "bye"]
    assert replies[4].arrays["objects.label"].tolist() == [7, 9]
    assert list(session.fields) == ["a"]


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (raw(b"{"), "the header is not JSON"),
        (raw(b"\xff"), "the header is not JSON"),
        (raw(b"[" * 1900), "the header is not JSON"),
        (raw(b'{"type": "hello", "fov": NaN}'), "NaN is not a number"),
        (raw(["hello"]), 'not a JSON object with a "type"'),
        (raw({"type": 3}), 'not a JSON object with a "type"'),
        (raw({"type": "eval"}), "there is no request 'eval'; choose hello, prepare, push"),
        (raw({"type": "push"}), "lacks the array 'mask'"),
        (raw({"type": "hello", "path": "/etc"}), "has no field 'path'"),
        (request("push", {"mask": MASK, "masks": MASK}), "has no array 'masks'"),
        (raw({"type": "push", "arrays": 3}), '"arrays" is not a list of at most 8'),
        (raw({"type": "push", "arrays": [announced()] * 9}), '"arrays" is not a list of at most 8'),
        (raw({"type": "push", "arrays": [announced()] * 2}, bytes(128)), "two arrays 'mask'"),
        (raw({"type": "push", "arrays": [{"name": "mask"}]}), "is not described by"),
        (raw({"type": "push", "arrays": [announced("object")]}), "has a dtype other than"),
        (raw({"type": "push", "arrays": [announced(["uint8"])]}), "has a dtype other than"),
        (raw({"type": "push", "arrays": [announced(shape=[8] * 4)]}), "is not 1 to 3 whole"),
        (raw({"type": "push", "arrays": [announced(shape=[-8, 8])]}), "is not 1 to 3 whole"),
        (raw({"type": "push", "arrays": [announced(shape=[True])]}), "is not 1 to 3 whole"),
        (raw({"type": "push", "arrays": [announced(shape=[2**19] * 3)]}), "but the prefix says 0"),
        (raw({"type": "push", "arrays": [announced()]}, bytes(63)), "but the prefix says 63"),
        (raw({"type": "push", "arrays": [announced()]}, bytes(50_001)), "the limit is 50000"),
        (request("push", {"mask": MASK + 0.5}), "which is no label"),
        (request("push", {"mask": MASK}, frame=1.5), "the frame is 1.5"),
        (request("push", {"mask": MASK}, frame=2**70), "must increase, from 0 to 2147483647"),
        (request("push", {"mask": MASK}, fov=[1]), "the name of a field of view"),
        (request("push", {"mask": MASK}, fov="x" * 201), "the name of a field of view"),
        (request("push", {"mask": np.arange(64).reshape(8, 8)}), "more than 60 objects"),
        (request("push", {"mask": np.zeros((8, 0), int)}, fov="new"), "has no pixels"),
        (request("push", {"mask": np.arange(8)}, fov="new"), "is no array (y, x) or (z, y, x)"),
        (request("push_points", {"position": np.ones((61, 2))}), "more than 60 objects"),
        (request("push_points", {"position": np.array([[np.nan, 1]])}), "finite"),
        (request("push_points", {"position": np.ones((2, 2)), "label": np.ones(2)}), "two points"),
        (request("finish", fov="other"), "field of view 'other' has no frames"),
    ],
)
def test_a_rejected_request_does_not_change_the_session(message, sentence):
    session = Session(random_tracker(), max_objects=SMALL.objects)
    push = request("push", {"mask": MASK})
    replies = replies_to(push, message, push, session=session)
    assert [reply.header["type"] for reply in replies] == ["update", "error", "update"]
    assert sentence in reply_types(replies)[1]
    assert replies[2].header["frame"] == 1
    assert list(session.fields) == [0]


@pytest.mark.parametrize(
    ("message", "sentence"),
    [
        (raw({"type": "hello"}, magic=b"GET "), "begins with b'GET '"),
        (raw({"type": "hello"}, magic=b"TAE2"), "begins with b'TAE2'"),
        (PREFIX.pack(b"TAE1", 2001, 0), "a header of 2001 bytes was announced; the limit is 2000"),
        (PREFIX.pack(b"TAE1", 1000, 0), "the input ended within a message"),
        (PREFIX.pack(b"TAE1", 2, 2**64 - 1) + b"{}", "ended within a message"),
    ],
)
def test_the_connection_ends_where_the_next_message_cannot_be_found(message, sentence):
    replies = replies_to(request("hello"), message, request("hello"))
    assert len(replies) == 2
    assert sentence in reply_types(replies)[1]


def test_a_message_may_end_anywhere():
    message = request("push", {"mask": MASK})
    for stop in range(1, len(message)):
        assert "the input ended within a message" in reply_types(replies_to(message[:stop]))[0]


def test_fields_of_view_have_a_limit():
    pushes = [request("push", {"mask": MASK}, fov=fov) for fov in (1, 2, "3", 4, 1)]
    *_, fourth, known, finished, freed = reply_types(
        replies_to(*pushes, request("finish", fov=2), pushes[3])
    )
    assert "3 fields of view already" in fourth
    assert (known, finished, freed) == ("update", "tracks", "update")


class BrokenSession(Session):
    def push(self, image, mask, *, fov=0, frame=None):
        if fov == "bad":
            raise ZeroDivisionError("oh")
        return super().push(image, mask, fov=fov, frame=frame)


def test_a_mistake_of_the_engine_ends_no_session():
    pushes = [request("push", {"mask": MASK}, fov=fov) for fov in ("good", "bad", "good")]
    replies = reply_types(replies_to(*pushes, session=BrokenSession(random_tracker())))
    assert replies == ["update", "the engine failed (ZeroDivisionError: oh); report this", "update"]


names = st.sampled_from(["mask", "image", "position", "label", "diameter", "intensity", "x"])
sizes = st.integers(0, 9)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
layouts = st.fixed_dictionaries(
    {"name": names, "dtype": st.sampled_from(DTYPES), "shape": st.lists(sizes, max_size=4)}
)
headers = st.fixed_dictionaries(
    {"type": st.sampled_from([*REQUESTS, "x"])},
    optional={
        "fov": anything | st.sampled_from([0, "A"]),
        "frame": anything | st.integers(0, 9),
        "arrays": st.lists(layouts, max_size=3) | anything,
        "x": anything,
    },
)


@st.composite
def likely_requests(draw):
    """Return requests that are right except for the values of their arrays."""
    kind = draw(st.sampled_from(["push", "push", "push_points", "prepare", "finish"]))
    fields = {} if kind == "prepare" else {"fov": draw(st.sampled_from([0, "A"]))}
    n, shape = draw(st.integers(0, 9)), draw(st.sampled_from([(9, 9), (9, 9), (3, 4), (2, 3, 3)]))
    shapes = {"mask": shape, "image": shape, "position": (n, 2)}
    arrays = {}
    for name in sorted(REQUESTS[kind].required | REQUESTS[kind].optional):
        if name in REQUESTS[kind].optional and draw(st.booleans()):
            continue
        dtype = np.dtype(draw(st.sampled_from(DTYPES)))
        size = int(np.prod(shapes.get(name, (n,))))
        content = draw(
            st.binary(min_size=size * dtype.itemsize, max_size=size * dtype.itemsize)
            | st.lists(st.integers(0, 3), min_size=size, max_size=size)
        )
        array = np.frombuffer(content, dtype) if isinstance(content, bytes) else content
        arrays[name] = np.array(array, dtype).reshape(shapes.get(name, (n,)))
    return request(kind, arrays, **fields)


@st.composite
def damaged(draw, messages):
    """Return a message with bytes changed, taken out or put in."""
    message = bytearray(draw(messages))
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.integers(0, len(message)))
        message[place : place + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(message)


@st.composite
def odd_requests(draw):
    header, content = draw(headers), draw(st.binary(max_size=200))
    return raw(json.dumps(header).encode(), content)


inputs = st.lists(
    likely_requests() | odd_requests() | damaged(likely_requests()) | st.binary(max_size=40),
    max_size=8,
).map(b"".join)


@settings(max_examples=60)
@given(data=inputs)
@example(data=PREFIX.pack(b"TAE1", 2**32 - 1, 2**64 - 1))
@example(data=raw({"type": "push", "arrays": [announced("float64", [2**31 - 1] * 3)]}))
@example(data=raw({"type": "push", "arrays": [announced("float64", [0, 2**31 - 1, 2**31 - 1])]}))
@example(data=raw({"type": "push", "arrays": [announced("float64", [0, 2**20 - 1, 2**20 - 1])]}))
@example(
    data=raw({"type": "push_points", "arrays": [announced("int8", [0, 2**20 - 1], "position")]})
)
def test_no_bytes_break_a_session_or_exceed_the_memory_limits(data):
    tracemalloc.start()
    replies = replies_to(data)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert not any(
        "the engine failed" in sentence or "\n" in sentence for sentence in reply_types(replies)
    )
    assert peak < 20 * MEGABYTE  # most of which imports and compiled loops may need
