"""The command line in real processes: what it prints, what it sends, and how it ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from answers import GIVE_UP_S, head
from command_line import Terminal, run
from conftest import Serve, Start
from listener import NO_CONTENT, feed
from millstream import mock

EVENT = b"data: x\n\n"


# ---- what is printed -----------------------------------------------------------------------------

BODY = (
    ": hello\n\nretry: 0\nid: 7\nevent: greeting\ndata: Grüße\ndata:\ndata:  x\n\n"
    "data: sticky\n\nid\ndata: \x1b[31m{}\n\n"
).encode()


def test_events_are_printed_as_they_are_sent(serve: Serve) -> None:
    server = serve([feed(BODY), NO_CONTENT])
    code, out, err = run("events", server.origin + "/feed")
    assert out == (
        "id: 7\nevent: greeting\ndata: Grüße\ndata: \ndata:  x\n\n"
        "data: sticky\n\nid: \ndata: \x1b[31m{}\n\n"
    )
    assert (code, err) == (0, "")


def test_what_is_printed_is_the_stream_again(serve: Serve) -> None:
    server = serve([feed(BODY), NO_CONTENT])
    once = run("events", server.origin)[1]
    again = serve([feed(once.encode()), NO_CONTENT])
    assert run("events", again.origin)[1] == once


def test_a_line_of_json_for_each(serve: Serve) -> None:
    server = serve([feed(BODY), NO_CONTENT])
    code, out, err = run("events", "--json", "--comments", server.origin)
    assert [json.loads(line) for line in out.splitlines()] == [
        {"comment": " hello"},
        {"type": "greeting", "id": "7", "data": "Grüße\n\n x"},
        {"type": "message", "id": "7", "data": "sticky"},
        {"type": "message", "id": "", "data": "\x1b[31m{}"},
    ]
    assert (code, err) == (0, "")


def test_comments_are_printed_where_asked_for(serve: Serve) -> None:
    body = feed(b": one\n:two\n" + EVENT)
    assert run("events", "--comments", serve([body, NO_CONTENT]).origin)[1] == (
        ": one\n:two\ndata: x\n\n"
    )
    assert run("events", serve([body, NO_CONTENT]).origin)[1] == "data: x\n\n"


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_an_event_is_there_before_the_next(serve: Serve, start: Start, form: list[str]) -> None:
    gate = mock.Gate()
    server = serve([feed(EVENT, gate, EVENT), NO_CONTENT])
    process = start("events", *form, server.origin)
    assert process.stdout is not None
    first = process.stdout.readline()
    assert b"x" in first
    gate.open()
    assert first in process.communicate(timeout=GIVE_UP_S)[0]


def test_text_is_utf_8_in_any_locale(serve: Serve) -> None:
    server = serve([feed("data: €豆腐😀\n\n".encode()), NO_CONTENT])
    env = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    assert run("events", server.origin, env=env) == (0, "data: €豆腐😀\n\n", "")


def test_a_terminal_gets_colour_and_no_command_of_the_servers(serve: Serve) -> None:
    server = serve([feed(b"id: 1\ndata: \x1b[31mred\x07\tok \xc2\x9b\n\n"), NO_CONTENT] * 2)
    with Terminal("events", server.origin) as terminal:
        assert terminal.end() == (
            0,
            "\x1b[2mid:\x1b[0m 1\n\x1b[2mdata:\x1b[0m \\x1b[31mred\\x07\tok \\x9b\n\n",
        )
    with Terminal("events", server.origin, NO_COLOR="1") as terminal:
        assert terminal.end() == (0, "id: 1\ndata: \\x1b[31mred\\x07\tok \\x9b\n\n")


# ---- what is sent --------------------------------------------------------------------------------


def test_what_is_given_is_sent_on_every_connection(serve: Serve) -> None:
    server = serve([feed(b"retry: 0\n"), NO_CONTENT])
    code, _, err = run(
        "events", "-X", "REPORT", "-d", '{"a": "ü"}', "-H", "X-One: 1", "-H", "X-Two:2:3 ",
        "--last-event-id", "é7", server.origin + "/feed?q=1",
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert len(server.requests) == 2
    for request in server.requests:
        assert (request.method, request.path, request.query) == ("REPORT", "/feed", "q=1")
        assert request.body.decode() == '{"a": "ü"}'
        assert (request.headers["x-one"], request.headers["x-two"]) == ("1", "2:3")
        assert b"\r\nLast-Event-ID: " + "é7".encode() + b"\r\n" in request.head


def test_data_makes_it_a_post(serve: Serve, tmp_path: Path) -> None:
    server = serve(NO_CONTENT)
    content = b"\0\xff from a file\r\n"
    (tmp_path / "body").write_bytes(content)
    run("events", "-d", "text", server.origin)
    run("events", "-d", f"@{tmp_path / 'body'}", server.origin)
    run("events", "-d", "@-", server.origin, input=content)
    run("events", "-d", "", server.origin)
    bodies = [(request.method, request.body) for request in server.requests]
    assert bodies == [("POST", b"text"), ("POST", content), ("POST", content), ("POST", b"")]


def test_the_keys_of_the_environment_stay_here(serve: Serve) -> None:
    server = serve(NO_CONTENT)
    env = {**os.environ, "OPENAI_API_KEY": "sk-s3cret"}
    assert run("events", server.origin, env=env)[0] == 0
    assert b"s3cret" not in server.requests[0].head


# ---- how it ends ---------------------------------------------------------------------------------


def test_a_lost_connection_is_told_and_made_again(serve: Serve) -> None:
    server = serve([feed(b"retry: 0\n" + EVENT), mock.Error(503), feed(EVENT), NO_CONTENT])
    code, out, err = run("events", server.origin)
    assert (code, out) == (0, "data: x\n\n" * 2)
    (line,) = err.splitlines()
    assert line.startswith("millstream: ")
    assert "503" in line
    assert line.endswith("; connecting again")


def test_without_reconnecting_it_ends_with_the_connection(serve: Serve) -> None:
    server = serve(feed(EVENT))
    assert run("events", "--no-reconnect", server.origin) == (0, "data: x\n\n", "")
    assert len(server.requests) == 1


@pytest.mark.parametrize("answer", [mock.Error(404), feed(b"<html>", Content_Type="text/html")])
def test_a_refusal_is_1(serve: Serve, answer: Any) -> None:
    code, out, err = run("events", serve(answer).origin)
    assert (code, out) == (1, "")
    (line,) = err.splitlines()
    assert line.startswith("millstream: ")


@pytest.mark.parametrize("where", ["pipe", "terminal"])
@pytest.mark.parametrize("what", ["bad key", "no network"])
def test_events_that_cannot_be_had(serve: Serve, where: str, what: str) -> None:
    if what == "bad key":
        url, expected, said = serve(mock.Error(401)).origin, 4, "401"
    else:
        with socket.create_server(("127.0.0.1", 0)) as closed:
            url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        expected, said = 3, "no connection"
    given = ["events", "--no-reconnect", "-H", "Authorization: Bearer s3cret", url]
    if where == "pipe":
        code, out, err = run(*given)
        assert out == ""
    else:
        with Terminal(*given) as terminal:
            code, err = terminal.end()
    assert code == expected
    assert err.startswith("millstream: ")
    assert said in err
    assert "s3cret" not in err
    assert "Traceback" not in err


def test_ctrl_c_in_a_terminal_ends_the_events(serve: Serve) -> None:
    server = serve(feed(EVENT, then="hang"))
    with Terminal("events", server.origin) as terminal:
        terminal.until("x\n")
        terminal.type("\x03")
        code, rest = terminal.end()
    assert code == 130
    assert "Traceback" not in rest
    assert server.wait_disconnected()


def test_events_before_an_error_are_printed(serve: Serve) -> None:
    server = serve(mock.Raw(head(Content_Length="100") + EVENT))
    code, out, err = run("events", "--no-reconnect", server.origin)
    assert (code, out) == (1, "data: x\n\n")
    assert err.startswith("millstream: ")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["event", "http://127.0.0.1:1"],
        ["events"],
        ["events", "ftp://127.0.0.1/"],
        ["events", "--colour", "http://127.0.0.1:1/"],
        ["events", "-H", "no colon", "http://127.0.0.1:1/"],
        ["events", "-H", "X: a\nY: b", "http://127.0.0.1:1/"],
        ["events", "-d", "@/no/such/file", "http://127.0.0.1:1/"],
        ["events", "-X", "G T", "http://127.0.0.1:1/"],
        ["events", "--last-event-id", "a\nb", "http://127.0.0.1:1/"],
    ],
)
def test_wrong_arguments_are_2(arguments: list[str]) -> None:
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "Usage: millstream" in err
    assert "Traceback" not in err


def test_help_and_version() -> None:
    for arguments in (["--help"], ["-h"], ["events", "--help"]):
        code, out, err = run(*arguments)
        assert (code, err) == (0, "")
        assert out.startswith("Usage: millstream")
    assert "Exit codes" in run("--help")[1]
    assert run("--version")[1].startswith("millstream, version 0.")


@pytest.mark.parametrize("module", ["click", "rich"])
def test_without_the_extra_it_says_what_to_install(module: str) -> None:
    program = (
        f"import sys, runpy; sys.modules['{module}'] = None\n"
        "runpy.run_module('millstream', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=GIVE_UP_S, check=False
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert b"pip install millstream[cli]" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("where", ["open", "waiting to reconnect"])
def test_ctrl_c_is_130(serve: Serve, start: Start, where: str) -> None:
    server = serve(feed(b"retry: 3600000\n" + EVENT, then="hang" if where == "open" else "close"))
    process = start("events", server.origin)
    assert process.stdout is not None
    assert process.stdout.readline() == b"data: x\n"
    if where != "open":
        assert server.wait_until(lambda: server.connections.open == 0)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=GIVE_UP_S)
    assert (process.returncode, out.strip(), err.strip()) == (130, b"", b"")


def test_a_closed_pipe_is_141(serve: Serve, start: Start) -> None:
    gate = mock.Gate()
    server = serve(feed(EVENT, gate, EVENT, then="hang"))
    process = start("events", server.origin)
    assert process.stdout is not None
    assert process.stdout.readline() == b"data: x\n"
    process.stdout.close()
    gate.open()
    assert process.wait(GIVE_UP_S) == 141
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert server.wait_disconnected(1)


def test_the_script_is_installed_with_the_package(serve: Serve, start: Start) -> None:
    script = shutil.which("millstream", path=str(Path(sys.executable).parent))
    if script is None:
        pytest.skip("skipped: millstream is not installed, only imported")
    process = start("events", serve([feed(EVENT), NO_CONTENT]).origin, command=[script])
    assert process.communicate(timeout=GIVE_UP_S)[0] == b"data: x\n\n"
    assert process.returncode == 0
