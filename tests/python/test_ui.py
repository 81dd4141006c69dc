"""`millstream.ui`: what a browser is sent, how it stops the upstream, answers kept for reloads."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

import millstream
from answers import GIVE_UP_S, MESSAGES, Task, eventually
from conftest import API_KEY, Connect, Serve
from millstream import mock, ui

Json = dict[str, Any]


class Reader:
    """Reads events on a thread of its own, or in the loop's, as a server would."""

    def __init__(self, events: ui.Events, loop: asyncio.AbstractEventLoop | None) -> None:
        self.events = events
        self._loop = loop
        self._text = b""
        self._changed = threading.Condition()
        self._done = False
        self._error: BaseException | None = None
        if loop is None:
            threading.Thread(target=self._read, daemon=True).start()
        else:
            self._future = asyncio.run_coroutine_threadsafe(self._read_async(), loop)

    def _add(self, piece: bytes) -> None:
        with self._changed:
            self._text += piece
            self._changed.notify_all()

    def _end(self, error: BaseException | None = None) -> None:
        with self._changed:
            self._done, self._error = True, error
            self._changed.notify_all()

    def _read(self) -> None:
        try:
            for piece in self.events:
                self._add(piece)
            self._end()
        except BaseException as error:
            self._end(error)

    async def _read_async(self) -> None:
        try:
            async for piece in self.events:
                self._add(piece)
            self._end()
        except BaseException as error:
            self._end(error)

    def until(self, holds: Callable[[bytes], bool]) -> bytes:
        """What has come when it is enough."""
        with self._changed:
            assert self._changed.wait_for(lambda: holds(self._text) or self._done, GIVE_UP_S)
            assert holds(self._text), (self._text, self._error)
            return self._text

    def until_text(self, text: str) -> bytes:
        return self.until(lambda so_far: text.encode() in so_far)

    def all(self) -> bytes:
        """What came until the end."""
        with self._changed:
            assert self._changed.wait_for(lambda: self._done, GIVE_UP_S)
            if self._error is not None:
                raise self._error
            return self._text

    def vanish(self) -> None:
        """As a server ends it when the browser has gone: by close(), or by cancelling the task."""
        if self._loop is None:
            self.events.close()
        else:
            self._future.cancel()


class Side:
    """Sync or async: streams of that kind, and how their events are read."""

    def __init__(self, kind: str, serve: Serve) -> None:
        self.kind = kind
        self._serve = serve
        self._loop: asyncio.AbstractEventLoop | None = None
        if kind == "async":
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
            self._thread.start()

    def ask(self, script: mock.Script) -> tuple[mock.Server, Any]:
        upstream = self._serve(script)
        make = millstream.Client if self.kind == "sync" else millstream.AsyncClient
        client = make(base_url=upstream.url, api_key=API_KEY, max_retries=0)
        return upstream, client.stream(model="m", messages=MESSAGES)

    def read(self, events: ui.Events) -> Reader:
        return Reader(events, self._loop)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(GIVE_UP_S)

    def end(self) -> None:
        if self._loop is not None:
            self.run(self._cancel_all())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _cancel_all(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture(params=["sync", "async"])
def side(request: pytest.FixtureRequest, serve: Serve) -> Iterator[Side]:
    side = Side(request.param, serve)
    yield side
    side.end()


def parsed(body: bytes) -> list[Json]:
    """The events' data, [DONE] left out; their ids count from 1."""
    blocks = [block for block in body.decode().split("\n\n") if block and block[0] != ":"]
    ids = [int(found[1]) for block in blocks if (found := re.match(r"id: (\d+)\n", block))]
    assert ids == list(range(ids[0], ids[0] + len(ids))) if ids else True
    data = [block.split("data: ", 1)[1] for block in blocks]
    return [json.loads(each) for each in data if each != "[DONE]"]


def last_id(body: bytes) -> str:
    ids: list[bytes] = re.findall(rb"^id: (\d+)$", body, re.M)
    return ids[-1].decode()


# ---- plain events --------------------------------------------------------------------------------

USAGE = mock.Usage(3, 5, 2, 1)


def test_the_events_of_an_answer(side: Side) -> None:
    answer = mock.Answer(
        ["Hello", " you"], reasoning=["Hm"], usage=USAGE,
        tool_calls=[mock.ToolCall("rain", '{"a":1}', id="c1")],
    )  # fmt: skip
    _, stream = side.ask(answer)
    body = side.read(ui.sse(stream, data={"sources": ["<a>"]})).all()
    events = parsed(body)
    assert events[0] == {"type": "start"}
    assert events[1] == {"type": "data-sources", "data": ["<a>"]}
    assert b"<a>" not in body
    assert events[2:5] == [
        {"type": "reasoning", "text": "Hm"},
        {"type": "text", "text": "Hello"},
        {"type": "text", "text": " you"},
    ]
    call, *more = events[5:-1]
    assert call == {
        "type": "tool_call", "index": 0, "id": "c1", "name": "rain", "arguments": "",
    }  # fmt: skip
    assert all(each.keys() == {"type", "index", "arguments"} for each in more)
    assert "".join(each["arguments"] for each in more) == '{"a":1}'
    done = events[-1]
    assert done.pop("id")
    assert done == {
        "type": "done",
        "model": "m",
        "finish_reason": "tool_calls",
        "usage": {
            "input_tokens": 3, "output_tokens": 5, "reasoning_tokens": 2, "cached_tokens": 1,
        },
    }  # fmt: skip


def test_refusals_and_further_choices(side: Side) -> None:
    _, stream = side.ask(mock.Answer(refusal=["No"], choices=["Two"]))
    events = parsed(side.read(ui.sse(stream)).all())
    assert {"type": "refusal", "text": "No"} in events
    assert {"type": "text", "choice": 1, "text": "Two"} in events


FAILS: dict[str, mock.Script] = {
    "RateLimited": mock.Error(429, "secret words", headers={"Retry-After": "7"}),
    "AuthenticationError": mock.Error(401, "secret words"),
    "ServerError": mock.Answer("x", error="secret words", error_after=1),
    "StreamInterrupted": mock.Answer("x y z", cut_after=1),
    "ProtocolError": mock.Raw(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\nsecret words"),
}


@pytest.mark.parametrize("kind", FAILS)
def test_an_error_is_its_kind_and_a_sentence(side: Side, kind: str) -> None:
    for make in (ui.sse, ui.ai_sdk):
        _, stream = side.ask(FAILS[kind])
        body = side.read(make(stream)).all()
        errors = [event for event in parsed(body) if event["type"] == "error"]
        assert len(errors) == 1
        for secret in (b"secret", b"Traceback", API_KEY.encode(), b"127.0.0.1"):
            assert secret not in body
        if make is ui.sse:
            error = errors[0]
            assert error["error"] == kind
            assert error["text"].endswith(".")
            assert error.get("retry_after") == (7 if kind == "RateLimited" else None)
            assert parsed(body)[-1] == error


def test_the_application_words_its_errors(side: Side) -> None:
    said: list[millstream.Error] = []

    def words(error: millstream.Error) -> str | None:
        said.append(error)
        return "Ours." if len(said) == 1 else None

    for expected in ("Ours.", ui.describe(millstream.RateLimited())):
        _, stream = side.ask(FAILS["RateLimited"])
        event = parsed(side.read(ui.sse(stream, on_error=words)).all())[-1]
        assert event["text"] == expected
    assert [type(error) for error in said] == [millstream.RateLimited] * 2


def test_every_error_has_a_sentence() -> None:
    for name in millstream.__all__:
        kind = getattr(millstream, name)
        if isinstance(kind, type) and issubclass(kind, millstream.Error):
            assert ui.describe(kind("secret")).endswith(".")
            assert "secret" not in ui.describe(kind("secret"))


# ---- the AI SDK's protocol -----------------------------------------------------------------------


def test_parts_begin_and_end(side: Side) -> None:
    answer = mock.Answer(
        ["Hi"], reasoning=["Hm", "m"], usage=False,
        tool_calls=[mock.ToolCall("rain", '{"a":1}', id="c1"), mock.ToolCall("wind", "{", id="c2")],
    )  # fmt: skip
    _, stream = side.ask(answer)
    body = side.read(ui.ai_sdk(stream, message_id="m1")).all()
    events = parsed(body)
    named = [{"toolCallId": "c1", "toolName": "rain"}, {"toolCallId": "c2", "toolName": "wind"}]
    deltas = [event for event in events if event["type"] == "tool-input-delta"]
    assert "".join(d["inputTextDelta"] for d in deltas if d["toolCallId"] == "c1") == '{"a":1}'
    assert [event for event in events if event not in deltas] == [
        {"type": "start", "messageId": "m1"},
        {"type": "start-step"},
        {"type": "reasoning-start", "id": "1"},
        {"type": "reasoning-delta", "id": "1", "delta": "Hm"},
        {"type": "reasoning-delta", "id": "1", "delta": "m"},
        {"type": "reasoning-end", "id": "1"},
        {"type": "text-start", "id": "2"},
        {"type": "text-delta", "id": "2", "delta": "Hi"},
        {"type": "text-end", "id": "2"},
        {"type": "tool-input-start", **named[0]},
        {"type": "tool-input-start", **named[1]},
        {"type": "tool-input-available", **named[0], "input": {"a": 1}},
        {"type": "tool-input-error", **named[1], "input": "{",
         "errorText": "The arguments are no JSON."},
        {"type": "finish-step"},
        {"type": "finish", "finishReason": "tool-calls", "messageMetadata": {"model": "m"}},
    ]  # fmt: skip
    assert body.endswith(b"\n\ndata: [DONE]\n\n")


@pytest.mark.parametrize(("reason", "told"), [("stop", "stop"), ("length", "length"),
    ("content_filter", "content-filter"), ("odd", "other")])  # fmt: skip
def test_why_it_ended(side: Side, reason: str, told: str) -> None:
    _, stream = side.ask(mock.Answer("x", finish_reason=reason))
    assert parsed(side.read(ui.ai_sdk(stream)).all())[-1]["finishReason"] == told


# ---- silence, and browsers that go away ----------------------------------------------------------


def test_comments_while_the_upstream_is_silent(side: Side) -> None:
    gate = mock.Gate()
    _, stream = side.ask(mock.Answer(["one", gate, "two"]))
    reader = side.read(ui.sse(stream, keep_alive=0.01))
    reader.until(lambda body: body.endswith(b": keep-alive\n\n: keep-alive\n\n"))
    gate.open()
    texts = [event.get("text") for event in parsed(reader.all()) if event["type"] == "text"]
    assert texts == ["one", "two"]


def test_a_browser_that_leaves_ends_the_upstream(side: Side) -> None:
    """Before the first token too."""
    for before in ([], ["one"]):
        upstream, stream = side.ask(mock.Answer([*before, mock.Gate()]))
        reader = side.read(ui.sse(stream, keep_alive=None))
        reader.until_text("one" if before else "start")
        assert upstream.wait_requests(1, GIVE_UP_S)
        reader.vanish()
        assert upstream.wait_disconnected(1, GIVE_UP_S)


def test_events_that_are_dropped_end_the_upstream(side: Side) -> None:
    upstream, stream = side.ask(mock.Answer([mock.Gate()]))
    events = ui.sse(stream)
    assert upstream.wait_requests(1, GIVE_UP_S)
    del stream, events
    assert upstream.wait_disconnected(1, GIVE_UP_S)


def test_a_with_block_ends_the_upstream(serve: Serve, connect: Connect) -> None:
    upstream = serve(mock.Answer([mock.Gate()]))
    with ui.sse(connect(upstream).stream(model="m", messages=MESSAGES)) as events:
        assert b"start" in next(events)
        assert upstream.wait_requests(1, GIVE_UP_S)
    assert upstream.wait_disconnected(1, GIVE_UP_S)
    assert list(events) == []


def test_the_wrong_way_to_read(serve: Serve, connect: Connect) -> None:
    url = serve().url
    client = millstream.AsyncClient(base_url=url, api_key=API_KEY)
    with pytest.raises(TypeError, match="async for"):
        iter(ui.sse(client.stream(model="m", messages=MESSAGES)))
    with pytest.raises(TypeError, match="AsyncClient"):
        aiter(ui.sse(connect(url).stream(model="m", messages=MESSAGES)))
    with pytest.raises(TypeError, match="stream"):
        ui.sse("no stream")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="keep_alive"):
        ui.sse(connect(url).stream(model="m", messages=MESSAGES), keep_alive=0)


def environ_of(server: socket.socket) -> Json:
    return {"gunicorn.socket": server}


def test_wsgi_looks_at_the_browsers_socket(serve: Serve, connect: Connect) -> None:
    """Nothing is written, so nothing else could tell."""
    upstream = serve(mock.Answer([mock.Gate()]))
    browser, server = socket.socketpair()
    said: list[Any] = []
    with server:
        events = ui.sse(connect(upstream).stream(model="m", messages=MESSAGES), keep_alive=None)
        app = ui.wsgi(events, {"X-More": "1"})
        body = app(environ_of(server), lambda *args: said.append(args))
        pieces = iter(body)
        assert b"start" in next(pieces)
        waiting = Task(lambda: list(pieces))
        browser.sendall(b"the next request")  # is no end
        assert upstream.wait_requests(1, GIVE_UP_S)
        assert waiting.running
        browser.close()
        assert waiting.result() == []
    assert upstream.wait_disconnected(1, GIVE_UP_S)
    assert said == [("200 OK", list({**events.headers, "x-more": "1"}.items()))]


def test_wsgi_goes_on_when_the_words_come(serve: Serve, connect: Connect) -> None:
    gate = mock.Gate()
    upstream = serve(mock.Answer(["one", gate, "two"]))
    browser, server = socket.socketpair()
    with browser, server:
        events = ui.sse(connect(upstream).stream(model="m", messages=MESSAGES), keep_alive=0.01)
        events.watch(environ_of(server))
        reader = Reader(events, None)
        reader.until(lambda body: body.endswith(b": keep-alive\n\n"))
        gate.open()
        reader.until_text("two")
        assert parsed(reader.all())[-1]["type"] == "done"


# ---- ASGI ----------------------------------------------------------------------------------------


class Server:
    """The server's end of ASGI: what was sent, and when the browser leaves."""

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.left = asyncio.Event()
        self.some = asyncio.Event()
        self._asked = False

    async def receive(self) -> Json:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)
        if message.get("body"):
            self.some.set()


def ask_async(upstream: mock.Server) -> millstream.AsyncStream:
    client = millstream.AsyncClient(base_url=upstream.url, api_key=API_KEY, max_retries=0)
    return client.stream(model="m", messages=MESSAGES)


def test_asgi_sends_all(serve: Serve) -> None:
    upstream = serve("Hello")

    async def main() -> list[Any]:
        server = Server()
        await ui.asgi(ui.sse(ask_async(upstream)))({}, server.receive, server.send)
        return server.sent

    start, *pieces, end = asyncio.run(main())
    assert start["status"] == 200
    assert (b"content-type", b"text/event-stream") in start["headers"]
    assert parsed(b"".join(piece["body"] for piece in pieces))[-1]["type"] == "done"
    assert end == {"type": "http.response.body", "body": b"", "more_body": False}


@pytest.mark.parametrize("kept", [False, True])
def test_asgi_ends_with_the_browser_before_the_first_token(serve: Serve, kept: bool) -> None:
    upstream = serve(mock.Answer([mock.Gate()]))

    async def main() -> None:
        server, replays = Server(), ui.Replays(grace=0)
        events = ui.sse(ask_async(upstream), keep_alive=None)
        if kept:
            replays.add("k", events)
        serving = asyncio.ensure_future(ui.asgi(events)({}, server.receive, server.send))
        await server.some.wait()
        assert await asyncio.to_thread(upstream.wait_requests, 1, GIVE_UP_S)
        server.left.set()
        await asyncio.wait_for(serving, GIVE_UP_S)
        assert server.sent[-1].get("more_body")
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())
    assert upstream.wait_disconnected(1, GIVE_UP_S)


@pytest.mark.parametrize(
    ("raised", "told"), [(OSError("gone"), False), (RuntimeError("a bug"), True)]
)
def test_asgi_where_sending_fails(serve: Serve, raised: Exception, told: bool) -> None:
    upstream = serve(mock.Answer(["x", mock.Gate()]))

    async def main() -> None:
        server = Server()

        async def send(message: Any) -> None:
            if message["type"] == "http.response.body":
                raise raised

        app = ui.asgi(ui.sse(ask_async(upstream)))
        if not told:
            await app({}, server.receive, send)
            return
        with pytest.raises(RuntimeError, match="a bug"):
            await app({}, server.receive, send)

    asyncio.run(main())
    assert eventually(lambda: upstream.connections.open == 0)


def test_trio_reads_events(serve: Serve) -> None:
    trio = pytest.importorskip("trio", reason="skipped: no trio")
    gate = mock.Gate()
    upstream = serve(mock.Answer(["one", gate, "two"]))

    async def main() -> bytes:
        body = b""
        async for piece in ui.sse(ask_async(upstream), keep_alive=0.01):
            body += piece
            if b": keep-alive" in piece and b"one" in body:
                gate.open()
        return body

    body: bytes = trio.run(main)
    assert [event["type"] for event in parsed(body)] == ["start", "text", "text", "done"]


# ---- answers that are kept -----------------------------------------------------------------------


def test_a_reload_goes_on_where_it_was(side: Side) -> None:
    gate = mock.Gate()
    upstream, stream = side.ask(mock.Answer(["one ", "two ", gate, "three ", "four"]))
    replays = ui.Replays()
    first = side.read(replays.add("k", ui.sse(stream)))
    seen = first.until_text("two ")
    first.vanish()
    gate.open()
    second = side.read(replays.resume("k", last_id(seen)))
    rest = second.all()
    assert rest.startswith(b"id: %d\n" % (int(last_id(seen)) + 1))
    texts = [event["text"] for event in parsed(seen + rest) if event["type"] == "text"]
    assert "".join(texts) == "one two three four"
    assert side.read(replays.resume("k")).all() == seen + rest
    assert upstream.connections.disconnected == 0


def test_two_tabs_read_one_answer(side: Side) -> None:
    gates = [mock.Gate() for _ in range(3)]
    tokens = [part for n, gate in enumerate(gates) for part in (f"word{n}", gate)]
    upstream, stream = side.ask(mock.Answer([*tokens, "end"]))
    replays = ui.Replays()
    tabs = [side.read(replays.add("k", ui.sse(stream)))]
    for n, gate in enumerate(gates):
        tabs.append(side.read(replays.resume("k")))
        for tab in tabs:
            tab.until_text(f"word{n}")
        if n == 1:  # the one that waited for the stream leaves; another does it from now on
            tabs.pop(0).vanish()
        gate.open()
    bodies = {tab.all() for tab in tabs}
    assert len(bodies) == 1
    assert parsed(bodies.pop())[-1]["type"] == "done"
    assert upstream.connections.opened == 1


def test_a_tab_that_waits_for_another_gets_comments(side: Side) -> None:
    gate = mock.Gate()
    _, stream = side.ask(mock.Answer(["one", gate]))
    replays = ui.Replays()
    tabs = [side.read(replays.add("k", ui.sse(stream, keep_alive=0.02)))]
    tabs.append(side.read(replays.resume("k")))
    for tab in tabs:
        tab.until(lambda body: body.count(b": keep-alive\n\n") >= 3)
    gate.open()
    for tab in tabs:
        assert parsed(tab.all())[-1]["type"] == "done"


def test_a_tab_that_waits_for_another_leaves_with_its_browser(
    serve: Serve, connect: Connect
) -> None:
    gate = mock.Gate()
    upstream = serve(mock.Answer(["one", gate]))
    replays = ui.Replays()
    events = ui.sse(connect(upstream).stream(model="m", messages=MESSAGES), keep_alive=None)
    first = Reader(replays.add("k", events), None)
    first.until_text("one")
    browser, server = socket.socketpair()
    with server:
        other = replays.resume("k")
        other.watch(environ_of(server))
        second = Reader(other, None)
        second.until_text("one")
        browser.close()
        second.all()
    gate.open()
    assert parsed(first.all())[-1]["type"] == "done"


def test_the_stop_button(side: Side) -> None:
    for make, last in ((ui.sse, "stopped"), (ui.ai_sdk, "abort")):
        upstream, stream = side.ask(mock.Answer(["one", mock.Gate()]))
        replays = ui.Replays()
        tabs = [side.read(replays.add("k", make(stream))), side.read(replays.resume("k"))]
        for tab in tabs:
            tab.until_text("one")
        assert replays.cancel("k")
        assert not replays.cancel("k")
        assert not replays.cancel("another")
        for tab in tabs:
            assert parsed(tab.all())[-1]["type"] == last
        assert upstream.wait_disconnected(1, GIVE_UP_S)


def test_an_answer_that_nobody_reads_is_cancelled_after_the_time_of_grace(side: Side) -> None:
    before = threading.enumerate()
    upstream, stream = side.ask(mock.Answer(["one", mock.Gate()]))
    replays = ui.Replays(grace=0.01)
    reader = side.read(replays.add("k", ui.sse(stream)))
    seen = reader.until_text("one")
    assert upstream.connections.disconnected == 0
    reader.vanish()
    assert upstream.wait_disconnected(1, GIVE_UP_S)
    rest = side.read(replays.resume("k", last_id(seen))).all()
    assert [event["type"] for event in parsed(rest)] == ["stopped"]
    assert eventually(lambda: not replays_threads(before))


def replays_threads(before: list[threading.Thread]) -> list[threading.Thread]:
    """Those that look after answers, made since."""
    return [
        thread
        for thread in threading.enumerate()
        if thread not in before and thread.name == "millstream-replays"
    ]


def test_nothing_waits_for_an_answer_that_is_read_again(side: Side) -> None:
    """Or that has ended: the thread with the deadline goes, long before that."""
    before = threading.enumerate()
    gate = mock.Gate()
    _, stream = side.ask(mock.Answer(["one", gate]))
    replays = ui.Replays(grace=1000)
    reader = side.read(replays.add("k", ui.sse(stream)))
    reader.until_text("one")
    reader.vanish()
    assert eventually(lambda: len(replays_threads(before)) == 1)
    again = side.read(replays.resume("k"))
    assert eventually(lambda: not replays_threads(before))
    again.until_text("one")
    again.vanish()
    assert eventually(lambda: len(replays_threads(before)) == 1)
    replays.cancel("k")
    assert eventually(lambda: not replays_threads(before))


def test_a_reader_that_is_dropped_has_left(side: Side) -> None:
    upstream, stream = side.ask(mock.Answer(["one", mock.Gate()]))
    replays = ui.Replays(grace=0)
    events = replays.add("k", ui.sse(stream))
    assert upstream.wait_requests(1, GIVE_UP_S)
    assert upstream.connections.disconnected == 0
    del events
    assert upstream.wait_disconnected(1, GIVE_UP_S)


def test_an_answer_with_a_reader_is_not_cancelled(side: Side) -> None:
    """Both leave one of two answers of a store; the other one's reader stays."""
    gate = mock.Gate()
    staying, stays = side.ask(mock.Answer(["one", gate, "two"]))
    leaving, leaves = side.ask(mock.Answer(["one", mock.Gate()]))
    replays = ui.Replays(grace=0.01)
    reader = side.read(replays.add("stays", ui.sse(stays)))
    other = side.read(replays.add("leaves", ui.sse(leaves)))
    reader.until_text("one")
    other.until_text("one")
    tab = side.read(replays.resume("stays"))
    tab.until_text("one")
    tab.vanish()
    other.vanish()
    assert leaving.wait_disconnected(1, GIVE_UP_S)
    gate.open()
    assert parsed(reader.all())[-1]["type"] == "done"
    assert staying.connections.disconnected == 0


def test_what_is_not_there_is_told_by_status(side: Side) -> None:
    _, stream = side.ask("Hello")
    replays = ui.Replays()
    body = side.read(replays.add("k", ui.sse(stream))).all()
    assert replays.resume("k", last_id(body)).status == 204
    assert replays.resume("another").status == 204
    for odd in ("x", "-1", "999", "9" * 30, "٣"):
        gone = replays.resume("k", odd)
        assert gone.status == 410
        assert parsed(side.read(gone).all())[0]["error"] == "Gone"
    assert replays.resume("k", "").status == 200
    assert replays.resume("k", "0").status == 200
    assert ("k" in replays, "another" in replays, len(replays)) == (True, False, 1)


def test_the_store_is_bounded_in_bytes(side: Side) -> None:
    gate = mock.Gate()
    words = [f"{n:0500}" for n in range(100)]
    _, stream = side.ask(mock.Answer([*words, gate, "end"]))
    replays = ui.Replays(max_bytes=10_000)
    reader = side.read(replays.add("k", ui.sse(stream)))
    seen = reader.until_text(words[-1])
    assert replays._held <= 10_000
    assert replays.resume("k").status == 410
    reader.vanish()
    gate.open()
    rest = side.read(replays.resume("k", last_id(seen)))
    assert rest.events.status == 200
    assert [event["type"] for event in parsed(rest.all())] == ["text", "done"]


def test_a_reader_behind_what_is_kept_is_told(side: Side) -> None:
    gate = mock.Gate()
    words = [f"{n:0500}" for n in range(100)]
    _, stream = side.ask(mock.Answer(["begun", gate, *words]))
    replays = ui.Replays(max_bytes=10_000)
    events = replays.add("k", ui.sse(stream))
    slow = replays.resume("k")  # has read nothing yet
    reader = side.read(events)
    reader.until_text("begun")
    gate.open()
    reader.all()
    events_of_slow = parsed(side.read(slow).all())
    assert [event.get("error") for event in events_of_slow] == ["Gone"]


def test_finished_answers_make_room(side: Side) -> None:
    replays = ui.Replays(max_bytes=10_000)
    for key in ("old", "new", "newest"):
        _, stream = side.ask(mock.Answer(["x" * 4000]))
        side.read(replays.add(key, ui.sse(stream))).all()
        assert replays._held <= 10_000
    assert [key in replays for key in ("old", "new", "newest")] == [False, True, True]
    body = side.read(replays.resume("new")).all()
    assert parsed(body)[-1]["type"] == "done"


def test_the_number_of_answers_is_bounded(side: Side) -> None:
    replays = ui.Replays(max_streams=2)
    readers = []
    for key in ("a", "b"):
        _, stream = side.ask(mock.Answer(["one", mock.Gate()]))
        readers.append(side.read(replays.add(key, ui.sse(stream))))
        readers[-1].until_text("one")
    upstream, stream = side.ask(mock.Answer([mock.Gate()]))
    assert upstream.wait_requests(1, GIVE_UP_S)
    events = ui.sse(stream)
    with pytest.raises(millstream.LimitExceeded, match="max_streams"):
        replays.add("c", events)
    events.close()
    assert upstream.wait_disconnected(1, GIVE_UP_S)
    readers[0].vanish()  # nobody reads this one any more, so it makes room
    assert eventually(lambda: not replays._answers["a"].readers)
    _, stream = side.ask("Hello")
    side.read(replays.add("c", ui.sse(stream))).all()
    assert ("a" in replays, "b" in replays) == (False, True)


def test_a_finished_answer_is_kept_for_a_time(side: Side) -> None:
    for keep, there in ((0, False), (1000, True)):
        replays = ui.Replays(keep=keep)
        for key in ("first", "second"):
            _, stream = side.ask("Hello")
            side.read(replays.add(key, ui.sse(stream))).all()
        assert ("first" in replays) == there


def test_another_answer_of_the_same_name_takes_its_place(side: Side) -> None:
    replays = ui.Replays()
    upstream, stream = side.ask(mock.Answer(["one", mock.Gate()]))
    old = side.read(replays.add("k", ui.sse(stream)))
    old.until_text("one")
    _, stream = side.ask("Hello")
    new = side.read(replays.add("k", ui.sse(stream)))
    assert parsed(old.all())[-1]["type"] == "stopped"
    assert upstream.wait_disconnected(1, GIVE_UP_S)
    assert side.read(replays.resume("k")).all() == new.all()


def test_closing_a_store_ends_its_answers(side: Side) -> None:
    replays = ui.Replays()
    upstream, stream = side.ask(mock.Answer(["one", mock.Gate()]))
    reader = side.read(replays.add("k", ui.sse(stream)))
    reader.until_text("one")
    replays.close()
    assert len(replays) == 0
    assert parsed(reader.all())[-1]["type"] == "stopped"
    assert upstream.wait_disconnected(1, GIVE_UP_S)


def test_what_a_store_refuses(serve: Serve, connect: Connect) -> None:
    for wrong in ({"max_bytes": 0}, {"max_streams": True}, {"keep": -1}, {"grace": -1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            ui.Replays(**wrong)
    replays = ui.Replays()
    events = replays.add("k", ui.sse(connect(serve()).stream(model="m", messages=MESSAGES)))
    with pytest.raises(ValueError, match="kept already"):
        replays.add("again", events)


# ---- what useChat sends --------------------------------------------------------------------------


def text(text: str) -> Json:
    return {"type": "text", "text": text}


def user(*parts: Json) -> Json:
    return {"id": "1", "role": "user", "parts": list(parts)}


def assistant(*parts: Json) -> Json:
    return {"id": "2", "role": "assistant", "parts": list(parts)}


def tool(state: str, **more: Any) -> Json:
    call = {"type": "tool-rain", "toolCallId": "c1", "state": state, "input": {"city": "Ulm"}}
    return {**call, **more}


CALL = {"id": "c1", "name": "rain", "arguments": {"city": "Ulm"}}
RESULT = {"role": "tool", "tool_call_id": "c1", "name": "rain"}
PICTURE = {"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,AA=="}

TAKEN: list[tuple[list[Json], list[Json]]] = [
    ([user(text("Hi"))], [{"role": "user", "content": "Hi"}]),
    ([user(text("a"), text("b"))], [{"role": "user", "content": "a\nb"}]),
    ([user(text("")), user()], []),
    (
        [user(text("What?"), PICTURE)],
        [{"role": "user", "content": [text("What?"), {"type": "image", "url": PICTURE["url"]}]}],
    ),
    (
        [assistant({"type": "step-start"}, {"type": "reasoning", "text": "r"}, text("a"),
                   {"type": "source-url", "sourceId": "s", "url": "u"}, {"type": "data-x"})],
        [{"role": "assistant", "content": "a"}],
    ),
    (
        [assistant(text("I look."), tool("output-available", output={"rain": True}),
                   {"type": "step-start"}, text("It rains."))],
        [{"role": "assistant", "content": "I look.", "tool_calls": [CALL]},
         {**RESULT, "content": '{"rain":true}'},
         {"role": "assistant", "content": "It rains."}],
    ),
    (
        [assistant(tool("output-available", output="dry", type="dynamic-tool", toolName="rain"))],
        [{"role": "assistant", "tool_calls": [CALL]}, {**RESULT, "content": "dry"}],
    ),
    (
        [assistant(tool("output-error", errorText="no"))],
        [{"role": "assistant", "tool_calls": [CALL]},
         {**RESULT, "content": "no", "is_error": True}],
    ),
    ([assistant(tool("input-available")), assistant(tool("input-streaming"))], []),
]  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), TAKEN)
def test_messages_of_use_chat(given: list[Json], expected: list[Json]) -> None:
    found = ui.messages({"id": "chat", "messages": given, "trigger": "submit-message"})
    assert found == expected
    client = millstream.Client(base_url="http://127.0.0.1:1/v1", api_key="k")
    if found:
        client.request_for(model="m", messages=found)


REFUSED: list[tuple[Any, str]] = [
    ([], 'list "messages"'),
    ({"messages": "x"}, 'list "messages"'),
    ({"messages": ["x"]}, r'messages\[0\]: "role"'),
    ({"messages": [{"role": "user"}]}, r'messages\[0\]: "parts"'),
    ({"messages": [user(), {"role": "user", "parts": ["x"]}]}, r"messages\[1\].parts\[0\]: must"),
    ({"messages": [user({"type": "text"})]}, r'messages\[0\].parts\[0\]: "text"'),
    ({"messages": [user({**PICTURE, "mediaType": "text/html"})]}, "must be an image"),
    ({"messages": [user({**PICTURE, "url": "file:///etc/passwd"})]}, "data or https"),
    ({"messages": [user({**PICTURE, "url": "http://169.254.169.254/"})]}, "data or https"),
    ({"messages": [{"role": "system", "parts": []}]}, "'system' is not taken"),
    ({"messages": [{"role": "tool", "parts": []}]}, "'tool' is not taken"),
    ({"messages": [assistant(tool("output-error"))]}, '"errorText"'),
    ({"messages": [assistant(tool("output-available", toolCallId=1))]}, '"toolCallId"'),
]


@pytest.mark.parametrize(("body", "why"), REFUSED)
def test_messages_that_are_refused(body: Any, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        ui.messages(body)


def test_system_messages_where_they_are_let_in() -> None:
    given = [{"role": "system", "parts": [text("Be brief.")]}]
    assert ui.messages({"messages": given}, system=True) == [
        {"role": "system", "content": "Be brief."}
    ]


# ---- the page ------------------------------------------------------------------------------------


def test_the_page_cannot_be_broken_by_its_address() -> None:
    html = ui.page('/chat?a="</script>')
    assert '"/chat?a=\\"\\u003c/script>"' in html
    assert html.count("</script>") == 1
