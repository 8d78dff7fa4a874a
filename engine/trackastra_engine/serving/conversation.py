"""Answer the requests of one client with its own session."""

import logging
from collections.abc import Callable, Set
from contextlib import suppress
from dataclasses import dataclass

from trackastra_engine.errors import InputError
from trackastra_engine.online import Session
from trackastra_engine.serving import replies
from trackastra_engine.serving.messages import (
    Limits,
    LostStreamError,
    Message,
    Stream,
    message_bytes,
    read_message,
)

logger = logging.getLogger(__name__)

MAX_NAME = 200  # characters of the name of a field of view
MAX_WHOLE = 2**63 - 1


def converse(stream: Stream, session: Session, limits: Limits) -> None:
    """Answer a client until it says bye, disconnects, or the stream of messages is lost."""
    try:
        while (reply := _next_reply(stream, session, limits)) is not None:
            stream.send(message_bytes(reply))
            if reply.header["type"] == "bye":
                return
    except LostStreamError as loss:
        logger.warning("%s; the connection ends", loss)
        with suppress(LostStreamError):
            stream.send(message_bytes(replies.error(f"{loss}; the connection ends")))


def _next_reply(stream: Stream, session: Session, limits: Limits) -> Message | None:
    try:
        request = read_message(stream, limits)
        return None if request is None else answer(request, session, limits)
    except InputError as error:
        return replies.error(str(error))


def answer(request: Message, session: Session, limits: Limits) -> Message:
    """Return the reply to a request.

    Raises InputError if the request is invalid, or the engine fails.
    """
    name = request.header["type"]
    kind = REQUESTS.get(name)
    if kind is None:
        raise InputError(f"there is no request {name!r}; choose {', '.join(REQUESTS)}")
    kind.check(request)
    try:
        return kind.reply(request, session, limits)
    except InputError:
        raise
    except Exception as error:  # a bug must not end the sessions of all clients
        logger.exception("the request %s failed", name)
        kind_of_error = type(error).__name__
        raise InputError(f"the engine failed ({kind_of_error}: {error}); report this") from error


def _hello(request: Message, session: Session, limits: Limits) -> Message:
    return replies.hello(session, limits)


def _prepare(request: Message, session: Session, limits: Limits) -> Message:
    session.prepare(request.arrays.get("image"), request.arrays["mask"])
    return Message({"type": "ready"})


def _push(request: Message, session: Session, limits: Limits) -> Message:
    fov, frame = _place(request, session, limits)
    arrays = request.arrays
    update = session.push(arrays.get("image"), arrays["mask"], fov=fov, frame=frame)
    return replies.update_or_waiting(update)


def _push_points(request: Message, session: Session, limits: Limits) -> Message:
    fov, frame = _place(request, session, limits)
    arrays = request.arrays
    update = session.push_points(
        arrays["position"],
        label=arrays.get("label"),
        diameter=arrays.get("diameter"),
        intensity=arrays.get("intensity"),
        fov=fov,
        frame=frame,
    )
    return replies.update_or_waiting(update)


def _finish(request: Message, session: Session, limits: Limits) -> Message:
    return replies.tracks(session.finish(_field_of_view(request)))


def _bye(request: Message, session: Session, limits: Limits) -> Message:
    return Message({"type": "bye"})


@dataclass(frozen=True, slots=True)
class Kind:
    """The fields and arrays of one type of request."""

    reply: Callable[[Message, Session, Limits], Message]
    fields: Set[str] = frozenset()
    required: Set[str] = frozenset()  # arrays
    optional: Set[str] = frozenset()  # arrays

    def check(self, request: Message) -> None:
        """Raise InputError if a request has an unknown field or array, or lacks an array."""
        name = request.header["type"]
        if unknown := sorted(request.header.keys() - self.fields - {"type"}):
            raise InputError(f"the request {name} has no field {unknown[0]!r}")
        if missing := sorted(self.required - request.arrays.keys()):
            raise InputError(f"the request {name} lacks the array {missing[0]!r}")
        if unknown := sorted(request.arrays.keys() - self.required - self.optional):
            raise InputError(f"the request {name} has no array {unknown[0]!r}")


REQUESTS = {
    "hello": Kind(_hello),
    "prepare": Kind(_prepare, required={"mask"}, optional={"image"}),
    "push": Kind(_push, {"fov", "frame"}, {"mask"}, {"image"}),
    "push_points": Kind(
        _push_points, {"fov", "frame"}, {"position"}, {"label", "diameter", "intensity"}
    ),
    "finish": Kind(_finish, {"fov"}),
    "bye": Kind(_bye),
}


def _place(request: Message, session: Session, limits: Limits) -> tuple[str | int, int | None]:
    """Return field of view and frame of a push."""
    fov = _field_of_view(request)
    if fov not in session.fields and len(session.fields) >= limits.fields:
        raise InputError(
            f"there are {limits.fields} fields of view already; finish one before a new one"
        )
    frame = request.header.get("frame")
    if frame is not None and type(frame) is not int:
        raise InputError(f"the frame is {frame!r}; give a whole number, or leave it out")
    return fov, frame


def _field_of_view(request: Message) -> str | int:
    fov: str | int = request.header.get("fov", 0)
    is_text = isinstance(fov, str) and len(fov) <= MAX_NAME
    if not is_text and not (type(fov) is int and abs(fov) <= MAX_WHOLE):
        raise InputError(
            f"the name of a field of view is neither a text of at most {MAX_NAME} characters nor a "
            "whole number of 64 bits"
        )
    return fov
