"""A scene for one fault: what must hold around every fault is checked here, once for all rows.

Before the fault a stream of another server is in the middle of its answer; after it that stream
goes on to its end, the client that met the fault is answered again, and no descriptor and no thread
is left that was not there before.
"""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import millstream
from answers import DONE, GIVE_UP_S, LAST_CHUNK, MESSAGES, chat, eventually, head, http_chunks
from millstream import _core, mock

Single: TypeAlias = "mock.Answer | mock.Error | mock.Replay | mock.Raw"
Step: TypeAlias = "Single | Callable[[mock.Request], Single]"
Kind: TypeAlias = Literal["sync", "async"]
Stream: TypeAlias = "millstream.Stream | millstream.AsyncStream"
Client: TypeAlias = "millstream.Client | millstream.AsyncClient"

FINE = "fine"
HEAD = head(Transfer_Encoding="chunked", Connection="close")
AB = http_chunks([chat("a") + chat("b")])  # what comes before most faults
MIB = 1 << 20
TCP_OVER = (7, 8)  # CLOSE, CLOSE_WAIT in tcpi_state


def patient(**given: Any) -> millstream.Timeout:
    """Clocks that only a test gone wrong would see run out, but for those given."""
    clocks = dict.fromkeys(("connect", "first_chunk", "idle", "total"), GIVE_UP_S)
    return millstream.Timeout(**{**clocks, **given})


def whole(*events: bytes, **fields: str) -> mock.Raw:
    """An answer of these events, all of it right; the connection is closed after it."""
    given = {"Transfer_Encoding": "chunked", "Connection": "close", **fields}
    return mock.Raw(head(**given) + http_chunks([b"".join(events)]) + LAST_CHUNK)


@dataclass
class Outcome:
    """How a stream ended: the chunks before the end, and the one exception, if any."""

    stream: Stream
    chunks: list[millstream.Chunk] = field(default_factory=list)
    error: millstream.Error | None = None
    after: list[millstream.Chunk] = field(default_factory=list)  # what comes after the end: nothing
    read: Future[None] = field(default_factory=Future)

    @property
    def text(self) -> str:
        return "".join(chunk.text for chunk in self.chunks)

    @property
    def retries(self) -> int:
        return self.stream.timing.retries

    def is_success(self, text: str) -> None:
        if self.error is not None:
            raise self.error
        assert self.text == text == self.stream.message.text

    def is_error(
        self, kind: type[millstream.Error], text: str = "", **facts: Any
    ) -> millstream.Error:
        """The exception, of exactly this class and with these facts, after exactly this text."""
        assert self.error is not None, f"no error after {self.text[:100]!r}"
        assert type(self.error) is kind, repr(self.error)
        assert self.text == text
        assert {name: getattr(self.error, name) for name in facts} == facts
        return self.error


class _Sync:
    """A thread that reads."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)

    def next(self, stream: millstream.Stream) -> Future[millstream.Chunk | None]:
        return self._pool.submit(next, stream, None)

    def read(self, outcome: Outcome) -> Future[None]:
        return self._pool.submit(self._read, outcome)

    def _read(self, outcome: Outcome) -> None:
        assert isinstance(outcome.stream, millstream.Stream)
        try:
            for chunk in outcome.stream:
                outcome.chunks.append(chunk)
        except millstream.Error as error:
            outcome.error = error
        outcome.after.extend(outcome.stream)

    def close(self) -> None:
        self._pool.shutdown()


class _Async:
    """An event loop on a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def next(self, stream: millstream.AsyncStream) -> Future[millstream.Chunk | None]:
        async def take() -> millstream.Chunk | None:
            return await anext(stream, None)

        return asyncio.run_coroutine_threadsafe(take(), self._loop)

    def read(self, outcome: Outcome) -> Future[None]:
        return asyncio.run_coroutine_threadsafe(self._read(outcome), self._loop)

    async def _read(self, outcome: Outcome) -> None:
        assert isinstance(outcome.stream, millstream.AsyncStream)
        try:
            async for chunk in outcome.stream:
                outcome.chunks.append(chunk)
        except millstream.Error as error:
            outcome.error = error
        outcome.after.extend([chunk async for chunk in outcome.stream])

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._settle(), self._loop).result(GIVE_UP_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(GIVE_UP_S)
        self._loop.close()

    async def _settle(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.gather(*others, return_exceptions=True)


class Scene:
    """Streams of a Client or of an AsyncClient, each read where its kind is read."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._readers: list[Any] = []
        self._servers: list[mock.Server] = []
        self._streams: list[Stream] = []

    def serve(self, *steps: Step, **options: Any) -> mock.Server:
        """A server that answers like this, the last step again and again."""
        server = mock.Server(list(steps), **options)
        server.start()
        self._servers.append(server)
        return server

    def client(self, to: mock.Server | str, **options: Any) -> Client:
        """A client that does not try again and waits as long as a test may."""
        url = to if isinstance(to, str) else to.url
        given = {"api_key": "sk-test", "max_retries": 0, "timeout": patient(), **options}
        kind = millstream.Client if self.kind == "sync" else millstream.AsyncClient
        return kind(base_url=url, **given)

    def ask(self, to: mock.Server | str | Client, **options: Any) -> Stream:
        """A stream of that server or client; it is cancelled with the scene."""
        client = self.client(to, **options) if isinstance(to, (mock.Server, str)) else to
        self._streams.append(client.stream(model="m", messages=MESSAGES))
        return self._streams[-1]

    def reader(self) -> Any:
        """Another thread, or another event loop on one."""
        self._readers.append(_Sync() if self.kind == "sync" else _Async())
        return self._readers[-1]

    def wait_for_next(self, stream: Stream) -> Future[millstream.Chunk | None]:
        """Begin to wait for a chunk; None is the end."""
        future: Future[millstream.Chunk | None] = self.reader().next(stream)
        return future

    def next(self, stream: Stream) -> millstream.Chunk:
        chunk = self.wait_for_next(stream).result(GIVE_UP_S)
        assert chunk is not None
        return chunk

    def begin_to_read(self, stream: Stream, reader: Any = None) -> Outcome:
        outcome = Outcome(stream)
        outcome.read = (reader or self.reader()).read(outcome)
        return outcome

    def end_of(self, outcome: Outcome) -> Outcome:
        """Wait until a reader is at the end, and has looked once more."""
        outcome.read.result(GIVE_UP_S)
        stream = outcome.stream
        assert outcome.after == []
        if outcome.error is not None:
            assert outcome.error.message == stream.message
        return outcome

    def read(self, stream: Stream, reader: Any = None) -> Outcome:
        return self.end_of(self.begin_to_read(stream, reader))

    def forget(self, stream: Stream) -> None:
        """Whoever asked has the only reference left."""
        self._streams.remove(stream)

    def meet(self, *steps: Step, tls: Any = None, **options: Any) -> Outcome:
        """What a stream of this answer comes to; the same client is then answered again."""
        server = self.serve(*steps, FINE_ANSWER, ssl_context=tls)
        client = self.client(server, **options)
        outcome = self.read(self.ask(client))
        self.is_answered(client)
        return outcome

    def is_answered(self, client: Client) -> None:
        self.read(self.ask(client)).is_success(FINE)

    def end(self) -> None:
        while self._streams:
            self._streams.pop().cancel()
        while self._readers:
            self._readers.pop().close()
        while self._servers:  # and what they answered with
            self._servers.pop().close()


FINE_ANSWER = whole(chat(FINE, finish="stop"), DONE)


class Neighbour:
    """A stream in the middle of its answer, of a client, a server and a reader of its own."""

    def __init__(self, kind: Kind) -> None:
        self._scene = Scene(kind)
        self._gate = mock.Gate()
        first, last = http_chunks([chat("one")]), http_chunks([chat(" two", finish="stop"), DONE])
        answer = mock.Raw([HEAD + first, self._gate, last + LAST_CHUNK])
        self._stream = self._scene.ask(self._scene.serve(answer))
        assert self._scene.next(self._stream).text == "one"

    def goes_on(self) -> None:
        self._gate.open()
        rest = self._scene.read(self._stream)
        assert (rest.text, rest.error) == (" two", None)
        assert self._stream.message.text == "one two"

    def end(self) -> None:
        self._gate.open()
        self._scene.end()
        del self._stream


# ---- what a process holds ------------------------------------------------------------------------


def _is_over(fd: int) -> bool:
    """A socket whose server has closed or reset it: the engine closes its own a bit later."""
    with socket.socket(fileno=os.dup(fd)) as copy:
        if copy.family not in (socket.AF_INET, socket.AF_INET6):
            return False
        return copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] in TCP_OVER


def _descriptors(but_over: bool) -> set[str]:
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        try:
            link = str(entry.readlink())
            over = but_over and link.startswith("socket:") and _is_over(int(entry.name))
        except OSError:  # the listing's own, or closed meanwhile
            continue
        if not over:
            found.add(f"{entry.name} {link}")
    return found


class Held:
    """The descriptors, threads and blocks of the core's memory of this process at one moment."""

    def __init__(self) -> None:
        self._blocks = _core.memory_blocks()
        self._descriptors = _descriptors(but_over=False)
        self._threads = set(os.listdir("/proc/self/task"))

    def since(self, but_over: bool) -> set[str]:
        """Those that came since and are still there."""
        threads = set(os.listdir("/proc/self/task")) - self._threads
        return (_descriptors(but_over) - self._descriptors) | threads

    def blocks_since(self) -> set[str]:
        more = _core.memory_blocks() - self._blocks
        return {f"{more} blocks of memory"} if more > 0 else set()

    def nothing_is_left(self) -> None:
        """But for kept connections that ended: one session may wait for those, not each test."""
        self._wait_for_nothing(lambda: self.since(but_over=True) | self.blocks_since())

    def nothing_at_all_is_left(self) -> None:
        """But for memory: what is learned once, such as a wire format's table, stays."""
        self._wait_for_nothing(lambda: self.since(but_over=False))

    def _wait_for_nothing(self, left: Callable[[], set[str]]) -> None:
        """Rings of garbage hold streams and waiters: an error and its traceback, a closed loop."""

        def is_nothing() -> bool:
            gc.collect()  # each time: a thread that is just ending leaves some behind
            return not left()

        assert eventually(is_nothing), left()


def _status(name: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    raise AssertionError(name)


@contextmanager
def memory_within(bytes_more: int) -> Iterator[None]:
    """At no time does the process hold that much more memory than at the beginning.

    AddressSanitizer keeps what was freed: with it nothing is measured.
    """
    if "libasan" in os.environ.get("LD_PRELOAD", ""):
        yield
        return
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins here
    before = _status("VmRSS")
    yield
    assert _status("VmHWM") - before <= bytes_more


@contextmanager
def around_a_fault(kind: Kind) -> Iterator[Scene]:
    """A scene; at its end all that the module's page promises is checked."""
    held, neighbour, scene = Held(), Neighbour(kind), Scene(kind)
    try:
        yield scene
        neighbour.goes_on()
    finally:
        scene.end()
        neighbour.end()
    held.nothing_is_left()


def warm_up() -> None:
    """Start what lives as long as the process: the engine's thread and its descriptors."""
    with mock.Server(FINE_ANSWER) as url:
        client = millstream.Client(base_url=url, timeout=patient())
        assert client.stream(model="m", messages=MESSAGES).result().text == FINE


def repeated(parts: Sequence[bytes | float]) -> Iterator[bytes | float]:
    """These parts for ever."""
    while True:
        yield from parts


def preloaded(library: Path) -> str:
    """LD_PRELOAD with this library behind those that are there already."""
    return " ".join(filter(None, [os.environ.get("LD_PRELOAD"), str(library)]))
