"""The cassette: HTTP exchanges in a file of JSON lines, and how two requests are compared.

One exchange is a line that holds the request and the head of its answer, a line for each piece of
the answer's body, and a line that says how it ended. `at` is in seconds since the request had been
sent::

    {"cassette": 1, "upstream": "https://…/v1", "method": "POST", "path": "/v1/chat/completions", …}
    {"at": 0.412081, "text": "data: {…}\\n\\n"}
    {"at": 0.430112, "base64": "4oI="}
    {"at": 0.951006, "end": "complete"}

A file may hold many, one after the other; files may be joined with `cat`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args
from urllib.parse import urlsplit

from ..mock import Request
from ._secrets import Secrets

VERSION = 1
_BODY_LIMIT = 64 * 1024  # of a request; what is longer is kept as its hash
_SHOWN_DIFFERENCES = 3
_SHOWN_CHARACTERS = 80

End: TypeAlias = Literal["complete", "cut", "left"]
"""How an answer ended: whole; cut off by the server; or left by the client while it went on."""

Piece: TypeAlias = tuple[float, bytes]
"""Seconds since the request had been sent, and bytes of the body that came together."""


class CassetteError(ValueError):
    """The file is no cassette, or of a version that is not known here."""


@dataclass(frozen=True)
class Exchange:
    """One request and its answer, without any secret.

    request: what is compared on replay: `method`, `path`, `query` and `body`. The body is None, or
        an object with one of `json`, `text`, `base64`, or `sha256` and `bytes` of a long one.
    pieces: the answer's body as it came; of HTTP's chunked coding only the sizes are left.
    head_at, end_at: when its head and its end came, in seconds since the request had been sent.
    """

    upstream: str
    request: Mapping[str, Any]
    request_headers: Mapping[str, str]
    status: int
    headers: Mapping[str, str]
    head_at: float
    pieces: tuple[Piece, ...] = field(repr=False)
    end: End
    end_at: float

    @property
    def body(self) -> bytes:
        """The whole body of the answer."""
        return b"".join(piece for _, piece in self.pieces)


def target(path: str) -> str:
    """The path alone: a client that takes the server for its proxy names the whole URL."""
    return path if path.startswith("/") else urlsplit(path).path or "/"  # RFC 9112, 3.2.2


def asked(request: Request, secrets: Secrets) -> dict[str, Any]:
    """What of a request is compared, without its secrets."""
    return {
        "method": request.method,
        "path": secrets.masked(target(request.path)),
        "query": secrets.masked_query(request.query),
        "body": _body(request, secrets),
    }


def _body(request: Request, secrets: Secrets) -> dict[str, Any] | None:
    body = request.body
    if not body:
        return None
    if "content-encoding" in request.headers:  # no secret would be found inside
        return _hash(body)
    try:
        text = body.decode()
    except UnicodeDecodeError:
        masked = secrets.starred(body)
        kept: dict[str, Any] = {"base64": base64.b64encode(masked).decode()}
    else:
        try:
            value = json.loads(text)
            # As the same text, however it was written: escapes would hide a secret.
            plain = json.dumps(value, ensure_ascii=False, sort_keys=True)
            masked = secrets.masked(plain).encode("utf-8", "surrogatepass")
            kept = {"json": json.loads(masked)}
        except ValueError:
            masked = secrets.masked(text).encode()
            kept = {"text": masked.decode()}
    return _hash(masked) if len(masked) > _BODY_LIMIT else kept


def _hash(body: bytes) -> dict[str, Any]:
    return {"sha256": hashlib.sha256(body).hexdigest(), "bytes": len(body)}


def differences(recorded: object, given: object, at: str = "") -> Iterator[str]:
    """What differs in two requests, in words."""
    if isinstance(recorded, dict) and isinstance(given, dict):
        for key in [*recorded, *(key for key in given if key not in recorded)]:
            place = f"{at}.{key}" if at else str(key)
            if key not in recorded:
                yield f"{place} was not recorded, and is now {_shown(given[key])}"
            elif key not in given:
                yield f"{place} was {_shown(recorded[key])}, and is missing now"
            else:
                yield from differences(recorded[key], given[key], place)
    elif isinstance(recorded, list) and isinstance(given, list):
        for index, (one, other) in enumerate(zip(recorded, given, strict=False)):
            yield from differences(one, other, f"{at}[{index}]")
        if len(recorded) != len(given):
            yield f"{at} had {len(recorded)} items, and has {len(given)} now"
    elif recorded != given or isinstance(recorded, bool) != isinstance(given, bool):
        yield f"{at} was {_shown(recorded)}, and is {_shown(given)} now"


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"


def why_not(given: Mapping[str, Any], recorded: Iterable[Exchange]) -> str:
    """Why no exchange fits a request: what differs from the one that is nearest."""
    name = f"{given['method']} {given['path']}"
    found = [(list(differences(each.request, given)), each) for each in recorded]
    if not found:
        return f"nothing is left on the cassette for {name}"
    nearest, exchange = min(
        found, key=lambda pair: (pair[1].request["path"] != given["path"], len(pair[0]))
    )
    if not nearest:
        return f"{name} was asked more often than it was recorded"
    more = len(nearest) - _SHOWN_DIFFERENCES
    said = "; ".join(nearest[:_SHOWN_DIFFERENCES]) + (f"; and {more} more" if more > 0 else "")
    where = f"{exchange.request['method']} {exchange.request['path']}"
    return f"{name} was not recorded so; in the nearest, {where}, {said}"


# ---- the file ------------------------------------------------------------------------------------


class Writer:
    """Puts exchanges into a file, each at once and whole. Any thread may."""

    def __init__(self, path: str | os.PathLike[str], append: bool) -> None:
        self.path = Path(path)
        self._append = append
        self._lock = threading.Lock()

    def begin(self) -> None:
        """What the file held is gone, unless this appends."""
        if not self._append:
            self.path.unlink(missing_ok=True)

    def write(self, exchange: Exchange) -> None:
        """The file is made with the first; it is closed between two, so that it may be read."""
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in _lines(exchange))
        with self._lock:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "ab") as file:
                file.write(text.encode("utf-8", "backslashreplace"))  # a lone surrogate: escaped


def _lines(exchange: Exchange) -> Iterator[dict[str, Any]]:
    yield {
        "cassette": VERSION,
        "upstream": exchange.upstream,
        **exchange.request,
        "request_headers": dict(exchange.request_headers),
        "status": exchange.status,
        "headers": dict(exchange.headers),
        "at": round(exchange.head_at, 6),
    }
    for seconds, piece in exchange.pieces:
        yield {"at": round(seconds, 6), **_text_or_base64(piece)}
    yield {"at": round(exchange.end_at, 6), "end": exchange.end}


def _text_or_base64(piece: bytes) -> dict[str, str]:
    try:
        return {"text": piece.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(piece).decode()}


def read(path: str | os.PathLike[str]) -> list[Exchange]:
    """The exchanges of a cassette, in their order. `CassetteError` names the line that is wrong."""
    exchanges: list[Exchange] = []
    head: dict[str, Any] | None = None
    pieces: list[Piece] = []
    number = 0
    with open(path, "rb") as file:
        for number, text in enumerate(file, 1):
            try:
                line = json.loads(text)
                if "cassette" in line:
                    _check(line, begins=head is None)
                    head, pieces = line, []
                elif head is None:
                    raise CassetteError("an exchange begins with a line that holds 'cassette'")
                elif "end" in line:
                    exchanges.append(_exchange(head, pieces, line))
                    head = None
                else:
                    pieces.append((float(line["at"]), _bytes(line)))
            except (ValueError, TypeError, KeyError, RecursionError) as why:
                said = f"no {why}" if isinstance(why, KeyError) else str(why)
                raise CassetteError(f"{path}, line {number}: {said}") from None
    if head is not None:
        raise CassetteError(f"{path}, line {number}: the last exchange has no end")
    return exchanges


def _check(line: Mapping[str, Any], begins: bool) -> None:
    if line["cassette"] != VERSION:
        raise CassetteError(
            f"a cassette of version {line['cassette']}; known here is version {VERSION}"
        )
    if not begins:
        raise CassetteError("the exchange before this one has no end")


def _bytes(line: Mapping[str, Any]) -> bytes:
    if "text" in line:
        text: str = line["text"]
        return text.encode()
    return base64.b64decode(line["base64"], validate=True)


def _exchange(head: Mapping[str, Any], pieces: list[Piece], last: Mapping[str, Any]) -> Exchange:
    if last["end"] not in get_args(End):
        raise CassetteError(f"no known end: {last['end']!r}")
    return Exchange(
        upstream=head["upstream"],
        request={name: head[name] for name in ("method", "path", "query", "body")},
        request_headers=head["request_headers"],
        status=int(head["status"]),
        headers=head["headers"],
        head_at=float(head["at"]),
        pieces=tuple(pieces),
        end=last["end"],
        end_at=float(last["at"]),
    )
