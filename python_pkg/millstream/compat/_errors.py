"""From millstream's errors to those of the SDKs: what is raised is both.

A class of an SDK's name is joined with the class of the error that the engine raised, so that
`except openai.RateLimitError` and `except millstream.RateLimited` catch the same exception. `body`
and `message` are what the SDKs mean by them; millstream's own are those of `__cause__`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import millstream


class HTTPResponse:
    """The head of an answer, by the SDKs' names."""

    __slots__ = ("headers", "http_version", "request_id", "status_code")

    def __init__(self, head: millstream.Response) -> None:
        self.status_code = head.status
        self.headers: millstream.Headers = head.headers
        self.http_version = f"HTTP/{head.http_version}"
        self.request_id = head.request_id

    def __repr__(self) -> str:
        return f"<Response [{self.status_code}]>"


class CompatError(millstream.Error):
    """What the errors of both SDKs share."""

    message: str  # type: ignore[assignment]
    """What the server said, in the SDK's words."""
    body: Any = None
    """The answer's JSON, or the part of it that the SDK takes; its text where it is none."""
    response: HTTPResponse | None = None
    """The head of the answer, where there was one."""
    status_code: int | None = None
    """HTTP status; for an error inside a stream the one that its code stands for."""

    def __init__(self, message: str, *, body: Any = None) -> None:
        Exception.__init__(self, message)
        self.message = message
        self.body = body


class Names(NamedTuple):
    """The classes of an SDK, and how it words an error."""

    of_status: Mapping[int, type[CompatError]]
    any_status: type[CompatError]
    server: type[CompatError]
    connection: type[CompatError]
    timeout: type[CompatError]
    invalid: type[CompatError]
    other: type[CompatError]
    words: Any  # (status or None, JSON or text of the body, the engine's words) -> message, body

    def pick(self, error: millstream.Error) -> type[CompatError]:
        """The SDK's class for an error."""
        if isinstance(error, (millstream.StatusError, millstream.ProviderError)):
            status = error.status or 0
            default = self.any_status if status >= 400 else self.other
            return self.of_status.get(status, self.server if status >= 500 else default)
        for kind, cls in (
            (millstream.Timeout, self.timeout),
            (millstream.ConnectError, self.connection),
            (millstream.StreamInterrupted, self.connection),
            (millstream.ProtocolError, self.invalid),
        ):
            if isinstance(error, kind):
                return cls
        return self.other

    def translate(
        self, error: millstream.Error, head: HTTPResponse | None = None, told: Any = None
    ) -> CompatError:
        """The SDK's error for one of the engine's. told: the JSON of an error event."""
        given = _json(error.body) if told is None else told
        status = error.status if isinstance(error, millstream.StatusError) else None
        in_stream = isinstance(error, millstream.ProviderError)
        message, body = self.words(None if in_stream else status, given, str(error))
        made = joined(self.pick(error), type(error))(message, body=body)
        for name in ("status", "code", "request_id", "retry_after", "byte_offset", "phase"):
            if getattr(error, name, None) is not None:
                setattr(made, name, getattr(error, name))
        made.status_code = error.status
        made.response = head
        if isinstance(body, dict) and "code" in body:
            made.code = None if body["code"] is None else str(body["code"])
        return made


_JOINED: dict[tuple[object, object], type[CompatError]] = {}


def joined(name: type[CompatError], kind: type[millstream.Error]) -> type[CompatError]:
    """The class that is both; few pairs ever are."""
    if (name, kind) not in _JOINED:
        space = {"__doc__": name.__doc__, "__module__": name.__module__}
        _JOINED[name, kind] = type(name.__name__, (name, kind), space)
    return _JOINED[name, kind]


def _json(body: bytes | None) -> Any:
    if body is None:
        return None
    text = body.decode("utf-8", "replace").strip()
    try:
        return json.loads(text)
    except ValueError:
        return text
