"""The player: a mock server whose script is a cassette.

Thread: `Player` is for any thread; requests are matched on the server's own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias
from urllib.parse import urlsplit

from .. import mock
from ..mock._format import Format
from ..mock._reply import Reply, Responder, Writer
from ..mock._script import Part, Then, check_times
from ._cassette import Exchange, asked, read, why_not
from ._secrets import Secrets
from ._wire import Framing

OnMiss: TypeAlias = Callable[[str], object]

_MISS = 404  # of those that no client tries again


class Player:
    """Replays a cassette; made by `replay()`."""

    def __init__(
        self,
        exchanges: Sequence[Exchange],
        speed: float | None,
        repeat: bool,
        address: tuple[str, int],
        on_miss: OnMiss | None,
    ) -> None:
        check_times(speed=speed)
        self._tape = _Tape(exchanges, repeat, on_miss)
        self._server = _Server(self._tape, speed, address)
        self._path = urlsplit(exchanges[0].upstream).path if exchanges else ""

    @property
    def origin(self) -> str:
        """The URL without any path: `http://127.0.0.1:43117`."""
        return self._server.origin

    @property
    def base_url(self) -> str:
        """For `Client(base_url=…)`: the origin, with the path of the recorded `upstream`."""
        return self.origin + self._path

    @property
    def unused(self) -> list[Exchange]:
        """What was recorded and has not been asked for yet."""
        return self._tape.unused()

    @property
    def misses(self) -> list[str]:
        """For each request that is not on the cassette, what differs from those that are."""
        return self._tape.misses()

    def start(self) -> None:
        """Starts to listen; `OSError` where that is not possible. A player starts once."""
        self._server.start()

    def close(self) -> None:
        """Stops to listen and drops every connection. Idempotent."""
        self._server.close()

    def __enter__(self) -> Player:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class _Tape:
    """The exchanges, and which of them were asked for. Guarded by `_lock`."""

    def __init__(self, exchanges: Sequence[Exchange], repeat: bool, on_miss: OnMiss | None) -> None:
        self._lock = threading.Lock()
        self._unused = list(exchanges)
        self._used: list[Exchange] = []
        self._misses: list[str] = []
        self._repeat = repeat
        self._on_miss = on_miss

    def find(self, request: mock.Request) -> Exchange | str:
        """The first exchange with that request that was not used yet; or why there is none."""
        given = asked(request, Secrets(request))
        with self._lock:
            for exchange in self._unused:
                if exchange.request == given:
                    self._unused.remove(exchange)
                    self._used.append(exchange)
                    return exchange
            if self._repeat:
                for exchange in reversed(self._used):
                    if exchange.request == given:
                        return exchange
            why = why_not(given, [*self._unused, *self._used])
            self._misses.append(why)
        if self._on_miss is not None:
            self._on_miss(why)
        return why

    def unused(self) -> list[Exchange]:
        with self._lock:
            return list(self._unused)

    def misses(self) -> list[str]:
        with self._lock:
            return list(self._misses)


class _Server(mock.Server):
    """A mock server that answers from a tape."""

    def __init__(self, tape: _Tape, speed: float | None, address: tuple[str, int]) -> None:
        super().__init__(host=address[0], port=address[1])
        self._responder = _Responder(tape, speed)


class _Responder(Responder):
    def __init__(self, tape: _Tape, speed: float | None) -> None:
        super().__init__(None, 0, 0, None, 0)
        self._tape = tape
        self._speed = speed

    def _reply(self, request: mock.Request, format_: Format, writer: Writer) -> Reply:
        found = self._tape.find(request)
        if isinstance(found, str):
            return writer.error(mock.Error(_MISS, f"{found} (millstream.testing)"))
        return Reply(_parts(found, request, self._speed), _then(found, request))


def _then(exchange: Exchange, request: mock.Request) -> Then:
    if exchange.end == "complete":
        return "keep" if request.keep_alive else "close"
    return "close" if exchange.end == "cut" else "hang"


def _parts(exchange: Exchange, request: mock.Request, speed: float | None) -> Iterator[Part]:
    """The answer with the pauses that it had, shorter or longer."""
    framing = Framing(request.method, exchange.status, exchange.headers)
    steps = [
        (exchange.head_at, framing.head(exchange.status, exchange.headers, request.keep_alive)),
        *((seconds, framing.piece(content)) for seconds, content in exchange.pieces),
        (exchange.end_at, framing.last if exchange.end == "complete" else b""),
    ]
    at = 0.0
    for seconds, content in steps:
        if speed:
            yield max(0.0, seconds - at) / speed
            at = max(at, seconds)
        if content:
            yield content


def replay(
    path: str | os.PathLike[str],
    *,
    speed: float | None = 1.0,
    repeat: bool = False,
    host: str = "127.0.0.1",
    port: int = 0,
    on_miss: OnMiss | None = None,
) -> Player:
    """A server that answers as the cassette says, to requests that are on it.

    A request is found by its method, path, query and body, each exchange once, in the order in
    which they were recorded. One that is not there is answered with status 404 and what differs.

    speed: 1: as recorded; 10: ten times as fast; None or 0: all at once, still piece by piece.
    repeat: answer the last of equal requests again and again.
    on_miss: called with the text of each miss, on the server's thread.
    `OSError` where the file cannot be read, `CassetteError` where it is no cassette.
    """
    return Player(read(path), speed, repeat, (host, port), on_miss)
