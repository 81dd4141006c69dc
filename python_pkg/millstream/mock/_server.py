"""The server: HTTP/1.1 over asyncio in one background thread.

Owns: the thread, its loop, the listening socket, every connection.
Thread: `Server` is for any thread; `_Connection` and `_Player` live on the loop.
Blocks: `start()` until it listens, `close()` until all is gone (some seconds at most), `wait_…()`.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import ssl
import struct
import termios
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from ._reply import Responder
from ._request import BadRequest, Request, RequestReader
from ._script import Gate, Part, Script, Then, check_times

_TCP = (socket.AF_INET, socket.AF_INET6)
_BASE_PATH = "/v1"
_BASE_PATHS = {
    "bedrock": "",
    "cohere": "/v2",
    "gemini": "/v1beta",
    "mistral": "/mistral/v1",  # the segment tells it from OpenAI, with the same endpoint
    "ollama": "",
    "writer": "/writer/v1",  # from Cohere
}
_BACKLOG = 1024
_WRITES_A_TURN = 32  # then the other connections have theirs
_BUFFERED_WHILE_BUSY = 1024 * 1024
_LINGER_S = 1.0
_LOOK_AGAIN_S = 0.001
_GOODBYE_S = 0.5
_GOODBYE_TURNS = 4
_JOIN_S = 5.0  # a machine may be busy


class Connections(NamedTuple):
    """Connections accepted so far · open now · left by the client before the answer was whole."""

    opened: int
    open: int
    disconnected: int


class Server:
    """A model server for tests: a context manager that gives its URL.

    script: what to answer (see the module's page); None: what the request's model name says.
    pace, first: seconds between chunks, and before the first, for answers that name none.
    api_key: demanded in any provider's way (`Authorization: Bearer …`, `x-api-key: …`, …; of an
        AWS signature, which is not checked, the access key's id); None: anyone may ask.
    host, port: where to listen; port 0 takes a free one. unix_socket: a path, instead of both.
    ssl_context: a server-side `ssl.SSLContext`, for https.
    seed: fixes ids and times of the answers; None: random ids and the real time.
    """

    def __init__(
        self,
        script: Script = None,
        *,
        pace: float = 0.0,
        first: float = 0.0,
        api_key: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        unix_socket: str | os.PathLike[str] | None = None,
        ssl_context: ssl.SSLContext | None = None,
        seed: int | None = 0,
    ) -> None:
        check_times(pace=pace, first=first)
        if not 0 <= port <= 65535:
            raise ValueError(f"port must be 0 to 65535, not {port!r}")
        if ssl_context is not None and not isinstance(ssl_context, ssl.SSLContext):
            raise TypeError("ssl_context must be an ssl.SSLContext")
        self._responder = Responder(script, pace, first, api_key, seed)
        self._address = (host, port)
        self._unix_socket = None if unix_socket is None else os.fspath(unix_socket)
        self._ssl_context = ssl_context
        self._record = _Record()
        self._url: str | None = None
        self._running: _Running | None = None

    def start(self) -> None:
        """Starts to listen; `OSError` where that is not possible. A server starts once."""
        if self._running is not None:
            raise RuntimeError("a mock server starts only once; make another one")
        listener = self._bind()
        self._running = _Running(listener, self._ssl_context, self._responder, self._record)

    def _bind(self) -> socket.socket:
        scheme = "http" if self._ssl_context is None else "https"
        if self._unix_socket is not None:
            listener = socket.socket(socket.AF_UNIX)
            try:
                listener.bind(self._unix_socket)
                listener.listen(_BACKLOG)
            except BaseException:
                listener.close()
                raise
            self._url = f"{scheme}://localhost{_BASE_PATH}"
            return listener
        host = self._address[0]
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server(self._address, family=family, backlog=_BACKLOG)
        shown = f"[{host}]" if ":" in host else host
        self._url = f"{scheme}://{shown}:{listener.getsockname()[1]}{_BASE_PATH}"
        return listener

    def close(self) -> None:
        """Stops listening and drops every connection. Idempotent; `RuntimeError` where a function
        of the script does not return."""
        if self._running is not None:
            self._running.close()

    def __enter__(self) -> str:
        self.start()
        return self.url

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<millstream.mock.Server {self._url or 'not started'}>"

    @property
    def url(self) -> str:
        """The base URL of OpenAI's format, and of the many that are compatible with it, for
        `Client(base_url=…)`: `http://127.0.0.1:43117/v1`."""
        if self._url is None:
            raise RuntimeError("the mock server was not started")
        return self._url

    @property
    def origin(self) -> str:
        """The URL without any path, for clients that add `/v1` and the like of their own accord:
        `http://127.0.0.1:43117`."""
        return self.url.removesuffix(_BASE_PATH)

    def base_url(self, provider: str) -> str:
        """The base URL for `Client(provider, base_url=…)`."""
        return self.origin + _BASE_PATHS.get(provider, _BASE_PATH)

    @property
    def requests(self) -> list[Request]:
        """The requests so far, in the order in which they were complete."""
        with self._record.changed:
            return list(self._record.requests)

    @property
    def connections(self) -> Connections:
        """How many connections were opened, are open, and were left by their client."""
        with self._record.changed:
            return Connections(self._record.opened, self._record.open, self._record.disconnected)

    def wait_requests(self, count: int, timeout: float = 5.0) -> bool:
        """Waits at most `timeout` seconds until `count` requests have come; says whether."""
        return self.wait_until(lambda: len(self._record.requests) >= count, timeout)

    def wait_disconnected(self, count: int = 1, timeout: float = 5.0) -> bool:
        """Waits at most `timeout` seconds until `count` clients left before their answer was
        whole; says whether."""
        return self.wait_until(lambda: self._record.disconnected >= count, timeout)

    def wait_until(self, holds: Callable[[], bool], timeout: float = 5.0) -> bool:
        """Waits at most `timeout` seconds until `holds()`, which is asked again whenever a request
        comes or a connection opens or ends; says whether::

            server.wait_until(lambda: server.connections.open == 0)
        """
        with self._record.changed:
            return self._record.changed.wait_for(holds, timeout)


class _Record:
    """What happened so far. Guarded by `changed`, which is notified at every change."""

    def __init__(self) -> None:
        self.changed = threading.Condition(threading.RLock())
        self.requests: list[Request] = []
        self.opened = 0
        self.open = 0
        self.disconnected = 0

    def add_connection(self) -> int:
        """Counts a connection in; returns its number."""
        with self.changed:
            self.opened += 1
            self.open += 1
            self.changed.notify_all()
            return self.opened - 1

    def end_connection(self, disconnected: bool) -> None:
        with self.changed:
            self.open -= 1
            self.disconnected += disconnected
            self.changed.notify_all()

    def add_request(self, request: Request) -> None:
        with self.changed:
            self.requests.append(request)
            self.changed.notify_all()


class _Running:
    """A server that listens: the thread, its loop, and the connections."""

    def __init__(
        self,
        listener: socket.socket,
        tls: ssl.SSLContext | None,
        responder: Responder,
        record: _Record,
    ) -> None:
        self._listener = listener
        self._tls = tls
        self._responder = responder
        self._record = record
        self._connections: set[_Connection] = set()
        # Not by the policy: no other loop has been tried with the endings promised here.
        self._loop = asyncio.SelectorEventLoop()
        self._closing = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, name="millstream-mock", daemon=True)
        try:
            self._thread.start()
        except BaseException:
            self._loop.close()
            listener.close()
            raise

    def close(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self._close_soon)
        except RuntimeError:
            return  # the loop is closed: so is all else
        self._thread.join(_JOIN_S)
        if self._thread.is_alive():
            raise RuntimeError("the mock server cannot close: a function of its script runs on")

    def _close_soon(self) -> None:
        if not self._closing.done():
            self._closing.set_result(None)

    def _run(self) -> None:
        if hasattr(signal, "pthread_sigmask"):  # signals are the main thread's
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        listener, tls, address = self._listener, self._tls, self._listener.getsockname()
        server: asyncio.AbstractServer
        if listener.family in _TCP:
            server = await self._loop.create_server(
                self._connect, sock=listener, backlog=_BACKLOG, ssl=tls
            )
        else:
            server = await self._loop.create_unix_server(
                self._connect, sock=listener, backlog=_BACKLOG, ssl=tls
            )
        await self._closing
        # Each connection that asyncio is about to accept, or shakes hands with, is a task. One that
        # begins after close(), or is cancelled before it begins, would leave its socket open.
        self._loop.remove_reader(listener)
        await asyncio.sleep(0)
        server.close()
        for connection in list(self._connections):
            connection.abort()
        accepting = asyncio.all_tasks() - {asyncio.current_task()}
        for task in accepting:
            task.cancel()
        await asyncio.gather(*accepting, return_exceptions=True)
        # A transport closes its socket a few turns of the loop after it was told to.
        latest = self._loop.time() + _GOODBYE_S
        turns = _GOODBYE_TURNS
        while turns or (self._connections and self._loop.time() < latest):
            turns = max(0, turns - 1)
            await asyncio.sleep(0)
        if isinstance(address, str):
            with contextlib.suppress(FileNotFoundError):  # asyncio does it from Python 3.13 on
                os.unlink(address)

    def _connect(self) -> _Connection:
        return _Connection(self._loop, self._responder, self._record, self._connections)


class _Connection(asyncio.Protocol):
    """One connection: its requests one after the other, a reply to each."""

    _transport: asyncio.Transport
    _reader: RequestReader

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        responder: Responder,
        record: _Record,
        connections: set[_Connection],
    ) -> None:
        self._loop = loop
        self._responder = responder
        self._record = record
        self._connections = connections
        self._player: _Player | None = None
        self._then: Then = "keep"
        self._deaf = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        # "Writable" shall mean that all of it was sent. (Over TLS, 0 would mean: never.)
        transport.set_write_buffer_limits(1 if transport.get_extra_info("sslcontext") else 0)
        self._transport = transport
        raw = transport.get_extra_info("socket")
        if raw.family in _TCP:  # a write leaves at once
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        number = self._record.add_connection()
        self._reader = RequestReader(number, time.monotonic, self._continue)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        answering = self._player is not None
        self._stop()
        self._connections.discard(self)
        self._record.end_connection(disconnected=answering)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._reader.feed(data)
        if self._player is None:
            self._serve()
        elif self._reader.buffered > _BUFFERED_WHILE_BUSY:
            self._transport.abort()

    def pause_writing(self) -> None:
        if self._player is not None:
            self._player.set_writable(False)

    def resume_writing(self) -> None:
        if self._player is not None:
            self._player.set_writable(True)

    def abort(self) -> None:
        """The server's own end: no client has left."""
        self._stop()
        self._transport.abort()

    def _stop(self) -> None:
        if self._player is not None:
            self._player.stop()
            self._player = None

    def _continue(self) -> None:
        self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _serve(self) -> None:
        """Answers the next request, if it is all there."""
        if self._transport.is_closing():
            return
        try:
            request = self._reader.next()
        except BadRequest as why:
            self._refuse(why)
            return
        if request is None:
            return
        self._record.add_request(request)
        reply = self._responder.reply(request)
        self._then = reply.then
        self._player = _Player(self._loop, self._transport, reply.parts, self._answered)
        self._player.play()

    def _refuse(self, why: BadRequest) -> None:
        """Says what is wrong and ends, but goes on reading for a while: with bytes unread the
        socket would be reset, and the client might never see the answer (RFC 9112, 9.6)."""
        self._deaf = True
        self._transport.write(self._responder.refusal(why))
        if self._transport.can_write_eof():
            self._transport.write_eof()
            self._loop.call_later(_LINGER_S, self._transport.abort)
        else:
            self._transport.close()

    def _answered(self) -> None:
        if self._then == "hang":
            return  # it goes on being answered, so that a client that leaves is counted
        self._stop()
        if self._then == "close":
            self._transport.close()
        elif self._then == "reset":
            self._reset()
        elif self._reader.buffered:
            self._loop.call_soon(self._serve)

    def _reset(self, latest: float | None = None) -> None:
        """RST: what a TCP socket does that is closed without lingering. It drops what the kernel
        has not delivered yet, so this waits for that. (A Unix socket just closes.)"""
        if self._transport.is_closing():
            return
        self._deaf = True
        raw = self._transport.get_extra_info("socket")
        if raw.family in _TCP:
            latest = latest or self._loop.time() + _LINGER_S
            if _undelivered(raw) and self._loop.time() < latest:
                self._loop.call_later(_LOOK_AGAIN_S, self._reset, latest)
                return
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


def _undelivered(raw: socket.socket) -> int:
    """Bytes that the other side's kernel has not acknowledged; 0 where the system cannot tell."""
    count = array.array("i", [0])
    try:
        fcntl.ioctl(raw.fileno(), termios.TIOCOUTQ, count)
    except OSError:
        return 0
    return count[0]


class _Player:
    """Puts the parts of one reply on a transport: each bytes object by one write, pauses by
    absolute deadlines (a late chunk does not make the next one late), never more than the socket
    takes."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        transport: asyncio.Transport,
        parts: Iterator[Part],
        ended: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._transport = transport
        self._parts = parts
        self._ended = ended
        self._due = loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._writable = True
        self._waits = False  # for time, a gate or its turn; not for the socket
        self._writes = False  # a TLS transport may say "full" and "writable" from inside write()
        self._stopped = False

    def stop(self) -> None:
        """From now on nothing is written, and `ended` is not called."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def set_writable(self, writable: bool) -> None:
        """Tells whether the socket takes more; goes on where it does again."""
        self._writable = writable
        if writable and not self._waits and not self._writes:
            self.play()

    def play(self) -> None:
        """Goes on until something must be waited for, or the reply is at its end."""
        self._waits = False
        for _ in range(_WRITES_A_TURN):
            if self._stopped or not self._writable:
                return
            part = self._next()
            if not isinstance(part, bytes):
                self._wait(part)
                return
            self._writes = True
            self._transport.write(part)
            self._writes = False
            self._stopped = self._stopped or self._transport.is_closing()
        self._waits = True
        self._loop.call_soon(self.play)

    def _next(self) -> Part | None:
        try:
            return next(self._parts, None)
        except BaseException:
            self._transport.abort()  # an iterable of the user's: its client must not hang
            raise

    def _wait(self, part: float | Gate | None) -> None:
        if part is None:
            self.stop()
            self._ended()
            return
        self._waits = True
        if isinstance(part, Gate):
            part._pass(self._loop, self._pass_gate)
        else:
            self._due += part
            self._timer = self._loop.call_at(self._due, self.play)

    def _pass_gate(self) -> None:
        self._due = self._loop.time()  # how long the gate was closed is no lateness
        self.play()
