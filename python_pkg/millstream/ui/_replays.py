"""Replays: answers that go on while their readers come and go, kept for those that come back.

A kept answer is pulled by its readers: one of them waits for the stream, the others for that one.
While nobody reads, the engine goes on up to the client's `limits.buffered_bytes` and then holds
the upstream back, so nothing is lost and nothing needs a thread. One thread runs while an answer
without readers has a deadline.

Thread: everything, by one lock a store. The readers of an AsyncStream share one event loop.
Limits: `max_bytes` of frames and `max_streams` answers.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Any

from .. import _core, _hub
from .._errors import LimitExceeded
from ._events import LOOK_S, Alone, Events, Nothing, Source, has_gone, wait_for
from ._frames import HEADERS, compact

_OVERHEAD = 48  # bytes that a frame takes in memory beside its own
_GONE = b"data: %s\n\n" % compact(
    {"type": "error", "error": "Gone", "text": "This part of the answer is not kept any more.",
     "errorText": "This part of the answer is not kept any more."}
).encode()  # fmt: skip


class Replays:
    """A bounded store of answers in the making, by names that the application gives.

    max_bytes: of all the events that are kept; the oldest finished answers go first, then the
        beginnings of those that run.
    max_streams: answers at a time.
    keep: seconds that a finished answer can be read again.
    grace: seconds that an answer without any reader goes on before it is cancelled.
    """

    def __init__(
        self,
        *,
        max_bytes: int = 64 << 20,
        max_streams: int = 1000,
        keep: float = 60.0,
        grace: float = 30.0,
    ) -> None:
        for name, value in (("max_bytes", max_bytes), ("max_streams", max_streams)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ValueError(f"{name}: must be an int above 0, not {value!r}")
        for name, seconds in (("keep", keep), ("grace", grace)):
            if not seconds >= 0:
                raise ValueError(f"{name}: must be seconds, 0 or more, not {seconds!r}")
        self._max_bytes, self._max_streams = max_bytes, max_streams
        self._keep, self._grace = keep, grace
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.RLock()
        self._deadlines = threading.Condition(self._lock)
        self._watching = False
        self._answers: dict[str, _Answer] = {}
        self._held = 0

    def add(self, key: str, events: Events) -> Events:
        """Keep an answer under this name, and read it from its beginning.

        An answer of that name that still runs is cancelled. `LimitExceeded` where `max_streams`
        answers have readers: tell the browser to come back later (503).
        """
        feed = events._feed
        if not isinstance(feed, Alone):
            raise ValueError("events: are kept already")
        with self._here():
            self._remove(key)
            self._make_room()
            answer = self._answers[key] = _Answer(self, feed.source, events)
            events._feed = _Reader(answer, answer.first)
        return events

    def resume(self, key: str, last_event_id: str | None = None) -> Events:
        """The rest of an answer behind that event, or all of it: what is kept, then live.

        last_event_id: the header `Last-Event-ID`, which browsers send.

        What comes is told by `status` too: 204 where nothing does (no such answer, or all of it was
        told), 410 with an error event where that part is not kept any more.
        """
        with self._here():
            answer = self._answers.get(key)
            if answer is None:
                return Events(_Nothing(204), HEADERS, None)
            at = _position(last_event_id)
            if answer.over and at == answer.end:
                return Events(_Nothing(204), HEADERS, None)
            if at is None or not answer.first <= at <= answer.end:
                return Events(_Nothing(410, _GONE), HEADERS, None)
            return Events(_Reader(answer, at), answer.headers, answer.keep_alive)

    def cancel(self, key: str) -> bool:
        """Stop an answer, its upstream at once; its readers are told so. False where none runs."""
        with self._here():
            answer = self._answers.get(key)
            if answer is None or answer.over:
                return False
            answer.stop()
            return True

    def close(self) -> None:
        """Stop and forget all answers."""
        with self._here():
            for key in list(self._answers):
                self._remove(key)

    def __len__(self) -> int:
        with self._here():
            return len(self._answers)

    def __contains__(self, key: str) -> bool:
        with self._here():
            return key in self._answers

    # ---- for answers, with the lock held

    def _here(self) -> threading.RLock:
        """The lock. A forked child begins anew: the streams are its parent's."""
        if self._pid != os.getpid():
            self._begin()
        return self._lock

    def _make_room(self) -> None:
        oldest = time.monotonic() - self._keep
        for key in self._finished():
            if self._answers[key].ended <= oldest:
                self._remove(key)
        if len(self._answers) < self._max_streams:
            return
        alone = [key for key, answer in list(self._answers.items()) if not answer.readers]
        if not alone:
            raise LimitExceeded(f"max_streams: {self._max_streams} answers have readers")
        self._remove(
            (self._finished() or sorted(alone, key=lambda key: self._answers[key].left))[0]
        )

    def _remove(self, key: str) -> None:
        self.cancel(key)
        answer = self._answers.pop(key, None)
        if answer is not None:
            answer.forget()

    def _finished(self) -> list[str]:
        """The names of what has ended and is not being read, the oldest first."""
        found = [(answer.ended, key) for key, answer in list(self._answers.items()) if answer.spare]
        return [key for _, key in sorted(found)]

    def _shrink(self) -> None:
        finished = iter(self._finished() if self._held > self._max_bytes else ())
        while self._held > self._max_bytes:
            key = next(finished, None)
            if key is not None:
                self._remove(key)
            else:
                max(self._answers.values(), key=lambda answer: answer.held).trim()

    def _watch(self) -> None:
        """Have somebody look at the deadlines of answers without readers."""
        if not self._watching:
            self._watching = True
            threading.Thread(
                target=self._look_after, name="millstream-replays", daemon=True
            ).start()
        self._deadlines.notify()

    def _left_alone(self) -> list[_Answer]:
        return [each for each in list(self._answers.values()) if not each.over and not each.readers]

    def _look_after(self) -> None:
        with self._lock:
            while left := self._left_alone():
                due = min(answer.left for answer in left) + self._grace
                if due > time.monotonic():
                    self._deadlines.wait(due - time.monotonic())
                    continue
                for answer in left:
                    if answer.left + self._grace <= time.monotonic():
                        answer.stop()
            self._watching = False


def _position(last_event_id: str | None) -> int | None:
    if not last_event_id:
        return 0
    known = len(last_event_id) < 19 and last_event_id.isascii() and last_event_id.isdigit()
    return int(last_event_id) if known else None


class _Answer:
    """One answer: its frames, as far as they are kept, and who reads it."""

    def __init__(self, store: Replays, source: Source, events: Events) -> None:
        self.store = store
        self.source = source
        self.headers = events._headers
        self.keep_alive = None if events._keep_alive == float("inf") else events._keep_alive
        self.first = 0  # how many frames came before those in `frames`
        self.frames: list[bytes] = []
        self.held = 0
        self.readers = 0
        self.left = self.ended = 0.0
        self.changed = threading.Condition(store._lock)
        self.waits: list[Any] = []  # events of those in the loop who wait for the one that does
        self.somebody_waits = False

    @property
    def end(self) -> int:
        """How many frames there were so far."""
        return self.first + len(self.frames)

    @property
    def over(self) -> bool:
        return self.source.over

    @property
    def spare(self) -> bool:
        return self.over and not self.readers

    def take(self) -> bool:
        """Whether the stream had something, or has ended."""
        frames = self.source.take()
        if frames is Nothing.YET:
            return False
        self.append(frames)
        return True

    def append(self, frames: list[bytes]) -> None:
        self.frames += frames
        if self.over:
            self.ended = time.monotonic()
            self.store._deadlines.notify()  # one less
        more = sum(map(len, frames)) + _OVERHEAD * len(frames)
        self.held += more
        self.store._held += more
        self.changed.notify_all()

    def trim(self) -> None:
        """Forget the older half."""
        n = (len(self.frames) + 1) // 2
        freed = sum(map(len, self.frames[:n])) + _OVERHEAD * n
        del self.frames[:n]
        self.first += n
        self.held -= freed
        self.store._held -= freed

    def stop(self) -> None:
        """What came until now is the answer."""
        self.source.stream.cancel()
        while not self.over and self.take():
            pass
        if not self.over:
            self.append(self.source.stop())
        self.store._shrink()

    def forget(self) -> None:
        """It has left the store; those who read it read on."""
        self.store._held -= self.held
        self.held = 0


class _Reader:
    """Who reads an answer, and how far."""

    status = 200

    def __init__(self, answer: _Answer, at: int) -> None:
        self.stream: _core.BaseStream | None = answer.source.stream
        self._answer = answer
        self._at = at
        self._lock = answer.store._lock
        self._here = True
        answer.readers += 1
        answer.store._deadlines.notify()  # one less

    def look(self) -> bytes | Nothing | None:
        """What is kept behind the last piece, or has come meanwhile."""
        answer = self._answer
        with self._lock:
            if not self._here:
                return None
            while self._at == answer.end and not answer.over:
                # Who waits for the stream takes from it: else it would wait on, with nothing there.
                if answer.somebody_waits or not answer.take():
                    return Nothing.YET
            if self._at < answer.first:
                self.leave()
                return _GONE
            pieces = answer.frames[self._at - answer.first :]
            self._at = answer.end
            answer.store._shrink()  # not before: what is read just now is not lost to this reader
            return b"".join(pieces) if pieces else None

    def wait(self, timeout: float, browser: Any) -> bool:
        """Until the stream has something, or the reader that waits for it is back."""
        answer = self._answer
        with self._lock:
            if self._at != answer.end or answer.over:
                return True
            if answer.somebody_waits:
                most = timeout if browser is None else min(timeout, LOOK_S)
                answer.changed.wait(None if most == float("inf") else max(most, 0))
                return browser is None or not has_gone(browser)
            answer.somebody_waits = True
        try:
            return wait_for(answer.source.stream, timeout, browser)
        finally:
            with self._lock:
                answer.somebody_waits = False
                answer.changed.notify_all()

    async def wait_async(self, timeout: float) -> None:
        """The same in an event loop."""
        answer = self._answer
        if self._at != answer.end or answer.over:
            return
        if answer.somebody_waits:
            event = _hub.current().new_event()
            answer.waits.append(event)
            try:
                await _hub.sleep(event, timeout)
            finally:
                answer.waits.remove(event)
            return
        answer.somebody_waits = True
        try:
            await _hub.wait(answer.source.stream, timeout)
        finally:
            answer.somebody_waits = False
            for event in answer.waits:
                _hub.set_event(event)

    def leave(self) -> None:
        """The answer goes on for the others, and without any for the time of grace."""
        with self._lock:
            if not self._here:
                return
            self._here = False
            self._answer.readers -= 1
            if not self._answer.readers and not self._answer.over:
                self._answer.left = time.monotonic()
                self._answer.store._watch()


class _Nothing:
    """What a browser is given in place of an answer."""

    stream: _core.BaseStream | None = None

    def __init__(self, status: int, body: bytes | None = None) -> None:
        self.status = status
        self._body = body

    def look(self) -> bytes | Nothing | None:
        """The body, once."""
        body, self._body = self._body, None
        return body

    def wait(self, timeout: float, browser: Any) -> bool:
        """Nothing is waited for."""
        return True

    async def wait_async(self, timeout: float) -> None:
        """Nothing is waited for."""

    def leave(self) -> None:
        """Nobody is counted."""
