"""Faults 42 to 44, 49, 51, 53, 54 and 57: what a program does with its streams."""

from __future__ import annotations

import asyncio
import gc
import itertools
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

import millstream
from answers import DONE, GIVE_UP_S, LAST_CHUNK, MESSAGES, chat, eventually, http_chunks
from conftest import Serve
from harness import (
    AB,
    FINE_ANSWER,
    HEAD,
    MIB,
    Client,
    Scene,
    memory_within,
    patient,
)
from millstream import mock
from processes import Run

END = chat("c", finish="stop") + DONE
HANGS = mock.Raw([HEAD, AB], then="hang")


def test_fault_42_a_stream_that_is_dropped(scene: Scene) -> None:
    server = scene.serve(HANGS, FINE_ANSWER)
    client = scene.client(server)
    stream = scene.ask(client)
    assert scene.next(stream).text == "a"
    scene.forget(stream)
    del stream
    gc.collect()
    assert server.wait_disconnected(1, GIVE_UP_S)
    assert client.metrics()["streams_cancelled"] == 1
    scene.is_answered(client)


@pytest.mark.parametrize("how", ["cancel", "close"])
def test_fault_43_another_thread_ends_the_wait(scene: Scene, how: str) -> None:
    server = scene.serve(HANGS, FINE_ANSWER)
    client = scene.client(server)
    stream = scene.ask(client)
    for text in "ab":
        assert scene.next(stream).text == text
    waiting = scene.wait_for_next(stream)
    for _ in range(2):
        getattr(stream, how)()
    if how == "cancel":
        with pytest.raises(millstream.Cancelled):
            waiting.result(GIVE_UP_S)
    else:
        assert waiting.result(GIVE_UP_S) is None
    assert scene.read(stream).chunks == []
    assert server.wait_disconnected(1, GIVE_UP_S)
    scene.is_answered(client)


def test_fault_44_two_readers_of_one_stream(scene: Scene) -> None:
    """Two threads, or two tasks of one loop."""
    words = [f"{n} " for n in range(2000)]
    gate = mock.Gate()
    parts = [http_chunks([chat(word)]) for word in words]
    end = http_chunks([chat(finish="stop") + DONE]) + LAST_CHUNK
    server = scene.serve(mock.Raw([HEAD, *parts[:1000], gate, *parts[1000:], end]))
    stream = scene.ask(server)
    readers = [scene.reader()] * 2 if scene.kind == "async" else [scene.reader(), scene.reader()]
    outcomes = [scene.begin_to_read(stream, reader) for reader in readers]
    gate.open()
    taken = [scene.end_of(outcome) for outcome in outcomes]
    assert all(outcome.error is None for outcome in taken)
    texts = [[c.text for c in outcome.chunks if c.text] for outcome in taken]
    assert sorted(itertools.chain(*texts), key=lambda text: int(text)) == words
    for each in texts:  # each in the order in which they were sent
        assert each == sorted(each, key=lambda text: int(text))


@contextmanager
def no_more_descriptors() -> Iterator[None]:
    """Every new descriptor is one too many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, hard))
    fillers: list[int] = []
    try:
        while True:
            fillers.append(os.dup(0))
    except OSError:
        yield
    finally:
        for fd in fillers:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def is_over(client: Client, streams: int) -> bool:
    metrics = client.metrics()
    return bool(metrics["streams_ok"] + metrics["streams_failed"] == streams)


def test_fault_49_no_more_descriptors(scene: Scene) -> None:
    client = scene.client(scene.serve(FINE_ANSWER), timeout=patient(first_chunk=1))
    reader = scene.reader()
    scene.read(scene.ask(client), reader)  # what its thread needs is there
    for streams in range(2, 50):
        with no_more_descriptors():
            stream = scene.ask(client)
            assert eventually(partial(is_over, client, streams))
        outcome = scene.read(stream, reader)
        # Else it met one that something before it has just left; the server has none to answer on.
        if isinstance(outcome.error, millstream.ConnectError):
            break
    error = outcome.is_error(millstream.ConnectError, code="descriptors")
    assert "ulimit" in str(error)
    scene.is_answered(client)


def many_at_once(scene: Scene, count: int) -> None:
    """All wait at one gate before the first is read, and all are whole."""
    gate = mock.Gate()
    first, last = http_chunks([chat("x")]), http_chunks([chat("y", finish="stop") + DONE])
    server = scene.serve(mock.Raw([HEAD + first, gate, last + LAST_CHUNK]))
    client = scene.client(server)
    streams = [scene.ask(client) for _ in range(count)]
    assert server.wait_requests(count, GIVE_UP_S)
    gate.open()
    reader = scene.reader()
    for stream in streams:
        scene.read(stream, reader).is_success("xy")
    assert client.metrics()["streams_ok"] == count


def test_fault_51_many_streams_at_once(scene: Scene) -> None:
    many_at_once(scene, 500)


MANY = """
import asyncio, resource

hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

async def main(streams):
    return {(await stream.result()).text for stream in streams}

kind = getattr(millstream, sys.argv.pop())
to = kind(base_url=sys.argv[1], api_key="k", max_retries=0)
streams = [ask(to) for _ in range(10_000)]
if kind is millstream.Client:
    say(*{stream.result().text for stream in streams})
else:
    say(*asyncio.run(main(streams)))
say(to.metrics()["streams_ok"], to.metrics()["connections"])
"""


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["Client", "AsyncClient"])
def test_fault_51_ten_thousand_streams_at_once(serve: Serve, run: Run, kind: str) -> None:
    """All wait at one gate before the first is read: one end of each here, one in a process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 11_000:
        pytest.skip(f"skipped: {hard} descriptors are not enough for 10,000 streams")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gate = mock.Gate()
    first, last = http_chunks([chat("x")]), http_chunks([chat("y", finish="stop") + DONE])
    server = serve(mock.Raw([HEAD + first, gate, last + LAST_CHUNK]))
    process = run(server, MANY, before=f"import sys; sys.argv.append({kind!r})\n")
    assert server.wait_requests(10_000, GIVE_UP_S)
    gate.open()
    assert process.end() == (0, "xy\n10000 10000", "")
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_fault_53_a_slow_consumer(scene: Scene) -> None:
    """A server sends 64 MiB as fast as it can while nobody reads; another stream is not held up."""
    event = chat("x" * 1000)
    block = http_chunks([event * 64])
    count = 64 * MIB // len(block)
    parts = [HEAD, *[block] * count, http_chunks([END]) + LAST_CHUNK]
    limits = millstream.Limits(buffered_bytes=256 * 1024)
    client = scene.client(scene.serve(mock.Raw(parts)), limits=limits)
    with memory_within(24 * MIB):
        stream = scene.ask(client)
        assert eventually(lambda: client.metrics()["pauses"] == 1)
        scene.is_answered(scene.client(scene.serve(FINE_ANSWER)))
        assert client.metrics()["bytes_received"] < 2 * MIB
        reader = scene.reader()
        for _ in range(100):
            assert scene.next(stream).text == "x" * 1000
    outcome = scene.read(stream, reader)
    assert outcome.error is None
    assert len(stream.message.text) == 64 * count * 1000 + 1


def test_fault_54_a_cancelled_task(scene: Scene) -> None:
    """A task that waits is cancelled: so is its transfer. And a loop may end with live streams."""
    server = scene.serve(HANGS)

    async def begin(client: millstream.AsyncClient) -> millstream.AsyncStream:
        stream = client.stream(model="m", messages=MESSAGES)
        for text in "ab":
            assert (await anext(stream)).text == text
        return stream

    async def cancelled() -> None:
        client = millstream.AsyncClient(base_url=server.url, timeout=patient())
        stream = await begin(client)
        task = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(millstream.Cancelled):
            await anext(stream)
        assert [chunk async for chunk in stream] == []

    async def left_alive() -> None:
        client = millstream.AsyncClient(base_url=server.url, timeout=patient())
        asyncio.ensure_future((await begin(client)).result())  # noqa: RUF006
        await asyncio.sleep(0)

    asyncio.run(cancelled())
    assert server.wait_disconnected(1, GIVE_UP_S)
    asyncio.run(left_alive())
    gc.collect()
    assert server.wait_disconnected(2, GIVE_UP_S)


LOCAL = "http://127.0.0.1:1/v1"
UNSENDABLE: dict[str, tuple[Any, Any, str]] = {
    f"{name} with {label}": (client, request, word)
    for label, bad in {"CR": "\r", "LF": "\n", "CRLF": "\r\nX-B: c", "NUL": "\0"}.items()
    for name, client, request, word in [
        ("a header's value", {"headers": {"X-A": f"b{bad}"}}, {}, "headers"),
        ("a header's name", {"headers": {f"X-A{bad}": "b"}}, {}, "headers"),
        ("the key", {"api_key": f"sk{bad}"}, {}, "api_key|headers"),
        ("the address", {"base_url": f"{LOCAL}{bad}"}, {}, "url"),
        ("the host", {"base_url": f"http://127.0.0.1{bad}:1/"}, {}, "url"),
        ("the path", {}, {"path": f"/x{bad}"}, "path|url"),
        ("the method", {}, {"method": f"GET{bad}"}, "method"),
        ("the proxy", {"proxy": f"http://127.0.0.1:1/{bad}"}, {}, "proxy"),
    ]
} | {
    "a space in the path": ({}, {"path": "/x y"}, "path|url"),
    "a space in the method": ({}, {"method": "GET /other"}, "method"),
    "no method": ({}, {"method": ""}, "method"),
    "no header name": ({"headers": {"": "b"}}, {}, "headers"),
    "a colon in a header's name": ({"headers": {"A:": "b"}}, {}, "headers"),
    "no host": ({"base_url": "http:///v1"}, {}, "url"),
    "a lone surrogate in a header": ({"headers": {"X-A": "\ud800"}}, {}, "headers"),
    "a lone surrogate in the key": ({"api_key": "sk\ud800"}, {}, "api_key|headers"),
    "a lone surrogate in the path": ({}, {"path": "/\ud800"}, "path|url"),
    "a NUL in the socket's path": ({"unix_socket": "/tmp/\0x"}, {}, "unix_socket"),
    "a NUL in the CA file's name": (
        {"base_url": "https://127.0.0.1:1", "verify": "/tmp/\0x"}, {}, "verify",
    ),
    "a NUL in the certificate's name": ({"cert": "/tmp/\0x"}, {}, "cert"),
    "another scheme": ({"base_url": "file:///etc/passwd"}, {}, "url"),
    "another scheme for the proxy": ({"proxy": "file:///etc/passwd"}, {}, "proxy"),
}  # fmt: skip


@pytest.mark.parametrize("kind", [millstream.Client, millstream.AsyncClient])
@pytest.mark.parametrize("case", UNSENDABLE)
def test_fault_57_what_cannot_be_sent(case: str, kind: Any) -> None:
    client_options, request_options, word = UNSENDABLE[case]
    before = millstream.metrics()["streams_started"]
    with pytest.raises(ValueError, match=rf"^(base_)?({word}):"):
        kind(**{"base_url": LOCAL, "max_retries": 0, **client_options}).request(
            **{"path": "/x", **request_options}
        )
    assert millstream.metrics()["streams_started"] == before
