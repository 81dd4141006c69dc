"""Faults 10 to 24 and 61 to 64: answers that are no stream, errors, compression, limits."""

from __future__ import annotations

import email.utils
import gzip
import itertools
import json
import time
import zlib
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest

import millstream
from answers import DONE, LAST_CHUNK, chat, event, head, http_chunks
from harness import AB, FINE, HEAD, MIB, Scene, memory_within, repeated, whole
from millstream import mock

AT_ONCE = {"Retry-After": "0"}
END = chat("c", finish="stop") + DONE


def body(data: bytes, content_type: str, status: str = "200 OK") -> mock.Raw:
    """An answer that is no stream."""
    length = str(len(data))
    fields = {"Content_Type": content_type, "Content_Length": length, "Connection": "close"}
    return mock.Raw(head(status, **fields) + data)


def test_fault_10_html(scene: Scene) -> None:
    page = b"<html>" + b"x" * 100_000
    outcome = scene.meet(body(page, "text/html; charset=utf-8"), max_retries=3)
    error = outcome.is_error(millstream.ProtocolError, status=200, body=page[:65536])
    assert "text/html" in str(error)


def test_fault_11_an_error_object_instead_of_a_stream(scene: Scene) -> None:
    said = {"error": {"message": "Too long.", "type": "t", "code": "context_length"}}
    outcome = scene.meet(body(json.dumps(said).encode(), "application/json"), max_retries=3)
    error = outcome.is_error(millstream.ProviderError, code="context_length")
    assert "Too long." in str(error)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2", 2.0),
        ("1.5", 1.5),
        ("0", 0.0),
        (" 3 ", 3.0),
        ("Wed, 99 Oct 2015 07:28:00 GMT", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("999999999999", 86400.0),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
def test_fault_12_retry_after(scene: Scene, value: str, seconds: float | None) -> None:
    outcome = scene.meet(mock.Error(429, headers={"Retry-After": value, "Connection": "close"}))
    outcome.is_error(millstream.RateLimited, status=429, retry_after=seconds)


def test_fault_12_retry_after_as_a_date(scene: Scene) -> None:
    date = email.utils.formatdate(time.time() + 3600, usegmt=True)
    outcome = scene.meet(mock.Error(429, headers={"Retry-After": date, "Connection": "close"}))
    error = outcome.is_error(millstream.RateLimited, status=429)
    assert error.retry_after is not None
    assert 3600 - 120 < error.retry_after <= 3600


@pytest.mark.parametrize("status", [500, 502, 503, 529])
def test_fault_13_a_server_error_before_the_first_event(scene: Scene, status: int) -> None:
    down = mock.Error(status, "Down.", headers={**AT_ONCE, "Connection": "close"})
    outcome = scene.meet(down)
    assert "Down." in str(outcome.is_error(millstream.ServerError, status=status))
    tried = scene.meet(down, down, max_retries=2)
    tried.is_success(FINE)
    assert tried.retries == 2


def test_fault_13_an_error_whose_body_never_ends(scene: Scene) -> None:
    answer = [head("503 Service Unavailable", Content_Length="100"), b"Down."]
    clocks = millstream.Timeout(first_chunk=0.25)
    outcome = scene.meet(mock.Raw(answer, then="hang"), timeout=clocks)
    outcome.is_error(millstream.ServerError, status=503, body=b"Down.")


@pytest.mark.parametrize("code", ["overloaded", 429, 500], ids=repr)
def test_fault_14_an_error_in_the_middle(scene: Scene, code: Any) -> None:
    error = event({"error": {"message": "It stopped.", "code": code}})
    kinds = {429: millstream.RateLimited, 500: millstream.ServerError}
    outcome = scene.meet(whole(chat("a"), chat("b"), error), max_retries=3)
    assert isinstance(outcome.error, millstream.ProviderError)
    assert isinstance(outcome.error, kinds.get(code, millstream.ProviderError))
    assert "It stopped." in str(outcome.error)
    assert (outcome.text, outcome.retries) == ("ab", 0)


# ---- compression ---------------------------------------------------------------------------------


def zipped(data: bytes) -> mock.Raw:
    return whole(data, Content_Encoding="gzip")


@pytest.mark.parametrize("some", [False, True], ids=["before any event", "after some"])
def test_fault_15_gzip_cut_short(scene: Scene, some: bool) -> None:
    """The compressed bytes end early and the HTTP around them is all right."""
    packer = zlib.compressobj(wbits=31)
    first = packer.compress(chat("a") + chat("b")) + packer.flush(zlib.Z_SYNC_FLUSH)
    rest = packer.compress(END) + packer.flush()
    data = first + rest[:3] if some else first[: len(first) // 3]
    outcome = scene.meet(zipped(data), compression=True)
    outcome.is_error(millstream.StreamInterrupted, "ab" if some else "")


def test_fault_16_gzip_with_a_bad_checksum(scene: Scene) -> None:
    good = gzip.compress(chat("a") + chat("b") + END)
    scene.meet(zipped(good), compression=True).is_success("abc")
    bad = good[:-8] + bytes(4) + good[-4:]
    scene.meet(zipped(bad), compression=True).is_error(millstream.ProtocolError, "abc")


def test_fault_16_garbage_as_gzip(scene: Scene) -> None:
    outcome = scene.meet(zipped(b"this is no gzip at all"), compression=True)
    outcome.is_error(millstream.ProtocolError)
    unasked = scene.meet(zipped(gzip.compress(chat("a") + END)))
    assert "compressed" in str(unasked.is_error(millstream.ProtocolError))


@cache
def bomb() -> bytes:
    """256 MiB of one data line, packed into a quarter of one."""
    packer = zlib.compressobj(level=1, wbits=31)
    packed = [packer.compress(chat("a") + chat("b") + b"data: "), packer.flush(zlib.Z_SYNC_FLUSH)]
    packed += [packer.compress(bytes(MIB)) for _ in range(256)]
    return b"".join([*packed, packer.flush()])


def test_fault_17_gzip_bomb(scene: Scene) -> None:
    limits = millstream.Limits(event_bytes=4 * MIB)
    answer = zipped(bomb())
    with memory_within(64 * MIB):
        outcome = scene.meet(answer, compression=True, limits=limits)
    outcome.is_error(millstream.LimitExceeded, "ab")


# ---- heads ---------------------------------------------------------------------------------------

HEADERS = {
    "60,000": b"".join(b"X-%d: y\r\n" % n for n in range(60_000)),
    "many of 10 KB": (b"X: " + b"y" * 10_000 + b"\r\n") * 40,
    "a line of 100 KB": b"X: " + b"y" * 102_400 + b"\r\n",
    "a line of 1 MB": b"X: " + b"y" * 1_000_000 + b"\r\n",
}


@pytest.mark.parametrize("limit", [100_000, 262_144, 8 * MIB])
@pytest.mark.parametrize("case", HEADERS)
def test_fault_18_headers_without_measure(scene: Scene, case: str, limit: int) -> None:
    """Whatever header_bytes is: libcurl has limits of its own, and they are ours too."""
    answer = mock.Raw(b"HTTP/1.1 200 OK\r\n" + HEADERS[case] + b"\r\n")
    outcome = scene.meet(answer, limits=millstream.Limits(header_bytes=limit))
    assert "header" in str(outcome.is_error(millstream.LimitExceeded))


def test_fault_19_endless_1xx(scene: Scene) -> None:
    answers = itertools.repeat(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
    error = scene.meet(mock.Raw(answers)).is_error(millstream.ProtocolError)
    assert "1xx" in str(error)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nX-A: b\0c\r\n\r\n",
        b"data: hello\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"HTTP/9.9 200 OK\r\n\r\n",
    ],
    ids=["NUL in a header", "HTTP/0.9", "TLS", "HTTP/9.9"],
)
def test_fault_20_what_is_not_http(scene: Scene, answer: bytes) -> None:
    scene.meet(mock.Raw(answer), max_retries=3).is_error(millstream.ProtocolError)


@pytest.mark.parametrize("values", [("5", "6"), ("6", "5"), ("5", "x"), ("-5",), ("",)], ids=repr)
def test_fault_21_content_lengths_that_disagree(scene: Scene, values: tuple[str, ...]) -> None:
    lines = "".join(f"Content-Length: {value}\r\n" for value in values)
    answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n%b\r\ndata:x" % lines.encode()
    scene.meet(mock.Raw(answer)).is_error(millstream.ProtocolError)


# ---- limits --------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [b"data: ", b": ", b"event: ", b""], ids=repr)
def test_fault_22_an_endless_line(scene: Scene, start: bytes) -> None:
    block = http_chunks([b"x" * 65536])
    parts = itertools.chain([HEAD, AB, http_chunks([start + b"x"])], repeated([block]))
    with memory_within(64 * MIB):
        limits = millstream.Limits(event_bytes=4 * MIB)
        outcome = scene.meet(mock.Raw(parts), limits=limits)
    outcome.is_error(millstream.LimitExceeded, "ab")


def large_event(size: int) -> Iterator[bytes]:
    """A chat event whose text has that many bytes, then the end."""
    before, after = chat("\0").replace(b"\\u0000", b"\0").split(b"\0")
    yield HEAD + AB + http_chunks([before])
    for _ in range(size // MIB):
        yield http_chunks([b"x" * MIB])
    yield http_chunks([after + chat(finish="stop") + DONE]) + LAST_CHUNK


def test_fault_23_one_event_of_100_mb(scene: Scene) -> None:
    refused = scene.meet(lambda _: mock.Raw(large_event(100 * MIB)))
    refused.is_error(millstream.LimitExceeded, "ab")
    limits = millstream.Limits(event_bytes=128 * MIB)
    taken = scene.meet(mock.Raw(large_event(100 * MIB)), limits=limits)
    assert taken.error is None
    assert len(taken.text) == 2 + 100 * MIB


def test_fault_24_nul(scene: Scene) -> None:
    """A NUL is text like any other; an id that holds one is ignored."""
    ids = b"id: 1\n" + chat("x\0y") + b"id: 2\0\n" + chat("\0")
    outcome = scene.meet(whole(ids, END))
    outcome.is_success("x\0y\0c")
    assert [chunk.event.id for chunk in outcome.chunks][:2] == ["1", "1"]


# ---- answers that only look like streams ---------------------------------------------------------


@pytest.mark.parametrize("data", [b"", b": ping\n\n", b"\n\n", b"data"], ids=repr)
def test_fault_61_an_empty_body(scene: Scene, data: bytes) -> None:
    error = scene.meet(whole(data) if data else body(b"", "text/event-stream")).is_error(
        millstream.StreamInterrupted
    )
    assert "before its first event" in str(error)


def test_fault_62_json_without_an_error(scene: Scene) -> None:
    data = b'{"choices":[{"message":{"content":"Hi"}}]}'
    outcome = scene.meet(body(data, "application/json"), max_retries=3)
    error = outcome.is_error(millstream.ProtocolError, status=200, body=data)
    assert "application/json" in str(error)
    assert "streaming" in str(error)


GLUED = {
    "in the line": b'data: {"choices":[{"index":0,"delta":{"con{"error":{"message":"Dead."}}\n\n',
    "after half an event": b'data: {"choices":[{"in\n\ndata: {"error":{"message":"Dead."}}\n\n',
    "as a field": b'error: {"code":500,"message":"Dead."}\n\n',
    "outside of any event": b'{"error":{"message":"Dead."}}',
}


@pytest.mark.parametrize("goes_on", [False, True], ids=["and ends", "and ends as if nothing were"])
@pytest.mark.parametrize("case", GLUED)
def test_fault_63_an_error_in_a_wrong_place(scene: Scene, case: str, goes_on: bool) -> None:
    data = chat("a") + chat("b") + GLUED[case] + (b"\n\n" + DONE if goes_on else b"")
    outcome = scene.meet(whole(data))
    kinds = (millstream.ProviderError, millstream.ProtocolError, millstream.StreamInterrupted)
    assert isinstance(outcome.error, kinds)
    assert outcome.text == "ab"


PIECES = ["\ufeffa\u2028", "b\u2029\u0085", "\x0b\x0c\x1c\x1d\x1e", "data: [DONE]", "[DONE]"]
PIECES += ["\n\ndata: [DONE]\n\n", "event: error\ndata: {}\n\n", "\ufeffdata: ", "日本語 🎈"]


@pytest.mark.parametrize("sizes", [None, 1], ids=["whole", "byte by byte"])
def test_fault_64_text_that_looks_like_framing(scene: Scene, sizes: int | None) -> None:
    raw = [json.dumps(piece, ensure_ascii=False).encode() for piece in PIECES]
    events = [b'data: {"choices":[{"index":0,"delta":{"content":%b}}]}\n\n' % text for text in raw]
    data = b"".join(events) + END
    outcome = scene.meet(mock.Replay(data, sizes=sizes, headers={"Connection": "close"}))
    outcome.is_success("".join(PIECES) + "c")
    assert [chunk.text for chunk in outcome.chunks[: len(PIECES)]] == PIECES
