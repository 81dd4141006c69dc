"""HTTP/1.1 requests: bytes as they arrive → `Request`s.

Limits: a head of 256 KiB, a body of 256 MiB.
Errors: `BadRequest`, after which the connection is of no more use (RFC 9112, 2.2 and 6.3).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import Any

HEAD_LIMIT = 256 * 1024
BODY_LIMIT = 256 * 1024 * 1024

_REQUEST_LINE = re.compile(r"([!-~]+) ([!-~]+) HTTP/1\.([01])")


@dataclass(frozen=True)
class Request:
    """One request, as the server read it.

    `path` is without the query; the names in `headers` are in lower case, repeated ones joined by
    commas; `head` holds the bytes of the request line and the headers, `body` those of the body
    without its chunked framing. `connection` counts the connections from 0: two requests with one
    number came over one connection. `arrived`: when the body was complete, by `time.monotonic()`.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str] = field(repr=False)  # they hold keys
    body: bytes = field(repr=False)
    head: bytes = field(repr=False)
    connection: int
    arrived: float
    http11: bool = field(repr=False)

    def json(self) -> Any:
        """The body parsed as JSON; `ValueError` where it is none."""
        return json.loads(self.body)

    @property
    def keep_alive(self) -> bool:
        """Whether the client lets the connection stay open (RFC 9112, 9.3)."""
        wish = self.headers.get("connection", "").lower()
        return "close" not in wish if self.http11 else "keep-alive" in wish


class BadRequest(Exception):
    """The bytes are no request: `status` and the text tell the client so."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class RequestReader:
    """Takes one connection's bytes by `feed()` and gives its requests by `next()`.

    `now` is the clock for `Request.arrived`; `continue_` is called where a client waits for
    `100 Continue` before it sends its body (RFC 9110, 10.1.1).
    """

    def __init__(
        self, connection: int, now: Callable[[], float], continue_: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._now = now
        self._continue = continue_
        self._buffer = bytearray()
        self._reading = self._read()

    @property
    def buffered(self) -> int:
        """Bytes that are not part of a request yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Appends what has arrived; nothing is parsed before `next()`."""
        self._buffer += data

    def next(self) -> Request | None:
        """The next request; None where bytes are missing; raises `BadRequest`."""
        try:
            next(self._reading)
        except StopIteration as whole:
            self._reading = self._read()
            request: Request = whole.value
            return request
        return None

    def _read(self) -> Generator[None, None, Request]:
        head = yield from self._until(b"\r\n\r\n", HEAD_LIMIT, 431)
        lines = head.decode("latin-1").lstrip("\r\n").split("\r\n")
        first = _REQUEST_LINE.fullmatch(lines[0])
        if not first:
            raise BadRequest(400, "The request line is not HTTP/1.1.")
        method, target, minor = first.groups()
        headers = _parse_headers(lines[1:])
        body = yield from self._body(headers)
        path, _, query = target.partition("?")
        return Request(
            method, path, query, headers, body, head, self._connection, self._now(), minor == "1"
        )

    def _body(self, headers: Mapping[str, str]) -> Generator[None, None, bytes]:
        coding, length = headers.get("transfer-encoding"), headers.get("content-length")
        if coding is None and length is None:
            return b""
        if coding is not None and (coding.lower() != "chunked" or length is not None):
            raise BadRequest(400, "The body is neither chunked nor of one Content-Length.")
        if headers.get("expect", "").lower() == "100-continue" and not self._buffer:
            self._continue()
        if coding is not None:
            return (yield from self._chunked())
        if not re.fullmatch(r"[0-9]{1,18}", length or ""):
            raise BadRequest(400, "The Content-Length is no number.")
        return (yield from self._exactly(int(length or 0)))

    def _chunked(self) -> Generator[None, None, bytes]:
        body = bytearray()
        while True:
            line = yield from self._until(b"\r\n", HEAD_LIMIT, 400)
            size = line.partition(b";")[0].strip()
            if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", size):
                raise BadRequest(400, "A chunk size is no hexadecimal number.")
            count = int(size, 16)
            if count == 0:
                break
            body += yield from self._exactly(count, len(body))
            if (yield from self._exactly(2)) != b"\r\n":
                raise BadRequest(400, "A chunk is longer than its size.")
        while (yield from self._until(b"\r\n", HEAD_LIMIT, 431)) != b"\r\n":
            pass  # trailers say nothing that a script could use
        return bytes(body)

    def _exactly(self, count: int, before: int = 0) -> Generator[None, None, bytes]:
        if before + count > BODY_LIMIT:
            raise BadRequest(413, f"The body is larger than {BODY_LIMIT} bytes.")
        while len(self._buffer) < count:
            yield
        return self._take(count)

    def _until(self, mark: bytes, limit: int, status: int) -> Generator[None, None, bytes]:
        """The bytes up to and with `mark`; what was searched once is not searched again."""
        searched = 0
        while (at := self._buffer.find(mark, searched)) < 0:
            if len(self._buffer) > limit:
                raise BadRequest(status, f"The head is larger than {limit} bytes.")
            searched = max(0, len(self._buffer) - len(mark) + 1)
            yield
        return self._take(at + len(mark))

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken


def _parse_headers(lines: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not line:
            break
        if not colon or not name or name != name.strip():
            raise BadRequest(400, "A header line has no name.")
        name, value = name.lower(), value.strip()
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
