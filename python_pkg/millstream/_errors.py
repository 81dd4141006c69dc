"""The exceptions, one tree:

    Error
    ├── ConnectError          no connection: DNS, refused, TLS, proxy, closed before an answer
    ├── Timeout               one of the four clocks ran out (`phase`)
    ├── StatusError           the server answered with an error status
    │   ├── BadRequest            400, 422
    │   ├── AuthenticationError   401
    │   ├── PermissionDenied      403
    │   ├── NotFound              404
    │   ├── RateLimited           429
    │   └── ServerError           5xx
    ├── ProviderError         an error inside a stream of status 200; also one of the classes
    │                         under StatusError where its code says so
    ├── StreamInterrupted     the stream ended without its protocol's terminator
    ├── ProtocolError         the answer is no stream, or holds broken JSON
    ├── ValidationError       the answer's JSON is not of the type that was asked for
    ├── LimitExceeded         one of `Limits`
    ├── Cancelled             by cancel()
    └── ForkedError           the stream belongs to the parent process

No exception, in its text or its attributes, holds a key or a password of the request.
"""

from __future__ import annotations

from . import _core

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._core import Message


class Error(Exception):
    """The base of all exceptions of millstream. What is not known is None."""

    status: int | None = None
    """HTTP status; for an error inside a stream the status that its code stands for."""
    code: str | None = None
    """Machine-readable: the provider's error code, or "dns", "refused", "tls", "proxy", ..."""
    request_id: str | None = None
    """The server's id of the request, from its headers."""
    retry_after: float | None = None
    """Seconds to wait, where the server said so; at most a day."""
    body: bytes | None = None
    """The first 64 KiB of an answer that is no stream."""
    byte_offset: int | None = None
    """Where in the answer's body a broken event begins."""
    message: Message | None = None
    """What the chunks before the error add up to."""


class ConnectError(Error):
    """No connection to the server, or closed before any byte of an answer."""


class Timeout(Error):
    """Four clocks in seconds, None for no limit; and what is raised when one of them runs out.

    connect: name look-up, TCP, proxy and TLS, for each attempt.
    first_chunk: from the request on the wire to the first event.
    idle: between two events. Comments (keep-alives) do not count unless `idle_counts_comments`.
    total: from the start of the stream to its end, retries included.

    Raised, `phase` says which one: "connect", "first_chunk", "idle" or "total".
    """

    phase: str | None = None

    def __init__(
        self,
        text: str = "",
        /,
        *,
        connect: float | None = 10.0,
        first_chunk: float | None = 300.0,
        idle: float | None = 120.0,
        total: float | None = None,
        idle_counts_comments: bool = False,
    ) -> None:
        super().__init__(*([text] if text else []))
        self.connect = _seconds("connect", connect)
        self.first_chunk = _seconds("first_chunk", first_chunk)
        self.idle = _seconds("idle", idle)
        self.total = _seconds("total", total)
        self.idle_counts_comments = idle_counts_comments

    def __repr__(self) -> str:
        if self.phase:
            return super().__repr__()
        return (
            f"Timeout(connect={self.connect}, first_chunk={self.first_chunk}, idle={self.idle}, "
            f"total={self.total}, idle_counts_comments={self.idle_counts_comments})"
        )


class StatusError(Error):
    """The server answered with an error status."""


class BadRequest(StatusError):
    """400 or 422: the server does not accept the request as it is."""


class AuthenticationError(StatusError):
    """401: the key is missing or wrong."""


class PermissionDenied(StatusError):
    """403: the key may not do this."""


class NotFound(StatusError):
    """404: no such address or model."""


class RateLimited(StatusError):
    """429: too many requests or tokens; `retry_after` where the server said so."""


class ServerError(StatusError):
    """5xx: the server failed."""


class ProviderError(Error):
    """An error inside a stream of status 200, or in place of one."""


class StreamInterrupted(Error):
    """The stream ended without its protocol's terminator; `message` holds what came."""


class ProtocolError(Error):
    """The answer is no event stream, or an event holds broken JSON."""


class ValidationError(Error):
    """The answer is not of the type that was asked for, or no JSON, or was cut.

    `message` is what came; the error of the type's own library is the `__cause__`.
    """

    path: tuple[str | int, ...] = ()
    """The keys and indexes that lead to what is wrong; () is the whole."""
    value: Any = None
    """The answer's JSON value, as far as it could be read."""


class LimitExceeded(Error):
    """One of `Limits` was reached."""


class Cancelled(Error):
    """The stream was cancelled."""


class ForkedError(Error):
    """The stream was started before fork() and belongs to the parent process."""


class MissingKey(AuthenticationError, ValueError):
    """No key was given, and the provider's own server asks for one. Caught by either base."""


def _seconds(name: str, value: float | None) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"Timeout.{name}: must be a number of seconds or None, not {value!r}")
    if not value > 0:
        raise ValueError(f"Timeout.{name}: must be above 0 seconds, or None for no limit")
    return None if value == float("inf") else float(value)


_BY_STATUS: dict[int, type[StatusError]] = {
    400: BadRequest,
    401: AuthenticationError,
    403: PermissionDenied,
    404: NotFound,
    422: BadRequest,
    429: RateLimited,
}

_ADVICE: dict[type[Error], str] = {
    AuthenticationError: "check api_key, or the environment variable it comes from",
    PermissionDenied: "the key may not use this model or address",
    NotFound: "check base_url and the model's name",
    RateLimited: "send less, or wait for retry_after seconds",
    ServerError: "the server's own failure; trying again later may help",
}

# An error inside a stream is a ProviderError and, where its status says so, one of the others too.
_IN_STREAM: dict[type[Error], type[Error]] = {
    cls: type(cls.__name__, (cls, ProviderError), {"__doc__": cls.__doc__, "__module__": __name__})
    for cls in (*_BY_STATUS.values(), ServerError)
}

_CLASSES: dict[str, type[Error]] = {
    cls.__name__: cls
    for cls in (
        Error, ConnectError, Timeout, StatusError, ProviderError, StreamInterrupted, ProtocolError,
        LimitExceeded, Cancelled, ForkedError,
    )
}  # fmt: skip


def class_of(name: str, status: int) -> type[Error]:
    """Of an error of the C core: its class's name there, and the status that it is about."""
    cls = _CLASSES[name]
    if cls not in (StatusError, ProviderError):
        return cls
    special = ServerError if 500 <= status <= 599 else _BY_STATUS.get(status)
    if special is None:
        return cls
    return special if cls is StatusError else _IN_STREAM[special]


def _from_core(
    name: str,
    text: str,
    status: int,
    code: str | None,
    phase: str,
    request_id: str | None,
    retry_after_ms: int,
    byte_offset: int,
    body: bytes | None,
    message: Message | None,
) -> Error:
    """Build the exception of an error of the C core."""
    cls = class_of(name, status)
    advice = next((words for base, words in _ADVICE.items() if issubclass(cls, base)), None)
    error = cls(f"{text} ({advice})" if advice else text)
    error.status = status or None
    error.code = code
    error.request_id = request_id
    error.retry_after = retry_after_ms / 1000 if retry_after_ms >= 0 else None
    error.byte_offset = byte_offset if byte_offset >= 0 else None
    error.body = body
    error.message = message
    if isinstance(error, Timeout):
        error.phase = phase
    return error


_core.set_error_factory(_from_core)

for _cls in list(globals().values()):
    if isinstance(_cls, type) and issubclass(_cls, Error):
        _cls.__module__ = "millstream"
