"""A server that is killed and started again under 200 event streams: each event once, in order."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import millstream
from conftest import API_KEY, timeout

STREAMS = 200
RESTARTS = 10
SHARE = 20  # events that each stream has of each server, at most
EVENTS = SHARE * (RESTARTS + 1)
ALL_S = 120

# An event log: stream n's event k is "n-k", its id is k, and a client goes on behind the id that it
# names. It is sent in pieces that end anywhere; what no server but a later one has ends in the
# middle of an event.
SERVER = """
import asyncio, sys

generation, port, events, last = map(int, sys.argv[1:])
HEAD = b"HTTP/1.1 200 OK\\r\\nContent-Type: text/event-stream\\r\\n\\r\\nretry: 10\\n"

async def serve(reader, writer):
    try:
        request = (await reader.readuntil(b"\\r\\n\\r\\n")).decode()
        name = request.split()[1].strip("/")
        after = [l.split(":")[1] for l in request.split("\\r\\n") if l.startswith("Last-Event-ID:")]
        first = int(after[0]) + 1 if after else 0
        rest = HEAD + b"".join(
            b"event: %d\\nid: %d\\ndata: %b-%d%b\\n\\n"
            % (generation, k, name.encode(), k, b"." * (k * 7 % 300))
            for k in range(first, events)
        )
        if not last:
            rest += b"id: %d\\ndata: half" % events
        step = 500 + len(name) * 7
        for at in range(0, len(rest), step):
            writer.write(rest[at : at + step])
            await writer.drain()
            await asyncio.sleep(0)
        await reader.read()  # until the client leaves
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()

async def main():
    server = await asyncio.start_server(serve, "127.0.0.1", port, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()

asyncio.run(main())
"""


class Log:
    """The server process; `restart()` kills it, and starts the next one on the same port."""

    def __init__(self) -> None:
        self.generation = 0
        self.port = 0
        self._start()

    def _start(self) -> None:
        events = SHARE * (self.generation + 1)
        last = int(self.generation == RESTARTS)
        numbers = map(str, (self.generation, self.port, events, last))
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", SERVER, *numbers], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()

    def restart(self) -> None:
        self.kill()
        self.generation += 1
        self._start()


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log()
    yield log
    log.kill()


class Tally:
    """How many events have come, of all streams; wakes the test when it is time for a restart."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0

    def add(self) -> None:
        with self._changed:
            self._count += 1
            if self._count % 100 == 0:
                self._changed.notify_all()

    def wait(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: self._count >= count, ALL_S), self._count


class Trace:
    """What one stream has seen."""

    def __init__(self, name: int) -> None:
        self.name = name
        self.events: list[tuple[str, str]] = []
        self.generations: set[str] = set()
        self.losses = 0

    def on_state(self, state: str, error: millstream.Error | None) -> None:
        self.losses += state == "connecting"

    def take(self, event: Any) -> bool:
        """Add an event; says whether it was the last."""
        self.events.append((event.id, event.data.rstrip(".")))
        self.generations.add(event.type)
        return int(event.id) == EVENTS - 1


def options(trace: Trace) -> dict[str, Any]:
    return {"initial_retry": 0.01, "max_retry": 0.1, "on_state": trace.on_state}


def settings(log: Log) -> dict[str, Any]:
    return {
        "base_url": f"http://127.0.0.1:{log.port}",
        "api_key": API_KEY,
        "timeout": timeout(total=ALL_S),
    }


def read_in_threads(log: Log, traces: list[Trace], tally: Tally) -> None:
    client = millstream.Client(**settings(log))

    def read(trace: Trace) -> None:
        with client.events(f"/{trace.name}", **options(trace)) as stream:
            for event in stream:
                tally.add()
                if trace.take(event):
                    break

    with ThreadPoolExecutor(STREAMS) as pool:
        for done in [pool.submit(read, trace) for trace in traces]:
            done.result()


def read_in_tasks(log: Log, traces: list[Trace], tally: Tally) -> None:
    client = millstream.AsyncClient(**settings(log))

    async def read(trace: Trace) -> None:
        async with client.events(f"/{trace.name}", **options(trace)) as stream:
            async for event in stream:
                tally.add()
                if trace.take(event):
                    break

    async def main() -> None:
        work: Awaitable[Any] = asyncio.gather(*(read(trace) for trace in traces))
        await asyncio.wait_for(work, ALL_S)

    asyncio.run(main())


@pytest.mark.parametrize("read", [read_in_threads, read_in_tasks])
def test_every_event_comes_once_and_in_order_whatever_the_server_does(
    log: Log, read: Callable[[Log, list[Trace], Tally], None]
) -> None:
    traces, tally = [Trace(number) for number in range(STREAMS)], Tally()
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read, log, traces, tally)
        for number in range(RESTARTS):
            tally.wait(STREAMS * SHARE * number + STREAMS * SHARE * 2 // 3)
            log.restart()
        reading.result(ALL_S)
    for trace in traces:
        assert trace.events == [(str(k), f"{trace.name}-{k}") for k in range(EVENTS)]
    # Each server had its part, and the kills met streams that were open.
    served = set().union(*(trace.generations for trace in traces))
    assert served == {str(number) for number in range(RESTARTS + 1)}
    losses = sum(trace.losses for trace in traces)
    assert losses >= STREAMS * RESTARTS // 2
