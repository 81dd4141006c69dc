"""A server that promises to keep a connection and closes it after one answer."""

from __future__ import annotations

import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from answers import DONE, GIVE_UP_S, chat, chunked

ANSWER = chunked(chat("x", finish="stop"), DONE, Connection="keep-alive")


class Closing:
    """A server that promises to keep a connection and answers one request on it.

    It goes on to read what comes over a connection it has closed for writing, so that no POST on
    the wire is missed.
    """

    def __init__(self, waits: bool) -> None:
        self.posts = 0
        self._waits = waits  # with the end, until the next request is there
        self._lock = threading.Lock()
        self._connections: list[socket.socket] = []

    def serve(self, handler: socketserver.StreamRequestHandler) -> None:
        with self._lock:
            self._connections.append(handler.request)
        if not self._read_post(handler):
            return
        handler.wfile.write(ANSWER)
        if self._waits:
            self._read_post(handler)
            return
        handler.request.shutdown(socket.SHUT_WR)
        while self._read_post(handler):
            pass

    def hang_up(self) -> None:
        """What has come is still read; for more nobody waits."""
        for connection in self._connections:
            with suppress(OSError):  # it is closed
                connection.shutdown(socket.SHUT_RD)

    def _read_post(self, handler: socketserver.StreamRequestHandler) -> bool:
        line, length = handler.rfile.readline(), 0
        if not line.startswith(b"POST "):
            return False
        while field := handler.rfile.readline().strip():
            name, _, value = field.partition(b":")
            length = int(value) if name.lower() == b"content-length" else length
        if len(handler.rfile.read(length)) < length:
            return False
        with self._lock:
            self.posts += 1
        return True


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = False  # closing waits for them: every POST is counted then

    def handle_error(self, *_: object) -> None:
        """A client that leaves is no error."""


@contextmanager
def listening(script: Closing) -> Iterator[str]:
    class Handler(socketserver.StreamRequestHandler):
        timeout = GIVE_UP_S

        def handle(self) -> None:
            script.serve(self)

    with _Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        finally:
            server.shutdown()
            thread.join()
            script.hang_up()
