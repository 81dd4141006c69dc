"""The streams of `create(stream=True)`: raw events in, objects out; sync and async share all else.

Nothing here waits but for the engine's own iterators. Errors: the SDK's, as `_errors` makes them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NamedTuple, NoReturn

import millstream

from ._errors import HTTPResponse, Names
from ._lazy import Model


class ErrorEvent(NamedTuple):
    """An event that the SDK raises: its JSON."""

    body: Any


class Dialect(NamedTuple):
    """How an SDK reads an answer's events.

    read: the object of an event; None for one that is not handed out.
    handed_over: types of events that tell an error, which the SDK hands out and does not raise.
    """

    read: Callable[[millstream.Event], Model | ErrorEvent | None]
    names: Names
    handed_over: frozenset[str] = frozenset()


def type_of(event: millstream.Event) -> Any:
    """What an event is: its name or, where it has none, the `type` in its JSON."""
    if event.type != "message":
        return event.type
    value = event.json() if event.data else None
    return value.get("type") if isinstance(value, dict) else None


class _Reading:
    """One stream's state, apart from the streams so that these are freed with their last user."""

    def __init__(self, dialect: Dialect, head: HTTPResponse) -> None:
        self.dialect = dialect
        self.head = head
        self.told: Any = None

    def take(self, event: millstream.Event) -> Model | None:
        item = self.dialect.read(event)
        if isinstance(item, ErrorEvent):  # the engine raises it, behind the rest of the body
            self.told = item.body
            return None
        return item

    def fault(self, error: millstream.Error, last: Model | None) -> None:
        handed_over = getattr(last, "type", None) in self.dialect.handed_over
        if handed_over and isinstance(error, millstream.ProviderError):
            return
        raise self.dialect.names.translate(error, self.head, self.told) from error

    def end(self) -> None:
        if self.told is not None:  # an error to the SDK only
            self._raise_told()

    def _raise_told(self) -> NoReturn:
        error = millstream.ProviderError("the stream holds an error")
        raise self.dialect.names.translate(error, self.head, self.told) from error


def _items(events: Iterator[millstream.Event], reading: _Reading) -> Iterator[Model]:
    last = None
    try:
        for event in events:
            item = reading.take(event)
            if item is not None:
                last = item
                yield item
    except millstream.Error as error:
        reading.fault(error, last)
    reading.end()


async def _async_items(
    events: AsyncIterator[millstream.Event], reading: _Reading
) -> AsyncIterator[Model]:
    last = None
    try:
        async for event in events:
            item = reading.take(event)
            if item is not None:
                last = item
                yield item
    except millstream.Error as error:
        reading.fault(error, last)
    reading.end()


class Stream:
    """An answer as it comes: an iterator of the SDK's objects, and a context manager."""

    def __init__(self, engine: millstream.Stream, dialect: Dialect, head: HTTPResponse) -> None:
        self.engine = engine
        """The millstream.Stream beneath: `timing`, `message`, `cancel()`."""
        self.response = head
        self._iterator = _items(engine.events(), _Reading(dialect, head))

    def __iter__(self) -> Iterator[Model]:
        return self._iterator

    def __next__(self) -> Model:
        return next(self._iterator)

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the transfer; iteration just stops."""
        self.engine.close()


class AsyncStream:
    """`Stream`, with `async for`, `async with`, `await`."""

    def __init__(
        self, engine: millstream.AsyncStream, dialect: Dialect, head: HTTPResponse
    ) -> None:
        self.engine = engine
        self.response = head
        self._iterator = _async_items(engine.events(), _Reading(dialect, head))

    def __aiter__(self) -> AsyncIterator[Model]:
        return self._iterator

    async def __anext__(self) -> Model:
        return await self._iterator.__anext__()

    async def __aenter__(self) -> AsyncStream:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the transfer; iteration just stops."""
        self.engine.close()
