"""The GIL: not held while a stream waits, taken at most once a chunk, held briefly.

The times here are compared within one run and in orders of magnitude: a client that holds the GIL
while it waits leaves another thread 1 % of its time, and stops it for a second at each chunk.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

import millstream
from answers import DONE, LAST_CHUNK, MESSAGES, Task, chat, eventually, head, http_chunks
from conftest import Connect, Serve
from millstream import mock

PACE_S = 1.0
STOP_S = 0.005  # the longest stop that a stream may cause
ATTEMPTS = 3  # what the machine does is no fault of the stream's; what the stream does recurs


@pytest.fixture
def slow_server() -> Iterator[str]:
    """The URL of a server in a process of its own: one chunk a second."""
    command = [sys.executable, "-m", "millstream.mock", "--pace", str(PACE_S)]
    process = subprocess.Popen(
        [*command, "--text", "so", "--until-stdin-closes"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process:
        yield process.stdout.readline().strip()
        process.stdin.close()


@dataclass
class Progress:
    """How a computing thread got on: rounds a second, and its longest stop in seconds."""

    rate: float
    longest_stop: float


def compute_until(over: Callable[[], bool], begin: float) -> Progress:
    """Compute, from `begin` on: a stop before the first round counts like any other."""
    rounds, longest, last = 0, 0.0, begin
    while not over():
        sum(range(200))
        now = time.perf_counter()
        longest = max(longest, now - last)
        last = now
        rounds += 1
    return Progress(rounds / (last - begin), longest)


def compute_for(seconds: float) -> Progress:
    begin = time.perf_counter()
    return compute_until(lambda: time.perf_counter() > begin + seconds, begin)


def test_a_waiting_stream_does_not_stop_another_thread(slow_server: str, connect: Connect) -> None:
    """The streaming thread waits for a second four times while the main thread computes."""
    seen: list[tuple[Progress, Progress, dict[str, Any]]] = []
    for _ in range(ATTEMPTS):
        client = connect(slow_server)
        alone = compute_for(0.5)
        begin = time.perf_counter()
        task = Task(lambda client=client: read_all(client))  # type: ignore[misc]
        beside = compute_until(lambda task=task: not task.running, begin)  # type: ignore[misc]
        assert task.result() == 4
        metrics = client.metrics()
        assert metrics["gil_takes"] <= metrics["chunks"] + 1  # the end is waited for, too
        seen.append((alone, beside, metrics))
        if is_undisturbed(*seen[-1]):
            return
    pytest.fail(f"the computing thread was held up each time: {seen}")


def read_all(client: millstream.Client) -> int:
    chunks = 0
    for _ in client.stream(model="m", messages=MESSAGES):
        chunks += 1
    return chunks


def is_undisturbed(alone: Progress, beside: Progress, metrics: dict[str, Any]) -> bool:
    held = max(metrics["gil_hold_seconds"])  # the bucket's upper bound, a power of two
    return (
        held / 2 < STOP_S
        and beside.longest_stop < PACE_S / 4 + alone.longest_stop
        and beside.rate > alone.rate / 2
    )


@pytest.mark.parametrize("pace", [0.0, 0.01])
def test_fifty_threads_take_the_gil_at_most_once_a_chunk(
    serve: Serve, connect: Connect, pace: float
) -> None:
    words = [f"{n} " for n in range(20)]
    pieces = [http_chunks([chat(word)]) for word in words]
    last = http_chunks([chat(finish="stop"), DONE]) + LAST_CHUNK

    def parts() -> Iterator[bytes | float]:
        yield head(Transfer_Encoding="chunked")
        for piece in pieces:
            yield pace
            yield piece
        yield pace
        yield last

    client = connect(serve(lambda _: mock.Raw(parts(), then="keep")))
    streams = [client.stream(model="m", messages=MESSAGES) for _ in range(50)]
    start = threading.Barrier(50)

    def read(stream: millstream.Stream) -> str:
        start.wait()
        return "".join(chunk.text for chunk in stream)

    tasks = [Task(lambda stream=stream: read(stream)) for stream in streams]  # type: ignore[misc]
    assert [task.result() for task in tasks] == ["".join(words)] * 50
    metrics = client.metrics()
    assert metrics["chunks"] == 50 * 21
    assert metrics["gil_takes"] <= metrics["chunks"]
    assert metrics["wakeups"] <= metrics["chunks"]


TAKING: dict[str, Callable[[millstream.Stream], int]] = {
    "next": lambda stream: len(list(stream)),
    "texts": lambda stream: len(list(stream.texts())),
    "events": lambda stream: len(list(stream.events())),
    "batches": lambda stream: sum(len(batch) for batch in stream.batches()),
    "result": lambda stream: len(stream.result().text),
}


@pytest.mark.parametrize("way", TAKING)
def test_what_is_ready_is_taken_without_releasing_the_gil(
    serve: Serve, connect: Connect, way: str
) -> None:
    client = connect(serve(mock.Answer(["x"] * 1000)))
    stream = client.stream(model="m", messages=MESSAGES)
    assert eventually(lambda: client.metrics()["streams_ok"] == 1)
    assert TAKING[way](stream) >= 1000
    assert stream.response.status == 200
    assert stream.wait()
    assert client.metrics()["gil_takes"] == 0


def test_the_start_and_the_end_of_a_stream_do_not_wait(serve: Serve, connect: Connect) -> None:
    client = connect(serve(mock.Raw([], then="hang")))
    streams = [client.stream(model="m", messages=MESSAGES) for _ in range(20)]
    for stream in streams:
        stream.cancel()
    for stream in streams:
        with pytest.raises(millstream.Cancelled):
            next(stream)
    assert client.metrics()["gil_takes"] == 0


def test_a_wait_is_one_take_of_the_gil(serve: Serve, connect: Connect) -> None:
    """A burst behind a gate: one take for the first chunk, none for those that came with it."""
    gate = mock.Gate()
    burst = http_chunks([b"".join([chat("x")] * 100 + [chat(finish="stop"), DONE])]) + LAST_CHUNK
    client = connect(serve(mock.Raw([gate, head(Transfer_Encoding="chunked") + burst])))
    stream = client.stream(model="m", messages=MESSAGES)
    task = Task(lambda: len(list(stream)))
    assert gate.wait_reached()
    gate.open()
    assert task.result() == 101
    metrics = client.metrics()
    assert metrics["gil_takes"] == 1
    assert sum(metrics["gil_hold_seconds"].values()) == 1
    assert metrics["gil_hold_total"] > 0


def test_what_an_event_loop_is_handed_is_measured_too(serve: Serve) -> None:
    server = serve(mock.Answer(["x"] * 100))

    async def read() -> dict[str, Any]:
        client = millstream.AsyncClient(base_url=server.url, api_key="k")
        async for _ in client.stream(model="m", messages=MESSAGES):
            pass
        return client.metrics()

    metrics = asyncio.run(read())
    assert metrics["gil_hold_total"] > 0
    assert sum(metrics["gil_hold_seconds"].values()) >= metrics["chunks"]
