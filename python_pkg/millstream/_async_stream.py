"""AsyncStream and AsyncEventStream: the surfaces of Stream and EventStream for event loops."""

from __future__ import annotations

from . import _core, _hub  # noqa: F401 - _core asks it for the waiter of a loop
from ._errors import Error
from ._types import Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Generator, Sequence
    from typing import Any, TypeVar, overload

    from typing_extensions import Self

    from ._core import Chunk, Event, Message, Repair
    from ._structured._nodes import Coercion
    from ._structured._readers import PartialCall, Reader

    _T = TypeVar("_T")


class Done:
    """What may be awaited and is over already."""

    __slots__ = ()

    def __await__(self) -> Generator[None, None, None]:
        return
        yield


DONE = Done()


class _Async(_core.BaseStream):
    """What is the same for all streams of an event loop."""

    __slots__ = ()

    def __aiter__(self) -> Self:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()

    @property
    async def response(self) -> Response:
        """Status, headers, HTTP version, request id: `await stream.response`."""
        return Response(*await self._take_head())

    def cancel(self) -> Done:  # type: ignore[override]
        """End the stream now, from any thread; at once, and may be awaited."""
        super().cancel()
        return DONE

    def close(self) -> Done:  # type: ignore[override]
        """As cancel(), but iteration just stops."""
        super().close()
        return DONE


class _Texts:
    """The pieces of answer text of a stream."""

    __slots__ = ("_stream",)

    def __init__(self, stream: _core.BaseStream) -> None:
        self._stream = stream

    def __aiter__(self) -> Self:
        return self

    def __anext__(self) -> Awaitable[str]:
        return self._stream._take_text()


class AsyncStream(_Async):
    """An answer as it comes: an async iterator of `Chunk`, and an async context manager.

    The same names as `Stream`, with `async for`, `async with` and `await`. Works on asyncio, uvloop
    and trio. A task that is cancelled while it waits cancels the transfer.
    """

    __slots__ = ("__weakref__", "_coercions", "_into", "_repairs")

    __anext__ = _core.BaseStream._take_chunk

    def texts(self) -> AsyncIterator[str]:
        """Only the pieces of answer text."""
        return _Texts(self)

    async def batches(self) -> AsyncIterator[list[Chunk]]:
        """Lists of all the chunks that are ready, never empty; one wait a list at most."""
        while (batch := await self._take_batch()) is not None:
            yield batch

    async def events(self) -> AsyncIterator[Event]:
        """The answer's events as they came, the terminator too, in place of chunks."""
        while (event := await self._take_event()) is not None:
            yield event

    if TYPE_CHECKING:

        @overload
        async def result(self) -> Message: ...
        @overload
        async def result(self, into: type[_T], *, lenient: bool = False) -> _T: ...
        @overload
        async def result(self, into: Any, *, lenient: bool = False) -> Any: ...

    async def result(self, into: Any = None, *, lenient: bool = False) -> Any:
        """Wait for the end and return the whole message, or the answer as a T; see `Stream`."""
        await self._take_end()
        if into is None:
            return self.message
        from ._structured._readers import Result

        (value,) = [value async for value in self._read(Result(into, lenient))]
        return value

    if TYPE_CHECKING:

        @overload
        def partials(self, into: type[_T], *, lenient: bool = False) -> AsyncIterator[_T]: ...
        @overload
        def partials(self, into: Any = None, *, lenient: bool = False) -> AsyncIterator[Any]: ...

    def partials(self, into: Any = None, *, lenient: bool = False) -> AsyncIterator[Any]:
        """The answer as a T while it comes; see `Stream.partials`."""
        from ._structured._readers import Partials

        asked = getattr(self, "_into", None) if into is None else into
        return self._read(Partials(asked, lenient))

    if TYPE_CHECKING:

        @overload
        def items(
            self, into: type[_T], path: str | Sequence[str | int] = ..., *, lenient: bool = False
        ) -> AsyncIterator[_T]: ...
        @overload
        def items(
            self, into: Any, path: str | Sequence[str | int] = ..., *, lenient: bool = False
        ) -> AsyncIterator[Any]: ...

    def items(
        self, into: Any, path: str | Sequence[str | int] = "items", *, lenient: bool = False
    ) -> AsyncIterator[Any]:
        """The elements of an array in the answer, each once, as a T; see `Stream.items`."""
        from ._structured._readers import Items

        return self._read(Items(into, path, lenient))

    def tool_calls(self) -> AsyncIterator[PartialCall]:
        """The tool calls, each time the arguments of one have grown; see `Stream.tool_calls`."""
        from ._structured._readers import Calls

        return self._read(Calls())

    @property
    def repairs(self) -> tuple[Repair, ...]:
        """What the last lenient reading put right in the text."""
        return getattr(self, "_repairs", ())

    @property
    def coercions(self) -> tuple[Coercion, ...]:
        """What the last lenient reading put right toward the type."""
        return getattr(self, "_coercions", ())

    async def _read(self, reader: Reader) -> AsyncIterator[Any]:
        try:
            for value in reader.begin(self.message):
                yield value
            async for chunk in self:
                for value in reader.take(chunk):
                    yield value
            for value in reader.end(self.message):
                yield value
        except Error as error:
            error.message = error.message or self.message
            raise
        finally:
            self._repairs, self._coercions = reader.repairs, reader.coercions


class AsyncEventStream(_Async, _core.BaseEventStream):
    """A stream of server-sent events that lasts: `EventStream`, with `async for`, `async with`.

    Works on asyncio, uvloop and trio. A task that is cancelled while it waits cancels the stream.
    """

    __slots__ = ("__weakref__",)

    __anext__ = _core.BaseEventStream._take_item
