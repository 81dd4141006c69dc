"""`_core.frame`: a JSON string in an event, held to json.loads and to where a frame may stand."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from conftest import Ask
from millstream import _core, mock

# Between two code points stands one that takes no escape: two surrogates would be read as one.
EVERY = "".join(chr(point) + "-" for point in range(0x110000))
LONG = 64 * 1024  # from here on the GIL is released


def body(text: Any) -> bytes:
    return _core.frame(b'"', text, b'"')


def test_every_code_point_comes_back() -> None:
    assert json.loads(body(EVERY)) == EVERY


@pytest.mark.parametrize("forbidden", [*map(chr, range(0x20)), "<", "\u2028", "\u2029"], ids=ascii)
def test_what_may_not_stand_in_a_script_or_a_line_is_escaped(forbidden: str) -> None:
    escaped = body(f"a{forbidden}b")
    assert forbidden.encode() not in escaped
    assert json.loads(escaped) == f"a{forbidden}b"
    assert body("</script><!--" + forbidden).count(b"<") == 0


def test_the_rest_stands_for_itself() -> None:
    plain = "".join(
        each for each in EVERY if each >= " " and each not in '"\\<\u2028\u2029' and not (
            "\ud800" <= each <= "\udfff"
        )
    )  # fmt: skip
    assert body(plain) == b'"' + plain.encode() + b'"'


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ('"', rb"\""),
        ("\\", rb"\\"),
        ("\b\t\n\f\r", rb"\b\t\n\f\r"),
        ("\0\x1f", rb"\u0000\u001f"),
        ("\x7f/", b"\x7f/"),
        ("<", rb"\u003c"),
        ("\u2027\u2028\u2029\u202a", b"\xe2\x80\xa7\\u2028\\u2029\xe2\x80\xaa"),
        ("\ud7ff\ud800\udfff\ue000", b"\xed\x9f\xbf\\ud800\\udfff\xee\x80\x80"),
        ("", b""),
    ],
    ids=ascii,
)
def test_escapes_are_these(text: str, escaped: bytes) -> None:
    assert body(text) == b'"' + escaped + b'"'


@pytest.mark.parametrize("length", [1, 2, 3, 7, 8, 9, LONG - 1, LONG, LONG + 1])
@pytest.mark.parametrize("odd", ["", '"', "\u2028", "é"], ids=ascii)
def test_any_length(length: int, odd: str) -> None:
    for text in (odd + "x" * length, "x" * length + odd):
        assert json.loads(body(text)) == text


def test_head_tail_and_number() -> None:
    assert _core.frame(b"data: ", "x", b"\n\n") == b"data: x\n\n"
    assert _core.frame(b"data: ", "x", b"\n\n", 0) == b"id: 0\ndata: x\n\n"
    assert _core.frame(b"", "", b"", (1 << 63) - 1) == b"id: 9223372036854775807\n"


def test_what_is_no_text_is_refused() -> None:
    for wrong in (b"x", None, 1):
        with pytest.raises(TypeError):
            body(wrong)
    wrong_arguments: list[Any] = [
        ("x", "x", b""), (b"", "x", "x"), (b"", "x", b"", "1"), (b"", "x"), (b"", "x", b"", 1, 2),
    ]  # fmt: skip
    for arguments in wrong_arguments:
        with pytest.raises(TypeError):
            _core.frame(*arguments)
    with pytest.raises(OverflowError):
        _core.frame(b"", "x", b"", 1 << 63)


def test_a_chunk_is_its_text(ask: Ask) -> None:
    texts = ["plain", 'a "b"\n', "grüße 日本 🎈", "\u2028", "x" * LONG]
    answer = mock.Answer(texts, reasoning=["r"], tool_calls=[mock.ToolCall("t", '{"a": "ü"}')])
    chunks = list(ask(answer))
    assert [body(chunk) for chunk in chunks if chunk.text] == [body(text) for text in texts]
    assert [body(chunk) for chunk in chunks if chunk.reasoning] == [b'"r"']
    pieces = [body(chunk) for chunk in chunks if chunk.type == "tool_call"]
    assert "".join(map(json.loads, pieces)) == '{"a": "ü"}'


def test_a_long_text_is_escaped_without_the_gil() -> None:
    """Another thread goes on meanwhile: each makes its own, of the same text."""
    text = '"\u2028' * (1 << 20)
    frames: list[bytes] = []
    threads = [threading.Thread(target=lambda: frames.append(body(text))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert frames == [b'"' + rb"\"\u2028" * (1 << 20) + b'"'] * 4
