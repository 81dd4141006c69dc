"""Broken and hostile servers under `client.events()`: what it survives, and what ends it."""

from __future__ import annotations

import gzip
import itertools
import zlib
from collections.abc import Callable
from typing import Any

import pytest

import millstream
from answers import LAST_CHUNK, head, http_chunks
from conftest import Connect, Listen, Serve, timeout
from listener import NO_CONTENT, Item, feed, say
from millstream import mock

EVENT = b"data: x\n\n"
CHUNKED = head(Transfer_Encoding="chunked")
BOMB = gzip.compress(b"data: " + b"0" * 50_000_000)
LIMITED = {"limits": millstream.Limits(event_bytes=100_000, header_bytes=100_000)}


def packed(data: bytes, missing: int = 0) -> mock.Raw:
    """A compressed body that ends so many bytes too early."""
    length = str(len(data))
    whole = head(Content_Encoding="gzip", Content_Length=length) + data
    return mock.Raw(whole[: len(whole) - missing])


def endless(first: bytes, then: bytes) -> Callable[[mock.Request], mock.Raw]:
    """`first`, then `then` over and over."""
    return lambda request: mock.Raw(itertools.chain([first], itertools.repeat(then)))


# After these another connection may do better: name -> the answer, and what a stream without
# reconnecting raises. Each gives one event before.
SURVIVED: dict[str, tuple[Any, type[millstream.Error]]] = {
    "reset in an event": (
        mock.Raw([CHUNKED + http_chunks([EVENT, b"data: y"])], then="reset"),
        millstream.StreamInterrupted,
    ),
    "end in a chunk": (
        mock.Raw(CHUNKED + http_chunks([EVENT]) + b"ff\r\ndata: y"),
        millstream.StreamInterrupted,
    ),
    "end in a chunk's size": (
        mock.Raw(CHUNKED + http_chunks([EVENT]) + b"f"),
        millstream.StreamInterrupted,
    ),
    "no chunk size": (
        mock.Raw(CHUNKED + http_chunks([EVENT]) + b"xyz\r\n"),
        millstream.ProtocolError,
    ),
    "a negative chunk size": (
        mock.Raw(CHUNKED + http_chunks([EVENT]) + b"-5\r\n"),
        millstream.ProtocolError,
    ),
    "a huge chunk size": (
        mock.Raw(CHUNKED + http_chunks([EVENT]) + b"fffffffffffffffff\r\n"),
        millstream.ProtocolError,
    ),
    "gzip cut short": (
        packed(gzip.compress(EVENT), 9),
        millstream.StreamInterrupted,
    ),
    "gzip with a bad checksum": (
        packed(gzip.compress(EVENT)[:-8] + b"\0" * 8),
        millstream.ProtocolError,
    ),
}


@pytest.mark.parametrize("fault", SURVIVED)
def test_a_fault_on_the_way_is_survived(serve: Serve, listen: Listen, fault: str) -> None:
    answer, error = SURVIVED[fault]
    server = serve([answer, feed(b"data: after\n\n"), NO_CONTENT])
    listener = listen(server, client={"compression": "gzip" in fault})
    assert listener.rest()[-1] == say("after")
    assert listener.losses == [error, None]


@pytest.mark.parametrize("fault", SURVIVED)
def test_a_fault_on_the_way_is_raised_without_reconnecting(
    serve: Serve, listen: Listen, fault: str
) -> None:
    answer, error = SURVIVED[fault]
    server = serve(answer)
    listener = listen(server, reconnect=False, client={"compression": "gzip" in fault})
    came: list[Item] = []
    with pytest.raises(error):
        came.extend(iter(listener.next, None))
    assert listener.next() is None
    assert len(server.requests) == 1


def in_whole_bodies(data: bytes) -> dict[str, bytes]:
    """The same bytes as a body with each kind of end, all of them right."""
    length = str(len(data))
    chunks = head(Content_Encoding="gzip", Transfer_Encoding="chunked")
    return {
        "Content-Length": head(Content_Encoding="gzip", Content_Length=length) + data,
        "chunked": chunks + http_chunks([data]) + LAST_CHUNK,
        "closed": head(Content_Encoding="gzip") + data,
    }


FLUSHED = zlib.compressobj(wbits=31)
CUT = FLUSHED.compress(EVENT) + FLUSHED.flush(zlib.Z_SYNC_FLUSH)
REST = FLUSHED.flush()
CUTS = {
    "behind a flush": CUT,
    "in the last block": CUT + REST[:1],
    "before the checksum": CUT + REST[:-8],
    "in the checksum": CUT + REST[:-5],
    "in the length": CUT + REST[:-1],
    "in a second file": gzip.compress(EVENT) + gzip.compress(b": x\n")[:5],
}


@pytest.mark.parametrize("end", in_whole_bodies(b""))
@pytest.mark.parametrize("cut", CUTS)
def test_gzip_cut_short_in_a_whole_body(serve: Serve, listen: Listen, cut: str, end: str) -> None:
    """All of HTTP is right; only what is packed tells that it is not all."""
    cut_short = mock.Raw(in_whole_bodies(CUTS[cut])[end])
    client = {"compression": True}
    server = serve([cut_short, NO_CONTENT])
    listener = listen(server, client=client)
    assert listener.rest() == [say("x")]
    assert listener.losses == [millstream.StreamInterrupted]
    listener = listen(serve(cut_short), reconnect=False, client=client)
    assert listener.next() == say("x")
    with pytest.raises(millstream.StreamInterrupted, match="compressed"):
        listener.next()
    assert listener.next() is None


@pytest.mark.parametrize("end", in_whole_bodies(b""))
def test_gzip_that_is_whole_is_a_clean_end(serve: Serve, listen: Listen, end: str) -> None:
    whole = mock.Raw(in_whole_bodies(CUT + REST)[end])
    listener = listen(serve(whole), reconnect=False, client={"compression": True})
    assert listener.rest() == [say("x")]


def test_bytes_behind_the_end_of_what_is_packed(serve: Serve, listen: Listen) -> None:
    server = serve([feed(CUT + REST + EVENT, Content_Encoding="gzip"), NO_CONTENT])
    listener = listen(server, client={"compression": True})
    assert listener.rest() == [say("x")]
    assert listener.losses == [millstream.ProtocolError]


def test_a_compressed_error_is_read(serve: Serve, listen: Listen) -> None:
    body = gzip.compress(b"no such feed")
    answer = head("404 No", Content_Encoding="gzip", Content_Length=str(len(body))) + body
    listener = listen(serve(mock.Raw(answer)), client={"compression": True})
    with pytest.raises(millstream.NotFound) as caught:
        listener.next()
    assert caught.value.body == b"no such feed"


# What a server sends at once that speaks nothing but HTTP/2, as it ends the connection.
SETTINGS = b"\0\0\0\4\0\0\0\0\0"
GOAWAY = b"\0\0\x08\7\0\0\0\0\0" + b"\0\0\0\0" + b"\0\0\0\1"

# These no other connection would cure: name -> the answer, and what is raised.
DEADLY: dict[str, tuple[Any, type[millstream.Error]]] = {
    "60,000 headers": (
        mock.Raw(head()[:-2] + b"".join(b"X-%d: y\r\n" % n for n in range(60_000)) + b"\r\n"),
        millstream.LimitExceeded,
    ),
    "a long header": (
        mock.Raw(head()[:-2] + b"X: " + b"y" * 1_000_000 + b"\r\n\r\n"),
        millstream.LimitExceeded,
    ),
    "interim answers without end": (
        endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100),
        millstream.ProtocolError,
    ),
    "NUL in a header": (mock.Raw(head(X="a\0b") + EVENT), millstream.ProtocolError),
    "HTTP/2 alone": (mock.Raw(SETTINGS + GOAWAY), millstream.ProtocolError),
    "no HTTP": (mock.Raw(b"SSH-2.0-x\r\n\r\n"), millstream.ProtocolError),
    "two lengths": (
        mock.Raw(head(Content_Length="9\r\nContent-Length: 10") + EVENT + b"\n"),
        millstream.ProtocolError,
    ),
    "a data line without end": (
        endless(head() + b"data: ", b"x" * 1000),
        millstream.LimitExceeded,
    ),
    "a comment without end": (
        endless(head() + b":", b"x" * 1000),
        millstream.LimitExceeded,
    ),
    "an id without end": (
        endless(head() + b"id:", b"x" * 1000),
        millstream.LimitExceeded,
    ),
    "data lines without end": (
        endless(head(), b"data: " + b"x" * 1000 + b"\n"),
        millstream.LimitExceeded,
    ),
    "a bomb": (packed(BOMB), millstream.LimitExceeded),
}


@pytest.mark.parametrize("fault", DEADLY)
def test_a_hostile_server_ends_it_with_an_error(serve: Serve, listen: Listen, fault: str) -> None:
    answer, error = DEADLY[fault]
    server = serve(answer)
    listener = listen(server, client={**LIMITED, "compression": fault == "a bomb"})
    with pytest.raises(error) as caught:
        listener.next()
    assert type(caught.value) is error
    assert listener.next() is None
    assert listener.stream.state == "closed"
    assert listener.losses == []
    assert len(server.requests) == 1


def test_an_endless_comment_that_is_not_one_line_harms_nobody(serve: Serve, listen: Listen) -> None:
    flood = itertools.chain([head()], itertools.repeat(b": x\n" * 1000, 1000), [EVENT])
    server = serve([mock.Raw(flood), NO_CONTENT])
    assert listen(server, client=LIMITED).rest() == [say("x")]


def test_a_name_that_does_not_resolve_is_tried_again(listen: Listen) -> None:
    listener = listen("http://no-such-host.invalid/", initial_retry=0, max_retry=0.01)
    asked = listener.waits_for_state("connecting")
    listener.stream.close()
    assert asked.result(30) is None
    error = listener.states[0][1]
    assert isinstance(error, millstream.ConnectError)
    assert error.code == "dns"


def test_a_proxy_that_is_gone_is_tried_again(serve: Serve, listen: Listen) -> None:
    gone = mock.Server()
    with gone:
        pass
    client = {"proxy": gone.origin.replace("//", "//me:s3cret@")}
    listener = listen("http://host.invalid/", client=client, max_retry=0.01)
    asked = listener.waits_for_state("connecting")
    server = serve([feed(EVENT), NO_CONTENT], port=int(gone.origin.rsplit(":", 1)[1]))
    assert asked.result(30) == say("x")
    assert listener.rest() == []
    assert server.requests[0].headers["host"] == "host.invalid"
    for _, error in listener.states:
        assert "s3cret" not in f"{error!r} {error}"


def test_a_proxy_that_refuses_ends_it(serve: Serve, listen: Listen) -> None:
    refusal = b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n"
    proxy = serve(mock.Raw(refusal))
    for scheme in ("http", "https"):
        listener = listen(f"{scheme}://host.invalid/", client={"proxy": proxy.origin})
        with pytest.raises(millstream.ConnectError, match="proxy"):
            listener.next()
        assert listener.next() is None


def test_keep_alive_that_was_a_lie(serve: Serve, listen: Listen) -> None:
    """The connection is closed right behind each answer, which said that it would stay."""
    answers = [
        mock.Raw(CHUNKED + http_chunks([b"id: %d\ndata: x\n\n" % n]) + LAST_CHUNK)
        for n in range(100)
    ]
    server = serve([*answers, NO_CONTENT])
    listener = listen(server, max_retry=0)
    assert listener.rest() == [say("x", str(n)) for n in range(100)]
    assert len(server.requests) == 101
    assert listener.losses == [None] * 100  # no connection is used again: none turns out dead


def test_one_body_on_the_wire_for_each_connection(serve: Serve, listen: Listen) -> None:
    """A kept connection that dies when the request was read: no replay behind our back."""
    answers: list[Any] = []
    for n in range(20):
        body = http_chunks([b"data: %d\n\n" % n])
        answers += [mock.Raw(CHUNKED + body + LAST_CHUNK, then="keep"), mock.Raw(b"")]
    server = serve([*answers, NO_CONTENT])
    listener = listen(server, method="POST", body=b"once", max_retry=0)
    assert listener.rest() == [say(str(n)) for n in range(20)]
    connections = len(listener.losses) + 1
    assert len(server.requests) == connections == 41
    assert listener.losses == [None, millstream.ConnectError] * 20


def test_other_streams_do_not_notice(serve: Serve, connect: Connect) -> None:
    gate = mock.Gate()
    good = serve([feed(b"data: 1\n\n", gate, b"data: 2\n\n"), NO_CONTENT])
    stream = connect(good).events(good.origin + "/e", initial_retry=0)
    assert next(stream) == say("1")
    for answer, error in DEADLY.values():
        bad = connect(serve(answer), compression=True, **LIMITED)
        with pytest.raises(error):
            list(bad.events("/", reconnect=False))
    gate.open()
    assert list(stream) == [say("2")]


def test_no_more_descriptors(serve: Serve, run: Callable[..., Any]) -> None:
    """EMFILE is a loss like another: the stream goes on when there are descriptors again."""
    gate = mock.Gate()
    server = serve([feed(EVENT, gate), feed(EVENT), NO_CONTENT])
    process = run(
        server,
        """
        import resource
        states = []
        stream = client.events(
            sys.argv[1].replace("/v1", "/e"), initial_retry=0.05, max_retry=0.05,
            on_state=lambda state, error: states.append(error and error.code),
        )
        say(next(stream).data)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)

        def allow_again():
            while not any(states):
                threading.Event().wait(0.01)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

        helper = threading.Thread(target=allow_again)
        helper.start()
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
        say("no descriptors")
        say(next(stream).data)
        helper.join()
        say(next(stream, "end"))
        """,
    )
    assert process.line() == "x"
    assert process.line() == "no descriptors"
    gate.open()
    code, out, err = process.end()
    assert (code, out.split()) == (0, ["x", "end"]), err


def test_the_first_chunk_clock_is_over_with_the_head(serve: Serve, listen: Listen) -> None:
    server = serve([mock.Raw([head(), 1.2, EVENT]), NO_CONTENT])
    listener = listen(server, client={"timeout": timeout(first_chunk=0.6)})
    assert listener.rest() == [say("x")]
    assert listener.losses == [None]
