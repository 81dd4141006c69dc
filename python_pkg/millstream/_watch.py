"""Streams with hooks: what happens to one is told in the thread that makes it happen.

A stream without hooks is of the plain class and knows nothing of this.
"""

from __future__ import annotations

import sys
import time

from ._errors import Cancelled, class_of
from ._log import hook_failed
from ._stream import Stream
from ._types import Response, masked_headers
from .hooks import Call, EndEvent, FirstChunkEvent, HeadersEvent, RequestEvent, RetryEvent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal, TypeVar

    from . import _core
    from ._client import Pairs
    from ._core import Chunk, Event
    from .hooks import HookEvent, OnEvent

    _T = TypeVar("_T")


class Watch:
    """Tells the hooks of one stream each thing once, and nothing behind the end.

    There is no lock: what is due is taken out of a dict, which one thread alone can do, so that a
    hook may use the stream, and `cancel()` waits for no hook of another thread.
    """

    __slots__ = ("_clock", "_due", "_hooks", "_response", "_retries", "_times", "call")

    def __init__(self, hooks: tuple[OnEvent, ...], **facts: Any) -> None:
        self._hooks = hooks
        self.call = Call(**facts, started_ns=time.time_ns())
        self._clock = time.perf_counter()
        self._due: dict[str, None] = dict.fromkeys(("headers", "first_chunk", "end"))
        self._retries: dict[int, object] = {}
        self._response: Response | None = None
        counts = any(getattr(hook, "chunk_times", False) for hook in hooks)
        self._times: list[float] | None = [] if counts else None

    @property
    def awaits_head(self) -> bool:
        """The head of the answer was not told yet."""
        return "headers" in self._due

    @property
    def takes_times(self) -> bool:
        """Each chunk has to be told."""
        return self._times is not None

    def request(self, headers: Pairs) -> Pairs:
        """Before the stream begins; the headers that hooks want sent."""
        event = RequestEvent(self.call, masked_headers(headers))
        self._tell(event)
        return tuple(event._added.items())

    def refused(self, error: Exception) -> None:
        """The stream could not begin."""
        self._end("failed", error, None)

    def head(self, stream: _core.BaseStream, response: Response) -> None:
        """The head of the answer is known."""
        if self._is_due("headers"):
            self._response = response
            self._tell_retries(stream)
            at = stream.timing.first_byte  # of the first attempt
            if at is None or stream.timing.retries:
                at = self._now()
            self._tell(HeadersEvent(self.call, at, response))

    def chunks(self, stream: _core.BaseStream, count: int) -> None:
        """So many chunks are about to be handed out."""
        if self._is_due("first_chunk"):
            at = stream.timing.first_chunk
            self._tell(FirstChunkEvent(self.call, self._now() if at is None else at))
        if self._times is not None:
            self._times.extend([self._now()] * count)

    def end(self, stream: _core.BaseStream, error: BaseException | None) -> None:
        """It is over: by itself, or by `error`; a task's cancellation is no Exception."""
        if error is None:
            self._end("ok", None, stream)
        elif isinstance(error, Cancelled) or not isinstance(error, Exception):
            self.cancelled(stream, error)
        else:
            self._end("failed", error, stream)

    def cancelled(self, stream: _core.BaseStream, error: BaseException | None = None) -> None:
        """Nobody wants the rest."""
        self._end("cancelled", error, stream)

    def _now(self) -> float:
        return time.perf_counter() - self._clock

    def _is_due(self, what: str) -> bool:
        return "end" in self._due and self._due.pop(what, self) is None

    def _end(
        self,
        outcome: Literal["ok", "failed", "cancelled"],
        error: BaseException | None,
        stream: _core.BaseStream | None,
    ) -> None:
        if not self._is_due("end"):
            return
        at, timing, message = self._now(), None, None
        if stream is not None:
            self._tell_retries(stream)
            timing, message = stream.timing, stream.message
            if outcome != "cancelled" and timing.total is not None:
                at = timing.total
        times = tuple(self._times or ())
        response = self._response
        self._tell(EndEvent(self.call, at, outcome, error, message, timing, response, times))

    def _tell_retries(self, stream: _core.BaseStream) -> None:
        for number, (at, name, status, delay) in enumerate(stream._retries(), 1):
            mine = object()
            if self._retries.setdefault(number, mine) is mine:
                error = None if name is None else class_of(name, status).__name__
                self._tell(RetryEvent(self.call, at, number, error, status or None, delay))

    def _tell(self, event: HookEvent) -> None:
        for hook in self._hooks:
            try:
                hook(event)
            except Exception:  # it is not the stream's
                hook_failed(hook)


class WatchedStream(Stream):
    """A `Stream` with hooks."""

    __slots__ = ("_watch",)
    _watch: Watch

    def __next__(self) -> Chunk:
        return self._watched(super().__next__, 1)

    def _next_event(self) -> Event | None:
        return self._watched(super()._next_event, 1)

    def _next_batch(self) -> list[Chunk] | None:
        return self._watched(super()._next_batch)

    def _drain(self) -> None:
        for _ in self:
            if not self._watch.takes_times:  # the rest is taken in C
                break
        self._watched(super()._drain)

    def _head(self) -> tuple[int, int, bytes]:
        head = super()._head()
        self._watch.head(self, Response(*head))
        return head

    def _watched(self, take: Callable[[], _T], count: int | None = None) -> _T:
        watch = self._watch
        if watch.awaits_head:
            try:
                self._head()
            except Exception:
                pass  # there is none; what is taken says why
        try:
            taken = take()
        except StopIteration:
            watch.end(self, self._what_ended_it())
            raise
        except Exception as error:
            watch.end(self, error)
            raise
        if taken is None:
            watch.end(self, self._what_ended_it())
        else:
            watch.chunks(self, len(taken) if count is None else count)  # type: ignore[arg-type]
        return taken

    def _what_ended_it(self) -> Exception | None:
        """Iteration just stops for a second thread too, behind a fault that the first one got."""
        try:
            super()._drain()
        except Exception as error:
            return error
        return None

    def cancel(self) -> None:
        """End the stream now, from any thread."""
        super().cancel()
        self._watch.cancelled(self)

    def close(self) -> None:
        """As cancel(), but iteration just stops."""
        super().close()
        self._watch.cancelled(self)

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:
        dropped(self)


def dropped(stream: Any) -> None:
    """Nothing holds the stream any more: the last that may be told of it."""
    watch = getattr(stream, "_watch", None)  # none where it could not begin
    if watch is not None and not sys.is_finalizing():
        watch.cancelled(stream)
