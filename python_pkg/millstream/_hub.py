"""Waiting inside an event loop: one descriptor a loop, however many streams wait.

asyncio and uvloop watch it by `add_reader`, trio by a system task in `wait_readable`.
"""

from __future__ import annotations

import asyncio
import sys

from . import _core
from ._waits import Waits, of_loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


INFINITE = float("inf")


class Hub(Waits):
    """The waits of one event loop."""

    async def wait(
        self, stream: _core.BaseStream, response: bool, timeout: float = INFINITE
    ) -> None:
        """Return when the stream has something to take, or (`response`) its head is there.

        Or when `timeout` seconds are over.
        """
        event = self.new_event()
        self.add(stream, event, response)
        try:
            if self.arm(stream):
                await self.sleep(event, timeout)
        finally:
            self.remove(stream, event, response)

    def new_event(self) -> Any:
        """An event of the loop's own kind."""
        return asyncio.Event()

    async def sleep(self, event: Any, timeout: float) -> None:
        """Return when the event is set, or after that many seconds."""
        if timeout == INFINITE:
            await event.wait()
            return
        alarm = asyncio.get_running_loop().call_later(timeout, event.set)
        try:
            await event.wait()
        finally:
            alarm.cancel()


class _AsyncioHub(Hub):
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        loop.add_reader(self.fileno(), self.wake)


class _TrioHub(Hub):
    def __init__(self, trio: Any) -> None:
        super().__init__()
        self._trio = trio
        trio.lowlevel.spawn_system_task(self._run)

    def new_event(self) -> Any:
        return self._trio.Event()

    async def sleep(self, event: Any, timeout: float) -> None:
        with self._trio.move_on_after(timeout):
            await event.wait()

    async def _run(self) -> None:
        while True:
            await self._trio.lowlevel.wait_readable(self.fileno())
            self.wake()


def current() -> Hub:
    """The hub of the running event loop, made at first use."""
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        token = trio.lowlevel.current_trio_token()
        hub: Hub | None = of_loop.get(token)
        if hub is None:
            hub = of_loop[token] = _TrioHub(trio)
        return hub
    loop = asyncio.get_running_loop()
    hub = of_loop.get(loop)
    if hub is None:
        hub = of_loop[loop] = _AsyncioHub(loop)
    return hub
