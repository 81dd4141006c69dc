"""`client.events()`: what is sent, what is taken for a stream, and each event as its bytes say."""

from __future__ import annotations

import asyncio
import gc
import gzip
import itertools
import json
import socket
import zlib
from collections.abc import Callable
from typing import Any

import pytest

import millstream
from answers import GIVE_UP_S, LAST_CHUNK, Task, eventually, head, http_chunks
from conftest import API_KEY, Connect, Listen, Serve, timeout
from listener import NO_CONTENT, data_of, feed, say
from millstream import mock

URL = "http://127.0.0.1:1/events"
EVENT = b"data: x\n\n"


def pieces(data: bytes, size: int) -> mock.Raw:
    """A stream that comes in pieces of `size` bytes, each an HTTP chunk of its own."""
    cut = [data[at : at + size] for at in range(0, len(data), size)]
    return mock.Raw(head(Transfer_Encoding="chunked") + http_chunks(cut) + LAST_CHUNK)


# ---- the request ---------------------------------------------------------------------------------


def test_a_plain_stream_asks_as_the_standard_says(serve: Serve, listen: Listen) -> None:
    server = serve([feed(EVENT), NO_CONTENT])
    assert listen(server).rest() == [say("x")]
    for request in server.requests:
        assert (request.method, request.path, request.body) == ("GET", "/events", b"")
        assert request.headers["accept"] == "text/event-stream"
        assert request.headers["cache-control"] == "no-cache"  # Fetch, for the mode "no-store"
        assert not {"last-event-id", "content-type", "content-length"} & set(request.headers)


HEADERS = {"X-One": "1", "x-two": "zwei", "Accept-Language": "de"}


@pytest.mark.parametrize("method", ["POST", "REPORT", "PUT"])
@pytest.mark.parametrize("body", [b'{"hello": "world"}', b"\0\xff raw \r\n", b""])
def test_method_headers_and_body_are_sent_on_every_connection(
    serve: Serve, listen: Listen, method: str, body: bytes
) -> None:
    server = serve([feed(EVENT), mock.Error(503), feed(EVENT), NO_CONTENT])
    headers = {**HEADERS, "Content-Type": "application/json; charset=utf-8"}
    listener = listen(server, method=method, headers=headers, body=body)
    assert listener.rest() == [say("x")] * 2
    assert len(server.requests) == 4
    for request in server.requests:
        assert (request.method, request.body) == (method, body)
        assert request.headers["content-length"] == str(len(body))
        assert headers.items() <= {name: request.headers[name.lower()] for name in headers}.items()


def test_json_is_sent_with_its_content_type(serve: Serve, listen: Listen) -> None:
    server = serve([feed(EVENT), NO_CONTENT])
    value = {"query": ["Grüße", 1, None]}
    assert listen(server, method="POST", json=value).rest() == [say("x")]
    for request in server.requests:
        assert request.json() == value
        assert request.headers["content-type"] == "application/json"


def test_a_body_that_is_text_is_sent_as_utf_8(serve: Serve, listen: Listen) -> None:
    server = serve([NO_CONTENT])
    listen(server, method="POST", body="Grüße").rest()
    (request,) = server.requests
    assert request.body == "Grüße".encode()
    assert "content-type" not in request.headers  # what it is only the caller knows


def test_headers_given_replace_those_of_the_standard(serve: Serve, listen: Listen) -> None:
    server = serve([NO_CONTENT])
    given = {"accept": "text/event-stream, application/json", "Cache-Control": "max-age=1"}
    listen(server, headers=given).rest()
    (request,) = server.requests
    assert request.headers["accept"] == given["accept"]
    assert request.headers["cache-control"] == given["Cache-Control"]


def test_the_headers_of_a_call_go_before_those_of_the_client(serve: Serve, listen: Listen) -> None:
    server = serve([NO_CONTENT])
    client = {"headers": {"X-One": "client", "X-Two": "client"}}
    listen(server, client=client, headers={"x-one": "call"}).rest()
    (request,) = server.requests
    assert (request.headers["x-one"], request.headers["x-two"]) == ("call", "client")


@pytest.mark.parametrize("path", ["/feed", "/feed?since=3&all"])
def test_a_path_is_joined_to_the_base_url(serve: Serve, listen: Listen, path: str) -> None:
    server = serve([NO_CONTENT])
    listen(path, client={"base_url": server.url}).rest()
    (request,) = server.requests
    assert request.head.startswith(f"GET /v1{path} HTTP/1.1\r\n".encode())


def test_the_key_goes_to_the_clients_own_origin_only(serve: Serve, listen: Listen) -> None:
    own, other = serve([NO_CONTENT]), serve([NO_CONTENT])
    client = {"base_url": own.url, "headers": {"X-Trace": "7"}}
    for url in (own.origin + "/elsewhere", other.origin + "/events"):
        listen(url, client=client).rest()
    assert own.requests[0].headers["authorization"] == f"Bearer {API_KEY}"
    assert API_KEY.encode() not in other.requests[0].head
    assert "authorization" not in other.requests[0].headers


def test_the_fragment_of_the_url_stays_here(serve: Serve, listen: Listen) -> None:
    server = serve([NO_CONTENT])
    listen(server.origin + "/events?a=b#part").rest()
    assert server.requests[0].head.startswith(b"GET /events?a=b HTTP/1.1\r\n")


# ---- arguments -----------------------------------------------------------------------------------

# (argument, values that are no good, exception)
ARGUMENTS: list[tuple[str, list[Any], type[Exception]]] = [
    ("url", [None, 7, b"http://h/"], TypeError),
    ("url", ["ftp://h/", "file:///etc/passwd", "http://h/\r\nX: y", "http://h/\0", "http://"],
     ValueError),
    ("method", [None, b"GET"], TypeError),
    ("method", ["", "GET\r\n", "G T"], ValueError),
    ("headers", [7, "X: y", {"X": 7}], TypeError),
    ("headers", [{"X": "a\r\nY: b"}, {"X\n": "a"}, {"X": "\0"}], ValueError),
    ("json", [object, b"x"], TypeError),
    ("json", [float("nan")], ValueError),
    ("body", [7, ["text"], {"a": 1}], TypeError),
    ("body", ["\ud800"], ValueError),
    ("last_event_id", [7, b"x"], TypeError),
    ("last_event_id", ["a\r", "a\nb", "a\0", "\ud800"], ValueError),
    ("reconnect", [None, 1, "yes"], TypeError),
    ("initial_retry", ["1", None, True], TypeError),
    ("initial_retry", [-0.1, float("nan")], ValueError),
    ("max_retry", ["1", None, True], TypeError),
    ("max_retry", [-1, float("nan")], ValueError),
    ("max_redirects", [1.0, None, True, "1"], TypeError),
    ("max_redirects", [-1, 1 << 40], ValueError),
    ("comments", [None, 1, "yes"], TypeError),
    ("on_state", [7, "print"], TypeError),
]  # fmt: skip


@pytest.mark.parametrize("kind", [millstream.Client, millstream.AsyncClient])
@pytest.mark.parametrize(
    ("name", "value", "error"),
    [(name, value, error) for name, values, error in ARGUMENTS for value in values],
    ids=repr,
)
def test_a_wrong_argument_is_named_before_anything_is_sent(
    kind: Callable[..., millstream.Client], name: str, value: Any, error: type[Exception]
) -> None:
    client = kind(base_url=URL, api_key=API_KEY)
    with pytest.raises(error, match=rf"^{name}\b"):
        client.events(**{"url": URL, name: value})
    assert client.metrics()["streams_started"] == 0


def test_json_and_body_exclude_each_other() -> None:
    with pytest.raises((TypeError, ValueError), match="body"):
        millstream.Client(base_url=URL).events(URL, method="POST", json={}, body=b"{}")


# ---- what is a stream ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content_type",
    [
        "text/event-stream",
        "text/event-stream; charset=utf-8",
        "text/event-stream;charset=UTF-8;boundary=x",
        "Text/Event-Stream ; charset=us-ascii",
        'text/event-stream; charset="iso-8859-1"',
        "text/event-stream;",
        "text/event-stream; charset=utf-16",
    ],
)
def test_parameters_change_nothing_and_text_is_utf_8(
    serve: Serve, listen: Listen, content_type: str
) -> None:
    body = "event: größe\nid: ñ\ndata: €豆腐😀\n\n".encode()
    server = serve([feed(body, Content_Type=content_type), NO_CONTENT])
    assert listen(server).rest() == [say("€豆腐😀", "ñ", "größe")]


@pytest.mark.parametrize(
    "content_type",
    ["text/html", "application/json", "text/event-streams", "text/event", "event-stream", ""],
)
def test_another_content_type_ends_it_with_an_error(
    serve: Serve, listen: Listen, content_type: str
) -> None:
    server = serve(feed(b"data: not for us\n\n", Content_Type=content_type))
    listener = listen(server)
    with pytest.raises(millstream.ProtocolError) as caught:
        listener.next()
    assert caught.value.body == b"data: not for us\n\n"
    if content_type:
        assert content_type in str(caught.value)
    ended_for_good(listener, server)


def ended_for_good(listener: Any, server: mock.Server) -> None:
    """Nothing comes after the error, nothing is asked for, and the state says so."""
    assert listener.next() is None
    assert listener.stream.state == "closed"
    assert [state for state, _ in listener.states] == ["closed"]
    assert len(server.requests) == 1


def test_no_content_type_is_an_error_too(serve: Serve, listen: Listen) -> None:
    server = serve(mock.Raw(b"HTTP/1.1 200 OK\r\n\r\ndata: x\n\n"))
    listener = listen(server)
    with pytest.raises(millstream.ProtocolError):
        listener.next()
    ended_for_good(listener, server)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, millstream.BadRequest),
        (401, millstream.AuthenticationError),
        (403, millstream.PermissionDenied),
        (404, millstream.NotFound),
        (405, millstream.StatusError),
        (410, millstream.StatusError),
        (418, millstream.StatusError),
        (422, millstream.BadRequest),
    ],
)
def test_other_4xx_end_it_with_their_error(
    serve: Serve, listen: Listen, status: int, error: type[millstream.Error]
) -> None:
    server = serve(mock.Error(status, body="why not"))
    listener = listen(server)
    with pytest.raises(error) as caught:
        listener.next()
    assert type(caught.value) is error
    assert (caught.value.status, caught.value.body) == (status, b"why not")
    ended_for_good(listener, server)


@pytest.mark.parametrize("status", ["201 Created", "202 Accepted", "206 Partial Content"])
def test_a_success_that_is_not_200_is_an_error(serve: Serve, listen: Listen, status: str) -> None:
    server = serve(mock.Raw(head(status) + EVENT))
    listener = listen(server)
    with pytest.raises(millstream.Error) as caught:
        listener.next()
    assert caught.value.status == int(status[:3])
    ended_for_good(listener, server)


def test_interim_answers_are_passed_over(serve: Serve, listen: Listen) -> None:
    interim = b"".join(
        b"HTTP/1.1 %b\r\nLink: </a>; rel=preload\r\n\r\n" % status
        for status in (b"100 Continue", b"102 Processing", b"103 Early Hints", b"103 Early Hints")
    )
    server = serve([mock.Raw(interim + head() + EVENT), NO_CONTENT])
    listener = listen(server)
    assert listener.rest() == [say("x")]
    assert listener.losses == [None]


THOUSAND = b"".join(b"data: %d\n\n" % n for n in range(1000))
PACKED = {
    "gzip": ("gzip", gzip.compress(THOUSAND)),
    "gzip in small files": ("x-gzip", b"".join(map(gzip.compress, THOUSAND.splitlines(True)))),
    "deflate": ("deflate", zlib.compress(THOUSAND)),
    "deflate without its header": ("deflate", zlib.compress(THOUSAND)[2:-4]),
    "nothing in gzip": ("gzip", gzip.compress(b"")),
    "nothing at all": ("gzip", b""),
}


@pytest.mark.parametrize("size", [None, 1, 7])
@pytest.mark.parametrize("form", PACKED)
def test_a_compressed_stream_that_was_asked_for(
    serve: Serve, listen: Listen, form: str, size: int | None
) -> None:
    coding, packed = PACKED[form]
    length = size or max(1, len(packed))
    parts = [packed[at : at + length] for at in range(0, len(packed), length)]
    chunked = head(Content_Encoding=coding, Transfer_Encoding="chunked")
    server = serve([mock.Raw(chunked + http_chunks(parts) + LAST_CHUNK), NO_CONTENT])
    listener = listen(server, client={"compression": True})
    assert listener.rest() == [say(str(n)) for n in range(0 if "nothing" in form else 1000)]
    assert listener.losses == [None]
    assert server.requests[0].headers["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize("wbits", [31, 15, -15], ids=["gzip", "deflate", "bare"])
def test_a_compressed_event_is_handed_out_when_its_last_byte_has_come(
    serve: Serve, listen: Listen, wbits: int
) -> None:
    """The server flushes each event, and sends the next when the client has this one."""
    packer = zlib.compressobj(wbits=wbits)
    gates = [mock.Gate() for _ in range(20)]
    parts: list[bytes | mock.Gate] = []
    for n, gate in enumerate(gates):
        parts += [packer.compress(b"data: %d\n\n" % n) + packer.flush(zlib.Z_SYNC_FLUSH), gate]
    coding = "gzip" if wbits == 31 else "deflate"
    server = serve([feed(*parts, packer.flush(), Content_Encoding=coding), NO_CONTENT])
    listener = listen(server, client={"compression": True})
    for n, gate in enumerate(gates):
        assert listener.next() == say(str(n))
        gate.open()
    assert listener.rest() == []
    assert listener.losses == [None]


def test_a_compressed_stream_waits_for_its_consumer(serve: Serve, listen: Listen) -> None:
    """A megabyte in a few packets, into a queue of a kilobyte: nothing is lost or twice."""
    events = b"".join(b"id: %d\ndata: %b\n\n" % (n, b"x" * 1000) for n in range(1000))
    server = serve([feed(gzip.compress(events), Content_Encoding="gzip"), NO_CONTENT])
    limits = millstream.Limits(buffered_bytes=1000)
    listener = listen(server, client={"compression": True, "limits": limits})
    assert eventually(lambda: listener.client.metrics()["pauses"] > 0)
    assert listener.rest() == [say("x" * 1000, str(n)) for n in range(1000)]
    assert listener.losses == [None]


def test_the_callers_own_accept_encoding(serve: Serve, listen: Listen) -> None:
    """It asks as well, and is sent as it is."""
    server = serve(feed(gzip.compress(EVENT), Content_Encoding="gzip"))
    for compression in (False, True):
        server.requests.clear()
        listener = listen(
            server,
            headers={"accept-encoding": "br, gzip;q=0.5"},
            client={"compression": compression},
        )
        assert listener.next() == say("x")
        assert server.requests[0].headers["accept-encoding"] == "br, gzip;q=0.5"


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, gzip", "deflate, br"])
def test_a_coding_that_is_not_read_here_never_gives_garbage(
    serve: Serve, listen: Listen, coding: str
) -> None:
    server = serve([feed(EVENT, Content_Encoding=coding), NO_CONTENT])
    listener = listen(server, client={"compression": True})
    with pytest.raises(millstream.ProtocolError, match="Content-Encoding"):
        listener.next()
    ended_for_good(listener, server)


def test_compression_that_was_not_asked_for_never_gives_garbage(
    serve: Serve, listen: Listen
) -> None:
    server = serve([feed(gzip.compress(EVENT), Content_Encoding="gzip"), NO_CONTENT])
    listener = listen(server)
    with pytest.raises(millstream.ProtocolError, match="compressed"):
        listener.next()
    assert "accept-encoding" not in server.requests[0].headers
    ended_for_good(listener, server)


# ---- events --------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("eol", ["\n", "\r", "\r\n"])
def test_every_line_ending_in_small_pieces(
    serve: Serve, listen: Listen, eol: str, size: int
) -> None:
    lines = [
        "data: one", "",
        "event: greeting", "id: abc", "data: two", "data:lines", "",
        ": a comment", "data", "", "data: €豆腐", "id", "", "",
    ]  # fmt: skip
    text = eol.join(lines) + eol
    server = serve([pieces(text.encode(), size), NO_CONTENT])
    assert listen(server).rest() == [
        say("one"),
        say("two\nlines", "abc", "greeting"),
        say("", "abc"),
        say("€豆腐"),
    ]


@pytest.mark.parametrize("size", [1, 2])
def test_line_endings_may_be_mixed(serve: Serve, listen: Listen, size: int) -> None:
    text = b"data: a\rdata: b\ndata: c\r\n\ndata: d\n\rdata: e\r\n\r\ndata: f\r\r"
    server = serve([pieces(text, size), NO_CONTENT])
    assert listen(server).rest() == [say("a\nb\nc"), say("d"), say("e"), say("f")]


BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize("cut", [(), (1,), (2,), (3,), (1, 2), (1, 3), (2, 3), (1, 2, 3)])
def test_a_bom_is_dropped_wherever_it_is_cut(
    serve: Serve, listen: Listen, cut: tuple[int, ...]
) -> None:
    text = BOM + b"data: " + BOM + b"x\n\n" + BOM + b"data: y\n\ndata: z\n\n"
    cuts = itertools.pairwise((0, *cut, len(text)))
    whole = head(Transfer_Encoding="chunked") + http_chunks([text[a:b] for a, b in cuts])
    server = serve([mock.Raw(whole + LAST_CHUNK)] * 2 + [NO_CONTENT])
    # One for each connection: the first of each is dropped, and no other.
    assert listen(server).rest() == [say("\ufeffx"), say("z")] * 2


@pytest.mark.parametrize("size", [16_384, 10 << 20])
def test_ten_mebibytes_in_one_data_line(serve: Serve, listen: Listen, size: int) -> None:
    line = b"0123456789abcdef" * ((10 << 20) // 16)
    server = serve([pieces(b"id: 1\ndata: " + line + b"\n\n" + EVENT, size), NO_CONTENT])
    large, small = listen(server).rest()
    assert isinstance(large, millstream.Event)
    assert large.raw == line
    assert large.data == line.decode()
    assert small == say("x", "1")


def test_an_event_above_the_limit_ends_it(serve: Serve, listen: Listen) -> None:
    server = serve(feed(EVENT, b"data: " + b"y" * 2000 + b"\n\n"))
    listener = listen(server, client={"limits": millstream.Limits(event_bytes=1000)})
    assert listener.next() == say("x")
    with pytest.raises(millstream.LimitExceeded):
        listener.next()
    assert listener.next() is None
    assert listener.stream.state == "closed"
    assert len(server.requests) == 1


def test_invalid_utf_8_is_replaced_as_the_standard_says(serve: Serve, listen: Listen) -> None:
    body = b"event: t\xff\nid: i\xc3\ndata: a\xf0\x9f\x98b\xed\xa0\x80\n\n"
    server = serve([feed(body), NO_CONTENT])
    event = say("a\ufffdb\ufffd\ufffd\ufffd", "i\ufffd", "t\ufffd")
    (came,) = listen(server).rest()
    assert isinstance(came, millstream.Event)
    assert (came.type, came.data, came.id) == (event.type, event.data, event.id)
    # The standard decodes first: the id that goes back is the one with the replacement.
    assert b"\r\nLast-Event-ID: i\xef\xbf\xbd\r\n" in server.requests[1].head


def test_what_is_no_event_gives_none(serve: Serve, listen: Listen) -> None:
    body = (
        b"\n\n:ping\n\nid: 1\n\n:ping\n\nevent: add\n\nretry: 0\n\nother: x\nDATA: y\n data: z\n\n"
        b"event: named\nid: 2\n: ping\n\ndata: cut off"
    )
    server = serve([feed(body), NO_CONTENT])
    assert listen(server).rest() == []


def test_keep_alives_after_an_id_make_no_event(serve: Serve, listen: Listen) -> None:
    body = b"id: 1\n\n" + b": keep-alive\n\n" * 3 + b"id: 2\n: keep-alive\n\n" + EVENT
    server = serve([feed(body), feed(b"id: 3\n\n:\n\n"), NO_CONTENT])
    listener = listen(server)
    assert listener.rest() == [say("x", "2")]
    # An id counts at its blank line, event or none.
    assert [request.headers.get("last-event-id") for request in server.requests] == [None, "2", "3"]
    assert listener.stream.last_event_id == "3"


# ---- as soon as they are there -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (b"data: x\n\n", b""),
        (b"data: x\r\r", b"\n"),  # the CR ends it; an LF may follow or not
        (b"data: x\r\n\r", b"\n"),
        (b"data: x\n\r", b""),
    ],
)
def test_an_event_is_handed_out_with_its_last_byte(
    serve: Serve, listen: Listen, first: bytes, then: bytes
) -> None:
    gate = mock.Gate()
    server = serve([feed(first, gate, then + b"data: y\n\n"), NO_CONTENT])
    listener = listen(server)
    assert listener.next() == say("x")
    gate.open()
    assert listener.rest() == [say("y")]


@pytest.mark.parametrize("end", [b"\n", b"\r", b"\r\n"])
def test_a_comment_is_handed_out_with_its_line(serve: Serve, listen: Listen, end: bytes) -> None:
    gate = mock.Gate()
    server = serve([feed(b"data: half\n: hello" + end, gate, b"\n\n"), NO_CONTENT])
    listener = listen(server, comments=True)
    assert listener.next() == millstream.Comment(" hello")
    gate.open()
    assert listener.rest() == [say("half")]


# ---- comments ------------------------------------------------------------------------------------


def test_comments_come_in_their_places(serve: Serve, listen: Listen) -> None:
    body = b":one\n\ndata: x\n:two\n\n:\n: three\xff \n:: four\nid: 1\n\n" + EVENT
    server = serve([feed(body), NO_CONTENT])
    items = listen(server, comments=True).rest()
    assert [item.text if isinstance(item, millstream.Comment) else item for item in items] == [
        "one", "two", say("x"), "", " three\ufffd ", ": four", say("x", "1"),
    ]  # fmt: skip


def test_comments_are_not_handed_out_unless_asked_for(serve: Serve, listen: Listen) -> None:
    server = serve([feed(b":one\n\n: two\n" + EVENT), NO_CONTENT])
    assert listen(server).rest() == [say("x")]


def test_a_comment_is_a_value() -> None:
    assert millstream.Comment("a") == millstream.Comment("a") != millstream.Comment("b")
    assert len({millstream.Comment("a"), millstream.Comment("a")}) == 1
    assert repr(millstream.Comment("a")) == "Comment('a')"
    assert millstream.Comment("a") != "a"


# ---- the stream's own ----------------------------------------------------------------------------


def test_the_state_follows_the_connection(serve: Serve, listen: Listen) -> None:
    gates = [mock.Gate() for _ in range(2)]
    answer = mock.Raw([gates[0], head() + EVENT, gates[1]])
    listener = listen(serve([answer, NO_CONTENT]))
    states: list[str] = [listener.stream.state]
    gates[0].open()
    assert listener.next() == say("x")
    states.append(listener.stream.state)
    gates[1].open()
    assert listener.rest() == []
    states.append(listener.stream.state)
    assert states == ["connecting", "open", "closed"]


def test_on_state_tells_in_the_iterating_thread_in_order_with_the_events(
    serve: Serve, listen: Listen
) -> None:
    cut = mock.Raw(head(Transfer_Encoding="chunked") + http_chunks([b"data: c\n\n"]))
    server = serve([feed(b"data: a\n\n:\n\ndata: b\n\n"), cut, mock.Error(500), NO_CONTENT])
    listener = listen(server)
    listener.rest()
    told = [entry if isinstance(entry, tuple) else data_of(entry) for entry in listener.log]
    assert told[:6] == [
        ("open", None), "a", "b", ("connecting", None), ("open", None), "c",
    ]  # fmt: skip
    assert [(state, type(error)) for state, error in listener.states[3:]] == [
        ("connecting", millstream.StreamInterrupted),
        ("connecting", millstream.ServerError),
        ("closed", type(None)),
    ]
    assert listener.threads == {listener.thread}


def test_an_error_of_on_state_is_the_callers_own(serve: Serve, listen: Listen) -> None:
    def fail(state: str, error: millstream.Error | None) -> None:
        raise LookupError(state)

    listener = listen(serve([feed(EVENT), NO_CONTENT]), on_state=fail)
    with pytest.raises(LookupError, match="open"):
        listener.next()
    assert listener.next() == say("x")


def test_last_event_id_and_retry_are_those_of_what_was_handed_out(
    serve: Serve, listen: Listen
) -> None:
    body = b"id: 1\nretry: 1500\ndata: x\n\nid: 2\ndata: y\n\nid:\ndata: z\n\n"
    listener = listen(serve(feed(body, then="hang")), last_event_id="zero", initial_retry=2.5)
    assert (listener.stream.last_event_id, listener.stream.retry) == ("zero", 2.5)
    seen = [(listener.next(), listener.stream.last_event_id) for _ in range(3)]
    assert seen == [(say("x", "1"), "1"), (say("y", "2"), "2"), (say("z"), "")]
    assert listener.stream.retry == 1.5


def test_the_response_is_the_first_ones(serve: Serve, connect: Connect) -> None:
    server = serve([feed(EVENT, X_Request_Id="r-1"), NO_CONTENT])
    with connect(server).events(server.origin + "/e", initial_retry=0) as stream:
        response = stream.response
        assert (response.status, response.request_id) == (200, "r-1")
        assert response.headers["content-type"] == "text/event-stream"
        assert list(stream) == [say("x")]


def test_every_event_goes_to_one_of_two_threads(serve: Serve, connect: Connect) -> None:
    numbers = [b"data: %d\n\n" % n for n in range(2000)]
    server = serve([feed(*numbers[:1000]), feed(*numbers[1000:]), NO_CONTENT])
    stream = connect(server).events(server.origin + "/e", initial_retry=0)
    tasks = [Task(lambda: [int(data_of(item)) for item in stream]) for _ in range(2)]
    parts = [task.result() for task in tasks]
    assert sorted(parts[0] + parts[1]) == list(range(2000))
    for part in parts:
        assert part == sorted(part)


def test_a_slow_reader_loses_nothing(serve: Serve, listen: Listen) -> None:
    events = [b"data: " + str(n).encode() * 100 + b"\n\n" for n in range(2000)]
    server = serve([feed(b"".join(events)), NO_CONTENT])
    listener = listen(server, client={"limits": millstream.Limits(buffered_bytes=4096)})
    assert eventually(lambda: listener.client.metrics()["pauses"] > 0)
    assert listener.rest() == [say(str(n) * 100) for n in range(2000)]


def test_the_repr_shows_no_secret(serve: Serve, listen: Listen) -> None:
    listener = listen(
        serve(feed(then="hang")).origin.replace("http://", "http://me:s3cret@"),
        headers={"Authorization": "Bearer s3cret"},
    )
    assert "s3cret" not in repr(listener.stream) + str(listener.stream)


# ---- ending --------------------------------------------------------------------------------------


def test_close_while_it_waits_is_the_end(serve: Serve, listen: Listen) -> None:
    server = serve(feed(EVENT, then="hang"))
    listener = listen(server)
    listener.take(1)
    asked = listener.ask()
    listener.stream.close()
    assert asked.result(GIVE_UP_S) is None
    assert listener.stream.state == "closed"
    assert server.wait_disconnected(1)
    assert listener.next() is None


def test_cancel_while_it_waits_is_an_error_once(serve: Serve, listen: Listen) -> None:
    server = serve(feed(EVENT, then="hang"))
    listener = listen(server)
    listener.take(1)
    asked = listener.ask()
    listener.stream.cancel()
    with pytest.raises(millstream.Cancelled):
        asked.result(GIVE_UP_S)
    assert server.wait_disconnected(1)
    assert listener.next() is None
    assert listener.stream.state == "closed"


@pytest.mark.parametrize("how", ["close", "cancel"])
def test_it_ends_while_it_connects(listen: Listen, how: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        listener = listen(f"https://127.0.0.1:{deaf.getsockname()[1]}/events")
        asked = listener.ask()
        taken, _ = deaf.accept()
        getattr(listener.stream, how)()
        ends(asked, how)
        taken.close()
        assert listener.stream.state == "closed"


@pytest.mark.parametrize("how", ["close", "cancel"])
def test_it_ends_while_it_waits_to_reconnect(serve: Serve, listen: Listen, how: str) -> None:
    server = serve(feed(EVENT))
    listener = listen(server, initial_retry=86_400, max_retry=86_400)
    listener.take(1)
    asked = listener.waits_for_state("connecting")
    getattr(listener.stream, how)()
    ends(asked, how)
    assert listener.stream.state == "closed"
    assert len(server.requests) == 1


def ends(asked: Any, how: str) -> None:
    """Whoever waited has the end that belongs to what was called."""
    if how == "close":
        assert asked.result(GIVE_UP_S) is None
    else:
        with pytest.raises(millstream.Cancelled):
            asked.result(GIVE_UP_S)


@pytest.mark.parametrize("how", ["close", "cancel"])
def test_events_that_came_before_the_end_are_gone_with_it(
    serve: Serve, listen: Listen, how: str
) -> None:
    listener = listen(serve(feed(EVENT * 3, then="hang")))
    listener.take(1)
    getattr(listener.stream, how)()
    ends(listener.ask(), how)
    assert listener.next() is None


def test_a_with_block_closes(serve: Serve, connect: Connect) -> None:
    server = serve(feed(EVENT, then="hang"))
    with connect(server).events(server.origin + "/e") as stream:
        assert next(stream) == say("x")
    assert stream.state == "closed"
    assert server.wait_disconnected(1)
    assert list(stream) == []


def test_dropping_the_last_reference_ends_the_transfer(serve: Serve, connect: Connect) -> None:
    server = serve(feed(EVENT, then="hang"))
    client = connect(server)
    stream = client.events(server.origin + "/e")
    assert next(stream) == say("x")
    del stream
    gc.collect()
    assert server.wait_disconnected(1)
    assert eventually(lambda: client.metrics()["streams_open"] == 0)


def test_dropping_it_ends_the_wait_to_reconnect(serve: Serve, connect: Connect) -> None:
    server = serve(feed(EVENT))
    client = connect(server)
    stream = client.events(server.origin + "/e", initial_retry=86_400, max_retry=86_400)
    assert next(stream) == say("x")
    del stream
    gc.collect()
    assert eventually(lambda: client.metrics()["streams_open"] == 0)
    assert len(server.requests) == 1


def test_a_cancelled_task_ends_the_transfer(serve: Serve) -> None:
    server = serve(feed(EVENT, then="hang"))

    async def main() -> None:
        client = millstream.AsyncClient(base_url=server.url, api_key=API_KEY, timeout=timeout())
        stream = client.events(server.origin + "/e")
        assert await anext(stream) == say("x")
        task = asyncio.ensure_future(anext(stream))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.wait_disconnected, 1)
        assert stream.state == "closed"

    asyncio.run(asyncio.wait_for(main(), GIVE_UP_S))


def test_async_with_and_async_for(serve: Serve) -> None:
    server = serve([feed(EVENT), feed(EVENT), NO_CONTENT])

    async def main() -> None:
        client = millstream.AsyncClient(base_url=server.url, api_key=API_KEY, timeout=timeout())
        async with client.events(server.origin + "/e", initial_retry=0) as stream:
            assert [event async for event in stream] == [say("x")] * 2
            assert (await stream.response).status in (200, 204)

    asyncio.run(asyncio.wait_for(main(), GIVE_UP_S))


def test_trio(serve: Serve) -> None:
    trio = pytest.importorskip("trio")
    server = serve([feed(EVENT), mock.Error(503), feed(EVENT), NO_CONTENT])

    async def main() -> None:
        client = millstream.AsyncClient(base_url=server.url, api_key=API_KEY, timeout=timeout())
        with trio.fail_after(GIVE_UP_S):
            async with client.events(server.origin + "/e", initial_retry=0) as stream:
                assert [event async for event in stream] == [say("x")] * 2

    trio.run(main)


# ---- without reconnecting ------------------------------------------------------------------------


def test_without_reconnecting_the_end_of_the_body_is_the_end(serve: Serve, listen: Listen) -> None:
    server = serve(feed(EVENT + b"data: half"))
    listener = listen(server, reconnect=False)
    assert listener.rest() == [say("x")]
    assert [state for state, _ in listener.states] == ["open", "closed"]
    assert len(server.requests) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (mock.Error(500), millstream.ServerError),
        (mock.Error(429, headers={"Retry-After": "0"}), millstream.RateLimited),
        (mock.Raw(b"", then="close"), millstream.ConnectError),
        (mock.Raw(b"HTTP/1.1 200 OK\r\n", then="close"), millstream.StreamInterrupted),
        (mock.Raw(head(Transfer_Encoding="chunked")), millstream.StreamInterrupted),
        (mock.Raw(head(Content_Length="100") + EVENT[:3]), millstream.StreamInterrupted),
        (mock.Raw(head(), then="reset"), millstream.StreamInterrupted),
    ],
    ids=["500", "429", "closed", "half a head", "cut chunks", "cut length", "reset"],
)
def test_without_reconnecting_a_fault_is_raised(
    serve: Serve, listen: Listen, method: str, answer: Any, error: type[millstream.Error]
) -> None:
    server = serve(answer)
    listener = listen(server, reconnect=False, method=method)
    with pytest.raises(error):
        listener.next()
    assert listener.next() is None
    assert listener.stream.state == "closed"
    assert len(server.requests) == 1


def test_events_before_a_fault_come_first(serve: Serve, listen: Listen) -> None:
    cut = head(Transfer_Encoding="chunked") + http_chunks([EVENT, b"id: 9\ndata: half"])
    listener = listen(serve(mock.Raw(cut)), reconnect=False)
    assert listener.next() == say("x")
    with pytest.raises(millstream.StreamInterrupted):
        listener.next()
    assert listener.stream.last_event_id == ""


def test_metrics_count_event_streams(serve: Serve, listen: Listen) -> None:
    server = serve([feed(EVENT * 3), feed(EVENT * 2), NO_CONTENT])
    listener = listen(server)
    assert len(listener.rest()) == 5
    metrics = listener.client.metrics()
    assert metrics["streams_started"] == metrics["streams_ok"] == 1
    assert metrics["events"] == 5
    assert metrics["retries"] == 2
    assert json.dumps(metrics["streams_open"]) == "0"
