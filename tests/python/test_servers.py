"""Web servers as they are deployed: an answer of the upstream streamed on to many browsers.

Each test starts a server process on a listening socket of the test's own; what it logs is shown
where the test fails. Gates in the upstream's answers say what must be going on at the same time.
"""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import signal
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from answers import GIVE_UP_S, Task
from conftest import Serve
from millstream import mock
from sites import GUNICORN, Site, ends_well

WORDS = [" One", " two", " three", " four", " five"]
TEXT = "".join(WORDS)

needs = {
    name: pytest.mark.skipif(importlib.util.find_spec(name) is None, reason=f"no {name}")
    for name in ("flask", "gunicorn", "gevent", "uvicorn", "starlette")
}
on_gunicorn = [needs["flask"], needs["gunicorn"]]
on_uvicorn = [needs["starlette"], needs["uvicorn"]]


class Browser:
    """One request, sent at once; its answer is read as it comes."""

    def __init__(self, site: Site, path: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=GIVE_UP_S)
        self._connection.request("GET", path, headers={"Connection": "close"})
        self._response: http.client.HTTPResponse | None = None
        self._text = b""

    @property
    def response(self) -> http.client.HTTPResponse:
        if self._response is None:
            self._response = self._connection.getresponse()
            assert self._response.status == 200
        return self._response

    def until(self, end: str) -> str:
        """The text up to where it ends like this for now; "": all of it."""
        while not (end and self._text.endswith(end.encode())):
            piece = self.response.read1()
            if not piece:
                self.leave()
                break
            self._text += piece
        return self._text.decode()

    def json(self) -> Any:
        return json.loads(self.until(""))

    def leave(self) -> None:
        if self._response is not None:
            self._response.close()
        self._connection.close()


Start = Callable[[str, mock.Server], Site]
Browse = Callable[[Site, str], Browser]

SERVERS: dict[str, list[str]] = {
    "gthread": [*GUNICORN, "-k", "gthread", "--threads", "40", "apps.flask_site:app"],
    "gevent": [*GUNICORN, "-k", "gevent", "apps.flask_site:app"],
    "preload": [
        *GUNICORN, "-k", "sync", "-w", "2", "-c", "python:apps.preloaded_settings", "--preload",
        "apps.preloaded_site:app",
    ],
    "uvicorn": ["uvicorn", "--timeout-graceful-shutdown", "1", "apps.starlette_site:app"],
}  # fmt: skip


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a server of `SERVERS` in front of an upstream; it is killed with the test."""
    sites: list[Site] = []

    def with_socket(name: str, fd: int) -> list[str]:
        program, *options = SERVERS[name]
        bind = ["--bind", f"fd://{fd}"] if program == "gunicorn" else ["--fd", str(fd)]
        return [program, *bind, *options]

    def go(name: str, upstream: mock.Server) -> Site:
        log = tmp_path / f"{name}.log"
        sites.append(Site(log, lambda fd: with_socket(name, fd), {"UPSTREAM": upstream.url}))
        return sites[-1]

    yield go
    for site in sites:
        site.kill()


@pytest.fixture
def browse() -> Iterator[Browse]:
    browsers: list[Browser] = []

    def go(site: Site, path: str) -> Browser:
        browser = Browser(site, path)  # the last of the list may be another thread's
        browsers.append(browser)
        return browser

    yield go
    for browser in browsers:
        browser.leave()


def question_of(request: mock.Request) -> str:
    question: str = request.json()["messages"][-1]["content"]
    return question


def held(gates: dict[str, mock.Gate]) -> Callable[[mock.Request], mock.Answer]:
    """Each question is repeated, and its answer's last word waits for the question's gate."""

    def script(request: mock.Request) -> mock.Answer:
        question = question_of(request)
        return mock.Answer([question, *WORDS, gates[question], " end"])

    return script


def endless(request: mock.Request) -> mock.Answer:
    return mock.Answer([question_of(request), *(f" {n}" for n in range(100_000))], pace=0.001)


CONCURRENT = [
    pytest.param("gthread", marks=on_gunicorn),
    pytest.param("gevent", marks=[*on_gunicorn, needs["gevent"]]),
    pytest.param("uvicorn", marks=on_uvicorn),
]


@pytest.mark.parametrize("name", CONCURRENT)
def test_many_answers_are_streamed_at_once(
    start: Start, browse: Browse, serve: Serve, name: str
) -> None:
    """All of them stand before their gates at one time; the last asked is the first to end."""
    gates = {f"q{n}": mock.Gate() for n in range(30)}
    upstream = serve(held(gates))
    site = start(name, upstream)
    browsers = {question: browse(site, f"/ask/{question}") for question in gates}
    for question, browser in browsers.items():
        assert browser.until(" five") == question + TEXT
    assert len(upstream.requests) == upstream.connections.open == len(gates)
    for question in reversed(gates):
        gates[question].open()
        assert browsers[question].until("") == f"{question}{TEXT} end"
    ends_well(site)


@pytest.mark.parametrize("name", CONCURRENT)
def test_answers_as_fast_as_they_come(
    start: Start, browse: Browse, serve: Serve, name: str
) -> None:
    """200 answers, 20 at a time, each to the browser that asked."""
    site = start(name, serve(lambda request: mock.Answer([question_of(request), *WORDS * 20])))

    def one_after_the_other(first: int) -> list[str]:
        return [browse(site, f"/ask/q{first + n}").until("") for n in range(10)]

    tasks = [Task(partial(one_after_the_other, first)) for first in range(0, 200, 10)]
    texts = [text for task in tasks for text in task.result()]
    assert texts == [f"q{n}" + TEXT * 20 for n in range(200)]
    ends_well(site)


@pytest.mark.parametrize("name", CONCURRENT)
def test_a_browser_that_goes_away_cancels_the_upstream(
    start: Start, browse: Browse, serve: Serve, name: str
) -> None:
    upstream = serve(endless)
    site = start(name, upstream)
    leaving, staying = browse(site, "/ask/leaving"), browse(site, "/ask/staying")
    for browser in (leaving, staying):
        browser.until(" 3")
    leaving.leave()
    assert upstream.wait_disconnected(1, GIVE_UP_S)
    assert upstream.connections == (2, 1, 1)
    assert staying.until(" 500").startswith("staying 0 1 2 3 ")
    staying.leave()
    assert upstream.wait_disconnected(2, GIVE_UP_S)
    ends_well(site)


@pytest.mark.parametrize("name", [pytest.param("uvicorn", marks=on_uvicorn)])
def test_a_browser_that_leaves_a_silent_answer_cancels_it_too(
    start: Start, browse: Browse, serve: Serve, name: str
) -> None:
    """Where the server watches the browser: nothing needs to be written to it."""
    upstream = serve(held({"q": mock.Gate()}))
    site = start(name, upstream)
    browser = browse(site, "/ask/q")
    assert browser.until(" five") == "q" + TEXT
    browser.leave()
    assert upstream.wait_disconnected(1, GIVE_UP_S)
    ends_well(site)


@pytest.mark.parametrize(
    ("name", "number"),
    [
        pytest.param("gthread", signal.SIGQUIT, marks=on_gunicorn),
        pytest.param("gevent", signal.SIGQUIT, marks=[*on_gunicorn, needs["gevent"]]),
        pytest.param("uvicorn", signal.SIGTERM, marks=on_uvicorn),
    ],
)
def test_a_server_that_must_end_now_is_not_kept(
    start: Start, browse: Browse, serve: Serve, name: str, number: int
) -> None:
    """By streams that wait for an upstream which says nothing."""
    upstream = serve(held({"a": mock.Gate(), "b": mock.Gate()}))
    site = start(name, upstream)
    for browser in [browse(site, "/ask/a"), browse(site, "/ask/b")]:
        browser.until(" five")
    site.end(number)
    assert upstream.wait_disconnected(2, GIVE_UP_S)


@pytest.mark.parametrize(
    ("name", "waits_in", "shared"),
    [
        pytest.param("gthread", "thread", False, marks=on_gunicorn),
        pytest.param("gevent", "hub", True, marks=[*on_gunicorn, needs["gevent"]]),
    ],
)
def test_a_worker_answers_while_it_streams(
    start: Start, browse: Browse, serve: Serve, name: str, waits_in: str, shared: bool
) -> None:
    """One worker, with ten streams that wait: by threads, or all in one thread of gevent's."""
    gates = {f"q{n}": mock.Gate() for n in range(10)}
    site = start(name, serve(held(gates)))
    browsers = {question: browse(site, f"/ask/{question}") for question in gates}
    for browser in browsers.values():
        browser.until(" five")
    facts = [browse(site, "/worker").json() for _ in range(3)]
    assert [fact["open"] for fact in facts] == [10] * 3
    assert {fact["waits in"] for fact in facts} == {waits_in}
    assert {fact["pid"] == fact["thread"] for fact in facts} == {shared}
    for gate in gates.values():
        gate.open()
    texts = [browser.until("") for browser in browsers.values()]
    assert texts == [f"{question}{TEXT} end" for question in gates]
    ends_well(site)


@pytest.mark.parametrize("name", [pytest.param("preload", marks=on_gunicorn)])
def test_workers_forked_from_a_master_that_streams(
    start: Start, browse: Browse, serve: Serve, name: str
) -> None:
    """Each worker serves one request at a time, so two answers that wait are in two workers."""
    gates = {"start": mock.Gate(), "held": mock.Gate(), "a": mock.Gate(), "b": mock.Gate()}
    gates["start"].open()
    upstream = serve(held(gates))
    site = start(name, upstream)
    first, second = browse(site, "/ask/a"), browse(site, "/ask/b")
    assert (first.until(" five"), second.until(" five")) == ("a" + TEXT, "b" + TEXT)
    gates["a"].open()
    assert first.until("") == f"a{TEXT} end"
    for _ in range(3):  # of the worker that is free
        inherited = browse(site, "/inherited").json()
        assert inherited == [f"start{TEXT} end", "ForkedError", True]
    gates["b"].open()
    assert second.until("") == f"b{TEXT} end"
    assert [question_of(request) for request in upstream.requests].count("held") == 1
    assert upstream.connections.disconnected == 0
    gates["held"].open()
    ends_well(site)
    assert f"held in the master: held{TEXT} end\n" in site.log


@pytest.mark.parametrize("name", [pytest.param("preload", marks=on_gunicorn)])
def test_a_worker_that_is_killed_is_replaced(
    start: Start, browse: Browse, serve: Serve, name: str
) -> None:
    """The master forks again, long after its streams began; its own are not touched."""
    gates = {"start": mock.Gate(), "held": mock.Gate(), "a": mock.Gate(), "b": mock.Gate()}
    gates["start"].open()
    upstream = serve(held(gates))
    site = start(name, upstream)

    def ask_both() -> list[Browser]:
        browsers = [browse(site, f"/ask/{question}") for question in "ab"]
        assert [b.until(" five") for b in browsers] == ["a" + TEXT, "b" + TEXT]
        return browsers

    def workers(browsers: list[Browser]) -> set[int]:
        return {int(browser.response.headers["Worker"]) for browser in browsers}

    killed = workers(ask_both())
    assert len(killed) == 2
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    assert upstream.wait_disconnected(2, GIVE_UP_S)
    browsers = ask_both()
    assert not workers(browsers) & killed
    for gate in gates.values():
        gate.open()
    assert [b.until("") for b in browsers] == [f"a{TEXT} end", f"b{TEXT} end"]
    assert upstream.connections.disconnected == 2
    assert site.end() == 0
    assert f"held in the master: held{TEXT} end\n" in site.log
