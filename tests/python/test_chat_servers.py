"""The examples as they are deployed: real servers, browsers that vanish, nothing left behind."""

from __future__ import annotations

import http.client
import importlib.util
import json
import random
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any

import pytest

from answers import GIVE_UP_S, Task, eventually
from conftest import Serve
from millstream import mock
from sites import EXAMPLES, Site, Start, ends_well
from sites import start_example as start_example

SEED = 20
BROWSERS = 200
AT_ONCE = 20
THREADS = 40  # gunicorn's
PATHS = {"flask": "/chat", "fastapi": "/api/chat", "django": "/chat"}


def needs(*names: str) -> list[pytest.MarkDecorator]:
    return [
        pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"skipped: no {name}")
        for name in names
    ]


NAMES = [
    pytest.param("flask", marks=needs("flask", "gunicorn")),
    pytest.param("fastapi", marks=needs("fastapi", "uvicorn")),
    pytest.param("django", marks=needs("django", "uvicorn")),
]


def body_of(question: str) -> bytes:
    message = {"id": "1", "role": "user", "parts": [{"type": "text", "text": question}]}
    return json.dumps({"id": "c", "messages": [message], "trigger": "submit-message"}).encode()


class Browser:
    """One question, sent at once."""

    def __init__(self, site: Site, path: str, question: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", site.port), GIVE_UP_S)
        body = body_of(question)
        self._socket.sendall(
            b"POST %s HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
            b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (path.encode(), len(body), body)
        )
        self.text = b""

    def read(self, enough: Callable[[bytes], bool]) -> bytes:
        """What has come when it is enough, or at the end."""
        while not enough(self.text) and (piece := self._socket.recv(65536)):
            self.text += piece
        return self.text

    def leave(self, rudely: bool = False) -> None:
        """By closing, or as if the machine had died and come back: by a reset."""
        if rudely:
            linger = struct.pack("ii", 1, 0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._socket.close()


Browse = Callable[[Site, str, str], Browser]


@pytest.fixture
def browse() -> Iterator[Browse]:
    browsers: list[Browser] = []

    def go(site: Site, path: str, question: str) -> Browser:
        browser = Browser(site, path, question)
        browsers.append(browser)
        return browser

    yield go
    for browser in browsers:
        browser.leave()


def get(site: Site, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=GIVE_UP_S)
    with closing(connection):
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        assert response.status == 200
        return response.read().decode()


def facts(site: Site) -> Any:
    return json.loads(get(site, "/facts"))


def has_words(n: int, text: bytes) -> bool:
    return text.count(b'"text"') + text.count(b'"text-delta"') >= n


def has_begun(text: bytes) -> bool:
    return b'"start"' in text


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_a_page_and_an_answer(
    start_example: Start, browse: Browse, serve: Serve, name: str
) -> None:
    site = start_example(name, serve(lambda request: f"You asked: {request.json()['messages']}"))
    assert PATHS[name] in get(site, "/")
    text = browse(site, PATHS[name], "why?").read(lambda text: False)
    head, _, _ = text.partition(b"\r\n\r\n")
    lines = {line.lower() for line in head.decode().splitlines()}
    assert {"content-type: text/event-stream", "cache-control: no-cache, no-transform",
            "x-accel-buffering: no"} <= lines  # fmt: skip
    assert ("x-vercel-ai-ui-message-stream: v1" in lines) == (name == "fastapi")
    assert b"why" in text
    ends_well(site)


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_under_thirty_lines(name: str) -> None:
    assert len((EXAMPLES / f"{name}_chat.py").read_text().splitlines()) < 30


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_left_of_browsers_that_vanish(
    start_example: Start, browse: Browse, serve: Serve, name: str
) -> None:
    """200 of them, at random moments: before the answer's head, before the first word, in it."""
    gate = mock.Gate()

    def script(request: mock.Request) -> mock.Answer:
        if request.json()["messages"][-1]["content"] == "silent":
            return mock.Answer([gate, "late"])
        return mock.Answer([f" {n}" for n in range(100_000)], pace=0.002)

    upstream = serve(script)
    site = start_example(name, upstream)

    def visit(question: str, words: int, rudely: bool) -> None:
        browser = browse(site, PATHS[name], question)
        if question == "silent" and words:
            browser.read(has_begun)
        elif words:
            browser.read(partial(has_words, words))
        browser.leave(rudely)

    def nothing_runs() -> bool:
        return upstream.connections.open == 0 and facts(site)["streams"] == 0

    # As many at once as there will be, so that the server's own threads are there already.
    first = [browse(site, PATHS[name], "silent") for _ in range(THREADS)]
    for browser in first:
        browser.read(has_begun)
    assert upstream.wait_until(lambda: upstream.connections.open == len(first), GIVE_UP_S)
    for browser in first:
        browser.leave()
    assert eventually(nothing_runs)
    before = facts(site)

    draw = random.Random(SEED)
    plans = [
        (draw.choice(["silent", "talks"]), draw.randrange(8), draw.random() < 0.5)
        for _ in range(BROWSERS)
    ]

    def one_after_the_other(at: int) -> None:
        for plan in plans[at::AT_ONCE]:
            visit(*plan)

    for task in [Task(partial(one_after_the_other, at)) for at in range(AT_ONCE)]:
        task.result()
    assert len(upstream.requests) > BROWSERS / 2
    assert eventually(nothing_runs)

    def nothing_is_left() -> bool:
        """Some of what closes late may have been there before."""
        return all(count <= before[what] for what, count in facts(site).items())

    assert eventually(nothing_is_left), (facts(site), before)
    ends_well(site)


@pytest.mark.parametrize(
    "name", [*NAMES, pytest.param("flask on gevent", marks=needs("flask", "gunicorn", "gevent"))]
)
def test_a_browser_that_leaves_in_silence_is_noticed(
    start_example: Start, browse: Browse, serve: Serve, name: str
) -> None:
    """Nothing is written before the first token or after, not even a keep-alive."""
    upstream = serve([mock.Answer([mock.Gate()]), mock.Answer(["One", mock.Gate()])])
    site = start_example(name, upstream)
    for n, words in enumerate([0, 1], 1):
        browser = browse(site, "/silent", "")
        browser.read(partial(has_words, words) if words else has_begun)
        assert upstream.wait_requests(n, GIVE_UP_S)
        browser.leave()
        assert upstream.wait_disconnected(n, GIVE_UP_S)
    ends_well(site)
