"""Redirects of `client.events()`, as the Fetch standard follows them, and what goes along."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

import millstream
from answers import eventually
from conftest import API_KEY, Listen, Serve
from listener import NO_CONTENT, Listener, feed, say
from millstream import mock

EVENT = b"data: x\n\n"
STATUSES = [301, 302, 303, 307, 308]
SECRETS = {
    "Authorization": "Bearer s3cret",
    "Proxy-Authorization": "Basic s3cret",
    "Cookie": "session=s3cret",
    "X-Api-Key": "s3cret",
    "Api-Key": "s3cret",
    "X-Goog-Api-Key": "s3cret",
}
BODY = {"Content-Type": "text/plain", "Content-Language": "de"}


def redirect(status: int, to: str, body: bytes = b"moved") -> mock.Raw:
    """A redirect on a connection that stays open."""
    lines = [f"HTTP/1.1 {status} Moved", f"Location: {to}", f"Content-Length: {len(body)}"]
    return mock.Raw("\r\n".join([*lines, "", ""]).encode() + body, then="keep")


def asked(server: mock.Server) -> list[tuple[str, str, bytes]]:
    return [(request.method, request.path, request.body) for request in server.requests]


# ---- where to, and how ---------------------------------------------------------------------------


@pytest.mark.parametrize("status", STATUSES)
def test_a_redirect_is_followed(serve: Serve, listen: Listen, status: int) -> None:
    server = serve([redirect(status, "/moved?to=here"), feed(EVENT), NO_CONTENT])
    listener = listen(server)
    assert listener.rest() == [say("x")]
    # A redirect is no loss: one connection was opened. Reconnecting begins where it began.
    assert listener.states == [("open", None), ("connecting", None), ("closed", None)]
    assert [path for _, path, _ in asked(server)] == ["/events", "/moved", "/events"]
    assert server.requests[1].query == "to=here"


@pytest.mark.parametrize(
    ("status", "method", "becomes"),
    [
        (301, "GET", "GET"), (301, "POST", "GET"), (301, "PUT", "PUT"), (301, "REPORT", "REPORT"),
        (302, "GET", "GET"), (302, "POST", "GET"), (302, "PUT", "PUT"), (302, "REPORT", "REPORT"),
        (303, "GET", "GET"), (303, "POST", "GET"), (303, "PUT", "GET"), (303, "REPORT", "GET"),
        (307, "GET", "GET"), (307, "POST", "POST"), (307, "REPORT", "REPORT"),
        (308, "GET", "GET"), (308, "POST", "POST"), (308, "REPORT", "REPORT"),
    ],
)  # fmt: skip
def test_the_method_and_the_body_are_kept_or_dropped_together(
    serve: Serve, listen: Listen, status: int, method: str, becomes: str
) -> None:
    server = serve([redirect(status, "/moved"), feed(EVENT), NO_CONTENT])
    headers = {"X-Trace": "7", "Accept-Language": "de"}
    body = b"" if method == "GET" else b"the body"
    given = {**headers, **(BODY if body else {})}
    listen(server, method=method, headers=given, body=body or None).rest()
    kept = body if becomes == method else b""
    assert asked(server) == [
        (method, "/events", body), (becomes, "/moved", kept), (method, "/events", body),
    ]  # fmt: skip
    moved = server.requests[1].headers
    assert (moved["x-trace"], moved["accept-language"]) == ("7", "de")
    assert moved["accept"] == "text/event-stream"
    if not kept:
        assert not {"content-type", "content-language", "content-length"} & set(moved)
    else:
        assert BODY.items() <= {name: moved[name.lower()] for name in BODY}.items()


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/a", "/a"),
        ("a", "/feed/a"),
        ("../a", "/a"),
        ("./a/../b", "/feed/b"),
        ("?q=1", "/feed/events?q=1"),
        ("/a?q=1#part", "/a?q=1"),
        ("//{host}/a", "/a"),
        ("http://{host}", "/"),
        ("HTTP://{host}/a", "/a"),
        ("/gr%C3%B6%C3%9Fe", "/gr%C3%B6%C3%9Fe"),
    ],
)
def test_the_location_is_resolved_against_the_url(
    serve: Serve, listen: Listen, location: str, target: str
) -> None:
    server = served_here(serve, location)
    listen(server.origin + "/feed/events?old=1").rest()
    assert server.requests[1].head.split(b" ")[1].decode() == target


def served_here(serve: Serve, location: str) -> mock.Server:
    """A server that redirects to itself, then says no more."""

    def answer(request: mock.Request) -> mock.Raw:
        if request.query == "old=1":
            return redirect(302, location.format(host=request.headers["host"]))
        return NO_CONTENT

    return serve(answer)


def test_the_id_goes_along(serve: Serve, listen: Listen) -> None:
    server = serve([redirect(307, "/b"), feed(b"id: 2\n\n"), redirect(307, "/b"), NO_CONTENT])
    listen(server, last_event_id="1").rest()
    ids = [request.headers["last-event-id"] for request in server.requests]
    assert ids == ["1", "1", "2", "2"]


def test_another_redirect_after_reconnecting(serve: Serve, listen: Listen) -> None:
    one, two = serve(feed(b"data: 1\n\n")), serve([feed(b"data: 2\n\n"), NO_CONTENT])
    server = serve([redirect(302, one.origin + "/1"), redirect(307, two.origin + "/2")])
    assert listen(server).rest() == [say("1"), say("2")]
    assert len(server.requests) == 3


# ---- how far -------------------------------------------------------------------------------------


def failed(listener: Listener, error: type[millstream.Error] = millstream.Error) -> Any:
    """The error that ended the stream for good."""
    with pytest.raises(error) as caught:
        listener.next()
    assert listener.next() is None
    assert [state for state, _ in listener.states] == ["closed"]
    assert listener.stream.state == "closed"
    return caught.value


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("line", [b"", b"Location:\r\n", b"Location: \r\n"])
def test_a_redirect_to_nowhere_is_an_error(
    serve: Serve, listen: Listen, status: int, line: bytes
) -> None:
    answer = b"HTTP/1.1 %d Moved\r\n%bContent-Length: 0\r\n\r\n" % (status, line)
    server = serve(mock.Raw(answer, then="keep"))
    error = failed(listen(server))
    assert error.status == status
    assert "ocation" in str(error)
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", ["300 Multiple Choices", "304 Not Modified", "305 Use Proxy"])
def test_other_3xx_are_no_redirects(serve: Serve, listen: Listen, status: str) -> None:
    answer = f"HTTP/1.1 {status}\r\nLocation: /moved\r\nContent-Length: 0\r\n\r\n"
    server = serve(mock.Raw(answer.encode(), then="keep"))
    assert failed(listen(server)).status == int(status[:3])
    assert len(server.requests) == 1


@pytest.mark.parametrize("limit", [0, 1, 3, 10, None])
def test_too_many_redirects_are_an_error(serve: Serve, listen: Listen, limit: int | None) -> None:
    server = serve(lambda request: redirect(302, request.path + "x"))
    options = {} if limit is None else {"max_redirects": limit}
    error = failed(listen(server, **options))
    assert error.status == 302
    assert "redirect" in str(error)
    assert len(server.requests) == (10 if limit is None else limit) + 1


def test_as_many_as_allowed_are_followed_on_every_connection(serve: Serve, listen: Listen) -> None:
    def answer(request: mock.Request) -> mock.Raw:
        return feed(EVENT) if request.path.count("x") == 3 else redirect(302, request.path + "x")

    server = serve(answer)
    assert listen(server, max_redirects=3).take(5) == [say("x")] * 5


@pytest.mark.parametrize(
    "location",
    ["ftp://127.0.0.1/", "file:///etc/passwd", "gopher://127.0.0.1/", "data:text/event-stream,x",
     "javascript:1", "http://", "http://127.0.0.1:99999/", "http://[::1", "http:///"],
)  # fmt: skip
def test_a_location_that_is_no_http_url_is_an_error(
    serve: Serve, listen: Listen, location: str
) -> None:
    server = serve(redirect(302, location))
    failed(listen(server))
    assert len(server.requests) == 1


def test_a_redirect_to_a_server_that_is_gone_is_a_loss(serve: Serve, listen: Listen) -> None:
    gone = mock.Server()
    with gone:
        pass
    server = serve([redirect(302, gone.origin), NO_CONTENT])
    listener = listen(server)
    assert listener.rest() == []
    assert listener.losses == [millstream.ConnectError]


def test_without_reconnecting_redirects_are_followed_too(serve: Serve, listen: Listen) -> None:
    server = serve([redirect(308, "/b"), feed(EVENT)])
    assert listen(server, reconnect=False).rest() == [say("x")]


def test_close_while_it_is_redirected(serve: Serve, listen: Listen) -> None:
    server = serve([redirect(302, "/a"), redirect(302, "/b"), mock.Raw(b"", then="hang")])
    listener = listen(server)
    asked = listener.ask()
    assert server.wait_requests(3)
    assert listener.stream.state == "connecting"
    listener.stream.close()
    assert asked.result(30) is None
    assert server.wait_disconnected(1)
    assert eventually(lambda: listener.client.metrics()["streams_open"] == 0)


# ---- credentials ---------------------------------------------------------------------------------


@pytest.mark.parametrize("status", STATUSES)
def test_credentials_go_to_the_same_origin(serve: Serve, listen: Listen, status: int) -> None:
    server = serve([redirect(status, "/moved"), NO_CONTENT])
    listen(server, headers=SECRETS).rest()
    moved = server.requests[1].headers
    assert SECRETS.items() <= {name: moved[name.lower()] for name in SECRETS}.items()


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_credentials_do_not_go_to_another_origin(
    serve: Serve, listen: Listen, status: int, method: str
) -> None:
    other = serve([feed(EVENT), NO_CONTENT])
    server = serve(redirect(status, other.origin + "/there"))
    listener = listen(server, method=method, headers={**SECRETS, "X-Trace": "7"})
    assert listener.rest() == [say("x")]
    assert len(other.requests) == 2
    for request in other.requests:
        assert b"s3cret" not in request.head
        assert API_KEY.encode() not in request.head
        assert not {name.lower() for name in SECRETS} & set(request.headers)
        assert request.headers["x-trace"] == "7"
        assert request.headers["host"] == other.origin.removeprefix("http://")
    for request in server.requests:  # reconnecting begins at home, with all of them
        assert SECRETS.items() <= {name: request.headers[name.lower()] for name in SECRETS}.items()


def test_credentials_stay_away_where_another_origin_redirects_to_itself(
    serve: Serve, listen: Listen
) -> None:
    other = serve([redirect(307, "/on"), redirect(307, "/and/on"), NO_CONTENT])
    server = serve(redirect(307, other.origin + "/there"))
    listen(server.origin.replace("//", "//me:s3cret@") + "/e", headers=SECRETS).rest()
    assert len(other.requests) == 3
    for request in other.requests:
        assert b"s3cret" not in request.head
        assert "authorization" not in request.headers


def test_credentials_stay_away_on_the_way_back(serve: Serve, listen: Listen) -> None:
    home: list[str] = []
    other = serve(lambda request: redirect(302, home[0] + "/back"))
    server = serve([redirect(302, other.origin), NO_CONTENT])
    home.append(server.origin)
    listen(server, headers=SECRETS).rest()
    assert b"s3cret" not in server.requests[1].head


def test_the_clients_key_is_a_credential(serve: Serve, listen: Listen) -> None:
    other = serve([NO_CONTENT])
    server = serve(redirect(307, other.origin))
    listen(server).rest()
    assert server.requests[0].headers["authorization"] == f"Bearer {API_KEY}"
    assert "authorization" not in other.requests[0].headers


@pytest.mark.parametrize("same", [True, False])
def test_a_password_in_the_url_is_a_credential(serve: Serve, listen: Listen, same: bool) -> None:
    other = serve([NO_CONTENT])
    server = serve([redirect(302, "/moved" if same else other.origin + "/there"), NO_CONTENT])
    listen(server.origin.replace("//", "//me:pass@") + "/e", client={"api_key": ""}).rest()
    second = (server.requests[1:] or other.requests)[0]
    assert server.requests[0].headers["authorization"] == "Basic bWU6cGFzcw=="
    assert second.headers.get("authorization") == ("Basic bWU6cGFzcw==" if same else None)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_another_name_of_the_same_machine_is_another_origin(
    serve: Serve, listen: Listen, host: str
) -> None:
    server = serve(
        lambda request: (
            NO_CONTENT
            if request.path == "/there"
            else redirect(302, f"http://{host}:{request.headers['host'].split(':')[1]}/there")
        )
    )
    listen(server, headers=SECRETS).rest()
    assert (b"s3cret" in server.requests[1].head) == (host == "127.0.0.1")


def test_no_secret_is_in_the_error_of_a_redirect(serve: Serve, listen: Listen) -> None:
    server = serve(redirect(302, "ftp://me:s3cret@127.0.0.1/"))
    error = failed(listen(server, headers=SECRETS))
    assert "s3cret" not in str(error) + repr(error)


# ---- TLS -----------------------------------------------------------------------------------------


@pytest.fixture
def tls(signed_by_itself: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(signed_by_itself)
    return context


def test_from_http_to_https(
    serve: Serve, listen: Listen, tls: ssl.SSLContext, signed_by_itself: Path
) -> None:
    secure = serve([feed(EVENT), NO_CONTENT], ssl_context=tls)
    server = serve(redirect(301, secure.origin + "/e"))
    listener = listen(server, client={"verify": str(signed_by_itself)}, headers=SECRETS)
    assert listener.rest() == [say("x")]
    assert b"s3cret" not in secure.requests[0].head


def test_credentials_are_not_carried_from_https_to_http(
    serve: Serve, listen: Listen, tls: ssl.SSLContext, signed_by_itself: Path
) -> None:
    plain = serve([feed(EVENT), NO_CONTENT])
    server = serve(redirect(302, plain.origin + "/e"), ssl_context=tls)
    listener = listen(server, client={"verify": str(signed_by_itself)}, headers=SECRETS)
    assert listener.rest() == [say("x")]
    for request in plain.requests:
        assert b"s3cret" not in request.head


def test_the_certificate_is_checked_after_a_redirect_too(
    serve: Serve, listen: Listen, tls: ssl.SSLContext
) -> None:
    secure = serve(feed(EVENT), ssl_context=tls)
    error = failed(listen(serve(redirect(301, secure.origin + "/e"))), millstream.ConnectError)
    assert error.code == "tls"
    assert not secure.requests


def test_a_certificate_that_cannot_be_trusted_ends_it(
    serve: Serve, listen: Listen, tls: ssl.SSLContext
) -> None:
    secure = serve(feed(EVENT), ssl_context=tls)
    assert failed(listen(secure), millstream.ConnectError).code == "tls"
    assert not secure.requests
