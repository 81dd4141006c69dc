"""Bad arguments and bad answers: the named exception, what it carries, and what it never shows."""

from __future__ import annotations

import itertools
import json
import os
import re
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest

import millstream
from answers import DONE, MESSAGES, Task, chat, chunked, event, head, http_chunks
from conftest import API_KEY, Ask, Connect, Serve, self_signed, timeout
from millstream import mock

LOCAL = "http://127.0.0.1:1/v1"
SECRET = "sk-secret-4f8a1e"
HTML = "<html><body>Not here.</body></html>"


def raised_by(stream: millstream.Stream) -> tuple[millstream.Error, str]:
    """The one exception of a stream and the text before it; nothing comes after it."""
    chunks: list[millstream.Chunk] = []
    with pytest.raises(millstream.Error) as caught:
        chunks.extend(stream)
    assert list(stream) == []
    assert caught.value.message == stream.message
    return caught.value, "".join(chunk.text for chunk in chunks)


# ---- arguments -----------------------------------------------------------------------------------

NO_STR: list[Any] = [7, b"x", ["x"], object]

# (argument, values that are no good, exception)
CLIENT_ARGUMENTS: list[tuple[str, list[Any], type[Exception]]] = [
    ("provider", [7, None, b"openai", ["openai"]], TypeError),
    ("provider", ["", "opnai", "OpenAI"], ValueError),
    ("base_url", NO_STR, TypeError),
    ("base_url", ["", "localhost:8080", "/v1", "ftp://host", "file:///etc/passwd"], ValueError),
    ("api_key", NO_STR, TypeError),
    ("headers", [7, "X-A: b", ["X-A"], {"X-A": 7}, {7: "b"}, {"X-A": b"b"}], TypeError),
    ("timeout", ["10", [10], {"total": 1}, True], TypeError),
    ("timeout", [0, -1, float("nan")], ValueError),
    ("max_retries", ["2", 2.0, None, True, [2]], TypeError),
    ("max_retries", [-1, 101, 10**30], ValueError),
    ("proxy", NO_STR, TypeError),
    ("verify", [7, None, b"x", ["x"]], TypeError),
    ("cert", [7, b"x", ["x", "y"], ("x", 7), ("x", "y", "z"), (), ("x",)], TypeError),
    ("http2", [None, "yes", 2, 1, 0, [True]], ValueError),
    ("unix_socket", NO_STR, TypeError),
    ("limits", [7, {"event_bytes": 1}, (1, 2, 3, 4)], TypeError),
    ("compression", [1, 0, None, "gzip"], TypeError),
]


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [(name, value, error) for name, values, error in CLIENT_ARGUMENTS for value in values],
    ids=repr,
)
def test_a_wrong_client_argument_is_named(name: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=rf"^({name}|Timeout\.total)\b"):
        millstream.Client(**{"base_url": LOCAL, "api_key": API_KEY, name: value})


def test_an_unknown_client_argument_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="colour"):
        millstream.Client(colour="red")  # type: ignore[call-arg]


@pytest.mark.parametrize("name", ["event_bytes", "buffered_bytes", "header_bytes", "json_depth"])
@pytest.mark.parametrize(
    ("value", "error"),
    [(0, ValueError), (-1, ValueError), (1 << 31, ValueError), (1.5, TypeError), (True, TypeError)],
)
def test_a_wrong_limit_is_named(name: str, value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=rf"Limits\.{name}"):
        millstream.Limits(**{name: value})


STREAM_ARGUMENTS: list[tuple[str, Any, type[Exception]]] = [
    ("model", None, TypeError),
    ("model", 7, TypeError),
    ("model", "\ud800", ValueError),
    ("messages", None, TypeError),
    ("messages", "Hi", TypeError),
    ("messages", b"Hi", TypeError),
    ("messages", 7, TypeError),
    ("messages", [{"content": object}], TypeError),
    ("messages", [{"content": b"x"}], TypeError),
    ("messages", [{"content": float("nan")}], ValueError),
    ("messages", [{"content": "\ud800"}], ValueError),
    ("stream", False, ValueError),
    ("stream", 0, ValueError),
    ("temperature", float("inf"), ValueError),
]


@pytest.mark.parametrize(("name", "value", "error"), STREAM_ARGUMENTS, ids=repr)
def test_a_wrong_stream_argument_is_named(name: str, value: Any, error: type[Exception]) -> None:
    client = millstream.Client(base_url=LOCAL)
    with pytest.raises(error, match=rf"^({name}|json): "):
        client.stream(**{"model": "m", "messages": MESSAGES, name: value})
    assert client.metrics()["streams_started"] == 0


REQUEST_ARGUMENTS: list[tuple[str, Any, Any]] = [
    ("path", 7, TypeError),
    ("path", b"/x", TypeError),
    ("method", None, TypeError),
    ("method", b"GET", TypeError),
    ("json", object, TypeError),
    ("json", {"x": {1, 2}}, TypeError),
    ("json", float("nan"), ValueError),
    ("format", "openai", ValueError),
    ("format", 7, (TypeError, ValueError)),
    ("format", ["openai-chat"], (TypeError, ValueError)),
]


@pytest.mark.parametrize(("name", "value", "error"), REQUEST_ARGUMENTS, ids=repr)
def test_a_wrong_request_argument_is_named(name: str, value: Any, error: Any) -> None:
    with pytest.raises(error, match=rf"^{name}: "):
        millstream.Client(base_url=LOCAL).request(**{"path": "/x", name: value})


def test_stream_takes_no_positional_arguments_and_needs_both() -> None:
    client = millstream.Client(base_url=LOCAL)
    with pytest.raises(TypeError):
        client.stream("m", MESSAGES)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="messages"):
        client.stream(model="m")  # type: ignore[call-arg]


def test_params_go_into_the_request_as_they_are(serve: Serve, connect: Connect) -> None:
    server = serve("x")
    client = connect(server)
    client.stream(model="m", messages=tuple(MESSAGES), n=2, extra={"ä": [1, None]}).result()
    options = {"include_usage": False}
    client.stream(model="m", messages=MESSAGES, stream_options=options).result()
    client.stream(model="m", messages=MESSAGES, stream_options=None).result()
    asked = [request.json() for request in server.requests]
    common = {"model": "m", "messages": MESSAGES, "stream": True}
    assert asked[0] == {
        **common, "n": 2, "extra": {"ä": [1, None]}, "stream_options": {"include_usage": True},
    }  # fmt: skip
    assert asked[1] == {**common, "stream_options": options}
    assert asked[2] == common


def test_request_sends_what_it_is_given(serve: Serve, connect: Connect) -> None:
    server = serve(lambda _: mock.Replay(chat("x", finish="stop") + DONE))
    client = connect(server, headers={"X-Extra": "ä b", "User-Agent": "mine"})
    client.request("/other?a=1", json={"b": 2}, method="put").result()
    client.request("/get", method="GET").result()
    put, get = server.requests
    assert (put.method, put.path, put.query, put.json()) == ("PUT", "/v1/other", "a=1", {"b": 2})
    assert put.headers["authorization"] == f"Bearer {API_KEY}"
    assert put.headers["content-type"] == "application/json"
    assert put.headers["accept"] == "text/event-stream"
    assert put.headers["user-agent"] == "mine"
    assert "expect" not in put.headers
    assert (get.method, get.body) == ("GET", b"")


def test_a_header_of_the_caller_replaces_ours(serve: Serve, connect: Connect) -> None:
    server = serve("x")
    client = connect(server, headers={"authorization": "Basic abc", "ACCEPT": "*/*"})
    client.stream(model="m", messages=MESSAGES).result()
    assert server.requests[0].headers["authorization"] == "Basic abc"
    assert server.requests[0].headers["accept"] == "*/*"


# ---- the key -------------------------------------------------------------------------------------


def test_a_missing_key_is_named_with_its_variable() -> None:
    for error in (ValueError, millstream.AuthenticationError):
        with pytest.raises(error, match=r"api_key.*OPENAI_API_KEY"):
            millstream.Client()


def test_the_key_comes_from_the_environment(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-from-outside")
    assert "openai" in repr(millstream.Client())
    server = serve("x")
    millstream.Client(base_url=server.url).stream(model="m", messages=MESSAGES).result()
    assert server.requests[0].headers["authorization"] == "Bearer sk-from-outside"


def test_another_server_needs_no_key(serve: Serve) -> None:
    server = serve("x")
    millstream.Client(base_url=server.url).stream(model="m", messages=MESSAGES).result()
    assert "authorization" not in server.requests[0].headers


# ---- no connection -------------------------------------------------------------------------------


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_refused_port(connect: Connect) -> None:
    client = connect(f"http://127.0.0.1:{unused_port()}/v1")
    error, _ = raised_by(client.stream(model="m", messages=MESSAGES))
    assert type(error) is millstream.ConnectError
    assert error.code == "refused"
    assert "is the server running?" in str(error)
    assert (error.status, error.body, error.request_id, error.retry_after) == (None,) * 4


def test_a_server_that_speaks_no_tls(connect: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            with listener.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        task = Task(refuse)
        client = connect(f"https://127.0.0.1:{listener.getsockname()[1]}/v1")
        error, _ = raised_by(client.stream(model="m", messages=MESSAGES))
        task.result()
    assert type(error) is millstream.ConnectError
    assert error.code == "tls"
    assert "is this an https server?" in str(error)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """For localhost alone: for an address it is another host's."""
    return self_signed(tmp_path_factory.mktemp("tls"), "DNS:localhost")


def test_tls_is_verified_against_what_is_given(
    serve: Serve, connect: Connect, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = serve("Hello", ssl_context=context)
    named = server.url.replace("127.0.0.1", "localhost")

    def answer(url: str, **options: Any) -> str:
        return connect(url, **options).stream(model="m", messages=MESSAGES).result().text

    assert answer(named, verify=str(certificate)) == "Hello"
    assert answer(named, verify=certificate) == "Hello"
    assert answer(server.url, verify=False) == "Hello"
    for url, verify in [(named, True), (server.url, str(certificate))]:
        with pytest.raises(millstream.ConnectError, match=r"certificate|host") as caught:
            answer(url, verify=verify)
        assert caught.value.code == "tls"
    with pytest.raises(millstream.ConnectError, match="verify"):
        answer(named, verify=str(certificate) + ".absent")
    with pytest.raises(millstream.ConnectError):
        answer(named, verify=str(certificate), cert=str(certificate) + ".absent")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert answer(named) == "Hello"


def test_a_proxy_that_is_not_there_is_named_without_its_password(connect: Connect) -> None:
    proxy = f"http://user:{SECRET}@127.0.0.1:{unused_port()}"
    client = connect("http://host.invalid/v1", proxy=proxy)
    error, _ = raised_by(client.stream(model="m", messages=MESSAGES))
    assert type(error) is millstream.ConnectError
    assert_no_secret(error)


@pytest.mark.parametrize("where", ["argument", "environment"])
def test_a_request_can_go_through_a_proxy(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    proxy = serve("Hello")
    given = {"proxy": proxy.url} if where == "argument" else {}
    monkeypatch.setenv("http_proxy", proxy.url)
    client = connect("http://host.invalid/v1", **given)
    assert client.stream(model="m", messages=MESSAGES).result().text == "Hello"
    direct = connect(serve("direct"), proxy="")
    assert direct.stream(model="m", messages=MESSAGES).result().text == "direct"
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert connect(serve("direct")).stream(model="m", messages=MESSAGES).result().text == "direct"
    assert len(proxy.requests) == 1


def test_a_client_sees_the_environment_change(
    serve: Serve, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, proxy = serve("direct"), serve("proxied")
    client = connect(server)

    def text() -> str:
        return client.stream(model="m", messages=MESSAGES).result().text

    assert (text(), text()) == ("direct", "direct")
    monkeypatch.setenv("all_proxy", proxy.url)
    assert (text(), text()) == ("proxied", "proxied")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert text() == "direct"
    monkeypatch.setattr(os, "environ", {"http_proxy": proxy.url})
    assert text() == "proxied"
    monkeypatch.setattr(os, "environ", {})
    assert text() == "direct"


# ---- error statuses ------------------------------------------------------------------------------

STATUSES: list[tuple[int, type[millstream.Error], str]] = [
    (400, millstream.BadRequest, ""),
    (401, millstream.AuthenticationError, "check api_key"),
    (402, millstream.StatusError, ""),
    (403, millstream.PermissionDenied, "may not"),
    (404, millstream.NotFound, "check base_url and the model's name"),
    (408, millstream.StatusError, ""),
    (409, millstream.StatusError, ""),
    (422, millstream.BadRequest, ""),
    (429, millstream.RateLimited, "retry_after"),
    (500, millstream.ServerError, "later"),
    (503, millstream.ServerError, "later"),
    (529, millstream.ServerError, "later"),
]


@pytest.mark.parametrize(("status", "error_type", "advice"), STATUSES)
def test_a_status_is_its_exception(
    ask: Ask, status: int, error_type: type[millstream.Error], advice: str
) -> None:
    body = {"error": {"message": "Ümpf: this is why.", "type": "t", "code": "its_code"}}
    error, _ = raised_by(ask(mock.Error(status, body=body, headers={"X-Request-Id": "req-1"})))
    assert type(error) is error_type
    assert isinstance(error, millstream.StatusError)
    assert not isinstance(error, millstream.ProviderError)
    assert f"{status}: Ümpf: this is why." in str(error)
    assert advice in str(error)
    assert (error.status, error.code, error.request_id) == (status, "its_code", "req-1")
    assert error.body is not None
    assert json.loads(error.body) == body
    assert (error.retry_after, error.byte_offset) == (None, None)
    assert not isinstance(error, millstream.Timeout)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (HTML, "text/html"),
        ("Sorry.", "text/plain"),
        (b"", "404"),
        ({"detail": "Not Found"}, "404"),
        ({"error": "A plain word."}, "A plain word."),
        ({"object": "error", "message": "Old vLLM.", "code": 404}, "Old vLLM."),
        (b"\xff\x00" * 10, "404"),
    ],
    ids=repr,
)
def test_an_error_status_with_any_body(ask: Ask, body: Any, words: str) -> None:
    error, _ = raised_by(ask(mock.Error(404, body=body)))
    assert type(error) is millstream.NotFound
    assert "404" in str(error)
    assert words in str(error)
    assert "check base_url" in str(error)
    sent = body.encode() if isinstance(body, str) else body
    if isinstance(sent, bytes):
        assert error.body == (sent or None)


def test_an_error_body_is_kept_up_to_64_kib(ask: Ask) -> None:
    error, _ = raised_by(ask(mock.Error(500, body="x" * 200_000)))
    assert type(error) is millstream.ServerError
    assert error.body == b"x" * 65536


def test_retry_after_in_milliseconds_comes_first(ask: Ask) -> None:
    error, _ = raised_by(
        ask(mock.Error(503, headers={"Retry-After": "9", "retry-after-ms": "1500"}))
    )
    assert error.retry_after == 1.5


# ---- retries -------------------------------------------------------------------------------------

AT_ONCE = {"Retry-After": "0"}
FINE = "fine"


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_what_may_go_away_is_tried_again(serve: Serve, connect: Connect, status: int) -> None:
    server = serve([mock.Error(status, headers=AT_ONCE)] * 2 + [FINE])
    client = connect(server, max_retries=2)
    stream = client.stream(model="m", messages=MESSAGES)
    assert stream.result().text == FINE
    assert stream.timing.retries == 2
    assert stream.response.status == 200
    assert client.metrics()["retries"] == 2
    first, *others = server.requests
    assert len(others) == 2
    assert all(request.body == first.body for request in others)


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 422])
def test_what_will_not_go_away_is_not_tried_again(
    serve: Serve, connect: Connect, status: int
) -> None:
    server = serve([mock.Error(status, headers=AT_ONCE), FINE])
    error, _ = raised_by(connect(server, max_retries=2).stream(model="m", messages=MESSAGES))
    assert error.status == status
    assert len(server.requests) == 1


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_retries_end_with_the_last_error(serve: Serve, connect: Connect, retries: int) -> None:
    server = serve(mock.Error(500, "Down.", headers=AT_ONCE))
    stream = connect(server, max_retries=retries).stream(model="m", messages=MESSAGES)
    error, _ = raised_by(stream)
    assert type(error) is millstream.ServerError
    assert len(server.requests) == retries + 1
    assert stream.timing.retries == retries


def test_a_server_that_asks_for_too_much_patience_is_not_asked_again(
    serve: Serve, connect: Connect
) -> None:
    server = serve([mock.Error(429, headers={"Retry-After": "3600"}), FINE])
    error, _ = raised_by(connect(server, max_retries=2).stream(model="m", messages=MESSAGES))
    assert error.retry_after == 3600
    assert len(server.requests) == 1


def test_a_post_is_never_sent_twice_in_silence(serve: Serve, connect: Connect) -> None:
    answer = mock.Raw(chunked(chat("x", finish="stop"), DONE), then="keep")
    server = serve([answer, mock.Raw(b"", then="close"), answer])
    client = connect(server)
    client.stream(model="m", messages=MESSAGES).result()
    error, _ = raised_by(client.stream(model="m", messages=MESSAGES))
    assert type(error) is millstream.ConnectError
    assert len(server.requests) == 2


def test_an_error_as_the_first_event_is_tried_again(serve: Serve, connect: Connect) -> None:
    said = {"message": "Busy.", "code": 429}
    server = serve([mock.Answer(error=said, error_after=0), FINE])
    stream = connect(server, max_retries=5).stream(model="m", messages=MESSAGES)
    assert stream.result().text == FINE
    assert stream.timing.retries == 1
    assert len(server.requests) == 2


# ---- answers that are no stream ------------------------------------------------------------------


def test_html_with_status_200(ask: Ask) -> None:
    error, _ = raised_by(ask(mock.Replay(HTML.encode(), content_type="text/html; charset=x")))
    assert type(error) is millstream.ProtocolError
    assert "text/html" in str(error)
    assert "check that the address is right" in str(error)
    assert (error.status, error.body) == (200, HTML.encode())


def test_a_json_error_with_status_200(ask: Ask) -> None:
    body = event({"error": {"message": "Too long.", "code": 400}}).removeprefix(b"data: ")
    error, _ = raised_by(ask(mock.Replay(body, content_type="application/json")))
    assert isinstance(error, millstream.ProviderError)
    assert isinstance(error, millstream.BadRequest)
    assert "Too long." in str(error)
    assert error.body == body


# ---- errors inside a stream ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "also"),
    [
        (400, millstream.BadRequest),
        (401, millstream.AuthenticationError),
        ("429", millstream.RateLimited),
        (500, millstream.ServerError),
        ("model_overloaded", None),
        (None, None),
    ],
)
def test_an_error_event_after_chunks(
    serve: Serve, connect: Connect, code: Any, also: type[millstream.Error] | None
) -> None:
    said = {"message": "It stopped.", "type": "t", "code": code}
    server = serve([mock.Answer(["a", "b", "c"], error=said, error_after=3), FINE])
    stream = connect(server, max_retries=3).stream(model="m", messages=MESSAGES)
    error, text = raised_by(stream)
    assert isinstance(error, millstream.ProviderError)
    assert also is None or isinstance(error, also)
    assert isinstance(error, millstream.StatusError) == (also is not None)
    assert "It stopped." in str(error)
    assert text == "ab"
    assert error.code == (str(code) if code else "t")
    assert error.request_id is not None
    assert len(server.requests) == 1


# ---- broken streams ------------------------------------------------------------------------------

BROKEN = {
    "no JSON": b"data: hello\n\n",
    "JSON cut short": b'data: {"choices":[{"index":0,"del\n\n',
    "a comma too many": b'data: {"choices":[],}\n\n',
    "two values": b"data: {} {}\n\n",
    "something after the terminator's word": b"data: [DONE] not\n\n",
    "single quotes": b"data: {'choices':[]}\n\n",
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("sizes", [None, 1])
def test_broken_json_is_found_where_it_is(ask: Ask, case: str, sizes: int | None) -> None:
    before, broken = chat("a") + b": ping\n\n" + chat("b"), BROKEN[case]
    body = before + broken + chat("c", finish="stop") + DONE
    error, text = raised_by(ask(mock.Replay(body, sizes=sizes)))
    assert type(error) is millstream.ProtocolError
    assert "not valid JSON" in str(error)
    assert text == "ab"
    assert error.byte_offset is not None
    assert len(before) <= error.byte_offset <= len(before) + len(b"data: ")
    assert f"byte {error.byte_offset} " in str(error)


HEAD = head(Transfer_Encoding="chunked")


def test_other_streams_and_later_ones_do_not_notice(serve: Serve, connect: Connect) -> None:
    gate = mock.Gate()
    faults: list[Any] = [mock.Raw(b""), mock.Raw(HEAD + b"zz\r\n"), mock.Error(500)]
    server = serve([mock.Answer(["a", gate, "b"]), *faults, FINE])
    client = connect(server)
    stream = client.stream(model="m", messages=MESSAGES)
    assert gate.wait_reached()
    for _ in faults:
        raised_by(client.stream(model="m", messages=MESSAGES))
    assert client.stream(model="m", messages=MESSAGES).result().text == FINE
    gate.open()
    assert stream.result().text == "ab"


# ---- limits --------------------------------------------------------------------------------------

NESTED = b'data: {"x":' + b"[" * 100 + b"]" * 100 + b"}\n\n"
OVER: dict[str, tuple[millstream.Limits, mock.Script]] = {
    "an event": (
        millstream.Limits(event_bytes=1000),
        mock.Replay(chat("before") + chat("x" * 1000) + DONE),
    ),
    "a line without an end": (
        millstream.Limits(event_bytes=1000),
        mock.Raw(itertools.chain([HEAD, http_chunks([chat("before")])], itertools.repeat(
            http_chunks([b"data: " + b"x" * 1000])))),
    ),
    "depth": (millstream.Limits(json_depth=50), mock.Replay(chat("before") + NESTED + DONE)),
}  # fmt: skip


@pytest.mark.parametrize("case", OVER)
def test_a_limit_that_is_reached(ask: Ask, case: str) -> None:
    limits, script = OVER[case]
    error, text = raised_by(ask(script, limits=limits))
    assert type(error) is millstream.LimitExceeded
    assert "limits." in str(error)
    assert text == "before"


def test_what_is_just_within_the_limits_passes(ask: Ask) -> None:
    long = chat("x" * 1000, finish="stop")
    limits = millstream.Limits(event_bytes=len(long), json_depth=101)
    assert ask(mock.Replay(NESTED + long + DONE), limits=limits).result().text == "x" * 1000


def test_the_defaults_are_those_of_the_design() -> None:
    assert repr(millstream.Limits()) == (
        "Limits(buffered_bytes=1048576, event_bytes=67108864, header_bytes=262144, json_depth=512)"
    )


# ---- secrets -------------------------------------------------------------------------------------


def assert_no_secret(value: BaseException | object) -> None:
    """The secret is in no text that a value shows, nor in what hangs on an exception."""
    shown = [repr(value), str(value)]
    while isinstance(value, BaseException):
        shown += [repr(value), str(value), repr(value.args), repr(vars(value))]
        shown += [repr(getattr(value, "object", None))]  # of a UnicodeError
        value = value.__cause__ or value.__context__
    for text in shown:
        assert SECRET not in text


def test_no_repr_shows_a_secret(serve: Serve) -> None:
    server = serve("x")
    url = server.url.replace("http://", f"http://user:{SECRET}@")
    client = millstream.Client(
        base_url=url, api_key=SECRET, headers={"X-Key": SECRET}, proxy=f"http://u:{SECRET}@h:1"
    )
    assert_no_secret(client)
    plain = millstream.Client(base_url=server.url, api_key=SECRET)
    stream = plain.stream(model="m", messages=MESSAGES)
    for value in (stream, stream.response, stream.message, stream.timing, plain.metrics()):
        assert_no_secret(value)
    chunks = list(stream)
    assert chunks
    assert_no_secret(chunks)
    assert server.requests[0].headers["authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize(
    "script",
    [
        mock.Error(401), mock.Error(500, body=HTML), mock.Raw(b""), mock.Raw(b"nonsense\r\n"),
        mock.Raw(HEAD[:20]), mock.Raw(HEAD + b"zz\r\n"), mock.Replay(b"data: {\n\n"),
        mock.Answer("a b c", cut_after=2), mock.Answer("a b c", error="No.", error_after=2),
        mock.Replay(b"{}", content_type="application/json"), mock.Error(302),
    ],
    ids=repr,
)  # fmt: skip
def test_no_exception_shows_a_secret(serve: Serve, script: mock.Script) -> None:
    url = serve(script).url.replace("http://", f"http://user:{SECRET}@")
    for base_url, headers in [
        (url, {"Authorization": f"Bearer {SECRET}"}),
        (url, {"X-Key": SECRET}),
    ]:
        client = millstream.Client(
            base_url=base_url, api_key=SECRET, headers=headers, max_retries=0, timeout=timeout()
        )
        error, _ = raised_by(client.stream(model="m", messages=MESSAGES))
        assert_no_secret(error)


@pytest.mark.parametrize(
    "options",
    [
        {"api_key": f"{SECRET}\n"},
        {"api_key": f"{SECRET}\0"},
        {"api_key": f"{SECRET}\ud800"},
        {"api_key": SECRET.encode()},
        {"headers": {"Authorization": f"{SECRET}\r"}},
        {"headers": {"Authorization": f"{SECRET}\ud800"}},
        {"headers": {"Authorization": [SECRET]}},
        {"base_url": f"ftp://user:{SECRET}@host/"},
        {"base_url": f"user:{SECRET}@host/v1"},
        {"base_url": f"//user:{SECRET}@host/v1"},
        {"base_url": f"http://user:{SECRET}@host/\n"},
        {"base_url": f"http://user:{SECRET}\ud800@host/"},
        {"proxy": f"http://user:{SECRET}@host\n"},
        {"proxy": f"http://user:{SECRET}@host\ud800"},
        {"proxy": SECRET.encode()},
    ],
    ids=lambda options: re.sub(SECRET, "…", repr(options)),
)
def test_no_refusal_shows_a_secret(options: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        millstream.Client(**{"base_url": LOCAL, **options}).stream(model="m", messages=MESSAGES)
    assert_no_secret(caught.value)


# ---- the tree ------------------------------------------------------------------------------------

TREE = {
    "Error": Exception,
    "ConnectError": millstream.Error,
    "Timeout": millstream.Error,
    "StatusError": millstream.Error,
    "BadRequest": millstream.StatusError,
    "AuthenticationError": millstream.StatusError,
    "PermissionDenied": millstream.StatusError,
    "NotFound": millstream.StatusError,
    "RateLimited": millstream.StatusError,
    "ServerError": millstream.StatusError,
    "ProviderError": millstream.Error,
    "StreamInterrupted": millstream.Error,
    "ProtocolError": millstream.Error,
    "LimitExceeded": millstream.Error,
    "Cancelled": millstream.Error,
    "ValidationError": millstream.Error,
    "ForkedError": millstream.Error,
}


def test_the_exceptions_are_this_tree() -> None:
    exported = {
        name: getattr(millstream, name).__base__
        for name in millstream.__all__
        if isinstance(getattr(millstream, name), type)
        and issubclass(getattr(millstream, name), BaseException)
    }
    assert exported == TREE
    for name in TREE:
        error = getattr(millstream, name)
        assert error.__doc__
        assert error.__module__ == "millstream"
        raised = error("why")
        assert str(raised) == "why"
        known = ("status", "code", "request_id", "retry_after", "body", "byte_offset", "message")
        assert [getattr(raised, field) for field in known] == [None] * 7
