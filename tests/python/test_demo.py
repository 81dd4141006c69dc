"""The demonstration without a browser: its options, its server's headers and refusals, its end."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

import pytest

from answers import GIVE_UP_S
from chat_page import Demo, demo
from conftest import Serve
from millstream import mock
from millstream.demo._tools import run as call_tool

needs_server = pytest.mark.skipif(
    not all(map(find_spec, ("starlette", "uvicorn"))),
    reason="skipped: no starlette or uvicorn for this interpreter",
)


def run(*arguments: str, without: str = "") -> tuple[int, str, str]:
    """Exit code and output of `millstream demo`, as if that package were not installed."""
    program = (
        f"import runpy, sys\nif {without!r}: sys.modules[{without!r}] = None\n"
        "sys.argv[0] = 'millstream'\nrunpy.run_module('millstream', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "demo", *arguments],
        capture_output=True,
        text=True,
        timeout=4 * GIVE_UP_S,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


# ---- the command ---------------------------------------------------------------------------------


@pytest.mark.parametrize("without", ["", "click"])
def test_the_terminal_needs_no_extra(without: str) -> None:
    code, out, err = run("--prompt", "Hello", "--pace", "0", without=without)
    assert out.startswith('You said: "Hello"')
    assert "µs of CPU a chunk" in out
    assert (code, err) == (0, "")


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_the_page_says_which_extra_is_missing(missing: str) -> None:
    code, out, err = run("--web", without=missing)
    assert (code, out) == (2, "")
    assert err == "demo: the chat page needs: pip install millstream[web]\n"


@pytest.mark.parametrize("without", ["", "click"])
def test_help_names_the_options(without: str) -> None:
    code, out, err = run("--help", without=without)
    for option in ("--web", "--provider", "--base-url", "--model", "--host", "--port", "--open"):
        assert option in out
    assert (code, err) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--pace", "-1"], 2, "--pace must be 0 or more seconds"),
        (["--web", "--provider", "anthropic"], 2, "--model is needed"),
        (["--web", "--provider", "nobody", "--model", "m"], 1, "known are"),
        (["--web", "--provider", "openai", "--model", "m"], 1, "set OPENAI_API_KEY"),
        (["--web", "--base-url", "ftp://x", "--model", "m"], 1, "base_url: must begin with http"),
        (["--nonsense"], 2, "unrecognized arguments: --nonsense"),
    ],
)
@needs_server
def test_what_is_wrong_is_named(arguments: list[str], code: int, words: str) -> None:
    returned, out, err = run(*arguments)
    assert (returned, out) == (code, "")
    assert words in err
    assert "Traceback" not in err


@needs_server
def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, out, err = run("--web", "--port", port)
    assert (code, out) == (1, "")
    assert f"cannot listen on 127.0.0.1 port {port}" in err


# ---- the server ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page() -> Iterator[Demo]:
    """The page on its own mock server."""
    with demo("--pace", "0") as running:
        yield running


class Browser:
    """One connection to a page's server."""

    def __init__(self, demo: Demo) -> None:
        address = urlsplit(demo.url)
        assert address.hostname
        self.connection = HTTPConnection(address.hostname, address.port, timeout=GIVE_UP_S)

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> HTTPResponse:
        """headers: Content_Type="..." is the header Content-Type."""
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if isinstance(body, (str, bytes)) else json.dumps(body)
        if body is not None:
            given.setdefault("Content-Type", "application/json")
        self.connection.request(method, path, None if body is None else data, given)
        return self.connection.getresponse()

    def json(self, *request: Any, **headers: str) -> tuple[int, Any]:
        """Status and JSON of the answer."""
        response = self.ask(*request, **headers)
        return response.status, json.loads(response.read())

    def question(self, text: str = "Hi") -> str:
        """Ask; the answer's id."""
        said = {"messages": [{"role": "user", "content": text}]}
        status, answer = self.json("POST", "/api/answers", said)
        assert status == 201
        name: str = answer["id"]
        return name

    def close(self) -> None:
        self.connection.close()


@pytest.fixture
def browser(page: Demo) -> Iterator[Browser]:
    browser = Browser(page)
    yield browser
    browser.close()


STATIC = ["app.js", "markdown.js", "nodes.js", "theme.js", "style.css", "icon.svg"]


@needs_server
@pytest.mark.parametrize(
    "path", ["/", "/api/about", "/api/answers/x", "/nothing", *(f"/static/{n}" for n in STATIC)]
)
def test_every_response_has_safe_headers(browser: Browser, path: str) -> None:
    response = browser.ask("GET", path)
    response.read()
    policy = response.headers["Content-Security-Policy"]
    assert policy.startswith(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' data:"
    )
    assert "unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert "Access-Control-Allow-Origin" not in response.headers


@needs_server
def test_the_page_holds_nothing_of_elsewhere_and_nothing_inline(browser: Browser) -> None:
    page = browser.ask("GET", "/").read().decode()
    assert "//" not in page.partition("<body>")[0].replace("<!doctype html>", "")
    assert " style=" not in page
    assert "<script>" not in page
    assert " onclick" not in page


@needs_server
def test_an_answer_is_resumed_behind_an_event(browser: Browser) -> None:
    answer = browser.question()
    whole = browser.ask("GET", f"/api/answers/{answer}").read()
    frames = whole.split(b"\n\n")
    assert frames[0].startswith(b"id: 1\n")
    last = {"Last_Event_ID": "2"}
    assert browser.ask("GET", f"/api/answers/{answer}", None, **last).read() == b"\n\n".join(
        frames[2:]
    )
    status, figures = browser.json("GET", f"/api/answers/{answer}/figures")
    assert status == 200
    assert 0 < figures["first_chunk"] <= figures["total"] <= figures["elapsed"]
    assert figures["chunks"] > 10
    assert figures["gil_held"] > 0


@needs_server
def test_what_is_not_accepted(browser: Browser) -> None:
    path = "/api/answers"
    assert browser.json("POST", path, "{}", Content_Type="text/plain")[0] == 415
    assert browser.json("POST", path, "{")[0] == 400
    assert browser.json("POST", path, [])[0] == 400
    assert browser.json("POST", path, {})[0] == 400
    assert browser.json("POST", path, {"messages": "Hi"})[0] == 400
    assert browser.json("GET", "/api/answers/unknown/figures")[0] == 404
    assert browser.ask("GET", "/api/answers/unknown").status == 204


@needs_server
def test_a_body_has_a_limit(page: Demo) -> None:
    browser = Browser(page)
    status, problem = browser.json("POST", "/api/answers", b" " * (4 * 1024 * 1024 + 1))
    assert (status, problem["message"]) == (413, "the conversation is too long")
    browser.close()


@needs_server
@pytest.mark.parametrize("host", ["evil.test", "evil.test:80", "127.0.0.1.evil.test"])
def test_a_foreign_name_is_refused(browser: Browser, host: str) -> None:
    """A page of another site whose name was made to lead to this machine."""
    status, problem = browser.json("GET", "/api/about", None, Host=host)
    assert (status, problem["error"]) == (421, "Wrong host")
    assert browser.json("GET", "/api/about", None, Host="localhost:1")[0] == 200


@needs_server
def test_no_address_but_loopback_is_listened_on(page: Demo) -> None:
    assert urlsplit(page.url).hostname == "127.0.0.1"


@needs_server
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_with_streams_open(serve: Serve, number: int) -> None:
    gate = mock.Gate()
    server = serve(mock.Answer(["One", gate]))
    with demo("--base-url", server.url, "--model", "m") as running:
        browser = Browser(running)
        response = browser.ask("GET", f"/api/answers/{browser.question()}")
        response.readline()  # it is being read
        assert gate.wait_reached(GIVE_UP_S)
        code, err = running.end(number)
        assert server.wait_disconnected(timeout=GIVE_UP_S)
        rest = response.read().decode()
        browser.close()
    assert '"type":"stopped"' in rest
    assert err == ""
    assert code == (0 if number == signal.SIGINT else -signal.SIGTERM)


# ---- the tools -----------------------------------------------------------------------------------


def test_tools_tell_what_is_wrong_with_a_call() -> None:
    assert call_tool("roll_dice", '{"count": 3, "sides": 2}').failed is False
    assert call_tool("roll_dice", '{"count": 1000000000}').failed
    assert call_tool("roll_dice", '{"colour": "red"}').failed
    assert call_tool("roll_dice", "[").failed
    assert call_tool("roll_dice", "[1]").failed
    assert call_tool("current_time", '{"time_zone": "UTC"}').content.endswith("UTC")
    assert "no time zone" in call_tool("current_time", '{"time_zone": "../../etc/passwd"}').content
