"""Faults 25 to 29: what the bytes of an event may hold."""

from __future__ import annotations

import math
import ssl
from pathlib import Path
from typing import Any

import pytest

import millstream
from answers import DONE, LAST_CHUNK, chat, http_chunks
from harness import AB, HEAD, Scene, whole
from millstream import mock

END = chat("c", finish="stop") + DONE
TEXT = "grüße, 日本語, 🎈"
CUT = {
    # bytes in a JSON string, and what the WHATWG decoder makes of them
    "a lone continuation": (b"x\x80y", "x\ufffdy"),
    "an overlong form": (b"\xc0\xaf", "\ufffd\ufffd"),
    "half an emoji": (b"\xf0\x9f\x8ey", "\ufffdy"),
    "a raw surrogate": (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
    "above U+10FFFF": (b"\xf4\x90\x80\x80", "\ufffd" * 4),
    "no UTF-8 at all": (b"\xff\xfe", "\ufffd\ufffd"),
}


def said(text: bytes) -> bytes:
    """A chat event with these bytes inside its JSON string."""
    return b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % text


@pytest.mark.parametrize("case", CUT)
def test_fault_25_invalid_utf8(scene: Scene, case: str) -> None:
    sent, expected = CUT[case]
    assert sent.decode(errors="replace") == expected
    for sizes in (None, 1):
        answer = mock.Replay(said(sent) + END, sizes=sizes, headers={"Connection": "close"})
        scene.meet(answer).is_success(expected + "c")


@pytest.mark.parametrize("apart", ["a packet", "an HTTP chunk", "a TLS record"])
def test_fault_25_a_character_cut_in_two(scene: Scene, apart: str, signed_by_itself: Path) -> None:
    """Each byte of the text is a packet, an HTTP chunk or a TLS record of its own."""
    event = said(TEXT.encode())
    one_by_one = [bytes([byte]) for byte in event]
    if apart == "an HTTP chunk":
        parts = [HEAD, *(http_chunks([byte]) for byte in one_by_one), http_chunks([END])]
    else:
        parts = [HEAD, b"%x\r\n" % len(event), *one_by_one, b"\r\n", http_chunks([END])]
    tls, options = None, {}
    if apart == "a TLS record":
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(signed_by_itself)
        options["verify"] = str(signed_by_itself)
    outcome = scene.meet(mock.Raw([*parts, LAST_CHUNK]), tls=tls, **options)
    outcome.is_success(TEXT + "c")
    assert outcome.chunks[0].text == TEXT


@pytest.mark.parametrize("kind", ["[", '{"a":'])
def test_fault_26_a_hundred_thousand_levels(scene: Scene, kind: str) -> None:
    nested = b'data: {"x":' + kind.encode() * 100_000 + b"\n\n"
    error = scene.meet(whole(chat("a"), nested, END)).is_error(millstream.LimitExceeded, "a")
    assert "json_depth" in str(error)


def test_fault_27_keys_twice(scene: Scene) -> None:
    delta = b'{"content":"no","content":"b"}'
    twice = b'data: {"choices":[{"index":0,"delta":{"content":"no"},"delta":%b}]}\n\n' % delta
    scene.meet(whole(chat("a"), twice, END)).is_success("abc")


def number(digits: bytes) -> bytes:
    return b'data: {"choices":[{"index":0,"delta":{"content":"b"}}],"x":%b}\n\n' % digits


def test_fault_28_numbers_without_measure(scene: Scene) -> None:
    endless = scene.meet(whole(chat("a"), number(b"1" * 1_000_000), END))
    endless.is_error(millstream.LimitExceeded, "a")
    outcome = scene.meet(whole(chat("a"), number(b"1e400"), END))
    outcome.is_success("abc")
    assert outcome.chunks[1].json()["x"] == math.inf


SURROGATES: dict[str, tuple[list[bytes], str]] = {
    "a lone first half": ([rb"x\ud800A"], "x\ufffdA"),
    "a lone second half": ([rb"\udc00A"], "\ufffdA"),
    "in the wrong order": ([rb"\udc00\ud800A"], "\ufffd\ufffdA"),
    "two first halves": ([rb"\ud83d\ud83c\udf88"], "\ufffd🎈"),
    "a pair over two deltas": ([rb"a\ud83c", rb"\udf88b"], "a🎈b"),
    "halves that do not meet": ([rb"a\ud83c", b"b", rb"\udf88"], "a\ufffdb\ufffd"),
    "at the end": ([rb"a\ud83c"], "a\ufffd"),
}


@pytest.mark.parametrize("sizes", [None, 1], ids=["whole", "byte by byte"])
@pytest.mark.parametrize("case", SURROGATES)
def test_fault_29_lone_surrogates(scene: Scene, case: str, sizes: int | None) -> None:
    pieces, expected = SURROGATES[case]
    events = b"".join(map(said, pieces))
    end = chat(finish="stop") + DONE
    answer = mock.Replay(events + end, sizes=sizes, headers={"Connection": "close"})
    outcome = scene.meet(answer)
    outcome.is_success(expected)
    assert all(chunk.text.encode().decode() == chunk.text for chunk in outcome.chunks)
    raw = b"".join(chunk.raw for chunk in outcome.chunks)
    assert all(piece in raw for piece in pieces)


def test_the_scene_can_fail(scene: Scene) -> None:
    """A stream that is cut is no success, and the checks see it."""
    outcome = scene.meet(mock.Raw([HEAD, AB]))
    with pytest.raises(millstream.StreamInterrupted):
        outcome.is_success("ab")
    wrong: list[Any] = [millstream.ConnectError, millstream.Error]
    for kind in wrong:
        with pytest.raises(AssertionError):
            outcome.is_error(kind, "ab")
