"""Who waits for which stream in one event loop, whatever loop that is.

The engine makes one descriptor readable when a stream that is waited for has something; one wake-up
serves all the streams that became ready.
"""

from __future__ import annotations

import os
from weakref import WeakKeyDictionary

from . import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Waits:
    """The waits of one event loop. Used on the loop's thread only.

    An event is the loop's own kind; `set()` wakes who waits for it.
    """

    def __init__(self) -> None:
        self._waiter = _core.Waiter()
        self._waiting: dict[_core.BaseStream, list[tuple[Any, bool]]] = {}

    @property
    def waiting(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting)

    def fileno(self) -> int:
        """The descriptor, readable while `wake` would do something."""
        return self._waiter.fileno()

    def add(self, stream: _core.BaseStream, event: Any, response: bool) -> None:
        """Let `event` stand for a wait for the stream, or (`response`) for its head."""
        self._waiting.setdefault(stream, []).append((event, response))

    def arm(self, stream: _core.BaseStream) -> bool:
        """Have the stream's events set when it has something; False where it has already."""
        # A wait for the head is ended by a chunk too, so it stands for both kinds.
        return self._waiter.arm(stream, any(head for _, head in self._waiting[stream]))

    def remove(self, stream: _core.BaseStream, event: Any, response: bool) -> None:
        """Take an `add` back."""
        waiting = self._waiting[stream]
        waiting.remove((event, response))
        if not waiting:
            del self._waiting[stream]
            self._waiter.disarm(stream)

    def wake(self) -> None:
        """Set the events of the streams that became ready."""
        for stream in self._waiter.take():
            for event, _ in self._waiting.get(stream, ()):
                event.set()

    def leave_parents(self) -> None:
        """In a forked child, for a loop that goes on there. asyncio's and trio's do not."""


of_loop: WeakKeyDictionary[object, Any] = WeakKeyDictionary()
"""The waits of each loop. A forked child makes its own: a descriptor is shared with the parent."""


def _leave_parents() -> None:
    for waits in list(of_loop.values()):
        waits.leave_parents()
    of_loop.clear()


os.register_at_fork(after_in_child=_leave_parents)
