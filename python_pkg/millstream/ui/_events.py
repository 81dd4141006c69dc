"""Events: an answer as the pieces of a response's body, for WSGI and for ASGI.

Sync and async differ in the wait only: what comes is made by a feed, which neither blocks nor knows
a loop. The browser that goes away closes the feed, and so the stream.
"""

from __future__ import annotations

import select
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any, Protocol

from .. import _core, _hub
from .._errors import Cancelled, Error
from .._stream import Stream
from ._ai_sdk import UIMessageStream
from ._frames import KEEP_ALIVE, Frames, OnError, Plain

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from .._async_stream import AsyncStream

LOOK_S = 0.1  # how often a browser is looked at where it cannot be waited for


def sse(
    stream: Stream | AsyncStream,
    *,
    keep_alive: float | None = 15.0,
    data: Mapping[str, Any] | None = None,
    on_error: OnError | None = None,
) -> Events:
    """The answer as server-sent events with small JSON objects; docs/howto/chat-ui.md lists them.

    keep_alive: seconds of silence after which a comment is sent; None: never.
    data: parts of the application's own, sent first: {"sources": [...]} as "data-sources".
    on_error: is given the exception that ended the stream and returns what the reader is told;
        None: one sentence that names nothing, see `describe`.
    """
    return _events(stream, Plain(data, on_error), keep_alive)


def ai_sdk(
    stream: Stream | AsyncStream,
    *,
    message_id: str | None = None,
    keep_alive: float | None = 15.0,
    data: Mapping[str, Any] | None = None,
    on_error: OnError | None = None,
) -> Events:
    """The answer in the AI SDK's UI message stream protocol, version 1, which `useChat` reads.

    message_id: of the assistant's message; None: the browser makes one, or goes on with its last.
    The other arguments are those of `sse`.
    """
    return _events(stream, UIMessageStream(data, on_error, message_id), keep_alive)


def _events(stream: object, frames: Frames, keep_alive: float | None) -> Events:
    if not isinstance(stream, _core.BaseStream) or isinstance(stream, _core.BaseEventStream):
        raise TypeError(f"stream: must be a Stream or an AsyncStream, not {stream!r}")
    if keep_alive is not None and not keep_alive > 0:
        raise ValueError(f"keep_alive: must be seconds above 0, or None, not {keep_alive!r}")
    return Events(Alone(Source(stream, frames)), frames.headers, keep_alive)


class Nothing(Enum):
    """What there is where a wait is due."""

    YET = "yet"


# ---- where frames come from ----------------------------------------------------------------------


class Source:
    """A stream and what makes frames of it. Not for two threads at a time."""

    def __init__(self, stream: _core.BaseStream, frames: Frames) -> None:
        self.stream = stream
        self.over = False
        self._frames = frames
        self._begun = False

    def take(self) -> list[bytes] | Nothing:
        """The frames of all that is there, which may be none.

        At the end `over` is set.
        """
        if not self._begun:
            self._begun = True
            return self._frames.begin()
        try:
            batch = self.stream._poll_batch()
        except Cancelled:
            return self.stop()
        except Error as error:
            self.over = True
            return self._frames.failed(error)
        if batch is NotImplemented:
            return Nothing.YET
        if batch is None:
            self.over = True
            return self._frames.end(self.stream.message)
        return [frame for chunk in batch for frame in self._frames.of(chunk)]

    def stop(self) -> list[bytes]:
        """The last frames of an answer that somebody stopped."""
        self.over = True
        return self._frames.stopped()


class Feed(Protocol):
    """What one reader of an answer is given."""

    stream: _core.BaseStream | None
    status: int

    def look(self) -> bytes | Nothing | None:
        """What is there for this reader; None at the end."""

    def wait(self, timeout: float, browser: Any) -> bool:
        """Wait until `look` may have something; False where the browser has gone."""

    async def wait_async(self, timeout: float) -> None:
        """The same in an event loop."""

    def leave(self) -> None:
        """The reader has gone. Idempotent, from any thread."""


class Alone:
    """An answer for one reader: nothing is kept, and it ends with the reader."""

    status = 200

    def __init__(self, source: Source) -> None:
        self.source = source
        self.stream: _core.BaseStream | None = source.stream

    def look(self) -> bytes | Nothing | None:
        """All that is there, in one piece."""
        while not self.source.over:
            frames = self.source.take()
            if frames is Nothing.YET:
                return frames
            if frames:
                return b"".join(frames)
        return None

    def wait(self, timeout: float, browser: Any) -> bool:
        """Until the stream has something."""
        return wait_for(self.source.stream, timeout, browser)

    async def wait_async(self, timeout: float) -> None:
        """Until the stream has something."""
        await _hub.wait(self.source.stream, timeout)

    def leave(self) -> None:
        """End the stream."""
        self.source.stream.close()


# ---- what a response iterates --------------------------------------------------------------------


class Events:
    """The body of a response: an iterator of bytes, async where its stream is.

    It ends the answer when it is closed, dropped or, in a loop, cancelled; of one that `Replays`
    keeps only this reader ends. `status` and `headers` belong to the response.
    """

    def __init__(self, feed: Feed, headers: Mapping[str, str], keep_alive: float | None) -> None:
        self._feed = feed
        self._closed = False
        self._headers = headers
        self._keep_alive = float("inf") if keep_alive is None else keep_alive
        self._silent_since = time.monotonic()
        self._browser: Any = None

    @property
    def status(self) -> int:
        """200; of a resumed answer also 204, nothing more comes, and 410, it is not kept."""
        return self._feed.status

    @property
    def headers(self) -> dict[str, str]:
        """Content-Type and what keeps proxies from holding the answer back."""
        return dict(self._headers)

    @property
    def is_async(self) -> bool:
        """Whether it is read with `async for`."""
        return self._feed.stream is not None and not isinstance(self._feed.stream, _core.Stream)

    def watch(self, environ: Mapping[str, Any]) -> None:
        """Take the browser's connection from a WSGI environment, to end when it does.

        gunicorn and werkzeug tell it. Without it a browser that has gone is noticed by writing,
        a keep-alive at the latest.
        """
        self._browser = environ.get("gunicorn.socket") or environ.get("werkzeug.socket")

    # ---- sync

    def __iter__(self) -> Iterator[bytes]:
        if self.is_async:
            raise TypeError("events of an AsyncStream: use `async for`")
        return self

    def __next__(self) -> bytes:
        while (piece := self._look()) is Nothing.YET:
            if not self._feed.wait(self._left(), self._browser):
                self.close()
        if piece is None:
            raise StopIteration
        return piece

    # ---- async

    def __aiter__(self) -> AsyncIterator[bytes]:
        if self._feed.stream is not None and not self.is_async:
            raise TypeError("events of a Stream: use `for`, or an AsyncClient")
        return self

    async def __anext__(self) -> bytes:
        try:
            while (piece := self._look()) is Nothing.YET:
                await self._feed.wait_async(self._left())
        except BaseException:  # the task was cancelled
            self.close()
            raise
        if piece is None:
            raise StopAsyncIteration
        return piece

    # ---- both

    def _look(self) -> bytes | Nothing | None:
        piece = None if self._closed else self._feed.look()
        if piece is None:
            self.close()
        elif piece is Nothing.YET:
            if self._left() > 0:
                return piece
            piece = KEEP_ALIVE
        self._silent_since = time.monotonic()
        return piece

    def _left(self) -> float:
        """Seconds until a comment is due."""
        return self._silent_since + self._keep_alive - time.monotonic()

    def close(self) -> None:
        """The browser has gone. Idempotent, from any thread."""
        if not self._closed:
            self._closed = True
            self._feed.leave()

    async def aclose(self) -> None:
        """The same, to be awaited."""
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


# ---- waiting in a thread -------------------------------------------------------------------------


def wait_for(stream: _core.BaseStream, timeout: float, browser: Any) -> bool:
    """Until the stream has something or the time is over; False where the browser has gone."""
    assert isinstance(stream, _core.Stream)
    if browser is None:
        stream.wait(None if timeout == float("inf") else max(timeout, 0))
        return True
    if _is_gevents():
        stream.wait(min(max(timeout, 0), LOOK_S))
        return not has_gone(browser)
    return _wait_for_both(stream, timeout, browser)


def _wait_for_both(stream: _core.Stream, timeout: float, browser: Any) -> bool:
    waiter = _core.Waiter()
    if not waiter.arm(stream, False):
        return True
    try:
        poll = select.poll()
        poll.register(waiter.fileno(), select.POLLIN)
        poll.register(browser, select.POLLRDHUP)
        ready = poll.poll(None if timeout == float("inf") else max(timeout, 0) * 1000)
        return all(fd == waiter.fileno() for fd, _ in ready)
    finally:
        waiter.disarm(stream)


def has_gone(browser: Any) -> bool:
    """Whether the other end of a socket was closed; what it sent before does not matter."""
    poll = _poll()
    poll.register(browser.fileno(), select.POLLRDHUP)
    return bool(poll.poll(0))


def _is_gevents() -> bool:
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("select"))


def _poll() -> Any:
    monkey = sys.modules.get("gevent.monkey")
    # gevent's own knows no POLLRDHUP; a look that does not wait holds nobody up.
    return monkey.get_original("select", "poll")() if monkey is not None else select.poll()
