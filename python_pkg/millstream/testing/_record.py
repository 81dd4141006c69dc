"""The recorder: a server on loopback that hands requests on to the real one, and writes down both.

Owns: the listening socket, a thread that accepts, and for each request a thread, a connection to
the real server, and one that waits for the client to leave.
Thread: `Recorder` is for any thread; exchanges go on at the same time, each is written at its end.
Blocks: `close()` until all exchanges have ended, which it makes them do.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias
from urllib.parse import urlsplit

from .. import _providers, _route
from ..mock import Request
from ..mock._reply import Responder, format_of
from ..mock._request import BadRequest, RequestReader
from ._cassette import End, Exchange, Piece, Writer, asked, target
from ._secrets import Secrets
from ._wire import Framing

OnExchange: TypeAlias = Callable[[Exchange], object]

_CONNECT_S = 30.0
_JOIN_S = 10.0
_GRACE_S = 2.0  # for the rest of an answer whose client has left
_READ = 64 * 1024
# About one connection, or the way to say where the body ends (RFC 9110, 7.6.1): not handed on.
_HOP_BY_HOP = frozenset(
    ("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection",
     "te", "trailer", "transfer-encoding", "upgrade")
)  # fmt: skip
_OURS = _HOP_BY_HOP | {"accept-encoding", "content-length", "expect", "host"}


class Upstream:
    """The real server: where it is, and how it is trusted."""

    def __init__(self, upstream: str, verify: bool | str) -> None:
        if "://" not in upstream:
            provider = _providers.find(upstream)
            upstream = provider.place(provider.settle({}))
        parts = urlsplit(upstream)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("upstream must be an http or https URL, or a provider's name")
        self.given = upstream
        self.path = parts.path.rstrip("/")
        self.shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{self.path}"
        self._host, self._port = parts.hostname, parts.port
        self._tls = _trust(verify) if parts.scheme == "https" else None

    def connect(self) -> http.client.HTTPConnection:
        """A connection of its own, open."""
        connection: http.client.HTTPConnection
        if self._tls is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=_CONNECT_S)
        else:
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=_CONNECT_S, context=self._tls
            )
        connection.connect()
        connection.sock.settimeout(None)
        return connection


def _trust(verify: bool | str) -> ssl.SSLContext:
    file, folder = _route.trust_for(verify) if verify else (None, None)
    context = ssl.create_default_context(cafile=file, capath=folder)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


class Recorder:
    """Records to a cassette what `upstream` answers; made by `record()`."""

    def __init__(
        self, upstream: Upstream, writer: Writer, address: tuple[str, int], told: OnExchange | None
    ) -> None:
        self._upstream = upstream
        self._writer = writer
        self._address = address
        self._told = told
        self._lock = threading.Lock()
        self._open: set[_Connection] = set()
        self._listener: socket.socket | None = None
        self._closed = False
        self._failed: OSError | None = None

    @property
    def origin(self) -> str:
        """The URL without any path: `http://127.0.0.1:43117`."""
        if self._listener is None:
            raise RuntimeError("the recorder was not started")
        host = f"[{self._address[0]}]" if ":" in self._address[0] else self._address[0]
        return f"http://{host}:{self._address[1]}"

    @property
    def base_url(self) -> str:
        """For `Client(base_url=…)`: the origin, with the path of `upstream`."""
        return self.origin + self._upstream.path

    def start(self) -> None:
        """Empties the cassette, and listens; `OSError` where that cannot be. Only once."""
        if self._listener is not None:
            raise RuntimeError("a recorder starts only once; make another one")
        self._writer.begin()
        family = socket.AF_INET6 if ":" in self._address[0] else socket.AF_INET
        self._listener = socket.create_server(self._address, family=family)
        self._address = (self._address[0], self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._accept, name="millstream-record", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops to listen, and ends what goes on as if its client had left. Idempotent.

        Raises the `OSError` with which an exchange could not be written.
        """
        with self._lock:
            self._closed = True
        if self._listener is None:
            return
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts
        self._thread.join(_JOIN_S)
        self._listener.close()
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            connection.end()
        failed, self._failed = self._failed, None
        if failed is not None:
            raise failed

    def __enter__(self) -> Recorder:
        self.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def _accept(self) -> None:
        assert self._listener is not None
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            connection = _Connection(client, self._upstream, self._add)
            with self._lock:
                if self._closed:
                    client.close()
                    return
                self._open.add(connection)
            connection.start(self._forget)

    def _forget(self, connection: _Connection) -> None:
        with self._lock:
            self._open.discard(connection)

    def _add(self, exchange: Exchange) -> bool:
        try:
            self._writer.write(exchange)
        except OSError as error:
            self._failed = error
            return False
        if self._told is not None:
            self._told(exchange)
        return True


class _Connection:
    """One connection of a client, for one request."""

    def __init__(
        self, client: socket.socket, upstream: Upstream, add: Callable[[Exchange], bool]
    ) -> None:
        self._client = client
        self._upstream = upstream
        self._add = add
        self._real: socket.socket | None = None
        self._over = threading.Event()
        self._stopped = False

    def start(self, forget: Callable[[_Connection], None]) -> None:
        """Serves the request on a thread of its own, and calls `forget` when that is done."""

        def run() -> None:
            try:
                with self._client:
                    self._serve()
            finally:
                self._over.set()
                forget(self)

        self._thread = threading.Thread(target=run, name="millstream-exchange", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Ends it as if its client had left, and waits until it is written."""
        _shut(self._client)
        self._thread.join(_JOIN_S)

    def _serve(self) -> None:
        try:
            request = self._read()
        except BadRequest as why:
            self._tell(Responder.refusal(why))
            _shut(self._client)
            return
        except OSError:
            return
        if request is None:
            return
        threading.Thread(target=self._watch, name="millstream-watch", daemon=True).start()
        try:
            with contextlib.closing(self._upstream.connect()) as connection:
                self._real = connection.sock
                if not self._stopped:
                    self._exchange(connection, request)
        except (OSError, http.client.HTTPException, ValueError) as why:
            self._refuse(request, f"no answer of {self._upstream.shown}: {str(why) or repr(why)}")
        finally:
            _shut(self._client)

    def _read(self) -> Request | None:
        reader = RequestReader(
            0, time.monotonic, lambda: self._client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        )
        while (request := reader.next()) is None:
            data = self._client.recv(_READ)
            if not data:
                return None
            reader.feed(data)
        return request

    def _watch(self) -> None:
        """Waits for the client to leave; what it has asked for may then be near its end."""
        with contextlib.suppress(OSError):
            while self._client.recv(_READ):
                pass
        self._over.wait(_GRACE_S)
        self._stopped = True
        _shut(self._real)

    def _exchange(self, connection: http.client.HTTPConnection, request: Request) -> None:
        secrets = Secrets(request, self._upstream.given)
        sent = _handed_on(request)
        _send(connection, request, sent)
        begin = time.monotonic()
        response = connection.getresponse()
        head_at = time.monotonic() - begin
        headers, decode = _kept(response)
        framing = Framing(request.method, response.status, headers)
        self._tell(framing.head(response.status, headers, keeps=False))
        pieces: list[Piece] = []
        end = self._relay(response, framing, decode, pieces, begin)
        body = b"".join(piece for _, piece in pieces)
        starred = secrets.starred_answer(body, headers.get("content-type", ""))
        written = self._add(
            Exchange(
                upstream=self._upstream.shown,
                request=asked(request, secrets),
                request_headers=secrets.masked_headers(sent),
                status=response.status,
                headers=secrets.masked_headers(headers),
                head_at=head_at,
                pieces=tuple(_cut_as(pieces, starred)),
                end=end,
                end_at=time.monotonic() - begin,
            )
        )
        if (
            written and end == "complete"
        ):  # only now: who has the whole answer finds it on the cassette
            self._tell(framing.last)

    def _relay(
        self,
        response: http.client.HTTPResponse,
        framing: Framing,
        decode: Callable[[bytes], bytes],
        pieces: list[Piece],
        begin: float,
    ) -> End:
        """Hands the body on as it comes; what came is in `pieces`."""
        try:
            for piece in map(decode, _pieces(response)):
                if piece:
                    pieces.append((time.monotonic() - begin, piece))
                    self._tell(framing.piece(piece))
        except (OSError, http.client.HTTPException, zlib.error):
            return "left" if self._stopped else "cut"
        until_closed = not response.chunked and response.length is None
        return "left" if self._stopped and until_closed else "complete"

    def _tell(self, data: bytes) -> None:
        """Sends it to the client; one that has left is `_watch`'s matter."""
        with contextlib.suppress(OSError):
            self._client.sendall(data)

    def _refuse(self, request: Request, why: str) -> None:
        body = format_of(request).error(502, f"{why} (millstream.testing)")
        headers = {"content-type": "application/json", "content-length": str(len(body))}
        framing = Framing(request.method, 502, headers)
        self._tell(framing.head(502, headers, keeps=False) + framing.piece(body))


def _shut(sock: socket.socket | None) -> None:
    """Wakes who reads from it. Not `SSLSocket.shutdown`, which takes the reader's TLS away."""
    if sock is not None:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _handed_on(request: Request) -> dict[str, str]:
    return {name: value for name, value in request.headers.items() if name not in _OURS}


def _send(
    connection: http.client.HTTPConnection, request: Request, headers: Mapping[str, str]
) -> None:
    path = target(request.path) + (f"?{request.query}" if request.query else "")
    connection.putrequest(request.method, path, skip_accept_encoding=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.putheader("Accept-Encoding", "identity")
    if request.body or request.method in ("POST", "PUT", "PATCH"):
        connection.putheader("Content-Length", str(len(request.body)))
    connection.endheaders(request.body or None)


def _kept(
    response: http.client.HTTPResponse,
) -> tuple[dict[str, str], Callable[[bytes], bytes]]:
    """The headers to keep, and what takes the content coding off that was not asked for."""
    headers: dict[str, str] = {}
    for given, value in response.getheaders():
        name = given.lower()
        if name not in _HOP_BY_HOP:
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
    coding = headers.pop("content-encoding", "identity").lower()
    if coding == "identity":
        return headers, bytes
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise http.client.HTTPException(f"the content coding {coding!r} cannot be recorded")
    headers.pop("content-length", None)
    return headers, zlib.decompressobj(wbits=32 + zlib.MAX_WBITS).decompress


def _pieces(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """The body as it comes: of each read at most one HTTP chunk. Raises where it is cut off."""
    while piece := response.read1(_READ):
        yield piece
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)


def _cut_as(pieces: list[Piece], body: bytes) -> Iterator[Piece]:
    """`body` in pieces of those sizes, at those times."""
    at = 0
    for seconds, piece in pieces:
        yield seconds, body[at : at + len(piece)]
        at += len(piece)


def record(
    path: str | os.PathLike[str],
    *,
    upstream: str,
    append: bool = False,
    verify: bool | str = True,
    host: str = "127.0.0.1",
    port: int = 0,
    on_exchange: OnExchange | None = None,
) -> Recorder:
    """A server that hands every request on to `upstream`, and writes down what it answers.

    path: the cassette; what it held is gone, unless `append`. It is made with the first exchange,
        and folders that are missing with it.
    upstream: a base URL, with its version path as a client takes it; or a provider's name.
    verify: True, False (no certificate check), or a CA file or folder.
    on_exchange: called with each `Exchange` that was written, on a thread of the recorder's.
    """
    return Recorder(Upstream(upstream, verify), Writer(path, append), (host, port), on_exchange)
