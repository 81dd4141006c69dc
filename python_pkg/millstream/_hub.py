"""The waiter of each event loop: one descriptor that the loop watches, however many streams wait.

asyncio and uvloop watch it by `add_reader`, trio by a system task in `wait_readable`. The waits
themselves are those of `_core`, which asks here for the waiter; here are those with a time limit.
An event is what `_core` awaits: one of its own for asyncio, `_TrioEvent` for trio.
"""

from __future__ import annotations

import asyncio
import os
import sys
from weakref import WeakKeyDictionary

from . import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator
    from typing import Any

_of_loop: WeakKeyDictionary[object, _core.Waiter] = WeakKeyDictionary()
# A forked child makes its own: a descriptor is shared with the parent.
os.register_at_fork(after_in_child=_of_loop.clear)


class _TrioEvent:
    __slots__ = ("_event", "trio")

    def __init__(self, trio: Any) -> None:
        self.trio = trio
        self._event = trio.Event()

    def done(self) -> bool:
        done: bool = self._event.is_set()
        return done

    def set_result(self, _: None) -> None:
        self._event.set()

    def __await__(self) -> Generator[Any, Any, None]:
        wait: Generator[Any, Any, None] = self._event.wait().__await__()
        return wait


def _of_trio(trio: Any) -> _core.Waiter:
    waiter = _core.Waiter(lambda: _TrioEvent(trio))

    async def run() -> None:
        while True:
            await trio.lowlevel.wait_readable(waiter.fileno())
            waiter.wake()

    trio.lowlevel.spawn_system_task(run)
    return waiter


def _of_asyncio(loop: asyncio.AbstractEventLoop) -> _core.Waiter:
    waiter = _core.Waiter(loop=loop)
    loop.add_reader(waiter.fileno(), waiter.wake)
    return waiter


def current() -> _core.Waiter:
    """That of the running event loop, made at first use."""
    trio = sys.modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        token = trio.lowlevel.current_trio_token()
        waiter = _of_loop.get(token)
        if waiter is None:
            waiter = _of_loop[token] = _of_trio(trio)
        return waiter
    loop = asyncio.get_running_loop()
    waiter = _of_loop.get(loop)
    if waiter is None:
        waiter = _of_loop[loop] = _of_asyncio(loop)
    return waiter


def set_event(event: Any) -> None:
    """Wake who awaits it, if it is not done."""
    if not event.done():
        event.set_result(None)


async def _at_most(timeout: float, wait: Awaitable[None], event: Any) -> None:
    """Await what ends once the event is set, for that many seconds at most."""
    if isinstance(event, _TrioEvent):
        with event.trio.move_on_after(timeout):
            await wait
    elif timeout == float("inf"):
        await wait
    else:
        alarm = event.get_loop().call_later(timeout, set_event, event)
        try:
            await wait
        finally:
            alarm.cancel()


async def sleep(event: Any, timeout: float) -> None:
    """Return when the event is set, or after that many seconds."""
    await _at_most(timeout, event, event)


async def wait(stream: _core.BaseStream, timeout: float) -> None:
    """Return when the stream has something to take, or after that many seconds."""
    event = current().new_event()
    await _at_most(timeout, stream._take_nothing(event), event)


_core.set_event_loops(asyncio._get_running_loop, current)
