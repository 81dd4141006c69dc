"""Answers as bytes: chat events, HTTP heads and chunked bodies, for tests that place each byte."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

MESSAGES = [{"role": "user", "content": "Hi"}]
DONE = b"data: [DONE]\n\n"
LAST_CHUNK = b"0\r\n\r\n"
GIVE_UP_S = 30  # what should happen and has not happened by then never will


def event(value: object) -> bytes:
    """A server-sent event that carries `value` as JSON."""
    return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


def chat(
    content: str | None = None, finish: str | None = None, index: int = 0, **more: Any
) -> bytes:
    """A chat chunk with a piece of text, a finish reason, or both."""
    delta = {} if content is None else {"content": content}
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return event({"id": "chatcmpl-1", "model": "m", "choices": [choice], **more})


def head(status: str = "200 OK", **fields: str) -> bytes:
    """A response head; `Content_Type="..."` becomes `Content-Type: ...`."""
    given = {"Content_Type": "text/event-stream", **fields}
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in given.items()]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode("latin-1")


def http_chunks(pieces: Iterable[bytes]) -> bytes:
    """Each piece as one HTTP chunk; without the last, empty chunk."""
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)


def chunked(*events: bytes, **fields: str) -> bytes:
    """A whole response in chunked coding: all events are one HTTP chunk."""
    return (
        head(Transfer_Encoding="chunked", **fields) + http_chunks([b"".join(events)]) + LAST_CHUNK
    )


def free_port() -> str:
    """A port that nobody listens on, of those that the kernel gives to nobody who names none."""
    for port in random.sample(range(10_000, 30_000), 100):
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return str(port)
    raise OSError("no port is free")


def eventually(holds: Callable[[], bool]) -> bool:
    """Whether `holds()` within half a minute: for what nobody announces, such as a counter."""
    until = time.monotonic() + GIVE_UP_S
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.002)
    return True


class Task:
    """A function on a thread of its own; `result()` returns or raises as the function did."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._function = function
        self._value: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._value = self._function()
        except BaseException as error:
            self._error = error

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def result(self) -> Any:
        self._thread.join(GIVE_UP_S)
        assert not self._thread.is_alive(), "the thread hangs"
        if self._error is not None:
            raise self._error
        return self._value


def total(histogram: Mapping[float, int]) -> int:
    """How many durations a histogram of the metrics holds."""
    return sum(histogram.values())
