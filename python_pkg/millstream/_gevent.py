"""Waiting in gevent's hub, where gevent has patched the process: the core asks for it there.

One descriptor a hub, which the hub watches while a greenlet waits; other greenlets run meanwhile.
"""

from __future__ import annotations

import os
import time
from weakref import WeakKeyDictionary

import gevent
from gevent.event import Event

from . import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_READ = 1


class _Hub:
    """The waits of one hub of gevent's. Used on its thread only."""

    def __init__(self, hub: Any) -> None:
        self._waiter = _core.Waiter()
        self._waiting: dict[_core.BaseStream, list[tuple[Event, bool]]] = {}
        # While it is started the hub takes the program for one that waits, not for a deadlock.
        self._io = hub.loop.io(self._waiter.fileno(), _READ)

    def wait(self, streams: tuple[_core.BaseStream, ...], response: bool, until: float) -> bool:
        event = Event()
        if not self._waiting:
            self._io.start(self._wake)
        for stream in streams:
            self._waiting.setdefault(stream, []).append((event, response))
        try:
            while all(self._arm(stream, response) for stream in streams):
                left = until - time.monotonic()
                if not event.wait(None if left == float("inf") else max(left, 0)):
                    return False
                event.clear()
            return True
        finally:
            for stream in streams:
                self._remove(stream, event, response)
            if not self._waiting:
                self._io.stop()

    def _arm(self, stream: _core.BaseStream, response: bool) -> bool:
        """Have the stream's events set when it has something; False where it has already."""
        asleep = [wait for wait in self._waiting[stream] if not wait[0].is_set()]
        # A wait for the head is ended by a chunk too, so it stands for both kinds.
        any_head = any(head for _, head in asleep)
        if self._waiter.arm(stream, any_head):
            return True
        if response or not any_head:
            return False
        # It may be the head only: those go first who wait for it, then this one looks again.
        for event, _ in asleep:
            event.set()
        return True

    def _remove(self, stream: _core.BaseStream, event: Event, response: bool) -> None:
        waiting = self._waiting[stream]
        waiting.remove((event, response))
        if not waiting:
            del self._waiting[stream]
            self._waiter.disarm(stream)

    def _wake(self) -> None:
        """Set the events of the streams that became ready."""
        for stream in self._waiter.take():
            for event, _ in self._waiting.get(stream, ()):
                event.set()

    def leave_parents(self) -> None:
        """Greenlets go on in a forked child: they wake there and find the parent's stream."""
        self._io.stop()
        for events in self._waiting.values():
            for event, _ in events:
                event.set()


_of_hub: WeakKeyDictionary[Any, _Hub] = WeakKeyDictionary()


def _leave_parents() -> None:
    """A forked child makes its own: a descriptor is shared with the parent."""
    for hub in list(_of_hub.values()):
        hub.leave_parents()
    _of_hub.clear()


os.register_at_fork(after_in_child=_leave_parents)


def wait(streams: tuple[_core.BaseStream, ...], response: bool, timeout: float | None) -> bool:
    """Wait in the current greenlet until one of the streams has something; False at the time-out.

    The same with `response`: or the head of its answer is there.
    """
    until = float("inf") if timeout is None else time.monotonic() + timeout
    hub = gevent.get_hub()
    waits = _of_hub.get(hub)
    if waits is None:
        waits = _of_hub[hub] = _Hub(hub)
    return waits.wait(streams, response, until)
