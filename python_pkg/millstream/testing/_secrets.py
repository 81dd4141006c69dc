"""Masks: no key, cookie, password or signature gets into a cassette.

What is one: the values of headers and of query parameters whose names say so, those values wherever
else they stand, JSON strings whose names say so, and texts in the form of the usual keys. In what a
request says it becomes "***", so that a replay may use another key; in an answer as many stars as
it had bytes, so that every length in it stays true.
"""

from __future__ import annotations

import base64
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise
from urllib.parse import parse_qsl, unquote, urlsplit

from .._types import masked
from ..mock import Request

_MASK = "***"
_SHORTEST = 8  # a shorter value is looked for in no other place: it may be a word like any other

# The keys of providers, cloud credentials, signed tokens; each begins where no word goes on.
_FORMS = re.compile(
    rb"(?<![A-Za-z0-9])(?:"
    rb"(?:sk|rk|ek|gsk|csk|xai|pplx|nvapi|hf|r8|glpat)[-_][A-Za-z0-9_-]{16,}|"
    rb"AIza[\w-]{30,}|ya29\.[\w-]{20,}|(?:AKIA|ASIA)[A-Z0-9]{16}|"
    rb"gh[pousr]_\w{30,}|github_pat_\w{30,}|xox[abeprs]-[\w-]{10,}|"
    rb"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*)"
)
_BEARER = re.compile(rb"(?i:bearer\s+)([\w.~+/-]{16,}=*)")
# A name and its string; and the same inside of a string.
_PAIRS = (
    re.compile(rb'"([\w-]{1,64})"\s*:\s*"((?:[^"\\]|\\.)+)"'),
    re.compile(rb'\\"([\w-]{1,64})\\"\s*:\s*\\"([^"\\]+)\\"'),
)
_WORD = re.compile(rb"[A-Z]?[a-z0-9]+|[A-Z0-9]+")
_ALONE = frozenset(
    (b"apikey", b"authorization", b"credential", b"credentials", b"passphrase", b"passwd",
     b"password", b"secret")
)  # fmt: skip
_BEFORE_KEY = frozenset((b"access", b"api", b"auth", b"encryption", b"private", b"signing"))
_BEFORE_TOKEN = frozenset(
    (b"access", b"api", b"auth", b"bearer", b"id", b"refresh", b"security", b"session")
)
_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)|Signature=(\w+)")
_FRAMED_BYTES = re.compile(rb'("bytes"\s*:\s*")([A-Za-z0-9+/]+=*)"')
_FRAMES = "application/vnd.amazon.eventstream"


class Secrets:
    """The secrets of one exchange: those that its request and its URL hold, and all by their form.

    Made of the request before anything of it is kept.
    """

    def __init__(self, request: Request, url: str = "") -> None:
        found = [*_in_headers(request.headers), *_in_query(request.query), *_in_url(url)]
        values = sorted({each for each in found if len(each) >= _SHORTEST}, key=len, reverse=True)
        self._known = re.compile(b"|".join(map(_written, values))) if values else None

    def masked(self, text: str) -> str:
        """A text of the request."""
        content = text.encode("utf-8", "surrogatepass")
        return self._replaced(content, lambda secret: _MASK.encode()).decode(
            "utf-8", "surrogatepass"
        )

    def starred(self, content: bytes) -> bytes:
        """Bytes of the answer, as long as they were."""
        return self._replaced(content, lambda secret: b"*" * len(secret))

    def masked_query(self, query: str) -> str:
        """A query, with the parameters that carry a secret masked."""
        kept = []
        for parameter in query.split("&") if query else []:
            name, equals, value = parameter.partition("=")
            hides = equals and _is_secret_parameter(unquote(name), value)
            kept.append(f"{name}={_MASK}" if hides else self.masked(parameter))
        return "&".join(kept)

    def masked_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Headers, of a request or of an answer."""
        return {name: self._header(name, value) for name, value in headers.items()}

    def starred_answer(self, body: bytes, content_type: str) -> bytes:
        """The body of an answer in its framing, whose checksums are put right."""
        if content_type.lower().startswith(_FRAMES):
            return b"".join(self._frames(body))
        return self.starred(body)

    def _header(self, name: str, value: str) -> str:
        if "ratelimit" in name.lower():  # counts tokens
            return value
        shown = masked(name, value)
        return shown if shown != value else self.masked(value)

    def _replaced(self, content: bytes, mask: Callable[[bytes], bytes]) -> bytes:
        if self._known is not None:
            content = self._known.sub(lambda match: mask(match[0]), content)
        content = _FORMS.sub(lambda match: mask(match[0]), content)
        content = _BEARER.sub(lambda match: _within(match, 1, mask), content)
        for pairs in _PAIRS:
            content = pairs.sub(
                lambda match: _within(match, 2, mask) if _names_secret(match[1]) else match[0],
                content,
            )
        return content

    def _frames(self, body: bytes) -> Iterator[bytes]:
        """AWS's event stream: length, length of the headers, CRC, headers, payload, CRC."""
        while len(body) >= 16:
            size, head = struct.unpack(">II", body[:8])
            if not 16 + head <= size <= len(body):
                break  # cut off, or no frame
            frame, body = body[:size], body[size:]
            payload = self._payload(frame[12 + head : -4])
            message = frame[: 12 + head] + payload
            yield message + struct.pack(">I", zlib.crc32(message))
        yield self.starred(body)

    def _payload(self, payload: bytes) -> bytes:
        return self.starred(_FRAMED_BYTES.sub(self._inner, payload))

    def _inner(self, match: re.Match[bytes]) -> bytes:
        try:
            inner = base64.b64decode(match[2], validate=True)
        except ValueError:
            return match[0]
        return match[1] + base64.b64encode(self.starred(inner)) + b'"'


def _within(match: re.Match[bytes], group: int, mask: Callable[[bytes], bytes]) -> bytes:
    """What was found, with one group of it masked."""
    whole, begin = match[0], match.start()
    at, end = match.start(group) - begin, match.end(group) - begin
    return whole[:at] + mask(match[group]) + whole[end:]


def _names_secret(name: bytes) -> bool:
    """The name of a JSON string says that it is one: `api_key`, `clientSecret`; not `token`."""
    words = [word.lower() for word in _WORD.findall(name)]
    if _ALONE & {*words}:
        return True
    pairs = pairwise(words)
    return any(
        (word == b"key" and before in _BEFORE_KEY) or (word == b"token" and before in _BEFORE_TOKEN)
        for before, word in pairs
    )


def _is_secret_parameter(name: str, value: str) -> bool:
    return name.lower() in ("sig", "code") or masked(name, value) != value


def _in_headers(headers: Mapping[str, str]) -> Iterator[str]:
    for name, value in headers.items():
        if masked(name, value) == value:
            continue
        scheme, _, credential = value.partition(" ")
        yield from (value, credential)
        if scheme.lower() == "basic":
            yield from _basic(credential)
        elif "cookie" in name.lower():
            yield from (pair.partition("=")[2].strip() for pair in value.split(";"))
        yield from (key or signature for key, signature in _CREDENTIAL.findall(value))


def _basic(credential: str) -> Iterator[str]:
    try:
        said = base64.b64decode(credential).decode("latin-1")
    except ValueError:
        return
    yield said
    yield said.partition(":")[2]


def _in_query(query: str) -> Iterator[str]:
    for name, value in parse_qsl(query):
        if _is_secret_parameter(name, value):
            yield value


def _in_url(url: str) -> Iterator[str]:
    password = urlsplit(url).password
    if password:
        yield unquote(password)


def _written(value: str) -> bytes:
    """The pattern of a value however it is written elsewhere: as it is, in JSON, in JSON inside of
    a string, in a URL. Which marks are escaped is a matter of who writes it."""
    return b"".join(map(_character, value))


def _character(one: str) -> bytes:
    plain = one.encode("utf-8", "surrogatepass")
    if one.isascii() and one.isalnum():
        return plain
    if one == "\\":  # as often as two strings around it need, and not more: it could be anywhere
        return rb"(?:\\{1,4}|%5[cC])"
    units = struct.iter_unpack(">H", one.encode("utf-16-be", "surrogatepass"))
    in_json = b"".join(rb"\\+u%04x" % unit for (unit,) in units)
    in_url = b"".join(b"%%%02x" % byte for byte in plain) + (rb"|\+" if one == " " else b"")
    return rb"(?:\\*%s|(?i:%s|%s))" % (re.escape(plain), in_json, in_url)
