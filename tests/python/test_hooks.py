"""`on_event`: what hooks are told of a stream, in which order and where, and what they cannot."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import gc
import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

import millstream
from answers import GIVE_UP_S, MESSAGES, Task, eventually
from conftest import API_KEY, Connect, Serve, timeout
from millstream import hooks, mock

AT_ONCE = {"retry-after-ms": "0"}
WHOLE = ["request", "headers", "first_chunk", "end"]
Read = Callable[[Any], object]


class Seen(list[hooks.HookEvent]):
    """A hook that keeps what it is told."""

    def __call__(self, event: hooks.HookEvent) -> None:
        self.append(event)

    @property
    def types(self) -> list[str]:
        return [event.type for event in self]

    @property
    def end(self) -> hooks.EndEvent:
        (end,) = (event for event in self if event.type == "end")
        return end


@pytest.fixture
def seen() -> Seen:
    return Seen()


async def every(items: Any) -> list[Any]:
    return [item async for item in items]


# ---- what is told, whatever way the stream is read -----------------------------------------------

WAYS: dict[str, Read] = {
    "chunks": list,
    "texts": lambda stream: list(stream.texts()),
    "batches": lambda stream: list(stream.batches()),
    "events": lambda stream: list(stream.events()),
    "result": lambda stream: stream.result(),
    "value": lambda stream: stream.result(list[int]),
    "partials": lambda stream: list(stream.partials(list)),
    "items": lambda stream: list(stream.items(int, "")),
    "response first": lambda stream: (stream.response, list(stream)),
    "waited for": lambda stream: (stream.wait(), millstream.wait([stream]), list(stream)),
}
ASYNC_WAYS: dict[str, Callable[[Any], Any]] = {
    "chunks": every,
    "texts": lambda stream: every(stream.texts()),
    "batches": lambda stream: every(stream.batches()),
    "events": lambda stream: every(stream.events()),
    "result": lambda stream: stream.result(),
    "value": lambda stream: stream.result(list[int]),
    "partials": lambda stream: every(stream.partials(list)),
    "items": lambda stream: every(stream.items(int, "")),
}


def check_whole(seen: Seen, provider: str = "openai") -> None:
    assert seen.types == WHOLE
    assert len({event.call for event in seen}) == 1
    call = seen[0].call
    assert (call.provider, call.format, call.model) == (provider, "openai-chat", "m")
    assert call.arguments["messages"] is MESSAGES
    _, headers, first, end = seen
    assert isinstance(headers, hooks.HeadersEvent)
    assert isinstance(first, hooks.FirstChunkEvent)
    assert isinstance(end, hooks.EndEvent)
    assert (end.outcome, end.error) == ("ok", None)
    assert headers.response.status == 200
    assert end.response is headers.response
    assert 0 < headers.at <= first.at <= end.at
    assert end.timing is not None
    assert end.at == end.timing.total
    assert first.at == end.timing.first_chunk
    assert end.message is not None
    assert end.message.text == "[1, 2]"
    assert end.message.usage is not None
    assert end.chunk_times == ()


@pytest.mark.parametrize("way", WAYS)
def test_each_way_of_reading_tells_all_in_order(
    serve: Serve, connect: Connect, seen: Seen, way: str
) -> None:
    stream = connect(serve("[1, 2]"), on_event=seen).stream(model="m", messages=MESSAGES)
    assert seen.types == ["request"]
    WAYS[way](stream)
    check_whole(seen)
    stream.close()
    del stream
    assert seen.types == WHOLE


@pytest.mark.parametrize("way", ASYNC_WAYS)
def test_each_async_way_of_reading_tells_all_in_order(serve: Serve, seen: Seen, way: str) -> None:
    async def main() -> None:
        client = millstream.AsyncClient(
            base_url=serve("[1, 2]").url, api_key=API_KEY, timeout=timeout(), on_event=seen
        )
        stream = client.stream(model="m", messages=MESSAGES)
        await ASYNC_WAYS[way](stream)
        await stream.close()

    asyncio.run(main())
    check_whole(seen)


def test_request_has_its_json_for_arguments(serve: Serve, connect: Connect, seen: Seen) -> None:
    json = {"model": "x", "messages": MESSAGES, "stream": True}
    connect(serve("a"), on_event=seen).request("/chat/completions", json=json).result()
    assert seen.types == WHOLE
    assert (seen[0].call.model, seen[0].call.arguments) == ("x", json)


def test_events_are_frozen(serve: Serve, connect: Connect, seen: Seen) -> None:
    connect(serve("a"), on_event=seen).stream(model="m", messages=MESSAGES).result()
    for event in seen:
        with pytest.raises(dataclasses.FrozenInstanceError):
            event.call = event.call  # type: ignore[misc]
    with pytest.raises(dataclasses.FrozenInstanceError):
        seen[0].call.model = "other"  # type: ignore[misc]


def test_chunk_times_are_taken_for_a_hook_that_asks(serve: Serve, connect: Connect) -> None:
    class Wants(Seen):
        chunk_times = True

    for read in (list, WAYS["batches"], WAYS["result"]):
        wants, other = Wants(), Seen()
        client = connect(serve("a b c"), on_event=[other, wants])
        stream = client.stream(model="m", messages=MESSAGES)
        read(stream)
        times = wants.end.chunk_times
        assert len(times) == stream.timing.chunks > 3
        assert list(times) == sorted(times)
        assert 0 < times[0] <= times[-1]
        assert other.end.chunk_times == times


# ---- retries -------------------------------------------------------------------------------------


def test_retries_are_told_before_the_answer(serve: Serve, connect: Connect, seen: Seen) -> None:
    script = [mock.Error(503, headers=AT_ONCE), mock.Error(429, headers=AT_ONCE), mock.Answer("a")]
    client = connect(serve(script), on_event=seen, max_retries=2)
    client.stream(model="m", messages=MESSAGES).result()
    assert seen.types == ["request", "retry", "retry", *WHOLE[1:]]
    retries = [event for event in seen if isinstance(event, hooks.RetryEvent)]
    assert [(r.number, r.error, r.status, r.delay) for r in retries] == [
        (1, "ServerError", 503, 0.0),
        (2, "RateLimited", 429, 0.0),
    ]
    headers = seen[3]
    assert isinstance(headers, hooks.HeadersEvent)
    assert 0 < retries[0].at < retries[1].at < headers.at
    assert client.metrics()["retries"] == 2


def test_retries_of_what_fails_in_the_end(serve: Serve, connect: Connect, seen: Seen) -> None:
    client = connect(serve([mock.Error(503, headers=AT_ONCE)]), on_event=seen, max_retries=1)
    with pytest.raises(millstream.ServerError):
        client.stream(model="m", messages=MESSAGES).result()
    assert seen.types == ["request", "retry", "headers", "end"]


# ---- ends ----------------------------------------------------------------------------------------


def test_a_failure_is_told_with_what_is_raised(serve: Serve, connect: Connect, seen: Seen) -> None:
    script = mock.Answer("a b c", cut_after=2)
    stream = connect(serve(script), on_event=seen).stream(model="m", messages=MESSAGES)
    with pytest.raises(millstream.StreamInterrupted) as caught:
        list(stream)
    assert seen.types == WHOLE
    assert (seen.end.outcome, seen.end.error) == ("failed", caught.value)
    assert seen.end.message == caught.value.message
    assert next(stream, None) is None
    assert len(seen) == 4


def test_no_connection_has_no_headers(connect: Connect, seen: Seen) -> None:
    client = connect("http://127.0.0.1:1/v1", on_event=seen)
    with pytest.raises(millstream.ConnectError) as caught:
        next(client.stream(model="m", messages=MESSAGES))
    assert seen.types == ["request", "end"]
    assert (seen.end.outcome, seen.end.error) == ("failed", caught.value)
    assert seen.end.response is None


def test_what_is_refused_before_it_begins_has_an_end_too(connect: Connect, seen: Seen) -> None:
    client = connect("http://127.0.0.1:1/v1", on_event=seen, headers={"X-Bad": "a\nb"})
    with pytest.raises(ValueError, match="headers") as caught:
        client.stream(model="m", messages=MESSAGES)
    assert seen.types == ["request", "end"]
    assert (seen.end.outcome, seen.end.error) == ("failed", caught.value)
    assert seen.end.message is None
    assert seen.end.timing is None


def drop(stream: millstream.Stream) -> None:
    next(stream)


def close(stream: millstream.Stream) -> None:
    next(stream)
    stream.close()
    stream.close()
    assert list(stream) == []


def leave(stream: millstream.Stream) -> None:
    with stream:
        next(stream)


def cancel(stream: millstream.Stream) -> None:
    next(stream)
    stream.cancel()
    with pytest.raises(millstream.Cancelled):
        next(stream)


@pytest.mark.parametrize("way", [drop, close, leave, cancel])
def test_what_is_given_up_is_told_once(
    serve: Serve, connect: Connect, seen: Seen, way: Read
) -> None:
    client = connect(serve(mock.Answer(["a", mock.Gate(), "b"])), on_event=seen)
    way(client.stream(model="m", messages=MESSAGES))
    gc.collect()
    assert seen.types == WHOLE
    assert seen.end.outcome == "cancelled"
    assert seen.end.message is not None
    assert seen.end.at > 0


def test_one_that_was_never_read_is_told(serve: Serve, connect: Connect, seen: Seen) -> None:
    connect(serve("a"), on_event=seen).stream(model="m", messages=MESSAGES)
    assert seen.types == ["request", "end"]
    assert seen.end.outcome == "cancelled"


def test_an_async_one_that_is_dropped_is_told(serve: Serve, seen: Seen) -> None:
    async def main() -> None:
        server = serve(mock.Answer(["a", mock.Gate()]))
        client = millstream.AsyncClient(
            base_url=server.url, api_key=API_KEY, timeout=timeout(), on_event=seen
        )
        await client.stream(model="m", messages=MESSAGES).__anext__()

    asyncio.run(main())
    gc.collect()
    assert seen.types == WHOLE
    assert seen.end.outcome == "cancelled"


def test_cancel_wakes_a_reader_and_is_told_once(serve: Serve, connect: Connect, seen: Seen) -> None:
    client = connect(serve(mock.Answer(["a", mock.Gate(), "b"])), on_event=seen)
    stream = client.stream(model="m", messages=MESSAGES)
    next(stream)
    reader = Task(lambda: list(stream))
    stream.cancel()
    with pytest.raises(millstream.Cancelled):
        reader.result()
    assert seen.types == WHOLE
    assert seen.end.outcome == "cancelled"


def test_a_cancelled_task_is_told(serve: Serve, seen: Seen) -> None:
    async def main() -> None:
        server = serve(mock.Answer(["a", mock.Gate(), "b"]))
        client = millstream.AsyncClient(
            base_url=server.url, api_key=API_KEY, timeout=timeout(), on_event=seen
        )
        stream = client.stream(model="m", messages=MESSAGES)
        await stream.__anext__()
        task = asyncio.create_task(stream.result())
        while not task.done():
            await asyncio.sleep(0)
            task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert seen.types == WHOLE
    assert seen.end.outcome == "cancelled"


def test_a_cancelled_scope_of_trio_is_told(serve: Serve, seen: Seen) -> None:
    trio = pytest.importorskip("trio", reason="skipped: trio is not installed")

    async def main() -> None:
        server = serve(mock.Answer(["a", mock.Gate(), "b"]))
        client = millstream.AsyncClient(
            base_url=server.url, api_key=API_KEY, timeout=timeout(), on_event=seen
        )
        with trio.CancelScope() as scope:
            async for batch in client.stream(model="m", messages=MESSAGES).batches():
                if any(chunk.text for chunk in batch):
                    scope.cancel()

    trio.run(main)
    assert seen.types == WHOLE
    assert seen.end.outcome == "cancelled"


def test_ctrl_c_while_it_waits_is_no_end(
    serve: Serve, connect: Connect, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = connect(serve("a"), on_event=seen).stream(model="m", messages=MESSAGES)

    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(millstream.Stream, "__next__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            next(stream)
    assert stream.result().text == "a"
    assert seen.types == WHOLE


def test_many_readers_are_told_one_end(serve: Serve, connect: Connect, seen: Seen) -> None:
    """Of a fault one thread has the exception; the others, which just stop, tell the same."""
    client = connect(serve(mock.Answer("a b c d", cut_after=3)), on_event=seen)
    for _ in range(20):
        stream = client.stream(model="m", messages=MESSAGES)
        errors: list[Exception] = []

        def read(stream: Any = stream, errors: list[Exception] = errors) -> None:
            try:
                list(stream)
            except millstream.Error as error:
                errors.append(error)

        for task in [Task(read) for _ in range(4)]:
            task.result()
        assert len(errors) == 1
        assert sorted(seen.types) == sorted(WHOLE)
        assert (seen.end.outcome, type(seen.end.error)) == ("failed", millstream.StreamInterrupted)
        seen.clear()


def test_who_just_stops_behind_anothers_fault_tells_it(
    serve: Serve, connect: Connect, seen: Seen
) -> None:
    client = connect(serve(mock.Answer("a b", cut_after=1)), on_event=seen)
    stream = client.stream(model="m", messages=MESSAGES)
    unwatched = iter(lambda: millstream.Stream.__next__(stream), None)
    with pytest.raises(millstream.StreamInterrupted):
        list(unwatched)  # as another thread that has not come to tell it yet
    assert next(stream, None) is None
    assert (seen.end.outcome, type(seen.end.error)) == ("failed", millstream.StreamInterrupted)


def test_figures_are_those_of_the_metrics(serve: Serve, connect: Connect, seen: Seen) -> None:
    script: list[Any] = [
        mock.Error(503, headers=AT_ONCE), mock.Answer("a b"), mock.Answer("a b c"), mock.Error(401),
        mock.Answer("a b", cut_after=1), mock.Answer(["a", mock.Gate(), "b"]),
    ]  # fmt: skip
    client = connect(serve(script), on_event=seen, max_retries=1)
    for _ in range(4):
        try:
            client.stream(model="m", messages=MESSAGES).result()
        except millstream.Error:
            pass
    chunks = client.metrics()["chunks"]  # of the one below more may come than anybody sees
    assert chunks == sum(
        event.timing.chunks for event in seen if event.type == "end" and event.timing
    )
    next(client.stream(model="m", messages=MESSAGES))
    assert eventually(lambda: client.metrics()["streams_open"] == 0)
    metrics = client.metrics()
    ends = [event for event in seen if isinstance(event, hooks.EndEvent)]
    outcomes = [end.outcome for end in ends]
    assert metrics["streams_started"] == seen.types.count("request") == 5
    assert metrics["streams_ok"] == outcomes.count("ok") == 2
    assert metrics["streams_failed"] == outcomes.count("failed") == 2
    assert metrics["streams_cancelled"] == outcomes.count("cancelled") == 1
    assert metrics["retries"] == seen.types.count("retry") == 1


# ---- hooks that misbehave ------------------------------------------------------------------------


def test_what_a_hook_raises_is_logged_and_goes_no_further(
    serve: Serve, connect: Connect, seen: Seen, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(event: hooks.HookEvent) -> None:
        raise RuntimeError(f"of the hook, at {event.type}")

    client = connect(serve("a b"), on_event=[fails, seen])
    assert client.stream(model="m", messages=MESSAGES).result().text == "a b"
    assert seen.types == WHOLE
    assert [record.name for record in caplog.records] == ["millstream"] * 4
    assert {record.levelno for record in caplog.records} == {logging.ERROR}
    assert "RuntimeError: of the hook, at first_chunk" in caplog.text


def test_what_a_hook_was_made_with_is_not_logged(
    serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(event: hooks.HookEvent, token: str) -> None:
        raise RuntimeError("of the hook")

    hook = functools.partial(fails, token="s3cret")
    connect(serve("a"), on_event=hook).stream(model="m", messages=MESSAGES).result()
    assert [record.getMessage() for record in caplog.records] == [
        "an on_event hook raised: partial"
    ] * 4
    assert "s3cret" not in caplog.text


def test_a_hook_that_stands_still_holds_up_its_own_stream_alone(
    serve: Serve, connect: Connect
) -> None:
    release, held = threading.Event(), threading.Event()

    def stands_still(event: hooks.HookEvent) -> None:
        if event.type == "first_chunk":
            held.set()
            assert release.wait(GIVE_UP_S)

    server = serve("a b c")
    slow = connect(server, on_event=stands_still)
    task = Task(lambda: slow.stream(model="m", messages=MESSAGES).result().text)
    try:
        assert held.wait(GIVE_UP_S)
        # The engine goes on, with other streams and with this one: it knows no hooks.
        assert connect(server).stream(model="m", messages=MESSAGES).result().text == "a b c"
        assert eventually(lambda: slow.metrics()["streams_ok"] == 1)
        assert task.running
    finally:
        release.set()
    assert task.result() == "a b c"


def test_a_hook_may_end_its_stream(serve: Serve, connect: Connect, seen: Seen) -> None:
    streams: list[millstream.Stream] = []

    def ends(event: hooks.HookEvent) -> None:
        if event.type == "first_chunk":
            streams[0].close()

    client = connect(serve(mock.Answer(["a", mock.Gate()])), on_event=[ends, seen])
    streams.append(client.stream(model="m", messages=MESSAGES))
    assert len(list(streams[0])) == 1
    assert sorted(seen.types) == sorted(WHOLE)


def test_hooks_are_called_by_what_starts_and_what_reads(serve: Serve, connect: Connect) -> None:
    threads: list[tuple[str, int]] = []
    client = connect(
        serve("a"), on_event=lambda event: threads.append((event.type, threading.get_ident()))
    )
    stream = client.stream(model="m", messages=MESSAGES)
    reader = Task(lambda: (list(stream), threading.get_ident()))
    _, other = reader.result()
    assert threads == [("request", threading.get_ident())] + [(name, other) for name in WHOLE[1:]]


# ---- headers that a hook adds --------------------------------------------------------------------


def test_a_hook_may_add_headers(
    serve: Serve, connect: Connect, caplog: pytest.LogCaptureFixture
) -> None:
    def adds(event: hooks.HookEvent) -> None:
        if event.type == "request":
            assert event.headers["Authorization"] == "Bearer ***"
            assert event.headers["X-Ours"] == "client's"
            event.add_header("X-Trace", "7")
            event.add_header("x-ours", "hook's")
            event.add_header("X-Bad", "a\r\nX-Evil: 1")

    server = serve("a")
    client = connect(server, on_event=adds, headers={"X-Ours": "client's"})
    client.stream(model="m", messages=MESSAGES).result()
    sent = server.requests[0].headers
    assert (sent["x-trace"], sent["x-ours"]) == ("7", "client's")
    assert "x-evil" not in sent
    assert "ValueError: add_header" in caplog.text


@pytest.mark.parametrize("pair", [("", "a"), ("a b", "c"), ("a:", "b"), ("a", "ü"), ("a", "b\0")])
def test_headers_that_cannot_be_are_refused(
    serve: Serve, connect: Connect, seen: Seen, pair: tuple[str, str]
) -> None:
    connect(serve("a"), on_event=seen).stream(model="m", messages=MESSAGES).close()
    request = seen[0]
    assert isinstance(request, hooks.RequestEvent)
    with pytest.raises(ValueError, match="add_header"):
        request.add_header(*pair)


# ---- arguments, and what it costs where there are none -------------------------------------------


@pytest.mark.parametrize("wrong", [1, "print", [print, None], {}])
def test_what_is_no_hook_is_a_type_error(wrong: Any) -> None:
    with pytest.raises(TypeError, match="on_event"):
        millstream.Client(base_url="http://h", on_event=wrong)


class AsyncHook:
    async def __call__(self, event: hooks.HookEvent) -> None:
        raise AssertionError

    async def method(self, event: hooks.HookEvent) -> None:
        raise AssertionError


@pytest.mark.parametrize("wrong", [AsyncHook(), AsyncHook().method, [print, AsyncHook().method]])
def test_an_async_hook_which_nobody_would_await_is_a_type_error(wrong: Any) -> None:
    for kind in (millstream.Client, millstream.AsyncClient):
        with pytest.raises(TypeError, match="on_event: must not be async"):
            kind(base_url="http://h", on_event=wrong)


def test_without_hooks_a_stream_is_the_plain_class(serve: Serve, connect: Connect) -> None:
    """And its `next()` the one of C."""
    assert logging.getLogger("millstream").level == logging.NOTSET
    client = connect(serve("a"))
    stream = client.stream(model="m", messages=MESSAGES)
    stream.result()
    assert type(stream) is millstream.Stream
    assert "__next__" not in vars(millstream.Stream)
    assert type(connect(serve("a"), on_event=[]).stream(model="m", messages=MESSAGES)) is type(
        stream
    )
    asynchronous = millstream.AsyncClient(base_url=client.base_url, api_key=API_KEY)
    assert type(asynchronous.stream(model="m", messages=MESSAGES)) is millstream.AsyncStream


def test_urls_are_shown_without_keys(connect: Connect, seen: Seen) -> None:
    client = connect("http://user:sk-1@127.0.0.1:1/v1", on_event=seen)
    client.request("/a?api-version=1&key=sk-2&access_token=sk-3&x", json=None).close()
    assert seen[0].call.url == "http://127.0.0.1:1/v1/a?api-version=1&key=***&access_token=***&x"
    assert "sk-" not in repr(seen)
