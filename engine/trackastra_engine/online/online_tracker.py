"""Track incoming frames in a background thread."""

import logging
import queue
import threading
from collections.abc import Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from trackastra_engine.errors import InputError
from trackastra_engine.linking.lineage import Lineage
from trackastra_engine.online.field_of_view import may_follow
from trackastra_engine.online.session import Session
from trackastra_engine.online.update import Update

logger = logging.getLogger(__name__)

Overflow: TypeAlias = Literal["block", "drop_oldest", "raise"]
# From an image to its mask, or to a tuple or list that begins with the mask.
Segment: TypeAlias = Callable[[NDArray[Any]], Any]


@dataclass(frozen=True, slots=True, eq=False)
class _Frame:
    """A frame that waits to be tracked."""

    image: NDArray[Any] | None
    mask: NDArray[Any] | None
    fov: Hashable
    number: int


class OnlineTracker:
    """Tracks frames in a thread of its own, so that who pushes them need not wait for it.

    Both callbacks run in that thread: `on_update(update)` after each frame (see Session), and
    `on_error(fov, frame, error)` whenever a frame could not be segmented or tracked, or `on_update`
    raised. Such a frame is missing from its field of view, or if `on_update` raised, is tracked all
    the same; all later frames and all other fields go on. A camera that starts again counts from 0
    again: its frames are such errors until `finish` was called for the field.

    Use it in a with-block, whose end waits for all frames; if the block raises, those that wait
    are given up. After that the session is yours again, to save for example. Methods may be called
    from any thread but, as they would wait for themselves, not from a callback.

    Parameters
    ----------
    session : Session
        Nobody else may use it meanwhile.
    on_update : callable
        Called with the `Update` of each frame.
    on_error : callable
        Called with field, number of the frame and the error.
    segment : callable, optional
        Returns the mask of an image, or a tuple or list that begins with it, as StarDist and
        Cellpose do; for frames that are pushed without a mask.
    max_waiting : int
        Frames that may wait while others are tracked.
    overflow : {"block", "drop_oldest", "raise"}
        If so many wait, `push` waits, drops the frame that has waited longest, or raises
        `queue.Full`.

    Raises
    ------
    InputError
        If an option is not possible.

    Examples
    --------
    >>> from trackastra_engine.online import OnlineTracker, Session
    >>> divisions = []
    >>> def react(update):
    ...     divisions.extend(update.divisions.track.tolist())
    >>> with OnlineTracker(Session(tracker), react, on_error=print) as online:
    ...     for image, mask in zip(images, masks):
    ...         online.push(image, mask, fov="position 1")
    ...     tracks = online.finish("position 1")
    >>> divisions, len(tracks.tracklets)
    ([2, 7, 8], 4)
    """

    def __init__(
        self,
        session: Session,
        on_update: Callable[[Update], object],
        on_error: Callable[[Hashable, int, BaseException], object],
        *,
        segment: Segment | None = None,
        max_waiting: int = 16,
        overflow: Overflow = "block",
    ) -> None:
        """Begin to track in `session`; see the class."""
        if overflow not in get_args(Overflow):
            raise InputError(f"overflow is {overflow!r}; choose one of {get_args(Overflow)}")
        if max_waiting < 1:
            raise InputError(f"max_waiting is {max_waiting}; give 1 or more")
        self._session = session
        self._on_update = on_update
        self._on_error = on_error
        self._segment = segment
        self._max_waiting = max_waiting
        self._overflow = overflow
        self._numbers = {fov: movie.numbers[-1] for fov, movie in session.fields.items()}
        self._waiting: dict[int, _Frame] = {}  # by turn, in order
        self._turns = count()
        self._changed = threading.Condition()  # there is room in `_waiting`, or it is closed
        self._is_closed = False
        # Python waits for an executor at exit, and ends one that nothing refers to.
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="trackastra-online")
        self._thread = self._worker.submit(threading.get_ident).result()

    def push(
        self,
        image: NDArray[Any] | None,
        mask: NDArray[Any] | None = None,
        *,
        fov: Hashable = 0,
        frame: int | None = None,
    ) -> None:
        """Hand over the next frame of a field of view, and return before it is tracked.

        Both arrays are copied, so their buffers may be used again at once. A frame that is dropped
        or rejected is missing from its field, and the next update counts it.

        Parameters
        ----------
        image, mask, fov, frame
            See `Session.push`; the mask may be None if there is a `segment`.

        Raises
        ------
        InputError
            If there is neither a mask nor a `segment` for the image.
        queue.Full
            If too many frames wait, and `overflow` is "raise".
        RuntimeError
            If the tracker is closed, or a callback calls.

        Examples
        --------
        >>> online.push(images[0], masks[0], fov="position 2")
        """
        if mask is None and (image is None or self._segment is None):
            raise InputError("the frame has no mask; give one, or an image and `segment`")
        self._reject_own_thread()
        kept_image, kept_mask = (None if a is None else _copied(a) for a in (image, mask))
        with self._changed:
            if self._overflow == "block":
                self._changed.wait_for(lambda: self._is_closed or not self._is_full)
            self._reject_closed("create a new one")
            last = self._numbers.get(fov, -1)
            number = last + 1 if frame is None else frame
            if may_follow(last, number):  # or else only this frame fails, not those counted next
                self._numbers[fov] = number
            if self._is_full and self._overflow == "raise":
                raise queue.Full(
                    f"frame {number} of field of view {fov!r} was rejected, as {self._max_waiting} "
                    f"frames already wait; raise max_waiting, or push fewer frames"
                )
            if self._is_full:
                dropped = self._waiting.pop(next(iter(self._waiting)))
                logger.warning("dropped frame %s of field %r", dropped.number, dropped.fov)
            turn = next(self._turns)
            self._waiting[turn] = _Frame(kept_image, kept_mask, fov, number)
            # A new turn: that of a dropped frame may precede the end of the field, if `finish` was
            # called since. Not the frame: the queue would store it, even if it is dropped.
            self._worker.submit(self._take_turn, turn)

    def flush(self) -> None:
        """Wait until all frames that were pushed so far are tracked and their callbacks done."""
        self._reject_own_thread()
        with self._changed:
            self._reject_closed("no frame waits any more")
            done = self._worker.submit(lambda: None)
        done.result()

    def finish(self, fov: Hashable = 0) -> Lineage:
        """Return the tracks of a field of view after all frames pushed so far, and forget it.

        Parameters
        ----------
        fov : hashable
            The field of view.

        Returns
        -------
        Lineage

        Raises
        ------
        InputError
            If no frame of the field could be tracked.
        RuntimeError
            If the tracker is closed, or a callback calls.

        Examples
        --------
        >>> online.push(images[0], masks[0], fov="position 3")
        >>> len(online.finish("position 3").detections)
        2
        """
        self._reject_own_thread()
        with self._changed:  # no frame enters between its last number and its end
            self._reject_closed("finish the field in its session")
            self._numbers.pop(fov, None)
            lineage = self._worker.submit(self._session.finish, fov)
        return lineage.result()

    def close(self) -> None:
        """Track all frames that wait, and end the thread."""
        self._close()

    def __enter__(self) -> "OnlineTracker":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._close(gives_up=kind is not None)

    @property
    def _is_full(self) -> bool:
        return len(self._waiting) >= self._max_waiting

    def _close(self, *, gives_up: bool = False) -> None:
        self._reject_own_thread()
        with self._changed:
            self._is_closed = True
            if gives_up:
                self._waiting.clear()
            self._changed.notify_all()
        self._worker.shutdown()

    def _take_turn(self, turn: int) -> None:
        """Track the frame whose turn it is, unless it was dropped or given up."""
        with self._changed:
            frame = self._waiting.pop(turn, None)
            if frame is None:
                return
            self._changed.notify()
        try:
            self._track(frame)
        except BaseException as error:  # also sys.exit(), which has no effect in this thread
            self._report(frame, error)

    def _track(self, frame: _Frame) -> None:
        mask = frame.mask
        if mask is None and frame.image is not None and self._segment is not None:
            found = self._segment(frame.image)
            # StarDist returns labels and details, Cellpose masks, flows and styles.
            has_more = isinstance(found, tuple | list) and len(found) > 0 and np.ndim(found[0]) > 1
            mask = found[0] if has_more else found
        if mask is None:
            raise InputError("the segmentation returned no mask; return an array of labels")
        update = self._session.push(frame.image, mask, fov=frame.fov, frame=frame.number)
        if update is not None:
            self._on_update(update)

    def _report(self, frame: _Frame, error: BaseException) -> None:
        logger.warning("frame %s of field %r: %s", frame.number, frame.fov, error)
        try:
            self._on_error(frame.fov, frame.number, error)
        except BaseException:
            logger.exception(
                "on_error raised an error at frame %s of field %r", frame.number, frame.fov
            )

    def _reject_closed(self, remedy: str) -> None:
        if self._is_closed:
            raise RuntimeError(f"the online tracker is closed; {remedy}")

    def _reject_own_thread(self) -> None:
        if threading.get_ident() == self._thread:
            raise RuntimeError(
                "a callback called its own online tracker, which would wait for itself; call it "
                "from another thread"
            )


def _copied(pixels: Any) -> Any:
    """Return a copy of an array, with the mask if it is a masked array."""
    return pixels.copy() if isinstance(pixels, np.ma.MaskedArray) else np.array(pixels)
