"""Reconnecting: after what, with which id and body, how soon, and what the caller is told."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import millstream
from answers import LAST_CHUNK, Task, eventually, head, http_chunks
from conftest import Connect, Listen, Serve, timeout
from listener import NO_CONTENT, Listener, feed, say
from millstream import mock

EVENT = b"data: x\n\n"
CHUNKED = head(Transfer_Encoding="chunked")
# Full jitter is under a second of it with a chance of one in 86,400.
DAY = {"initial_retry": 86_400, "max_retry": 86_400}


def sent_ids(server: mock.Server) -> list[str | None]:
    """The Last-Event-ID of each request; None: without one."""
    return [request.headers.get("last-event-id") for request in server.requests]


def nothing_was_asked_meanwhile(server: mock.Server, listener: Listener, requests: int) -> None:
    """A delay of 0 would be over: the same engine has made five round trips since."""
    with mock.Server([NO_CONTENT]) as url:
        for _ in range(5):
            client = millstream.Client(base_url=url, api_key="k", timeout=timeout())
            assert list(client.events(url, initial_retry=0)) == []
    assert len(server.requests) == requests
    assert listener.stream.state == "connecting"


# ---- after what ----------------------------------------------------------------------------------

# Each with the error that on_state is told.
LOSSES: dict[str, tuple[Any, type[millstream.Error] | None]] = {
    "end": (feed(), None),
    "whole chunks": (mock.Raw(CHUNKED + LAST_CHUNK, then="keep"), None),
    "whole length": (mock.Raw(head(Content_Length="0"), then="keep"), None),
    "cut chunks": (mock.Raw(CHUNKED), millstream.StreamInterrupted),
    "cut length": (mock.Raw(head(Content_Length="9") + EVENT[:4]), millstream.StreamInterrupted),
    "reset": (mock.Raw([CHUNKED], then="reset"), millstream.StreamInterrupted),
    "half a head": (mock.Raw(b"HTTP/1.1 200 OK\r\nX"), millstream.StreamInterrupted),
    "closed": (mock.Raw(b""), millstream.ConnectError),
    "reset at once": (mock.Raw([], then="reset"), millstream.ConnectError),
    "500": (mock.Error(500), millstream.ServerError),
    "502": (mock.Error(502, body="<html>"), millstream.ServerError),
    "503": (mock.Error(503, headers={"Retry-After": "0"}), millstream.ServerError),
    "504": (mock.Error(504), millstream.ServerError),
    "429": (mock.Error(429), millstream.RateLimited),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("place", ["first", "later"])
def test_it_reconnects_after_a_loss(serve: Serve, listen: Listen, loss: str, place: str) -> None:
    answer, error = LOSSES[loss]
    before = [feed(b"data: a\n\n")] if place == "later" else []
    server = serve([*before, answer, feed(b"data: b\n\n"), NO_CONTENT])
    listener = listen(server)
    assert listener.rest() == [*([say("a")] if before else []), say("b")]
    assert listener.losses == [*([None] if before else []), error, None]
    assert len(server.requests) == 3 + len(before)


def test_a_204_ends_it_for_good(serve: Serve, listen: Listen) -> None:
    server = serve([mock.Raw(head("204 No Content"), then="keep"), feed(EVENT)])
    listener = listen(server)
    assert listener.rest() == []
    assert listener.states == [("closed", None)]
    assert listener.stream.state == "closed"
    assert len(server.requests) == 1


def test_a_4xx_on_reconnecting_ends_it_after_what_came(serve: Serve, listen: Listen) -> None:
    server = serve([feed(EVENT), mock.Error(404)])
    listener = listen(server)
    assert listener.next() == say("x")
    with pytest.raises(millstream.NotFound):
        listener.next()
    assert listener.next() is None
    assert [state for state, _ in listener.states] == ["open", "connecting", "closed"]
    assert len(server.requests) == 2


def test_a_server_that_comes_later_is_found(serve: Serve, listen: Listen) -> None:
    gone = mock.Server()
    with gone as url:
        port = int(url.rsplit(":", 1)[1].split("/")[0])
    listener = listen(gone.origin + "/events", initial_retry=0.01, max_retry=0.05)
    asked = listener.waits_for_state("connecting")
    server = serve([feed(EVENT), NO_CONTENT], port=port)
    assert asked.result(30) == say("x")
    assert listener.rest() == []
    assert {millstream.ConnectError, None} == set(listener.losses)
    assert len(server.requests) == 2


# ---- what is sent again --------------------------------------------------------------------------


def test_the_last_id_is_sent_again(serve: Serve, listen: Listen) -> None:
    server = serve(
        [
            feed(b"id: abc\ndata: Hello\n\n"),
            mock.Error(500),
            feed(b"data: sticky\n\n"),
            feed(b"id: d\0ef\ndata: NUL\n\n"),
            feed(b"id: one\nid: two\ndata: last wins\n\n"),
            feed(b"id:\ndata: emptied\n\n"),
            NO_CONTENT,
        ]
    )
    listener = listen(server)
    assert listener.rest() == [
        say("Hello", "abc"),
        say("sticky", "abc"),
        say("NUL", "abc"),
        say("last wins", "two"),
        say("emptied"),
    ]
    assert sent_ids(server) == [None, "abc", "abc", "abc", "abc", "two", None]


@pytest.mark.parametrize("line", [b"id:\n", b"id\n", b"id: \n"])
def test_an_id_can_be_emptied(serve: Serve, listen: Listen, line: bytes) -> None:
    server = serve([feed(line + b"data: x\n\n"), NO_CONTENT])
    assert listen(server, last_event_id="abc").rest() == [say("x")]
    assert sent_ids(server) == ["abc", None]


@pytest.mark.parametrize("given", ["abc", "größe-€-😀", "a b", "1"])
def test_the_first_request_has_the_id_that_was_given(
    serve: Serve, listen: Listen, given: str
) -> None:
    server = serve([feed(EVENT), NO_CONTENT])
    listener = listen(server, last_event_id=given)
    assert listener.rest() == [say("x", given)]
    for request in server.requests:
        assert b"\r\nLast-Event-ID: " + given.encode() + b"\r\n" in request.head


def test_no_id_no_header(serve: Serve, listen: Listen) -> None:
    server = serve([NO_CONTENT])
    listen(server, last_event_id="").rest()
    assert sent_ids(server) == [None]


@pytest.mark.parametrize("id", ["größe", "😀", "\x7f", "a\tb", "日本"])
def test_an_id_goes_back_as_the_bytes_it_came_in(serve: Serve, listen: Listen, id: str) -> None:
    server = serve([feed(f"id: {id}\ndata: x\n\n".encode()), NO_CONTENT])
    assert listen(server).rest() == [say("x", id)]
    assert b"\r\nLast-Event-ID: " + id.encode() + b"\r\n" in server.requests[1].head


def test_a_header_of_the_callers_gives_way_to_a_later_id(serve: Serve, listen: Listen) -> None:
    server = serve([feed(b"id: 2\n\n"), NO_CONTENT])
    listen(server, last_event_id="1").rest()
    heads = [request.head.lower().count(b"last-event-id:") for request in server.requests]
    assert heads == [1, 1]
    assert sent_ids(server) == ["1", "2"]


def test_half_an_event_is_forgotten_with_its_id(serve: Serve, listen: Listen) -> None:
    half = b"id: abc\ndata: Hello\n\nid: def\nevent: e\ndata: Goodbye"
    for answer in (feed(half), mock.Raw(CHUNKED + http_chunks([half]))):
        server = serve([answer, feed(b"data: again\n\n"), NO_CONTENT])
        listener = listen(server)
        assert listener.rest() == [say("Hello", "abc"), say("again", "abc")]
        assert sent_ids(server) == [None, "abc", "abc"]


def test_a_line_cut_by_the_end_is_not_glued_to_the_next_stream(
    serve: Serve, listen: Listen
) -> None:
    cuts = [b"da", b"data", b"data:", b"data: a", b"data: a\n", b"data: a\r", b":", b"\xef\xbb"]
    server = serve([*[feed(cut) for cut in cuts], feed(b"ta: x\ndata: y\n\n"), NO_CONTENT])
    assert listen(server, max_retry=0).rest() == [say("y")]


# ---- how soon ------------------------------------------------------------------------------------


def test_an_initial_retry_of_0_reconnects_at_once(serve: Serve, listen: Listen) -> None:
    server = serve([*[feed(EVENT)] * 50, NO_CONTENT])
    assert listen(server, initial_retry=0, max_retry=86_400).rest() == [say("x")] * 50


@pytest.mark.parametrize("value", ["0", "00", "1"])
def test_a_short_retry_of_the_servers_replaces_a_long_one_of_ours(
    serve: Serve, listen: Listen, value: str
) -> None:
    server = serve([feed(f"retry: {value}\n".encode() + EVENT), feed(EVENT), NO_CONTENT])
    listener = listen(server, **DAY)
    assert listener.rest() == [say("x")] * 2
    assert listener.stream.retry == int(value) / 1000


def test_a_long_retry_of_the_servers_is_waited_for(serve: Serve, listen: Listen) -> None:
    server = serve([feed(b"retry: 3600000\n" + EVENT), NO_CONTENT])
    listener = listen(server)
    listener.take(1)
    assert listener.stream.retry == 3600
    asked = listener.waits_for_state("connecting")
    nothing_was_asked_meanwhile(server, listener, 1)
    listener.stream.restart()
    assert asked.result(30) is None
    assert len(server.requests) == 2


def test_an_initial_retry_is_waited_for(serve: Serve, listen: Listen) -> None:
    server = serve([feed(EVENT), NO_CONTENT])
    listener = listen(server, **DAY)
    listener.take(1)
    asked = listener.waits_for_state("connecting")
    nothing_was_asked_meanwhile(server, listener, 1)
    listener.stream.restart()
    assert asked.result(30) is None


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_waited_for(serve: Serve, listen: Listen, status: int) -> None:
    server = serve([mock.Error(status, headers={"Retry-After": "3600"}), NO_CONTENT])
    listener = listen(server)
    asked = listener.waits_for_state("connecting")
    ((_, error),) = listener.states
    assert error is not None
    assert error.retry_after == 3600
    nothing_was_asked_meanwhile(server, listener, 1)
    listener.stream.restart()
    assert asked.result(30) is None


def test_a_short_retry_after_does_not_hold(serve: Serve, listen: Listen) -> None:
    busy = [mock.Error(status, headers={"Retry-After": "0"}) for status in (429, 503)]
    server = serve([*busy, mock.Error(429, headers={"Retry-After": "soon"}), NO_CONTENT])
    assert listen(server).rest() == []
    assert len(server.requests) == 4


# (line, what stream.retry is in ms; None: as it was)
RETRIES: list[tuple[str, int | None]] = [
    ("retry: 10", 10),
    ("retry:10", 10),
    ("retry: 0", 0),
    ("retry: 007", 7),
    ("retry: 00000000000000000000000000000000012", 12),
    ("retry:  10", None),
    ("retry: 10 ", None),
    ("retry:\t10", None),
    ("retry: +10", None),
    ("retry: -10", None),
    ("retry: 1.5", None),
    ("retry: 1e3", None),
    ("retry: 0x10", None),
    ("retry: 1_000", None),
    ("retry: 10ms", None),
    ("retry: １０", None),  # digits, but not ASCII's
    ("retry: ١٠", None),
    ("retry: 1\0", None),
    ("retry:", None),
    ("retry: ", None),
    ("retry", None),
    ("Retry: 10", None),
    ("RETRY: 10", None),
    (" retry: 10", None),
    ("retry : 10", None),
    ("retry: 10\nretry: x", 10),
    ("retry: 10\nretry: 20", 20),
]


@pytest.mark.parametrize(("line", "retry_ms"), RETRIES, ids=repr)
def test_retry_in_every_spelling(
    serve: Serve, listen: Listen, line: str, retry_ms: int | None
) -> None:
    listener = listen(serve(feed(f"{line}\n".encode() + EVENT, then="hang")), initial_retry=0.25)
    assert listener.take(1) == [say("x")]
    assert listener.stream.retry == (0.25 if retry_ms is None else retry_ms / 1000)


@pytest.mark.parametrize("digits", ["9" * 18, "9" * 19, "18446744073709551616", "9" * 400])
def test_a_retry_beyond_all_numbers_is_a_long_one(
    serve: Serve, listen: Listen, digits: str
) -> None:
    server = serve([feed(f"retry: {digits}\n".encode() + EVENT), NO_CONTENT])
    listener = listen(server)
    listener.take(1)
    assert listener.stream.retry >= 3600
    asked = listener.waits_for_state("connecting")
    nothing_was_asked_meanwhile(server, listener, 1)
    listener.stream.restart()
    assert asked.result(30) is None


def test_a_retry_counts_without_an_event(serve: Serve, listen: Listen) -> None:
    server = serve([feed(b"retry: 0\n"), NO_CONTENT])
    assert listen(server, **DAY).rest() == []


# ---- silence -------------------------------------------------------------------------------------


def test_an_idle_timeout_is_one_error_and_then_a_new_connection(
    serve: Serve, listen: Listen
) -> None:
    server = serve([feed(b"id: 1\ndata: Hello\n\n", then="hang"), feed(EVENT), NO_CONTENT])
    listener = listen(server, client={"timeout": timeout(idle=0.25)})
    assert listener.rest() == [say("Hello", "1"), say("x", "1")]
    assert listener.losses == [millstream.Timeout, None]
    ((_, error),) = [entry for entry in listener.states if entry[1] is not None]
    assert isinstance(error, millstream.Timeout)
    assert error.phase == "idle"
    assert sent_ids(server) == [None, "1", "1"]
    assert server.connections.disconnected == 1


def test_a_head_that_does_not_come_is_a_timeout_too(serve: Serve, listen: Listen) -> None:
    server = serve([mock.Raw(b"", then="hang"), feed(EVENT), NO_CONTENT])
    listener = listen(server, client={"timeout": timeout(first_chunk=0.25)})
    assert listener.rest() == [say("x")]
    assert listener.losses == [millstream.Timeout, None]


def test_comments_feed_the_idle_clock(serve: Serve, listen: Listen) -> None:
    pings: list[bytes | float] = [part for _ in range(15) for part in (b": ping\n\n", 0.1)]
    server = serve([feed(*pings, EVENT), NO_CONTENT])
    listener = listen(server, client={"timeout": timeout(idle=1.0)})
    assert listener.rest() == [say("x")]
    assert listener.losses == [None]


def test_a_quiet_server_may_be_quiet_for_ever(serve: Serve, listen: Listen) -> None:
    server = serve([mock.Raw([head(), 1.5, EVENT, 1.5, EVENT]), NO_CONTENT])
    clocks = millstream.Timeout(connect=30, first_chunk=1.0, idle=None)
    listener = listen(server, client={"timeout": clocks})
    assert listener.rest() == [say("x")] * 2
    assert listener.losses == [None]


def test_waiting_costs_nothing(serve: Serve, listen: Listen) -> None:
    gate = mock.Gate()
    server = serve([feed(EVENT, gate, EVENT), NO_CONTENT])
    listener = listen(server, client={"timeout": timeout(idle=None)})
    listener.take(1)
    asked = listener.ask()
    before = millstream.metrics()["engine_cpu_total"]
    threading.Event().wait(1.0)  # the stretch that is measured
    # A loop that never sleeps would use all of that second.
    assert millstream.metrics()["engine_cpu_total"] - before < 0.5
    gate.open()
    assert asked.result(30) == say("x")


def test_the_total_ends_it(serve: Serve, listen: Listen) -> None:
    server = serve(feed(EVENT, then="hang"))
    listener = listen(server, client={"timeout": timeout(total=0.5)})
    listener.take(1)
    with pytest.raises(millstream.Timeout) as caught:
        listener.next()
    assert caught.value.phase == "total"
    assert listener.next() is None
    assert len(server.requests) == 1


# ---- restart -------------------------------------------------------------------------------------


def test_restart_reconnects_without_an_error(serve: Serve, listen: Listen) -> None:
    server = serve([feed(b"id: 7\ndata: Hello\n\n", then="hang"), feed(b"data: Thanks\n\n"),
                    NO_CONTENT])  # fmt: skip
    listener = listen(server, **DAY)
    listener.take(1)
    asked = listener.ask()
    Task(listener.stream.restart).result()
    assert asked.result(30) == say("Thanks", "7")
    assert listener.states == [("open", None), ("connecting", None), ("open", None)]
    assert sent_ids(server) == [None, "7"]
    assert server.connections.disconnected == 1


def test_restart_of_a_stream_that_nobody_waits_for(serve: Serve, listen: Listen) -> None:
    server = serve([feed(b"data: 1\n\n", then="hang"), feed(b"data: 2\n\n", then="hang")])
    listener = listen(server)
    listener.take(1)
    listener.stream.restart()
    assert server.wait_requests(2)
    assert listener.take(1) == [say("2")]


def test_restart_keeps_what_came_before(serve: Serve, listen: Listen) -> None:
    first = b"".join(b"id: %d\ndata: a\n\n" % n for n in range(100))
    server = serve([feed(first, then="hang"), feed(EVENT, then="hang")])
    listener = listen(server)
    assert eventually(lambda: listener.client.metrics()["events"] == 100)
    listener.stream.restart()
    assert listener.take(100) == [say("a", str(n)) for n in range(100)]
    assert listener.take(1) == [say("x", "99")]
    assert sent_ids(server) == [None, "99"]


def test_restarts_from_many_threads_do_no_harm(serve: Serve, listen: Listen) -> None:
    server = serve(lambda request: feed(EVENT, then="hang"))
    listener = listen(server)

    def restart() -> None:
        for _ in range(200):
            listener.stream.restart()

    for task in [Task(restart) for _ in range(3)]:
        task.result()
    assert listener.take(1) == [say("x")]
    assert set(listener.losses) <= {None}
    assert server.wait_until(lambda: server.connections.open == 1)


def test_restart_of_a_stream_that_has_ended_does_nothing(serve: Serve, listen: Listen) -> None:
    server = serve([NO_CONTENT, feed(EVENT)])
    listener = listen(server)
    assert listener.rest() == []
    listener.stream.restart()
    listener.stream.close()
    listener.stream.restart()
    assert listener.next() is None
    assert listener.stream.state == "closed"
    assert len(server.requests) == 1


def test_restart_while_it_connects(serve: Serve, listen: Listen) -> None:
    gate = mock.Gate()
    server = serve([mock.Raw([gate]), feed(EVENT), NO_CONTENT])
    listener = listen(server, **DAY)
    assert gate.wait_reached()
    listener.stream.restart()
    assert listener.take(1) == [say("x")]
    assert millstream.Error not in listener.losses
    assert set(listener.losses) <= {None}


# ---- a full queue --------------------------------------------------------------------------------


def test_losses_do_not_fill_the_queue_of_a_reader_that_sleeps(serve: Serve, listen: Listen) -> None:
    answers: Iterator[mock.Raw] = itertools.chain(
        itertools.repeat(feed(b"id: 1\n\n"), 1000), itertools.repeat(NO_CONTENT)
    )
    server = serve(lambda request: next(answers))
    listener = listen(
        server, max_retry=0, client={"limits": millstream.Limits(buffered_bytes=4096)}
    )
    assert server.wait_requests(3)
    assert listener.rest() == []
    assert listener.losses == [None] * 1000
    assert listener.stream.last_event_id == "1"


def test_a_stream_that_is_never_read_holds_up_no_other(serve: Serve, connect: Connect) -> None:
    flood = serve(feed(b"data: " + b"x" * 1000 + b"\n\n", then="close"))
    calm = serve([feed(EVENT), NO_CONTENT])
    client = connect(flood, limits=millstream.Limits(buffered_bytes=4096))
    sleeper = client.events(flood.origin + "/e", initial_retry=0)
    assert flood.wait_requests(2)
    assert list(client.events(calm.origin + "/e", initial_retry=0)) == [say("x")]
    sleeper.close()
