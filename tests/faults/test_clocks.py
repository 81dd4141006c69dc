"""Faults 30 to 33 and 59: silence, servers that drip, and redirects."""

from __future__ import annotations

import itertools
import time
from typing import Any

import pytest

import millstream
from answers import LAST_CHUNK, chat, head, http_chunks
from conftest import Listen, Serve
from harness import AB, FINE_ANSWER, HEAD, Scene, patient, repeated
from listener import NO_CONTENT, data_of
from millstream import mock

SHORT_S = 0.25
PING = http_chunks([b": ping\n\n"])


@pytest.mark.parametrize(("phase", "clock"), [("idle", {"idle": SHORT_S}), ("total", SHORT_S)])
def test_fault_30_one_byte_at_a_time(scene: Scene, phase: str, clock: Any) -> None:
    """A byte of an event comes more often than the clock runs out, the event never."""
    slow = itertools.chain([HEAD, AB], repeated([http_chunks([b"x"]), 0.02]))
    clocks = patient(**clock) if isinstance(clock, dict) else clock
    outcome = scene.meet(mock.Raw(slow), timeout=clocks, max_retries=3)
    outcome.is_error(millstream.Timeout, "ab", phase=phase)
    assert outcome.retries == 0


def test_fault_30_an_event_source_reconnects(serve: Serve, listen: Listen) -> None:
    """What is no event and no comment does not feed the clock, however often it comes."""
    slow = mock.Raw(itertools.chain([head(), b"data: a\n\ndata: "], repeated([b"x", 0.02])))
    server = serve([slow, mock.Raw([head(), b"data: b\n\n"]), NO_CONTENT])
    listener = listen(server, client={"timeout": patient(idle=SHORT_S)})
    assert [data_of(item) for item in listener.rest()] == ["a", "b"]
    assert listener.losses == [millstream.Timeout, None]
    [late] = [error for _, error in listener.states if error is not None]
    assert isinstance(late, millstream.Timeout)
    assert late.phase == "idle"


@pytest.mark.parametrize("reconnect", [False, True])
def test_fault_30_an_event_source_meets_its_total(
    serve: Serve, listen: Listen, reconnect: bool
) -> None:
    """That clock is of the whole: another connection would be late as well."""
    slow = mock.Raw(itertools.chain([head(), b"data: a\n\ndata: "], repeated([b"x", 0.02])))
    clocks = patient(total=SHORT_S)
    listener = listen(serve(slow), reconnect=reconnect, client={"timeout": clocks})
    assert data_of(listener.take(1)[0]) == "a"
    with pytest.raises(millstream.Timeout) as caught:
        listener.next()
    assert caught.value.phase == "total"
    assert listener.next() is None


def test_fault_31_silence_after_the_first_token(scene: Scene) -> None:
    silent = mock.Raw([HEAD, AB], then="hang")
    outcome = scene.meet(silent, timeout=patient(idle=SHORT_S), max_retries=3)
    outcome.is_error(millstream.Timeout, "ab", phase="idle")
    assert outcome.retries == 0


@pytest.mark.parametrize(("before", "phase"), [(b"", "first_chunk"), (AB, "idle")], ids=repr)
def test_fault_32_comments_for_ever(scene: Scene, before: bytes, phase: str) -> None:
    pings = itertools.chain([HEAD, before], repeated([PING, 0.02]))
    outcome = scene.meet(mock.Raw(pings), timeout=patient(first_chunk=SHORT_S, idle=SHORT_S))
    outcome.is_error(millstream.Timeout, "ab" if before else "", phase=phase)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_fault_33_a_stream_follows_no_redirect(scene: Scene, status: int) -> None:
    other = scene.serve(FINE_ANSWER)
    to = {"Location": f"{other.origin}/elsewhere", "Connection": "close"}
    outcome = scene.meet(mock.Error(status, headers=to), max_retries=3)
    error = outcome.is_error(millstream.StatusError, status=status)
    assert "/elsewhere" in str(error)
    assert other.requests == []


def test_fault_33_a_redirect_to_itself(scene: Scene) -> None:
    loop = mock.Error(302, headers={"Location": "/v1/chat/completions", "Connection": "close"})
    scene.meet(loop, max_retries=3).is_error(millstream.StatusError, status=302)


def test_fault_33_events_follow_ten_redirects_and_carry_no_key_away(
    serve: Serve, listen: Listen
) -> None:
    stays = serve(mock.Raw([head(), b"data: there\n\n"], then="hang"))
    turns = [mock.Error(307, headers={"Location": f"/{n}"}) for n in range(9)]
    server = serve([*turns, mock.Error(307, headers={"Location": f"{stays.origin}/events"})])
    client = {"api_key": "sk-secret", "headers": {"X-Key": "sk-secret"}}
    event = listen(server, client=client).next()
    assert isinstance(event, millstream.Event)
    assert event.data == "there"
    assert len(server.requests) == 10
    assert "sk-secret" in str(server.requests[-1].headers)
    assert "sk-secret" not in str(stays.requests[0].headers)


def test_fault_33_events_follow_no_more(serve: Serve, listen: Listen) -> None:
    endless = serve(mock.Error(307, headers={"Location": "/again"}))
    with pytest.raises(millstream.StatusError):
        listen(endless).next()
    assert len(endless.requests) == 11


def test_fault_59_an_event_half_read_and_an_idle_client(scene: Scene) -> None:
    """While a queue is full, and while nothing comes, the engine sleeps."""
    words = b"".join(chat("x" * 100) for _ in range(500))
    gate = mock.Gate()
    end = http_chunks([chat("c", finish="stop")]) + LAST_CHUNK
    answer = mock.Raw([HEAD + http_chunks([words]), gate, end])
    full = scene.client(scene.serve(answer), limits=millstream.Limits(buffered_bytes=1000))
    half = scene.ask(full)
    waiting = scene.ask(scene.serve(mock.Raw([HEAD + AB, gate])))
    assert scene.next(half).text == "x" * 100
    assert gate.wait_reached()
    for _ in range(2):
        scene.next(waiting)
    used, begin = cpu_s(), time.monotonic()
    future = scene.wait_for_next(waiting)
    time.sleep(0.5)  # the span that is measured
    assert cpu_s() - used < (time.monotonic() - begin) / 4  # a busy loop would use all of it
    waiting.cancel()
    with pytest.raises(millstream.Cancelled):
        future.result()
    gate.open()
    assert scene.read(half).error is None
    assert half.message.text == "x" * 50_000 + "c"


def cpu_s() -> float:
    """What the engine has computed, in seconds of CPU."""
    used: float = millstream.metrics()["engine_cpu_total"]
    return used
