"""AsyncStreams with hooks: what `_watch` is for streams of threads."""

from __future__ import annotations

from contextlib import aclosing

from ._async_stream import AsyncStream, Done
from ._types import Response
from ._watch import Watch, dropped

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from typing import Any, TypeVar

    from ._core import Chunk, Event

    _T = TypeVar("_T")


class WatchedAsyncStream(AsyncStream):
    """An `AsyncStream` with hooks."""

    __slots__ = ("_watch",)
    _watch: Watch

    async def __anext__(self) -> Chunk:
        return await self._watched(super().__anext__, lambda _: 1)

    async def texts(self) -> AsyncIterator[str]:
        """Only the pieces of answer text."""
        async for chunk in self:
            if chunk.type == "text":
                yield chunk.text

    async def batches(self) -> AsyncIterator[list[Chunk]]:
        """Lists of all the chunks that are ready."""
        async with aclosing(super().batches()) as batches:  # type: ignore[type-var]
            while batch := await self._watched(lambda: anext(batches, None), len):
                yield batch

    async def events(self) -> AsyncIterator[Event]:
        """The answer's events as they came."""
        async with aclosing(super().events()) as events:  # type: ignore[type-var]
            while event := await self._watched(lambda: anext(events, None), lambda _: 1):
                yield event

    async def result(self, into: Any = None, *, lenient: bool = False) -> Any:
        """Wait for the end and return the whole message, or the answer as a T."""
        async for _ in self:
            if not self._watch.takes_times:  # the rest is taken in C
                break
        try:
            message = await super().result()
        except BaseException as error:
            self._watch.end(self, error)
            raise
        self._watch.end(self, None)
        return message if into is None else await super().result(into, lenient=lenient)

    @property
    async def response(self) -> Response:
        """Status, headers, HTTP version, request id."""
        try:
            response = await super().response
        except Exception:
            raise
        except BaseException as error:  # the task was cancelled, and with it the stream
            self._watch.end(self, error)
            raise
        self._watch.head(self, response)
        return response

    async def _watched(self, take: Callable[[], Awaitable[_T]], count: Callable[[Any], int]) -> _T:
        watch = self._watch
        try:
            if watch.awaits_head:
                await self._head_or_nothing()
            taken = await take()
        except StopAsyncIteration:
            watch.end(self, await self._what_ended_it())
            raise
        except BaseException as error:
            watch.end(self, error)
            raise
        if taken is None:
            watch.end(self, await self._what_ended_it())
        else:
            watch.chunks(self, count(taken))
        return taken

    async def _head_or_nothing(self) -> None:
        try:
            await self.response
        except Exception:
            pass  # there is none; what is taken says why

    async def _what_ended_it(self) -> Exception | None:
        """Iteration just stops for a second task too, behind a fault that the first one got."""
        try:
            await super().result()
        except Exception as error:
            return error
        return None

    def cancel(self) -> Done:  # type: ignore[override]
        """End the stream now, from any thread."""
        done = super().cancel()
        self._watch.cancelled(self)
        return done

    def close(self) -> Done:  # type: ignore[override]
        """As cancel(), but iteration just stops."""
        done = super().close()
        self._watch.cancelled(self)
        return done

    def __del__(self) -> None:
        dropped(self)
