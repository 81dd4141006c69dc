"""Frames of `application/vnd.amazon.eventstream`.

A frame is its length, the length of its headers, the CRC of those eight bytes, the headers, the
payload, and the CRC of all that. Numbers are big-endian; the CRC is that of zlib.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping

from ._format import compact, encoded

_STRING = 7  # the type of a header's value
_PRELUDE_AND_CRCS = 16
_PADDING = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def event(kind: str, value: Mapping[str, object]) -> bytes:
    """A frame with an event. The payload is padded, to hide how long its texts are."""
    text = compact(value)
    padded = compact({**value, "p": _PADDING[: 1 + len(text) * 7 % len(_PADDING)]})
    return _frame({":event-type": kind, **_JSON, ":message-type": "event"}, padded)


def exception(kind: str, value: Mapping[str, object]) -> bytes:
    """A frame that ends the stream with an error."""
    headers = {":exception-type": kind, **_JSON, ":message-type": "exception"}
    return _frame(headers, compact(value))


_JSON = {":content-type": "application/json"}


def _frame(headers: Mapping[str, str], text: str) -> bytes:
    payload = encoded(text)
    head = b"".join(_header(name.encode(), value.encode()) for name, value in headers.items())
    prelude = struct.pack(">II", _PRELUDE_AND_CRCS + len(head) + len(payload), len(head))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + payload
    return message + struct.pack(">I", zlib.crc32(message))


def _header(name: bytes, value: bytes) -> bytes:
    sizes = struct.pack(">B", len(name)), struct.pack(">BH", _STRING, len(value))
    return sizes[0] + name + sizes[1] + value
