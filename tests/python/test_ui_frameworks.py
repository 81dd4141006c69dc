"""The responses of `millstream.ui` in each framework, and a store in a process that forks."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import millstream
from answers import GIVE_UP_S, MESSAGES, Task
from conftest import API_KEY, Connect, Serve
from millstream import mock, ui
from processes import Run

HEADERS = {
    "content-type": "text/event-stream",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
}


@pytest.fixture
def stream(serve: Serve, connect: Connect) -> millstream.Stream:
    return connect(serve("Hello")).stream(model="m", messages=MESSAGES)


@pytest.fixture
def async_stream(serve: Serve) -> millstream.AsyncStream:
    client = millstream.AsyncClient(base_url=serve("Hello").url, api_key=API_KEY)
    return client.stream(model="m", messages=MESSAGES)


def lowered(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in headers}


def of(statuses: list[int]) -> Iterator[tuple[ui.Events, int]]:
    """Events that no stream is behind."""
    for status in statuses:
        feed = ui._replays._Nothing(status)
        yield ui.Events(feed, HEADERS, None), status


# ---- Flask ---------------------------------------------------------------------------------------


def test_flask(stream: millstream.Stream) -> None:
    pytest.importorskip("flask", reason="skipped: no flask")
    response = ui.flask_response(ui.ai_sdk(stream), {"X-More": "1", "Cache-Control": "no-store"})
    expected = {**HEADERS, "cache-control": "no-store", "x-more": "1"}
    assert lowered(response.headers) == {**expected, "x-vercel-ai-ui-message-stream": "v1"}
    assert b"Hello" in b"".join(response.response)  # type: ignore[arg-type]
    for events, status in of([204, 410]):
        assert ui.flask_response(events).status_code == status


# ---- Django --------------------------------------------------------------------------------------


@pytest.fixture
def django_settings() -> None:
    conf = pytest.importorskip("django.conf", reason="skipped: no django")
    if not conf.settings.configured:
        conf.settings.configure()


@pytest.mark.usefixtures("django_settings")
def test_django_sync(stream: millstream.Stream) -> None:
    from django.test import RequestFactory

    response: Any = ui.django_response(ui.sse(stream), RequestFactory().post("/"), {"X-More": "1"})
    assert not response.is_async
    assert lowered(response.items()) == {**HEADERS, "x-more": "1"}
    assert b"Hello" in b"".join(response)
    response.close()
    for events, status in of([204, 410]):
        assert ui.django_response(events).status_code == status


@pytest.mark.usefixtures("django_settings")
def test_django_async(async_stream: millstream.AsyncStream) -> None:
    async def main() -> bytes:
        response: Any = ui.django_response(ui.sse(async_stream))
        assert response.is_async
        return b"".join([piece async for piece in response])

    assert b"Hello" in asyncio.run(main())


@pytest.mark.usefixtures("django_settings")
def test_django_under_gunicorn_watches_the_browser(serve: Serve, connect: Connect) -> None:
    from django.test import RequestFactory

    upstream = serve(mock.Answer([mock.Gate()]))
    events = ui.sse(connect(upstream).stream(model="m", messages=MESSAGES), keep_alive=None)
    browser, server = socket.socketpair()
    with server:
        request = RequestFactory().post("/", **{"gunicorn.socket": server})
        response: Any = ui.django_response(events, request)
        reading = Task(lambda: list(response))
        assert upstream.wait_requests(1, GIVE_UP_S)
        browser.close()
        reading.result()
    assert upstream.wait_disconnected(1, GIVE_UP_S)
    response.close()


# ---- Starlette -----------------------------------------------------------------------------------


def test_starlette(async_stream: millstream.AsyncStream) -> None:
    background = pytest.importorskip("starlette.background", reason="skipped: no starlette")
    sent: list[Any] = []
    done = threading.Event()

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    async def main() -> None:
        response = ui.starlette_response(ui.sse(async_stream), {"X-More": "1"})
        response.background = background.BackgroundTask(done.set)
        await response({}, receive, send)
        for events, status in of([204, 410]):
            assert ui.starlette_response(events).status_code == status

    asyncio.run(main())
    names = [(name.decode(), value.decode()) for name, value in sent[0]["headers"]]
    assert dict(names) == {**HEADERS, "x-more": "1"}
    assert b"Hello" in b"".join(message.get("body", b"") for message in sent)
    assert done.is_set()


def test_nothing_is_said_of_a_body_that_is_not_there() -> None:
    said: list[Any] = []
    for events, status in of([204, 410]):
        assert list(ui.wsgi(events)({}, lambda *head: said.append(head))) == []
        assert said[-1][0].startswith(str(status))
        assert bool(said[-1][1]) == (status == 410)


# ---- fork ----------------------------------------------------------------------------------------


def test_a_forked_child_has_a_store_of_its_own(run: Run, serve: Serve) -> None:
    """Also where another thread holds the parent's lock."""
    process = run(
        serve(mock.Answer(["one", mock.Gate()])),
        """
        from millstream import ui

        replays = ui.Replays()
        events = replays.add("k", ui.sse(ask()))
        held, forked = threading.Event(), threading.Event()

        def hold():
            with replays._lock:
                held.set()
                forked.wait()

        threading.Thread(target=hold).start()
        held.wait()
        if not os.fork():
            say("k" in replays, len(replays), replays.cancel("k"), replays.resume("k").status)
            os._exit(0)
        os.wait()
        forked.set()
        say("k" in replays, next(events)[:5].decode(), replays.cancel("k"))
        """,
    )
    assert process.line() == "False 0 False 204"
    assert process.line() == "True id: 1 True"
    code, _, err = process.end()
    assert (code, err) == (0, "")
