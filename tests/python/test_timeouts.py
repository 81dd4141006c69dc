"""The four clocks: which one runs out, when it does not, and what is tried again."""

from __future__ import annotations

import itertools
import socket
import threading
import time
from collections.abc import Iterator

import pytest

import millstream
from answers import GIVE_UP_S, LAST_CHUNK, MESSAGES, Task, chat, eventually, head, http_chunks
from conftest import Ask, Connect, Serve, timeout
from millstream import mock

SHORT_S = 0.25
PING = http_chunks([b": ping\n\n"])
STREAM_HEAD = head(Transfer_Encoding="chunked")


def pings(every_s: float) -> Iterator[bytes | float]:
    for _ in itertools.count():
        yield PING
        yield every_s


def raised_by(stream: millstream.Stream) -> tuple[millstream.Timeout, list[str], float]:
    """The timeout, the texts before it, and the seconds from now."""
    texts: list[str] = []
    begin = time.monotonic()
    with pytest.raises(millstream.Timeout) as caught:
        texts.extend(stream.texts())
    assert list(stream) == []
    return caught.value, texts, time.monotonic() - begin


# ---- connect -------------------------------------------------------------------------------------


@pytest.fixture
def deaf() -> Iterator[socket.socket]:
    """A socket that takes connections in the kernel's name and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def full() -> Iterator[socket.socket]:
    """A socket whose backlog is full: the kernel drops the next attempt to connect."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        fillers = [socket.socket() for _ in range(3)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        try:
            yield listener
        finally:
            for filler in fillers:
                filler.close()


def url(listener: socket.socket, scheme: str) -> str:
    return f"{scheme}://127.0.0.1:{listener.getsockname()[1]}/v1"


def test_a_handshake_without_an_answer_is_a_connect_timeout(
    deaf: socket.socket, connect: Connect
) -> None:
    client = connect(url(deaf, "https"), timeout=timeout(connect=SHORT_S))
    error, _, waited = raised_by(client.stream(model="m", messages=MESSAGES))
    assert error.phase == "connect"
    assert "timeout.connect" in str(error)
    assert waited > SHORT_S * 0.9


def test_a_full_backlog_is_a_connect_timeout(full: socket.socket, connect: Connect) -> None:
    client = connect(url(full, "http"), timeout=timeout(connect=SHORT_S))
    error, _, _ = raised_by(client.stream(model="m", messages=MESSAGES))
    assert error.phase == "connect"


def test_connecting_is_tried_again(deaf: socket.socket, connect: Connect) -> None:
    client = connect(url(deaf, "https"), timeout=timeout(connect=0.1), max_retries=2)
    stream = client.stream(model="m", messages=MESSAGES)
    error, _, _ = raised_by(stream)
    assert error.phase == "connect"
    assert stream.timing.retries == 2
    assert client.metrics()["retries"] == 2
    deaf.setblocking(False)
    for _ in range(3):
        deaf.accept()[0].close()
    with pytest.raises(BlockingIOError):
        deaf.accept()


# ---- first_chunk ---------------------------------------------------------------------------------

SILENCES = {
    "before the head": [],
    "in the head": [STREAM_HEAD[:40]],
    "after the head": [STREAM_HEAD],
    "in the first event": [STREAM_HEAD, http_chunks([chat("Hi")[:20]])],
}


@pytest.mark.parametrize("silence", SILENCES)
def test_silence_before_the_first_event_is_a_first_chunk_timeout(
    serve: Serve, connect: Connect, silence: str
) -> None:
    server = serve(mock.Raw(SILENCES[silence], then="hang"))
    client = connect(server, timeout=timeout(first_chunk=SHORT_S), max_retries=3)
    stream = client.stream(model="m", messages=MESSAGES)
    error, _, _ = raised_by(stream)
    assert error.phase == "first_chunk"
    assert "timeout.first_chunk" in str(error)
    assert server.wait_disconnected(1)
    # The model may be at work: a second request could be billed too.
    assert len(server.requests) == 1
    assert stream.timing.retries == 0


def test_pings_are_no_first_chunk(ask: Ask) -> None:
    parts = itertools.chain([STREAM_HEAD], pings(0.02))
    error, _, _ = raised_by(ask(mock.Raw(parts), timeout=timeout(first_chunk=SHORT_S)))
    assert error.phase == "first_chunk"


# ---- idle ----------------------------------------------------------------------------------------


def test_silence_between_events_is_an_idle_timeout(serve: Serve, connect: Connect) -> None:
    server = serve(mock.Answer(["One", " two", " three"], cut_after=3, cut="hang"))
    client = connect(server, timeout=timeout(idle=SHORT_S), max_retries=3)
    error, texts, waited = raised_by(client.stream(model="m", messages=MESSAGES))
    assert error.phase == "idle"
    assert "timeout.idle" in str(error)
    assert texts == ["One", " two"]
    assert error.message is not None
    assert error.message.text == "One two"
    assert waited > SHORT_S * 0.9
    assert len(server.requests) == 1
    assert server.wait_disconnected(1)


def test_pings_do_not_feed_the_idle_clock(ask: Ask) -> None:
    parts = itertools.chain([STREAM_HEAD, http_chunks([chat("Hi")])], pings(0.02))
    error, texts, _ = raised_by(ask(mock.Raw(parts), timeout=timeout(idle=SHORT_S)))
    assert error.phase == "idle"
    assert texts == ["Hi"]


@pytest.mark.parametrize(
    ("kept_alive_by", "comments"),
    [(b": ping\n\n", True), (b'data: {"progress":1}\n\n', False)],
    ids=["comments, where they shall", "events without a delta"],
)
def test_what_feeds_the_idle_clock(
    serve: Serve, connect: Connect, kept_alive_by: bytes, comments: bool
) -> None:
    """The stream that is fed lives on while one that is not runs out of its time."""
    clocks = timeout(idle=1.0, idle_counts_comments=comments)
    enough = threading.Event()
    first, last = http_chunks([chat("Hi")]), http_chunks([chat(" you", finish="stop")])

    def parts() -> Iterator[bytes | float]:
        yield STREAM_HEAD + first
        while not enough.is_set():
            yield http_chunks([kept_alive_by])
            yield 0.02
        yield last + LAST_CHUNK

    fed = connect(serve(lambda _: mock.Raw(parts())), timeout=clocks)
    stream = fed.stream(model="m", messages=MESSAGES)
    assert next(stream).text == "Hi"
    silent = connect(serve(mock.Raw([STREAM_HEAD + first], then="hang")), timeout=clocks)
    error, _, _ = raised_by(silent.stream(model="m", messages=MESSAGES))
    assert error.phase == "idle"
    enough.set()  # more than one idle time after the first event
    assert stream.result().text == "Hi you"


def test_a_paused_consumer_does_not_trip_the_idle_clock(serve: Serve, connect: Connect) -> None:
    """The queue is full and nobody reads while the same clock runs out for another stream."""
    clocks = timeout(idle=SHORT_S)
    words = [f"{n} " for n in range(500)]  # the first few fit: the clock runs when the rest stops
    limits = millstream.Limits(buffered_bytes=20_000)
    paused = connect(serve(mock.Answer(words)), timeout=clocks, limits=limits)
    stream = paused.stream(model="m", messages=MESSAGES)
    assert eventually(lambda: paused.metrics()["pauses"] == 1)
    silent = connect(
        serve(mock.Raw([STREAM_HEAD + http_chunks([chat("Hi")])], then="hang")), timeout=clocks
    )
    for _ in range(2):
        error, _, _ = raised_by(silent.stream(model="m", messages=MESSAGES))
        assert error.phase == "idle"
    assert stream.result().text == "".join(words)


# ---- total ---------------------------------------------------------------------------------------


def test_an_endless_stream_is_a_total_timeout(serve: Serve, connect: Connect) -> None:
    def endless() -> Iterator[bytes | float]:
        yield STREAM_HEAD
        while True:
            yield http_chunks([chat("x")])
            yield 0.01

    server = serve(lambda _: mock.Raw(endless()))
    client = connect(server, timeout=timeout(total=SHORT_S), max_retries=3)
    error, texts, waited = raised_by(client.stream(model="m", messages=MESSAGES))
    assert error.phase == "total"
    assert "timeout.total" in str(error)
    assert set(texts) == {"x"}
    assert waited > SHORT_S * 0.9
    assert len(server.requests) == 1
    assert server.wait_disconnected(1)


def test_a_number_is_the_total(ask: Ask) -> None:
    error, _, _ = raised_by(ask(mock.Raw([], then="hang"), timeout=SHORT_S))
    assert error.phase == "total"


def test_the_total_runs_while_nobody_reads(serve: Serve, connect: Connect) -> None:
    client = connect(
        serve(mock.Answer(["x"] * 500)),
        timeout=timeout(total=SHORT_S),
        limits=millstream.Limits(buffered_bytes=1),
    )
    stream = client.stream(model="m", messages=MESSAGES)
    assert eventually(lambda: client.metrics()["streams_failed"] == 1)
    error, texts, _ = raised_by(stream)
    assert error.phase == "total"
    assert texts == ["x"] * len(texts)


def test_retries_end_with_the_total(serve: Serve, connect: Connect) -> None:
    """A wait that the total clock does not leave time for is not begun."""
    server = serve(mock.Error(503, headers={"Retry-After": "20"}))
    client = connect(server, timeout=timeout(total=2), max_retries=5)
    with pytest.raises(millstream.ServerError):
        client.stream(model="m", messages=MESSAGES).result()
    assert len(server.requests) == 1


def test_the_shortest_clock_wins(ask: Ask) -> None:
    clocks = timeout(connect=20, first_chunk=SHORT_S, idle=10, total=5)
    error, _, _ = raised_by(ask(mock.Raw([], then="hang"), timeout=clocks))
    assert error.phase == "first_chunk"


def test_infinity_is_no_limit(ask: Ask) -> None:
    endless = float("inf")
    assert millstream.Timeout(idle=endless).idle is None
    assert ask("Hi", timeout=endless).result().text == "Hi"


def test_no_clock_runs_where_all_are_none(ask: Ask) -> None:
    clocks = millstream.Timeout(connect=None, first_chunk=None, idle=None, total=None)
    gate = mock.Gate()
    stream = ask(mock.Answer(["a", gate, "b"]), timeout=clocks)
    assert gate.wait_reached()
    gate.open()
    assert stream.result().text == "ab"


def test_a_timeout_wakes_all_who_wait(ask: Ask) -> None:
    stream = ask(mock.Raw([], then="hang"), timeout=timeout(first_chunk=SHORT_S))
    response = Task(lambda: stream.response)
    with pytest.raises(millstream.Timeout):
        next(stream)
    with pytest.raises(millstream.Timeout):
        response.result()


def test_other_streams_do_not_notice(serve: Serve, connect: Connect) -> None:
    gate = mock.Gate()
    server = serve([mock.Answer(["a", gate, "b"]), mock.Raw([], then="hang")])
    stream = connect(server).stream(model="m", messages=MESSAGES)
    assert gate.wait_reached()
    raised_by(connect(server, timeout=timeout(total=SHORT_S)).stream(model="m", messages=MESSAGES))
    gate.open()
    assert stream.result().text == "ab"


# ---- the value -----------------------------------------------------------------------------------


def test_the_defaults_are_those_of_the_design() -> None:
    default = millstream.Timeout()
    assert (default.connect, default.first_chunk, default.idle, default.total) == (
        10,
        300,
        120,
        None,
    )
    assert default.idle_counts_comments is False
    assert default.phase is None
    assert repr(default) == (
        "Timeout(connect=10.0, first_chunk=300.0, idle=120.0, total=None, "
        "idle_counts_comments=False)"
    )


def test_a_raised_timeout_shows_its_text(ask: Ask) -> None:
    error, _, _ = raised_by(ask(mock.Raw([], then="hang"), timeout=timeout(total=SHORT_S)))
    assert isinstance(error, millstream.Error)
    assert str(error) in repr(error)
    assert f"{SHORT_S} s" in str(error)
    assert GIVE_UP_S > SHORT_S


@pytest.mark.parametrize("name", ["connect", "first_chunk", "idle", "total"])
@pytest.mark.parametrize(
    ("value", "error"),
    [
        (0, ValueError),
        (-1, ValueError),
        (float("nan"), ValueError),
        ("1", TypeError),
        (True, TypeError),
        ([], TypeError),
    ],
)
def test_a_wrong_time_is_named(name: str, value: object, error: type[Exception]) -> None:
    with pytest.raises(error, match=rf"Timeout\.{name}"):
        millstream.Timeout(**{name: value})  # type: ignore[arg-type]
