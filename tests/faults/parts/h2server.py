"""An HTTP/2 server over TLS whose frames a test writes, one after the other.

Thread: one for the listener and one a connection; scripts run on the connection's.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeAlias

import h2.config
import h2.connection
import h2.events
import h2.exceptions
from hyperframe.frame import Frame

from answers import GIVE_UP_S


class Peer:
    """One request, to be answered frame by frame."""

    def __init__(self, connection: _Connection, stream_id: int) -> None:
        self._connection = connection
        self.stream_id = stream_id

    def head(self, status: int = 200, content_type: str = "text/event-stream") -> None:
        fields = [(":status", str(status)), ("content-type", content_type)]
        self._connection.state.send_headers(self.stream_id, fields)
        self._connection.flush()

    def data(self, data: bytes, end: bool = False) -> None:
        self._connection.state.send_data(self.stream_id, data, end_stream=end)
        self._connection.flush()

    def reset(self, error: int) -> None:
        self._connection.state.reset_stream(self.stream_id, error)
        self._connection.flush()

    def frames(self, *frames: Frame) -> None:
        """Frames that the protocol's state machine knows nothing of."""
        self._connection.socket.sendall(b"".join(frame.serialize() for frame in frames))

    def close(self) -> None:
        """End the connection, with all that was written before it."""
        self._connection.socket.shutdown(socket.SHUT_WR)


Script: TypeAlias = Callable[[Peer], None]


class _Connection:
    def __init__(self, raw: ssl.SSLSocket, next_script: Callable[[], Script]) -> None:
        self.socket = raw
        self.state = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self._next_script = next_script

    def flush(self) -> None:
        self.socket.sendall(self.state.data_to_send())

    def run(self) -> None:
        self.state.initiate_connection()
        self.flush()
        while data := self.socket.recv(65536):
            for event in self.state.receive_data(data):
                if isinstance(event, h2.events.StreamEnded):
                    self._next_script()(Peer(self, event.stream_id))
            self.flush()


class Server:
    """What was asked: `connections` and `requests` so far."""

    def __init__(self, url: str, scripts: Sequence[Script]) -> None:
        self.url = url
        self.connections = 0
        self.requests = 0
        self._scripts = scripts

    def next_script(self) -> Script:
        script = self._scripts[min(self.requests, len(self._scripts) - 1)]
        self.requests += 1
        return script


@contextmanager
def serving(certificate: Path, *scripts: Script, mute: int = 0) -> Iterator[Server]:
    """A server that answers with these scripts, the last one again and again.

    mute: on how many connections, the first ones, it says nothing at all.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.set_alpn_protocols(["h2"])
    threads: list[threading.Thread] = []
    connections: list[ssl.SSLSocket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener, ExitStack() as silent:
        server = Server(f"https://127.0.0.1:{listener.getsockname()[1]}/v1", scripts)

        def serve(raw: socket.socket) -> None:
            # A client that leaves, in the middle of anything, is no failure of the test's.
            with (
                suppress(OSError, h2.exceptions.ProtocolError),
                raw,
                context.wrap_socket(raw, server_side=True) as over_tls,
            ):
                connections.append(over_tls)
                _Connection(over_tls, server.next_script).run()

        def accept() -> None:
            with suppress(OSError):  # the listener was closed
                while True:
                    raw = listener.accept()[0]
                    raw.settimeout(GIVE_UP_S)
                    server.connections += 1
                    if server.connections <= mute:
                        silent.enter_context(raw)
                        continue
                    threads.append(threading.Thread(target=serve, args=(raw,), daemon=True))
                    threads[-1].start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        try:
            yield server
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join(GIVE_UP_S)
            for connection in connections:
                with suppress(OSError):  # it is closed
                    connection.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(GIVE_UP_S)


def answer(*pieces: bytes) -> Script:
    """A whole answer, a DATA frame each."""

    def script(peer: Peer) -> None:
        peer.head()
        for piece in pieces[:-1]:
            peer.data(piece)
        peer.data(pieces[-1], end=True)

    return script
