"""The small value types of the surface: Limits, Headers, Response, Request."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MIB = 1 << 20


class Limits:
    """What a stream may hold in memory. Reaching one is a `LimitExceeded`.

    event_bytes: one event, or one line.
    buffered_bytes: chunks that wait for the consumer; the transfer pauses above it.
    header_bytes: all headers of an answer.
    json_depth: nested arrays and objects.
    """

    __slots__ = ("buffered_bytes", "event_bytes", "header_bytes", "json_depth")

    def __init__(
        self,
        *,
        event_bytes: int = 64 * _MIB,
        buffered_bytes: int = _MIB,
        header_bytes: int = 256 << 10,
        json_depth: int = 512,
    ) -> None:
        self.event_bytes = _positive("event_bytes", event_bytes)
        self.buffered_bytes = _positive("buffered_bytes", buffered_bytes)
        self.header_bytes = _positive("header_bytes", header_bytes)
        self.json_depth = _positive("json_depth", json_depth)

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)}" for name in self.__slots__)
        return f"Limits({fields})"


def _positive(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"Limits.{name}: must be an int, not {value!r}")
    if not 0 < value < 1 << 31:
        raise ValueError(f"Limits.{name}: must be between 1 and 2**31 - 1, not {value}")
    return value


class Headers(Mapping[str, str]):
    """The headers of an answer. Names compare without case; repeated ones are joined by ", "."""

    __slots__ = ("_fields",)

    def __init__(self, block: bytes = b"") -> None:
        self._fields: dict[str, tuple[str, list[str]]] = {}
        for line in block.decode("latin-1").split("\r\n"):
            name, colon, value = line.partition(":")
            if colon:
                self._fields.setdefault(name.lower(), (name, []))[1].append(value.strip(" \t"))

    def __getitem__(self, name: str) -> str:
        return ", ".join(self._fields[name.lower()][1])

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._fields.values())

    def __len__(self) -> int:
        return len(self._fields)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._fields

    def get_all(self, name: str) -> list[str]:
        """Every value of a header, in order; [] where it is not there."""
        return list(self._fields.get(name.lower(), ("", []))[1])

    def __repr__(self) -> str:
        return f"Headers({dict(self)!r})"


_REQUEST_ID_NAMES = ("x-request-id", "request-id", "x-amzn-requestid", "apim-request-id", "cf-ray")


class Response:
    """The head of an answer.

    status: the HTTP status.
    headers: a `Headers`.
    http_version: "1.0", "1.1", "2", or "" where it is not known.
    request_id: the server's name for the request, from the header that it uses for that, or None.
    """

    __slots__ = ("headers", "http_version", "request_id", "status")

    def __init__(self, status: int, http_version: int, headers: bytes) -> None:
        self.status = status
        self.http_version = {10: "1.0", 11: "1.1", 20: "2"}.get(http_version, "")
        self.headers = Headers(headers)
        self.request_id: str | None = next(
            (self.headers[name] for name in _REQUEST_ID_NAMES if name in self.headers), None
        )

    def __repr__(self) -> str:
        return f"<Response {self.status} HTTP/{self.http_version}>"


_SECRET_WORDS = ("auth", "cookie", "credential", "key", "password", "secret", "signature", "token")


class Request:
    """What a client would send: method, URL, headers, body. Made by `Client.request_for`.

    Keys and passwords are masked: in the URL, and in headers whose name or value says that they
    carry one.

    method, url: as they go out; of the URL without user information.
    headers: a dict.
    body: bytes, or None.
    json: the value that `body` holds.
    """

    __slots__ = ("body", "headers", "json", "method", "url")

    def __init__(
        self,
        method: str,
        url: str,
        headers: tuple[tuple[str, str], ...],
        body: bytes | None,
        json: object,
    ) -> None:
        self.method = method
        self.url = without_password(url)
        self.headers = masked_headers(headers)
        self.body = body
        self.json: Any = json

    def __repr__(self) -> str:
        return f"Request({self.method!r}, {self.url!r}, {self.headers!r}, json={self.json!r})"


def masked(name: str, value: str) -> str:
    """The value of a header as it may be shown: of a secret, only its scheme ("Bearer ***")."""
    scheme, blank, _ = value.partition(" ")
    known = scheme.lower() in ("aws4-hmac-sha256", "basic", "bearer", "digest", "token") and blank
    if known:
        return f"{scheme} ***"
    return "***" if any(word in name.lower() for word in _SECRET_WORDS) else value


def masked_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Headers as they may be shown."""
    return {name: masked(name, value) for name, value in headers}


def is_secret(name: str, value: str) -> bool:
    """The header carries a key, as its name or its value says."""
    return masked(name, value) != value


class Hidden(str):
    """Text that holds a key or a password: `repr`, by which tools show variables, leaves it out."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(without_password(self)) if "://" in self else "'***'"


def hidden(name: str, value: str) -> str:
    """The value of a header, of which no `repr` shows a key."""
    return Hidden(value) if is_secret(name, value) else value


def without_password(url: str) -> str:
    """A URL as it may be shown: user information is left out."""
    scheme, separator, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return scheme + separator + host.rpartition("@")[2] + slash + path


def shown_url(url: str) -> str:
    """A URL as it may be shown: also without what its query calls a key, a token or the like."""
    place, mark, query = without_password(url).partition("?")
    pairs = (pair.partition("=") for pair in query.split("&"))
    return (
        place
        + mark
        + "&".join(name + equals + masked(name, value) for name, equals, value in pairs)
    )
