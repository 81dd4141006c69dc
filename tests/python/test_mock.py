"""The mock model server, seen by clients that are not millstream: http.client and bare sockets."""

from __future__ import annotations

import concurrent.futures
import gc
import http.client
import itertools
import json
import os
import re
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from conftest import Serve
from millstream import mock
from millstream.mock._models import MODELS
from millstream.mock._reply import Responder, in_chunks
from millstream.mock._script import Part
from millstream.mock._server import _Player

CHAT = "/v1/chat/completions"
STREAMS = Path(__file__).parents[3] / "shared" / "streams"
RECORDED = (
    b'data: {"choices":[{"index":0,"delta":{"content":"H\xc3\xa4"}}]}\n\n'
    b": ping\r\n\r\n"
    b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    b"data: [DONE]\n\n"
)


def address(server: mock.Server) -> tuple[str, int]:
    host, port = server.url.split("/")[2].rsplit(":", 1)
    return host, int(port)


def connect(server: mock.Server) -> socket.socket:
    return socket.create_connection(address(server), timeout=20)


def question(model: str = "m", stream: bool = True, **params: Any) -> bytes:
    messages = [{"role": "user", "content": "How are you?"}]
    return json.dumps({"model": model, "messages": messages, "stream": stream, **params}).encode()


def request_bytes(body: bytes | None = None, *headers: str, path: str = CHAT) -> bytes:
    body = question() if body is None else body
    lines = [f"POST {path} HTTP/1.1", "Host: test", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Answered:
    """A response that http.client has read to its end."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = response.headers
        self.body = response.read()

    def json(self) -> Any:
        return json.loads(self.body)

    def events(self) -> list[str]:
        return [e.removeprefix("data: ") for e in self.body.decode().split("\n\n") if e]

    def chunks(self) -> list[Any]:
        return [json.loads(e) for e in self.events() if e[0] == "{"]

    def deltas(self, name: str = "content", choice: int = 0) -> list[Any]:
        choices = [c for chunk in self.chunks() for c in chunk["choices"] if c["index"] == choice]
        return [c["delta"][name] for c in choices if c["delta"].get(name)]


def ask(
    server: mock.Server,
    body: bytes | None = None,
    method: str = "POST",
    path: str = CHAT,
    headers: dict[str, str] | None = None,
) -> Answered:
    connection = http.client.HTTPConnection(*address(server), timeout=20)
    try:
        sent = question() if body is None else body
        connection.request(method, path, None if method == "GET" else sent, headers or {})
        return Answered(connection.getresponse())
    finally:
        connection.close()


def all_gone(server: mock.Server, count: int) -> bool:
    """Waits until that many connections were opened, and none is any more."""
    return server.wait_until(lambda: server.connections == (count, 0, 0))


def read_to_end(client: socket.socket) -> tuple[bytes, str]:
    """All the bytes that come, and how the connection ended: `fin` or `reset`."""
    received = b""
    while True:
        try:
            data = client.recv(65536)
        except ConnectionResetError:
            return received, "reset"
        if not data:
            return received, "fin"
        received += data


def read_until(client: socket.socket, mark: bytes) -> bytes:
    received = b""
    while mark not in received:
        data = client.recv(65536)
        assert data, f"ended before {mark!r}: {received!r}"
        received += data
    return received


def http_chunks(response: bytes) -> tuple[list[bytes], bool]:
    """The HTTP chunks of a response, and whether the last, empty one came."""
    body = response.partition(b"\r\n\r\n")[2]
    chunks: list[bytes] = []
    while body:
        size_text, _, body = body.partition(b"\r\n")
        size = int(size_text, 16)
        assert body[size : size + 2] == b"\r\n"
        if size == 0:
            assert body == b"\r\n"
            return chunks, True
        chunks.append(body[:size])
        body = body[size + 2 :]
    return chunks, False


# --- what is said ---------------------------------------------------------------------------------


def test_the_public_names_are_these() -> None:
    assert sorted(mock.__all__) == mock.__all__
    assert all(getattr(mock, name).__doc__ for name in mock.__all__ if name != "Script")


def test_importing_the_package_does_not_import_the_mock() -> None:
    code = "import sys, millstream; sys.exit('millstream.mock' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_text_is_streamed_token_by_token(serve: Serve) -> None:
    answered = ask(serve("Hello there, wörld!"), question("my-model"))
    assert answered.status == 200
    assert answered.headers["Content-Type"] == "text/event-stream; charset=utf-8"
    assert answered.deltas() == ["Hello", " there", ",", " wörld", "!"]
    assert answered.events()[-1] == "[DONE]"
    first, *_, last = answered.chunks()
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert last["choices"][0] == {
        "index": 0,
        "delta": {},
        "logprobs": None,
        "finish_reason": "stop",
    }
    for chunk in answered.chunks():
        assert chunk["object"] == "chat.completion.chunk"
        assert (chunk["id"], chunk["created"]) == (first["id"], first["created"])
        assert chunk["model"] == "my-model"
        assert chunk["system_fingerprint"].startswith("fp_")
        assert "usage" not in chunk
    assert all(200 <= len(event) <= 320 for event in answered.events()[:-1])


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "a",
        "  two  spaces  ",
        "日本語のテキスト",
        "x" * 100,
        "a\n\n- b\t\r\n",
        "e\u0301 ☕️\u2028",
    ],
)
def test_tokens_joined_are_the_text(serve: Serve, text: str) -> None:
    server = serve(text)
    deltas = ask(server).deltas()
    assert "".join(deltas) == text
    assert all(len(delta.strip()) <= 8 for delta in deltas)
    whole = ask(server, question(stream=False)).json()
    assert whole["choices"][0]["message"]["content"] == text


def test_given_tokens_are_sent_as_they_are(serve: Serve) -> None:
    answered = ask(serve(mock.Answer(["Hel", "lo", "\ud83d", "\ude00"])))
    assert answered.deltas() == ["Hel", "lo", "\ud83d", "\ude00"]
    assert rb"\ud83d" in answered.body


def test_reasoning_refusal_and_finish_reason(serve: Serve) -> None:
    script = mock.Answer("A.", reasoning="Hm, so.", refusal="No.", finish_reason="length")
    server = serve(script)
    answered = ask(server)
    assert answered.deltas("reasoning_content") == ["Hm", ",", " so", "."]
    assert answered.deltas("refusal") == ["No", "."]
    assert answered.chunks()[-1]["choices"][0]["finish_reason"] == "length"
    choice = ask(server, question(stream=False)).json()["choices"][0]
    assert choice["finish_reason"] == "length"
    assert choice["message"] == {
        "role": "assistant",
        "content": "A.",
        "refusal": "No.",
        "reasoning_content": "Hm, so.",
    }


def test_tool_calls_come_in_fragments(serve: Serve) -> None:
    calls = [mock.ToolCall("f", {"x": [1, 2]}, id="call_1"), mock.ToolCall("g", '{"y": "z"}')]
    server = serve(mock.Answer(tool_calls=calls))
    answered = ask(server)
    fragments = [f for delta in answered.deltas("tool_calls") for f in delta]
    opened = [f for f in fragments if "id" in f]
    assert [(f["index"], f["type"], f["function"]["name"]) for f in opened] == [
        (0, "function", "f"),
        (1, "function", "g"),
    ]
    assert opened[0]["id"] == "call_1"
    arguments = [
        "".join(f["function"]["arguments"] for f in fragments if f["index"] == i) for i in (0, 1)
    ]
    assert arguments == ['{"x": [1, 2]}', '{"y": "z"}']
    assert len(fragments) > 6
    assert answered.chunks()[-1]["choices"][0]["finish_reason"] == "tool_calls"
    message = ask(server, question(stream=False)).json()["choices"][0]["message"]
    assert message["content"] is None
    assert [c["function"] for c in message["tool_calls"]] == [
        {"name": "f", "arguments": '{"x": [1, 2]}'},
        {"name": "g", "arguments": '{"y": "z"}'},
    ]


def test_choices_take_turns(serve: Serve) -> None:
    server = serve([mock.Answer("a b", choices=["c d e", mock.Answer(refusal="no")]), "same"])
    answered = ask(server)
    assert [answered.deltas(choice=i) for i in range(3)] == [["a", " b"], ["c", " d", " e"], []]
    assert answered.deltas("refusal", choice=2) == ["no"]
    indices = [c["index"] for chunk in answered.chunks() for c in chunk["choices"]]
    assert indices[:6] == [0, 1, 2, 0, 1, 2]
    choices = [c for chunk in answered.chunks() for c in chunk["choices"]]
    assert [c["index"] for c in choices if c["finish_reason"]] == [2, 0, 1]
    three = ask(server, question(n=3))
    assert [three.deltas(choice=i) for i in range(4)] == [["same"], ["same"], ["same"], []]


def test_usage_is_sent_where_it_is_asked_for(serve: Serve) -> None:
    asked = question(stream_options={"include_usage": True})
    usage = mock.Usage(7, 5, reasoning_tokens=2, cached_tokens=3)
    server = serve([mock.Answer("one two", usage=usage), "one two", mock.Answer("x", usage=False)])
    *chunks, last = ask(server, asked).chunks()
    assert last["choices"] == []
    assert last["usage"] == {
        "prompt_tokens": 7,
        "completion_tokens": 5,
        "total_tokens": 12,
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    assert all(chunk["usage"] is None for chunk in chunks)
    counted = ask(server, asked).chunks()[-1]["usage"]
    assert (counted["prompt_tokens"], counted["completion_tokens"]) == (4, 2)
    assert all("usage" not in chunk for chunk in ask(server, asked).chunks())


def test_a_request_that_does_not_stream_gets_one_object(serve: Serve) -> None:
    answered = ask(serve("Hi."), question("gpt", stream=False))
    assert answered.headers["Content-Type"] == "application/json"
    assert int(answered.headers["Content-Length"]) == len(answered.body)
    whole = answered.json()
    assert (whole["object"], whole["model"]) == ("chat.completion", "gpt")
    assert whole["choices"][0]["message"]["content"] == "Hi."
    assert whole["usage"]["total_tokens"] == 6


def test_every_model_answers_what_the_table_says(serve: Serve) -> None:
    server = serve(pace=0.0, first=0.0)
    listed = [m["id"] for m in ask(server, method="GET", path="/v1/models").json()["data"]]
    assert listed == list(MODELS)
    assert mock.__doc__ is not None
    assert all(f"`{name}`" in mock.__doc__ for name in MODELS)
    default = ask(server, question("gpt-whatever"))
    assert "".join(default.deltas()).startswith('You said: "How are you?" ')
    assert 55 <= len(default.deltas()) <= 80
    assert "".join(ask(server, question("mock-echo")).deltas()) == "How are you?"
    assert len(ask(server, question("mock-long")).deltas()) > 2000
    assert ask(server, question("mock-reasoning")).deltas("reasoning_content")
    assert ask(server, question("mock-refusal")).deltas("refusal")
    tools = [{"type": "function", "function": {"name": "look"}}]
    called = ask(server, question("mock-tools", tools=tools)).deltas("tool_calls")
    assert called[0][0]["function"]["name"] == "look"
    assert (
        ask(server, question("mock-length")).chunks()[-1]["choices"][0]["finish_reason"] == "length"
    )
    assert "error" in ask(server, question("mock-stream-error")).chunks()[-1]
    limited = ask(server, question("mock-error-429"))
    assert (limited.status, limited.headers["Retry-After"]) == (429, "1")
    assert ask(server, question("mock-error-529")).status == 529


def test_content_may_be_a_list_of_parts(serve: Serve) -> None:
    parts = [
        {"type": "text", "text": "Hi "},
        {"type": "image_url"},
        {"type": "text", "text": "you"},
    ]
    body = {"model": "mock-echo", "messages": [{"role": "user", "content": parts}]}
    answered = ask(serve(), json.dumps(body).encode())
    assert answered.json()["choices"][0]["message"]["content"] == "Hi you"


def test_a_seed_fixes_every_byte(serve: Serve) -> None:
    def run(seed: int | None) -> list[bytes]:
        server = serve(mock.Answer("x", tool_calls=[mock.ToolCall("f")]), seed=seed)
        return [ask(server).body, ask(server).body]

    assert run(1) == run(1)
    assert run(1) != run(2)
    assert run(None) != run(None)
    first, second = run(1)
    assert first != second


# --- HTTP -----------------------------------------------------------------------------------------


def test_a_connection_is_used_again(serve: Serve) -> None:
    server = serve(["one", "two", mock.Error(429), "three"])
    connection = http.client.HTTPConnection(*address(server), timeout=20)
    for stream in (True, False, True, True):
        connection.request("POST", CHAT, question(stream=stream))
        connection.getresponse().read()
    connection.close()
    assert [r.connection for r in server.requests] == [0, 0, 0, 0]
    assert all_gone(server, 1)


def test_requests_are_recorded_in_order(serve: Serve) -> None:
    server = serve("x")
    body = question("a")
    ask(server, body, path=f"{CHAT}?api-version=1", headers={"X-Test": "é", "Accept": "a/b"})
    ask(server, b"{}", path="/nowhere")
    first, second = server.requests
    assert (first.method, first.path, first.query) == ("POST", CHAT, "api-version=1")
    assert (first.headers["x-test"], first.headers["accept"]) == ("é", "a/b")
    assert first.head.startswith(b"POST /v1/chat/completions?api-version=1 HTTP/1.1\r\n")
    assert (first.body, first.json()) == (body, json.loads(body))
    assert second.path == "/nowhere"
    assert first.arrived <= second.arrived
    assert (first.connection, second.connection) == (0, 1)


def test_no_key_is_shown(serve: Serve) -> None:
    server = serve("x", api_key="sesame")
    ask(server, headers={"Authorization": "Bearer sesame"})
    assert "sesame" not in repr((server, server.requests))


@pytest.mark.parametrize("cuts", ["whole", "bytewise"])
def test_a_chunked_request_body(serve: Serve, cuts: str) -> None:
    server = serve("x")
    body = question()
    head = f"POST {CHAT} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    coded = b"".join(b"%X;x=y\r\n%b\r\n" % (len(p), p) for p in (body[:10], body[10:]))
    sent = head + coded + b"0\r\nTrailer: x\r\n\r\n"
    with connect(server) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in [sent] if cuts == "whole" else [sent[i : i + 1] for i in range(len(sent))]:
            client.sendall(piece)
        assert b"[DONE]" in read_until(client, b"0\r\n\r\n")
    assert server.requests[0].body == body


def test_expect_100_continue(serve: Serve) -> None:
    body = question()
    sent = request_bytes(body, "Expect: 100-continue")
    with connect(serve("x")) as client:
        client.sendall(sent[: -len(body)])
        assert read_until(client, b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(body)
        assert read_until(client, b"0\r\n\r\n").startswith(b"HTTP/1.1 200 OK\r\n")


def test_requests_sent_ahead_are_answered_in_turn(serve: Serve) -> None:
    with connect(serve(["one", "two"])) as client:
        client.sendall(request_bytes() + request_bytes(None, "Connection: close"))
        received, end = read_to_end(client)
    assert end == "fin"
    assert 0 < received.index(b'"one"') < received.index(b'"two"')


@pytest.mark.parametrize("headers", [(), ("Connection: keep-alive",)])
def test_http_1_0_gets_a_body_without_chunks(serve: Serve, headers: tuple[str, ...]) -> None:
    with connect(serve("one")) as client:
        client.sendall(request_bytes(None, *headers).replace(b"HTTP/1.1", b"HTTP/1.0"))
        received, end = read_to_end(client)
    assert end == "fin"
    assert b"chunked" not in received
    assert received.endswith(b"\n\ndata: [DONE]\n\n")


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"GET / HTTP/2.0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 999999999999\r\n\r\n", 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc", 400),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 300_000, 431),
    ],
)
def test_what_is_no_request_is_refused(serve: Serve, sent: bytes, status: int) -> None:
    with connect(serve("x")) as client:
        client.sendall(sent)
        received, end = read_to_end(client)
    assert received.startswith(b"HTTP/1.1 %d " % status)
    assert json.loads(received.partition(b"\r\n\r\n")[2])["error"]["message"]
    assert end == "fin"


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", CHAT, b'{"model": ', 400),
        ("POST", CHAT, b"[]", 400),
        ("POST", CHAT, b'{"messages": []}', 400),
        ("POST", CHAT, b'{"model": "m"}', 400),
        ("POST", CHAT, b'{"model": "m", "messages": ["x"]}', 400),
        ("GET", CHAT, b"", 405),
        ("POST", "/v1/unknown", b"{}", 404),
        ("GET", "/", b"", 404),
    ],
)
def test_a_wrong_request_gets_the_formats_own_error(
    serve: Serve, method: str, path: str, body: bytes, status: int
) -> None:
    answered = ask(serve(), body, method, path)
    assert answered.status == status
    error = answered.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert error["message"]
    assert set(error) == {"message", "type", "param", "code"}


def test_a_key_is_demanded_where_one_was_given(serve: Serve) -> None:
    server = serve("x", api_key="secret")
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "secret"}):
        refused = ask(server, headers=headers)
        assert (refused.status, refused.json()["error"]["code"]) == (401, "invalid_api_key")
        assert b"wrong" not in refused.body
    assert ask(server, headers={"Authorization": "Bearer secret"}).status == 200
    assert ask(server, headers={"api-key": "secret"}).status == 200
    assert ask(serve("x"), headers={}).status == 200


@pytest.mark.parametrize(
    ("error", "content_type", "body"),
    [
        (
            mock.Error(404, body="<html>gone</html>"),
            "text/html; charset=utf-8",
            b"<html>gone</html>",
        ),
        (mock.Error(503, body="busy"), "text/plain; charset=utf-8", b"busy"),
        (mock.Error(400, body={"error": "x"}), "application/json", b'{"error":"x"}'),
        (mock.Error(500, body=b"\xff", headers={"content-type": "a/b"}), "a/b", b"\xff"),
    ],
)
def test_http_errors(serve: Serve, error: mock.Error, content_type: str, body: bytes) -> None:
    answered = ask(serve(error), path="/any")
    assert answered.status == error.status
    assert answered.headers.get_all("Content-Type") == [content_type]
    assert answered.body == body


def test_an_http_error_has_its_headers_and_message(serve: Serve) -> None:
    server = serve([mock.Error(429, "Slow down.", headers={"Retry-After": "7"}), mock.Error(502)])
    answered = ask(server)
    assert answered.headers["Retry-After"] == "7"
    assert answered.json()["error"]["message"] == "Slow down."
    assert answered.json()["error"]["type"] == "rate_limit_error"
    assert ask(server).json()["error"]["message"] == "Bad Gateway"


# --- scripts --------------------------------------------------------------------------------------


def test_a_list_gives_one_answer_a_request(serve: Serve) -> None:
    server = serve(["one", mock.Error(500), "last"])
    assert ask(server).deltas() == ["one"]
    assert ask(server, method="GET", path="/v1/models").status == 200
    assert ask(server).status == 500
    assert [ask(server).deltas() for _ in range(3)] == [["last"]] * 3


def test_a_function_sees_the_request(serve: Serve) -> None:
    def script(request: mock.Request) -> str | mock.Error | None:
        if request.path != CHAT:
            return mock.Error(418)
        return None if request.json()["model"] == "mock-echo" else request.json()["model"]

    server = serve(script)
    assert ask(server, question("alpha")).deltas() == ["alpha"]
    assert "".join(ask(server, question("mock-echo")).deltas()) == "How are you?"
    assert ask(server, method="GET", path="/elsewhere").status == 418


@pytest.mark.parametrize("result", [ValueError("oops"), 3])
def test_a_function_that_fails_is_a_500_that_says_why(serve: Serve, result: object) -> None:
    def script(request: mock.Request) -> Any:
        if isinstance(result, Exception):
            raise result
        return result

    server = serve([script, "fine"])
    message = ask(server).json()["error"]["message"]
    assert "ValueError: oops" in message or "int" in message
    assert ask(server).deltas() == ["fine"]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: mock.Server([]),
        lambda: mock.Server(3),  # type: ignore[arg-type]
        lambda: mock.Server([b"x"]),  # type: ignore[list-item]
        lambda: mock.Server(pace=-1.0),
        lambda: mock.Server(port=65536),
        lambda: mock.Server(ssl_context=True),  # type: ignore[arg-type]
        lambda: mock.Answer("x", cut="soon"),  # type: ignore[arg-type]
        lambda: mock.Answer("x", pace=float("nan")),
        lambda: mock.Answer("x", cut_after=-1),
        lambda: mock.Answer("x", choices=0),
        lambda: mock.Answer([b"x"]),  # type: ignore[list-item]
        lambda: mock.ToolCall("f", {"x": object()}),
        lambda: mock.Error(200),
        lambda: mock.Error(400, headers={"X": "a\r\nb"}),
        lambda: mock.Replay(b"", sizes=0),
        lambda: mock.Replay(b"", sizes="some"),  # type: ignore[arg-type]
        lambda: mock.Replay(b"", content_type="a\nb"),
        lambda: mock.Replay("/no/such/file"),
        lambda: mock.Raw("text"),  # type: ignore[arg-type]
        lambda: mock.Raw(b"", then="stay"),  # type: ignore[arg-type]
    ],
)
def test_wrong_values_are_refused_where_they_are_written(wrong: Callable[[], object]) -> None:
    with pytest.raises((ValueError, TypeError, FileNotFoundError)):
        wrong()


# --- what goes wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", ["close", "reset", "end"])
@pytest.mark.parametrize("after", [0, 1, 3, 1000])
def test_an_answer_is_cut_after_so_many_chunks(serve: Serve, cut: Any, after: int) -> None:
    server = serve(mock.Answer("one two three four", cut_after=after, cut=cut))
    with connect(server) as client:
        client.sendall(request_bytes(None, "Connection: close"))
        received, end = read_to_end(client)
    chunks, whole = http_chunks(received)
    assert len(chunks) == min(after, 7)
    assert (b"data: [DONE]\n\n" in chunks) == (after == 1000)
    assert whole == (cut == "end")
    assert end == ("reset" if cut == "reset" else "fin")
    assert server.connections.disconnected == 0


@pytest.mark.parametrize(
    "script", [mock.Answer("one two", cut_after=1, cut="hang"), mock.Raw(b"x", then="hang")]
)
def test_a_hang_lasts_until_the_client_leaves(serve: Serve, script: mock.Script) -> None:
    server = serve(script)
    with connect(server) as client:
        client.sendall(request_bytes())
        assert client.recv(1)
        client.sendall(request_bytes())  # not answered: the first answer never ends
        client.setblocking(False)
        assert server.connections == (1, 1, 0)
    assert server.wait_disconnected()
    assert server.connections == (1, 0, 1)
    assert len(server.requests) == 1


def test_an_answer_that_is_not_streamed_is_cut_in_its_middle(serve: Serve) -> None:
    server = serve(["one two", mock.Answer("one two", cut_after=1, cut="reset")])
    whole = ask(server, question(stream=False)).body
    with connect(server) as client:
        client.sendall(request_bytes(question(stream=False)))
        received, end = read_to_end(client)
    (half,), ended = http_chunks(received)
    assert (len(half), ended, end) == (len(whole) // 2, False, "reset")


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (mock.Answer("a b", done=False), "r a b f"),
        (mock.Answer("a b", comments=2), "r a : b f : D"),
        (mock.Answer("a b", comments=5), "r a b f D"),
        (mock.Answer("a b", error="oops"), "r a b E"),
        (mock.Answer("a b", error_after=0), "E"),
        (mock.Answer("a b", error="oops", error_after=2), "r a E"),
        (mock.Answer("a b", error="oops", error_after=99, done=True), "r a b E D"),
        (mock.Answer("a b", error="oops", error_after=2, cut_after=1, cut="end"), "r"),
        (mock.Answer("a b", error="oops", comments=1, cut_after=2, cut="end"), "r : a :"),
    ],
)
def test_the_shape_of_a_stream(serve: Serve, script: mock.Answer, expected: str) -> None:
    def letter(event: str) -> str:
        if event[0] != "{":
            return {"[DONE]": "D", ": keep-alive": ":"}[event]
        chunk = json.loads(event)
        if "error" in chunk:
            return "E"
        choice = chunk["choices"][0]
        return "f" if choice["finish_reason"] else choice["delta"]["content"].strip() or "r"

    answered = ask(serve(script), question(stream_options={"include_usage": False}))
    assert " ".join(map(letter, answered.events())) == expected


def test_an_error_in_the_stream_is_the_one_given(serve: Serve) -> None:
    own = {"message": "m", "code": 502, "metadata": {"x": 1}}
    server = serve([mock.Answer("a", error=own), mock.Answer("a", error="oops")])
    assert ask(server).chunks()[-1] == {"error": own}
    assert ask(server).chunks()[-1]["error"]["message"] == "oops"
    server = serve([mock.Answer("a", error=own), mock.Answer("a", error="oops")])
    first = ask(server, question(stream=False))
    assert (first.status, first.json()) == (500, {"error": own})
    second = ask(server, question(stream=False))
    assert (second.status, second.json()["error"]["message"]) == (500, "oops")


# --- replays and raw bytes ------------------------------------------------------------------------


def sizes_of(total: int) -> list[Any]:
    return [
        None,
        *range(1, 32),
        [5],
        [1, 2, 3],
        [total],
        [total + 1],
        [total // 2, total],
        "random",
    ]


def test_a_replay_gives_the_bytes_in_pieces_of_any_size(serve: Serve) -> None:
    scripts = [mock.Replay(RECORDED, sizes=sizes) for sizes in sizes_of(len(RECORDED))]
    server = serve(scripts)
    with connect(server) as client:
        for script in scripts:
            client.sendall(request_bytes())
            chunks, whole = http_chunks(read_until(client, b"\r\n0\r\n\r\n"))
            assert whole
            assert b"".join(chunks) == RECORDED
            lengths = list(map(len, chunks))
            if isinstance(script.sizes, int):
                assert set(lengths[:-1]) <= {script.sizes}
                assert lengths[-1] <= script.sizes
            elif isinstance(script.sizes, list):
                assert lengths == pieces(script.sizes, len(RECORDED))
            else:
                assert (len(chunks) == 1) == (script.sizes is None)


def pieces(sizes: list[int], total: int) -> list[int]:
    """Where a list of sizes cuts `total` bytes: the last piece is what is left."""
    ends = [0, *(end for end in itertools.accumulate(sizes) if end < total), total]
    return [b - a for a, b in itertools.pairwise(ends)]


def test_random_sizes_are_fixed_by_the_seed(serve: Serve) -> None:
    body = bytes(range(256)) * 40
    server = serve([mock.Replay(body, "a/b", "random", seed=seed) for seed in (1, 1, 2)])
    lengths = []
    for _ in range(3):
        with connect(server) as client:
            client.sendall(request_bytes(None, "Connection: close"))
            chunks, _whole = http_chunks(read_to_end(client)[0])
        assert b"".join(chunks) == body
        lengths.append(list(map(len, chunks)))
    assert lengths[0] == lengths[1] != lengths[2]
    assert min(lengths[0]) < 8
    assert max(lengths[0]) > 100


@pytest.mark.parametrize("cut", ["close", "reset", "end"])
def test_a_replay_is_cut_after_so_many_bytes(serve: Serve, cut: Any) -> None:
    server = serve([mock.Replay(RECORDED, sizes=10, cut_after=n, cut=cut) for n in (0, 25, 9999)])
    for count in (0, 25, len(RECORDED)):
        with connect(server) as client:
            client.sendall(request_bytes(None, "Connection: close"))
            received, end = read_to_end(client)
        chunks, whole = http_chunks(received)
        assert b"".join(chunks) == RECORDED[:count]
        assert (whole, end) == (cut == "end", "reset" if cut == "reset" else "fin")


PARTS = re.findall(rb".+?\n\r?\n", RECORDED, re.DOTALL)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"done": True}, RECORDED),
        ({"done": False}, b"".join(PARTS[:3])),
        ({"comments": 2}, b"".join([*PARTS[:2], b": keep-alive\n\n", *PARTS[2:]])),
        ({"error": {"code": 1}, "error_after": 1}, PARTS[0] + b'data: {"error":{"code":1}}\n\n'),
        ({"error": {"code": 1}}, b"".join(PARTS[:3]) + b'data: {"error":{"code":1}}\n\n'),
        ({"error": {}, "error_after": 0, "done": True}, b'data: {"error":{}}\n\n' + PARTS[3]),
    ],
)
def test_a_replay_is_edited_by_events(serve: Serve, options: Any, expected: bytes) -> None:
    assert ask(serve(mock.Replay(RECORDED, **options))).body == expected


def test_a_replay_without_a_terminator_can_be_given_one(serve: Serve) -> None:
    script = mock.Replay(PARTS[0], done=True)
    assert ask(serve(script)).body == PARTS[0] + b"data: [DONE]\n\n"


def test_a_replay_reads_a_file_and_takes_status_and_headers(serve: Serve, tmp_path: Path) -> None:
    file = tmp_path / "recorded.sse"
    file.write_bytes(RECORDED)
    script = mock.Replay(file, "a/b; c=d", status=207, headers={"X-Y": "z"})
    file.unlink()
    answered = ask(serve(script), path="/elsewhere", method="GET")
    assert (answered.status, answered.body) == (207, RECORDED)
    assert (answered.headers["Content-Type"], answered.headers["X-Y"]) == ("a/b; c=d", "z")


def test_recorded_streams_of_real_servers(serve: Serve) -> None:
    files = sorted(STREAMS.glob("*/openai-chat--*.sse"))
    if not files:
        pytest.skip("skipped: ../shared/streams is not there")
    recorded = {file: file.read_bytes() for file in files}
    for file, body in recorded.items():
        sizes: list[Any] = [None, "random", *([1] if len(body) < 5000 else [])]
        server = serve([mock.Replay(file, sizes=s, comments=0) for s in sizes])
        assert [ask(server).body for _ in sizes] == [body] * len(sizes), file
        server.close()


def test_raw_bytes_are_all_there_is(serve: Serve) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe"
    server = serve([mock.Raw(answer, then="reset"), mock.Raw([answer, 0.01, b"l", 0, b"lo"])])
    for expected in ((answer, "reset"), (answer + b"llo", "fin")):
        with connect(server) as client:
            client.sendall(request_bytes())
            assert read_to_end(client) == expected


def test_a_reset_drops_nothing_that_was_sent_before(serve: Serve) -> None:
    parts = [b"%03d" % i for i in range(200)]  # more small packets than may be under way at once
    server = serve(mock.Raw(parts, then="reset"))
    for number in range(1, 6):
        with connect(server) as client:
            client.sendall(request_bytes())
            assert all_gone(server, number)
            assert read_to_end(client) == (b"".join(parts), "reset")


def test_a_small_write_does_not_wait_for_the_one_before(serve: Serve) -> None:
    gate = mock.Gate()
    server = serve(mock.Raw([b"a", gate]))
    with connect(server) as client:
        client.sendall(request_bytes())
        assert gate.wait_reached()
        assert server._running is not None
        (connection,) = server._running._connections
        raw = connection._transport.get_extra_info("socket")
        assert raw.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_raw_bytes_can_keep_the_connection(serve: Serve) -> None:
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    server = serve(mock.Raw(answer, then="keep"))
    connection = http.client.HTTPConnection(*address(server), timeout=20)
    for _ in range(3):
        connection.request("GET", "/any")
        assert connection.getresponse().read() == b"hi"
    connection.close()
    assert server.connections.opened == 1


def test_raw_parts_may_be_endless(serve: Serve) -> None:
    server = serve([lambda request: mock.Raw(itertools.cycle([b": ping\n\n" * 1000])), "next"])
    with connect(server) as client:
        client.sendall(request_bytes())
        assert read_until(client, b": ping\n\n" * 3000)
        assert ask(server).deltas() == ["next"]  # the endless one leaves the loop to others
    assert server.wait_disconnected()


# --- time -----------------------------------------------------------------------------------------


class SlowLoop:
    """A loop whose clock is a number, and which is late by `late` at every timer."""

    def __init__(self, late: float = 0.0) -> None:
        self.now = 100.0
        self.late = late
        self.deadlines: list[float] = []
        self.next: Callable[[], None] | None = None

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, callback: Callable[[], None]) -> None:
        self.deadlines.append(when)
        self.next = callback

    def call_soon(self, callback: Callable[[], None]) -> None:
        self.next = callback

    call_soon_threadsafe = call_soon

    def run(self) -> None:
        while self.next is not None:
            self.now = max(self.now, *self.deadlines[-1:], 0.0) + self.late
            callback, self.next = self.next, None
            callback()


class Sink:
    """A transport that takes everything."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def is_closing(self) -> bool:
        return False


class Played:
    """The parts, as a player puts them on a `Sink`."""

    def __init__(self, parts: Iterable[Part], late: float = 0.0) -> None:
        self.loop, self.sink, self.ended = SlowLoop(late), Sink(), threading.Event()
        loop: Any = self.loop
        sink: Any = self.sink
        self.player = _Player(loop, sink, iter(parts), self.ended.set)
        self.player.play()


@pytest.mark.parametrize("late", [0.0, 0.25, 3.0])
def test_pauses_are_absolute_deadlines(late: float) -> None:
    played = Played([b"a", 0.5, b"b", 0.5, b"c", 0.5, b"d"], late)
    played.loop.run()
    assert played.loop.deadlines == [100.5, 101.0, 101.5]
    assert played.sink.written == [b"a", b"b", b"c", b"d"]
    assert played.ended.is_set()


def test_pauses_after_a_gate_count_from_its_opening() -> None:
    gate = mock.Gate()
    played = Played([b"a", gate, 0.5, b"b", gate, 0.5])
    played.loop.now = 200.0
    assert played.sink.written == [b"a"]
    gate.open()
    played.loop.run()
    assert played.loop.deadlines == [200.5, 201.0]
    assert played.sink.written == [b"a", b"b"]


def test_a_full_socket_is_waited_for() -> None:
    played = Played([b"a", 1.0, b"b", b"c"])
    played.player.set_writable(False)
    played.loop.run()
    assert played.sink.written == [b"a"]
    played.player.set_writable(True)
    assert played.sink.written == [b"a", b"b", b"c"]
    assert played.ended.is_set()


def test_room_in_the_socket_does_not_shorten_a_pause() -> None:
    played = Played([b"a", 1.0, b"b"])
    played.player.set_writable(False)
    played.player.set_writable(True)
    assert played.sink.written == [b"a"]
    played.loop.run()
    assert played.sink.written == [b"a", b"b"]


def test_an_endless_reply_leaves_turns_to_others() -> None:
    played = Played(itertools.repeat(b"x"))
    assert 0 < len(played.sink.written) < 1000
    assert played.loop.next is not None


def test_a_stopped_player_is_silent() -> None:
    played = Played([b"a", 1.0, b"b"])
    played.player.stop()
    played.loop.run()
    assert played.sink.written == [b"a"]
    assert not played.ended.is_set()


@pytest.mark.parametrize(
    ("script", "pauses"),
    [
        ("a b", ". 5 . 7 . 7 . 7 . . ."),
        (mock.Answer("a b", first=1, pace=2), ". 1 . 2 . 2 . 2 . . ."),
        (mock.Answer("a b", first=0, pace=0), ". . . . . . ."),
        (mock.Answer(["a", 9.0, "b"], first=1, pace=2), ". 1 . 2 . 9 2 . 2 . . ."),
        (mock.Answer("a b", first=1, pace=2, comments=2), ". 1 . 2 . . 2 . 2 . . . ."),
        (mock.Answer("a b", first=1, pace=2, cut_after=2), ". 1 . 2 ."),
        (mock.Answer("a b", first=1, pace=2, error_after=1), ". 1 . 2 . ."),
        (mock.Replay(b"abc", sizes=1, first=1, pace=2), ". 1 . 2 . 2 . ."),
        (mock.Replay(b"abc"), ". 5 . ."),
    ],
)
def test_where_the_pauses_are(script: mock.Script, pauses: str) -> None:
    """A dot is a write: the head, the chunks, the terminator, the last HTTP chunk."""
    request = mock.Request("POST", CHAT, "", {}, question(), b"", 0, 0.0, True)
    parts = Responder(script, 7, 5, None, 0).reply(request).parts
    assert " ".join("." if isinstance(part, bytes) else str(part)[0] for part in parts) == pauses


def test_no_empty_chunk_ends_a_body_early() -> None:
    assert list(in_chunks([b"", b"ab", b""], ends=True)) == [b"2\r\nab\r\n", b"0\r\n\r\n"]


def test_chunks_come_no_sooner_than_their_time(serve: Serve) -> None:
    server = serve(mock.Answer(["a", "b", "c"], first=0.05, pace=0.02))
    started = time.monotonic()
    assert ask(server).deltas() == ["a", "b", "c"]
    assert time.monotonic() - started >= 0.05 + 4 * 0.02  # role, a, b, c, finish
    started = time.monotonic()
    assert ask(server, question(stream=False)).status == 200
    assert time.monotonic() - started >= 0.05


def test_a_gate_holds_what_is_behind_it(serve: Serve) -> None:
    gate = mock.Gate()
    server = serve(mock.Answer(["before", gate, "after"]))
    assert not gate.wait_reached(0)
    with connect(server) as client:
        client.sendall(request_bytes())
        received = read_until(client, b'"before"')
        assert gate.wait_reached()
        assert b'"after"' not in received
        gate.open()
        assert b'"after"' in read_until(client, b"\r\n0\r\n\r\n")
    assert ask(server).deltas() == ["before", "after"]  # it stays open


def test_a_gate_holds_an_answer_that_is_not_streamed(serve: Serve) -> None:
    gate = mock.Gate()
    server = serve([mock.Answer([gate, "x"]), "second"])
    with concurrent.futures.ThreadPoolExecutor() as pool:
        held = pool.submit(ask, server, question(stream=False))
        assert gate.wait_reached()
        assert ask(server).deltas() == ["second"]
        assert not held.done()
        gate.open()
        assert held.result(20).json()["choices"][0]["message"]["content"] == "x"


def test_a_gate_outlives_its_server(serve: Serve) -> None:
    gate = mock.Gate()
    server = serve(mock.Raw([b"x", gate, b"y"]))
    with connect(server) as client:
        client.sendall(request_bytes())
        assert gate.wait_reached()
        server.close()
        gate.open()
        assert read_to_end(client)[0] == b"x"


# --- many clients, and their leaving --------------------------------------------------------------


def test_fifty_streams_at_once(serve: Serve) -> None:
    gates = [mock.Gate() for _ in range(50)]
    server = serve(
        [mock.Answer([f"{i}", gate, " end"], pace=0.001) for i, gate in enumerate(gates)]
    )
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        answers = [pool.submit(ask, server) for _ in gates]
        assert all(gate.wait_reached() for gate in gates)
        assert server.connections == (50, 50, 0)
        for gate in reversed(gates):
            gate.open()
        texts = sorted("".join(answer.result(20).deltas()) for answer in answers)
    assert texts == sorted(f"{i} end" for i in range(50))


def test_a_client_that_does_not_read_holds_nobody_up(serve: Serve) -> None:
    big = mock.Replay(b"x" * 50_000_000, "a/b", sizes=100_000)
    server = serve([big, "small"])
    with connect(server) as client:
        client.sendall(request_bytes())
        client.recv(1)
        assert ask(server).deltas() == ["small"]
        assert len(read_until_closed_or(client, 50_000_000)) >= 50_000_000


def read_until_closed_or(client: socket.socket, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:
        data = client.recv(1 << 20)
        assert data
        received += data
    return bytes(received)


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize(
    "script",
    [
        mock.Answer(["a", mock.Gate(), "b"]),
        mock.Answer("a b", first=1000.0),
        mock.Answer("a b", pace=1000.0),
        mock.Replay(b"x" * 50_000_000, "a/b"),
    ],
    ids=["gate", "first", "pace", "full socket"],
)
def test_a_client_that_leaves_is_noticed(serve: Serve, script: mock.Script, how: str) -> None:
    server = serve(script)
    client = connect(server)
    client.sendall(request_bytes())
    assert server.wait_requests(1)
    assert client.recv(1)
    assert server.connections.disconnected == 0
    if how == "reset":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    assert server.wait_disconnected()
    assert server.connections == (1, 0, 1)


def test_waiting_ends_without_what_it_waits_for(serve: Serve) -> None:
    server = serve("x")
    assert not server.wait_requests(1, timeout=0.01)
    assert not server.wait_disconnected(timeout=0.01)
    ask(server)
    assert server.wait_requests(1, timeout=0)
    assert not server.wait_disconnected(timeout=0)


# --- beginning and end ----------------------------------------------------------------------------


def open_files() -> set[str]:
    """The open files by number. What other tests have used may close its own meanwhile."""
    numbers = os.listdir("/proc/self/fd")
    return {number for number in numbers if os.path.lexists(f"/proc/self/fd/{number}")}


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="skipped: no /proc here")
def test_close_leaves_nothing_behind(capfd: pytest.CaptureFixture[str]) -> None:
    gc.collect()
    threads, files = threading.active_count(), open_files()
    scripts = [mock.Answer("a b", cut_after=1, cut="hang"), mock.Answer("a", pace=1000.0)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        server = mock.Server([*scripts, mock.Replay(b"x" * 9_000_000)])
        server.start()
        clients = [connect(server) for _ in range(5)]
        for client in clients[:3]:
            client.sendall(request_bytes())
        assert server.wait_requests(3)
        clients[3].sendall(request_bytes()[:40])
        server.close()  # it raises where it takes a second
        assert threading.active_count() == threads
        assert server.connections == (5, 0, 0)
        for client in clients:
            read_to_end(client)
            client.close()
        assert open_files() <= files
        del server
        gc.collect()
    assert capfd.readouterr() == ("", "")


def test_a_server_starts_once_and_closes_often() -> None:
    server = mock.Server("x")
    with pytest.raises(RuntimeError, match="not started"):
        _ = server.url
    server.close()
    with server as url:
        assert url == server.url
        with pytest.raises(RuntimeError, match="only once"):
            server.start()
    server.close()
    with pytest.raises(RuntimeError, match="only once"):
        server.start()
    with pytest.raises(OSError, match="refused"):
        connect(server)


def test_close_right_after_start() -> None:
    for _ in range(20):
        server = mock.Server("x")
        server.start()
        server.close()


def test_a_taken_port_is_an_os_error(serve: Serve) -> None:
    host, port = address(serve("x"))
    with pytest.raises(OSError, match="in use"):
        mock.Server("x", host=host, port=port).start()


def test_a_script_that_does_not_return_is_named(serve: Serve) -> None:
    release = threading.Event()

    def stuck(request: mock.Request) -> None:
        release.wait(20)

    server = serve(stuck)
    with connect(server) as client:
        client.sendall(request_bytes())
        assert server.wait_requests(1)
        with pytest.raises(RuntimeError, match="runs on"):
            server.close()
        release.set()
        server.close()


def test_a_unix_socket(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "s"
    server = serve("over a file", unix_socket=path)
    assert server.url == "http://localhost/v1"
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(path))
        client.sendall(request_bytes(None, "Connection: close"))
        assert b'" file"' in read_to_end(client)[0]
    server.close()
    assert not path.exists()


def test_ipv6(serve: Serve) -> None:
    try:
        server = serve("six", host="::1")
    except OSError:
        pytest.skip("skipped: no IPv6 here")
    assert server.url.startswith("http://[::1]:")
    port = int(server.url.rsplit(":", 1)[1].split("/")[0])
    with socket.create_connection(("::1", port), timeout=20) as client:
        client.sendall(request_bytes(None, "Connection: close"))
        assert b'"six"' in read_to_end(client)[0]


@pytest.mark.parametrize("cut", [None, "reset"])
def test_tls(serve: Serve, signed_by_itself: Path, cut: Any) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(signed_by_itself)
    script = mock.Answer("safe", cut_after=None if cut is None else 2, cut=cut or "close")
    server = serve(script, ssl_context=context)
    assert server.url.startswith("https://")
    trusting = ssl.create_default_context(cafile=str(signed_by_itself))
    with trusting.wrap_socket(connect(server), server_hostname="127.0.0.1") as client:
        client.sendall(request_bytes(None, "Connection: close"))
        received, _end = read_to_end(client)
    assert b'"safe"' in received
    assert (b"[DONE]" in received) == (cut is None)  # OpenSSL shows a reset as an end


def test_close_in_the_middle_of_a_handshake(
    signed_by_itself: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(signed_by_itself)
    files = open_files()
    server = mock.Server("x", ssl_context=context)
    server.start()
    with connect(server) as silent, connect(server) as talking, connect(server) as wrong:
        talking.sendall(b"\x16\x03\x01")
        wrong.sendall(b"GET / HTTP/1.1\r\n\r\n")
        read_to_end(wrong)  # an alert, and the end: the server has accepted all three
        server.close()
        assert read_to_end(silent)[0] == b""
    assert open_files() <= files
    assert capfd.readouterr() == ("", "")


# --- the command ----------------------------------------------------------------------------------


def run(*arguments: str) -> subprocess.Popen[str]:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    return subprocess.Popen(
        [sys.executable, "-m", "millstream.mock", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
    )


def ask_command(process: subprocess.Popen[str], **options: Any) -> Answered:
    assert process.stdout is not None
    server = mock.Server()
    server._url = process.stdout.readline().rstrip("\n")
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/v1", server.url)
    return ask(server, **options)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_a_signal(signum: int) -> None:
    with run("--text", "Good day.", "--pace", "0.001", "--first", "0.001") as process:
        assert ask_command(process).deltas() == ["Good", " day", "."]
        process.send_signal(signum)
        assert process.communicate(timeout=20) == ("", "")
        assert process.returncode == 0


def test_the_command_replays_a_file_until_stdin_closes(tmp_path: Path) -> None:
    file = tmp_path / "recorded.sse"
    file.write_bytes(RECORDED)
    options = ("--replay", str(file), "--pieces", "random", "--api-key", "k")
    with run(*options, "--until-stdin-closes") as process:
        assert ask_command(process, headers={"Authorization": "Bearer k"}).body == RECORDED
        assert process.communicate("ignored\n", timeout=20) == ("", "")
        assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["--replay", "/no/such/file"], 1, "/no/such/file"),
        (["--host", "192.0.2.1"], 1, "192.0.2.1"),
        (["--pieces", "3"], 2, "--replay"),
        (["--replay", "x", "--pieces", "0"], 2, "pieces"),
        (["--pace", "-1"], 2, "pace"),
        (["--text", "a", "--replay", "b"], 2, "not allowed"),
        (["--port", "99999"], 2, "port"),
    ],
)
def test_the_command_says_what_is_wrong(arguments: list[str], code: int, says: str) -> None:
    with run(*arguments) as process:
        out, err = process.communicate(timeout=20)
    assert (process.returncode, out) == (code, "")
    assert says in err
    assert "Traceback" not in err
