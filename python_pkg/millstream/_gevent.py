"""Waiting in gevent's hub, where gevent has patched the process: the core asks for it there.

One descriptor a hub, which the hub watches while a greenlet waits; other greenlets run meanwhile.
"""

from __future__ import annotations

import time

import gevent
from gevent.event import Event

from . import _core
from ._waits import Waits, of_loop

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_READ = 1


class _Hub(Waits):
    def __init__(self, hub: Any) -> None:
        super().__init__()
        # While it is started the hub takes the program for one that waits, not for a deadlock.
        self._io = hub.loop.io(self.fileno(), _READ)

    def wait(self, streams: tuple[_core.BaseStream, ...], response: bool, until: float) -> bool:
        event = Event()
        if not self.waiting:
            self._io.start(self.wake)
        for stream in streams:
            self.add(stream, event, response)
        try:
            while all(self.arm(stream) for stream in streams):
                left = until - time.monotonic()
                if not event.wait(None if left == float("inf") else max(left, 0)):
                    return False
                event.clear()
            return True
        finally:
            for stream in streams:
                self.remove(stream, event, response)
            if not self.waiting:
                self._io.stop()

    def leave_parents(self) -> None:
        """Greenlets go on in a forked child: they wake there and find the parent's stream."""
        self._io.stop()
        for events in self._waiting.values():
            for event, _ in events:
                event.set()


def wait(streams: tuple[_core.BaseStream, ...], response: bool, timeout: float | None) -> bool:
    """Wait in the current greenlet until one of the streams has something; False at the time-out.

    The same with `response`: or the head of its answer is there.
    """
    until = float("inf") if timeout is None else time.monotonic() + timeout
    hub = gevent.get_hub()
    waits = of_loop.get(hub)
    if waits is None:
        waits = of_loop[hub] = _Hub(hub)
    return waits.wait(streams, response, until)
