"""What `Client(on_event=...)` is told: small frozen events, and the call that they are about.

A hook is anything that takes one `HookEvent`. It is called by what starts, reads or ends the
stream, in that thread or task, in order with the chunks; the engine knows nothing of it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ._core import Message, Timing
    from ._types import Response

    OnEvent: TypeAlias = Callable[["HookEvent"], object]

__all__ = [
    "Call",
    "EndEvent",
    "FirstChunkEvent",
    "HeadersEvent",
    "HookEvent",
    "RequestEvent",
    "RetryEvent",
]

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """One `client.stream()` or `client.request()`; the same object in all of its events."""

    provider: str
    """As `Client` was given it: "openai", "anthropic", …"""
    format: str
    """The wire format of the answer: "openai-chat", …"""
    model: str | None
    """As `stream()` was given it; of `request()` the field of that name in its JSON."""
    method: str
    """Such as "POST"."""
    url: str
    """Without user information; keys in its query are masked."""
    arguments: Mapping[str, Any] = field(repr=False)
    """What `stream()` was given, the prompt too; of `request()` its JSON, if that is an object."""
    started_ns: int
    """When it began, as `time.time_ns()` has it."""
    id: int = field(default_factory=lambda: next(_numbers), init=False)
    """Counts the watched calls of this process."""


@dataclass(frozen=True, slots=True, eq=False)
class RequestEvent:
    """The request is about to be handed to the engine."""

    call: Call
    headers: Mapping[str, str]
    """Of the request; keys and passwords are masked."""
    _added: dict[str, str] = field(default_factory=dict, init=False, repr=False)
    type: Literal["request"] = field(default="request", init=False)

    def add_header(self, name: str, value: str) -> None:
        """Send this too, such as a trace's id; one that the request has already stays as it is."""
        for text in (name, value):
            if not isinstance(text, str):
                raise TypeError(f"add_header: must be a str, not {type(text).__name__}")
            if not text.isprintable() or not text.isascii():
                raise ValueError("add_header: holds a character that no header may have")
        if not name or set(name) & set(' ()<>@,;:\\"/[]?={}'):
            raise ValueError(f"add_header: {name!r} is no name of a header")
        self._added[name] = value


@dataclass(frozen=True, slots=True, eq=False)
class HeadersEvent:
    """The head of the answer is there, the one behind all retries."""

    call: Call
    at: float
    """Seconds since the start until its first byte; behind retries, until it was seen."""
    response: Response
    type: Literal["headers"] = field(default="headers", init=False)


@dataclass(frozen=True, slots=True, eq=False)
class FirstChunkEvent:
    """The first chunk is handed out."""

    call: Call
    at: float
    """Seconds since the start until it came."""
    type: Literal["first_chunk"] = field(default="first_chunk", init=False)


@dataclass(frozen=True, slots=True, eq=False)
class RetryEvent:
    """An attempt failed and another was made. Told with what comes next, the answer or the end."""

    call: Call
    at: float
    """Seconds since the start until the attempt had failed."""
    number: int
    """1 for the first retry."""
    error: str | None
    """The name of what the attempt would have raised: "ServerError"; None where it is not known."""
    status: int | None
    """Of the attempt's answer; None where there was none."""
    delay: float
    """Seconds until the next attempt."""
    type: Literal["retry"] = field(default="retry", init=False)


@dataclass(frozen=True, slots=True, eq=False)
class EndEvent:
    """The end, told exactly once for each request event."""

    call: Call
    at: float
    """Seconds since the start."""
    outcome: Literal["ok", "failed", "cancelled"]
    """Cancelled by `cancel()`, `close()`, the end of a `with` block, that of its task, or because
    nothing held the stream any more."""
    error: BaseException | None
    """What it raised; None of one that nobody waited for."""
    message: Message | None = field(repr=False)
    """What the chunks taken add up to. None of a request that was refused before it began."""
    timing: Timing | None
    """None of a request that was refused before it began."""
    response: Response | None
    """None where no head was seen."""
    chunk_times: tuple[float, ...] = field(repr=False)
    """Seconds since the start at which each chunk was handed out. Empty unless a hook of the stream
    has a true attribute `chunk_times`: it costs a look at the clock a chunk."""
    type: Literal["end"] = field(default="end", init=False)


HookEvent: TypeAlias = RequestEvent | HeadersEvent | FirstChunkEvent | RetryEvent | EndEvent
"""What a hook is called with; `event.type` or a `match` tells them apart."""
