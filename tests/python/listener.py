"""An event stream read from plain code, one body of test code for Client and AsyncClient.

Whatever waits does so on a thread of the listener's own, and no longer than a test may.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Literal, Protocol, TypeAlias

import millstream
from answers import GIVE_UP_S, eventually, head
from millstream import mock

Kind: TypeAlias = Literal["sync", "async"]
Item: TypeAlias = "millstream.Event | millstream.Comment"
State: TypeAlias = "tuple[str, millstream.Error | None]"

NO_CONTENT = mock.Raw(head("204 No Content"))
"""The answer after which nothing is asked for any more."""


def feed(*parts: bytes | float | mock.Gate, then: Any = "close", **fields: str) -> mock.Raw:
    """A stream of these parts that ends with the connection."""
    return mock.Raw([head(**fields), *parts], then=then)


def say(data: str = "", id: str = "", type: str = "message") -> millstream.Event:
    """The event that is expected."""
    return millstream.Event(type, data, id)


def data_of(item: Item) -> str:
    """The data of what must be an event."""
    assert isinstance(item, millstream.Event), item
    return item.data


class _Reader(Protocol):
    thread: int

    def next(self) -> Future[Item | None]: ...
    def end(self) -> None: ...


class _Sync:
    def __init__(self, stream: millstream.EventStream) -> None:
        self._stream = stream
        self._pool = ThreadPoolExecutor(1)
        self.thread = self._pool.submit(threading.get_ident).result()

    def next(self) -> Future[Item | None]:
        return self._pool.submit(next, self._stream, None)

    def end(self) -> None:
        self._stream.cancel()
        self._pool.shutdown()


class _Async:
    def __init__(self, stream: millstream.AsyncEventStream) -> None:
        self._stream = stream
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        assert self._thread.ident is not None
        self.thread = self._thread.ident

    def next(self) -> Future[Item | None]:
        return asyncio.run_coroutine_threadsafe(self._next(), self._loop)

    async def _next(self) -> Item | None:
        return await anext(self._stream, None)

    def end(self) -> None:
        self._stream.cancel()
        asyncio.run_coroutine_threadsafe(self._settle(), self._loop).result(GIVE_UP_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(GIVE_UP_S)
        self._loop.close()

    async def _settle(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)


class Listener:
    """An event stream, what it gave, and the states it told of, in the order of both."""

    def __init__(self, kind: Kind, url: str, client: dict[str, Any], **options: Any) -> None:
        self.log: list[Item | State] = []
        self.threads: set[int] = set()
        given = {"on_state": self._on_state, "initial_retry": 0, **options}
        self.stream: millstream.EventStream | millstream.AsyncEventStream
        self._reader: _Reader
        if kind == "sync":
            self.client: millstream.Client | millstream.AsyncClient = millstream.Client(**client)
            self.stream = self.client.events(url, **given)
            self._reader = _Sync(self.stream)
        else:
            self.client = millstream.AsyncClient(**client)
            self.stream = self.client.events(url, **given)
            self._reader = _Async(self.stream)

    def _on_state(self, state: str, error: millstream.Error | None) -> None:
        self.threads.add(threading.get_ident())
        self.log.append((state, error))

    @property
    def thread(self) -> int:
        """The thread that iterates."""
        return self._reader.thread

    @property
    def states(self) -> list[State]:
        """What on_state was told, in order."""
        return [entry for entry in self.log if isinstance(entry, tuple)]

    @property
    def losses(self) -> list[type[millstream.Error] | None]:
        """The errors with which connections were lost; None for a clean end."""
        return [
            None if error is None else type(error)
            for state, error in self.states
            if state == "connecting"
        ]

    def ask(self) -> Future[Item | None]:
        """Begin to wait for the next item."""
        return self._reader.next()

    def next(self) -> Item | None:
        """The next item; None at the end."""
        item = self.ask().result(GIVE_UP_S)
        if item is not None:
            self.log.append(item)
        return item

    def take(self, count: int) -> list[Item]:
        """The next items, which must come."""
        items = [self.next() for _ in range(count)]
        assert None not in items, items
        return [item for item in items if item is not None]

    def rest(self) -> list[Item]:
        """All items up to the end."""
        return list(iter(self.next, None))

    def waits_for_state(self, state: str) -> Future[Item | None]:
        """Wait for the next item while nothing comes; returns when `state` was told meanwhile."""
        before = len(self.log)
        asked = self.ask()
        assert eventually(lambda: any(e[0] == state for e in self._told(before)) or asked.done())
        assert not asked.done(), asked
        return asked

    def _told(self, since: int) -> Iterator[State]:
        return (entry for entry in self.log[since:] if isinstance(entry, tuple))

    def end(self) -> None:
        """Cancel what goes on, and end the listener's own thread."""
        self._reader.end()
