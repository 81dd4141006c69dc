"""Waiting inside an event loop: one descriptor a loop, however many streams wait.

The engine makes the descriptor readable when a stream that is waited for has something; one wake-up
serves all the streams that became ready. asyncio and uvloop watch it by `add_reader`, trio by a
system task in `wait_readable`.
"""

from __future__ import annotations

import asyncio
import sys
from weakref import WeakKeyDictionary

from . import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Hub:
    """The streams that one event loop waits for. Used on the loop's thread only."""

    def __init__(self) -> None:
        self._waiter = _core.Waiter()
        self._waiting: dict[_core.BaseStream, list[tuple[Any, bool]]] = {}

    async def wait(self, stream: _core.BaseStream, response: bool) -> None:
        """Return when the stream has something to take, or (`response`) its head is there."""
        waiting = self._waiting.setdefault(stream, [])
        event = self._new_event()
        waiting.append((event, response))
        try:
            if self._arm(stream):
                await event.wait()
        finally:
            waiting.remove((event, response))
            if not waiting and self._waiting.get(stream) is waiting:
                del self._waiting[stream]
                self._waiter.disarm(stream)

    def _arm(self, stream: _core.BaseStream) -> bool:
        # A wait for the head is ended by a chunk too, so it stands for both kinds.
        return self._waiter.arm(stream, any(head for _, head in self._waiting[stream]))

    def _new_event(self) -> Any:
        return asyncio.Event()

    def _wake(self) -> None:
        for stream in self._waiter.take():
            for event, _ in self._waiting.get(stream, ()):
                event.set()


class _AsyncioHub(Hub):
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        loop.add_reader(self._waiter.fileno(), self._wake)


class _TrioHub(Hub):
    def __init__(self, trio: Any) -> None:
        super().__init__()
        self._trio = trio
        trio.lowlevel.spawn_system_task(self._run)

    def _new_event(self) -> Any:
        return self._trio.Event()

    async def _run(self) -> None:
        while True:
            await self._trio.lowlevel.wait_readable(self._waiter.fileno())
            self._wake()


_hubs: WeakKeyDictionary[object, Hub] = WeakKeyDictionary()


def current() -> Hub:
    """The hub of the running event loop, made at first use."""
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        token = trio.lowlevel.current_trio_token()
        hub = _hubs.get(token)
        if hub is None:
            hub = _hubs[token] = _TrioHub(trio)
        return hub
    loop = asyncio.get_running_loop()
    hub = _hubs.get(loop)
    if hub is None:
        hub = _hubs[loop] = _AsyncioHub(loop)
    return hub
