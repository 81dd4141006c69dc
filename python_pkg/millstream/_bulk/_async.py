"""The loop of a bulk job in an event loop: one task, however many streams."""

from __future__ import annotations

import asyncio
import math
import sys
from collections.abc import AsyncIterable
from inspect import isawaitable
from typing import TYPE_CHECKING, Any

from .. import _core, _hub

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Iterator

    from .._core import BaseStream
    from ._job import Job
    from ._rows import BulkResult


class _Bell:
    """Rings when something happened, be it before somebody waits or after."""

    def __init__(self) -> None:
        self._new_event = _hub.current().new_event
        self._event = self._new_event()

    def ring(self) -> None:
        _hub.set_event(self._event)

    async def wait(self, seconds: float | None) -> None:
        await _hub.sleep(self._event, math.inf if seconds is None else seconds)
        self._event = self._new_event()


class _Streams:
    """Those that are waited for, with a waiter of the job's own."""

    def __init__(self, job: Job, bell: _Bell) -> None:
        self._job, self._bell = job, bell
        self._ready: list[BaseStream] = []
        self._waiter = _core.Waiter()
        self._cancel = _watch(self._waiter, self._note)

    def _note(self) -> None:
        """Taken at once: while the job's reader does something else, the loop shall not turn."""
        self._ready += self._waiter.take()
        self._bell.ring()

    def take(self) -> None:
        """All that those have that became ready."""
        ready, self._ready = self._ready, []
        for stream in ready:
            self.add(stream)

    def add(self, stream: BaseStream) -> None:
        """All that it has; when it goes on, it is waited for."""
        while not self._waiter.arm(stream, False, not self._job.awaits_head(stream)):
            if not self._job.look(stream):
                return

    def close(self) -> None:
        self._cancel()


class _Source:
    """The requests. Of an async iterable a task of its own takes the next, and rings."""

    def __init__(self, requests: Iterable[Any] | AsyncIterable[Any], bell: _Bell) -> None:
        self._bell = bell
        self._awaited: AsyncIterator[Any] | None = None
        self._iterator: Iterator[Any] | None = None
        if isinstance(requests, AsyncIterable):
            self._awaited = aiter(requests)
        else:
            self._iterator = iter(requests)
        self._cancel: Callable[[], object] | None = None
        self._came: list[Callable[[], Any]] = []

    def next(self) -> Any:
        """The next request, NotImplemented: not yet; StopIteration: there is none."""
        if self._iterator is not None:
            return next(self._iterator)
        if self._came:
            return self._came.pop()()
        if self._cancel is None:
            self._cancel = _spawn(self._pull)
        return NotImplemented

    def close(self) -> None:
        if self._cancel is not None:
            self._cancel()

    async def _pull(self) -> None:
        assert self._awaited is not None
        try:
            item = await anext(self._awaited)
        except StopAsyncIteration:
            self._came.append(lambda: next(iter(())))
        except Exception as error:
            self._came.append(_raiser(error))
        else:
            self._came.append(lambda: item)
        self._cancel = None
        self._bell.ring()


def _raiser(error: Exception) -> Callable[[], Any]:
    def throw() -> Any:
        raise error

    return throw


def _trio() -> Any:
    """The module, where this runs in its loop; None: this is asyncio."""
    trio = sys.modules.get("trio")
    return trio if trio is not None and trio.lowlevel.in_trio_run() else None


def _spawn(function: Callable[[], Any]) -> Callable[[], object]:
    """Run it beside the job; what ends it early is returned."""
    trio = _trio()
    if trio is None:
        return asyncio.get_running_loop().create_task(function()).cancel
    scope = trio.CancelScope()

    async def run() -> None:
        with scope:
            await function()

    trio.lowlevel.spawn_system_task(run)
    cancel: Callable[[], object] = scope.cancel
    return cancel


def _watch(waiter: _core.Waiter, note: Callable[[], None]) -> Callable[[], object]:
    """Call `note` when the waiter has streams; what ends that is returned."""
    trio = _trio()
    if trio is None:
        loop = asyncio.get_running_loop()
        loop.add_reader(waiter.fileno(), note)
        return lambda: loop.remove_reader(waiter.fileno())

    async def watch() -> None:
        while True:
            await trio.lowlevel.wait_readable(waiter.fileno())
            note()

    return _spawn(watch)


async def run(
    job: Job,
    requests: Iterable[Any] | AsyncIterable[Any],
    on_result: Callable[[BulkResult], object] | None,
) -> AsyncIterator[BulkResult]:
    """Hand out the results; what ends this ends all streams."""
    bell = _Bell()
    streams = _Streams(job, bell)
    source = _Source(requests, bell)
    try:
        while True:
            streams.take()
            lacks = _fill(job, streams, source)
            while job.results:
                result = job.results.popleft()
                if on_result is not None and isawaitable(awaited := on_result(result)):
                    await awaited
                yield result
            if job.over:
                return
            if lacks or not job.wants:
                await bell.wait(job.delay())
    finally:
        source.close()
        streams.close()
        job.close()


def _fill(job: Job, streams: _Streams, source: _Source) -> bool:
    """Send as much as may be sent; whether the source has nothing yet."""
    while True:
        for stream in job.start():
            streams.add(stream)
        if not job.wants:
            return False
        try:
            item = source.next()
        except StopIteration:
            job.end()
        else:
            if item is NotImplemented:
                return True
            job.give(item)
