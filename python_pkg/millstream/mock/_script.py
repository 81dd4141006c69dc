"""What to answer: the values a user writes down, and nothing that touches a socket.

Thread: a script is immutable, but for `Gate`, which has a lock of its own.
Errors: a wrong value is a `ValueError` or `TypeError` where it is written, not where it is served.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias, cast

from ._request import Request

Cut: TypeAlias = Literal["close", "reset", "hang", "end"]
Then: TypeAlias = Literal["close", "reset", "hang", "keep"]

# A token is a word of at most eight letters with the space before it, or one mark.
_TOKEN = re.compile(r"\s*\w{1,8}|\s*[^\w\s]|\s+")


class Gate:
    """A closed door in an answer: what stands behind it is sent once `open()` was called.

    It lets a test decide *when* something comes, where a pause in seconds could only hope::

        gate = mock.Gate()
        with mock.Server(mock.Answer(text=["first", gate, "second"])) as url:
            ...                       # the client has "first", and waits
            gate.open()               # from any thread; it stays open
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._reached = threading.Event()
        self._open = False
        self._waiters: list[tuple[asyncio.AbstractEventLoop, Callable[[], None]]] = []

    def open(self) -> None:
        """Lets every answer that waits here, and every later one, go on. Idempotent."""
        with self._lock:
            self._open = True
            waiters, self._waiters = self._waiters, []
        for loop, go_on in waiters:
            # RuntimeError: that server was closed meanwhile, and nobody is left to go on.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(go_on)

    def wait_reached(self, timeout: float = 5.0) -> bool:
        """Waits at most `timeout` seconds until an answer stands at the gate, or has passed it."""
        return self._reached.wait(timeout)

    def _pass(self, loop: asyncio.AbstractEventLoop, go_on: Callable[[], None]) -> None:
        """Calls `go_on` on `loop` when the gate is open; never from inside this call."""
        with self._lock:
            waits = not self._open
            if waits:
                self._waiters.append((loop, go_on))
        self._reached.set()
        if not waits:
            loop.call_soon(go_on)


Part: TypeAlias = bytes | float | Gate
"""A step of a body: bytes to send in one write, seconds to wait, or a gate to pass."""

Text: TypeAlias = str | Sequence[str | float | Gate]
"""A text to be cut into tokens; or the tokens as they are, with pauses (seconds) and gates."""


def tokens(text: Text) -> list[str | float | Gate]:
    """The pieces in which `text` is sent; the strings among them joined give the text."""
    return list(_TOKEN.findall(text)) if isinstance(text, str) else list(text)


def joined(text: Text) -> str:
    """`text` without its pauses and gates."""
    return text if isinstance(text, str) else "".join(t for t in text if isinstance(t, str))


def check_times(**seconds: float | None) -> None:
    """Refuses a negative time, naming it."""
    for name, value in seconds.items():
        if value is not None and not value >= 0:
            raise ValueError(f"{name} must be 0 or more seconds, not {value!r}")


def _check_choice(name: str, value: str, allowed: Sequence[str]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, not {value!r}")


def _check_counts(**counts: int | None) -> None:
    for name, value in counts.items():
        if value is not None and value < 0:
            raise ValueError(f"{name} must be 0 or more, not {value!r}")


def _check_headers(headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if re.search(r"[\r\n\0]", name + value):
            raise ValueError(f"header {name!r} holds a line break or NUL; Raw sends such bytes")


@dataclass(frozen=True)
class ToolCall:
    """A call of a tool. `arguments`: the JSON text, or a value to be written as JSON.
    `id`: None gives a fixed one, counted."""

    name: str
    arguments: str | Mapping[str, object] = "{}"
    id: str | None = None

    def __post_init__(self) -> None:
        self.text()  # what cannot be JSON is refused here

    def text(self) -> str:
        """The arguments as JSON text."""
        if isinstance(self.arguments, str):
            return self.arguments
        return json.dumps(self.arguments, ensure_ascii=False)


@dataclass(frozen=True)
class Usage:
    """Token counts, as the answer will state them."""

    input_tokens: int
    output_tokens: int
    reasoning_tokens: int = 0
    cached_tokens: int = 0


@dataclass(frozen=True, kw_only=True)
class _Faults:
    """What `Answer` and `Replay` share: time, and what goes wrong."""

    pace: float | None = None
    first: float | None = None
    comments: int = 0
    error: str | Mapping[str, object] | None = None
    error_after: int | None = None
    done: bool | None = None
    cut_after: int | None = None
    cut: Cut = "close"

    def __post_init__(self) -> None:
        check_times(pace=self.pace, first=self.first)
        _check_counts(
            comments=self.comments, error_after=self.error_after, cut_after=self.cut_after
        )
        _check_choice("cut", self.cut, ("close", "reset", "hang", "end"))

    @property
    def fails(self) -> bool:
        """Whether an error object is sent inside the stream."""
        return self.error is not None or self.error_after is not None

    @property
    def finishes(self) -> bool:
        """Whether the stream is brought to its end, where the finish reason itself is the end."""
        return not self.fails and self.done is not False


@dataclass(frozen=True)
class Answer(_Faults):
    """An answer in the wire format that the request's path asks for, streamed or whole.

    What is said:
        text, reasoning, refusal: a `str` is cut into tokens; a list gives the tokens as they are,
            with pauses (seconds, as `float`) and `Gate`s between them.
        tool_calls: `ToolCall`s, after the text.
        finish_reason: `stop`, `length`, `tool_calls`, `content_filter`, in the format's own words;
            any other word as it is. None: `tool_calls` where there are any, else `stop`.
        usage: a `Usage`; None: counted; False: never sent, even if asked for.
        choices: None: as many as the request's `n`, all alike; a number; or a list with the
            answers of the choices 1, 2, … (this one is choice 0). They take turns.
    When:
        first: seconds before the first chunk. pace: seconds between chunks. None: the server's.
    What goes wrong:
        comments: a comment line (a keep-alive ping) after every so many chunks; 0: none.
        error_after, error: after so many chunks (None: where the finish would be) an error object
            ends the stream of status 200; its message, or the whole object as a mapping.
        done: whether the terminator (`[DONE]`, `message_stop`) is sent; None: yes, but not after an
            error. Where the finish reason itself is the end of a stream, False leaves it out.
        cut_after, cut: after so many chunks the connection is closed (FIN) in the middle of the
            body, `"reset"` (RST), left open in silence (`"hang"`), or the body ends as if it were
            whole (`"end"`). An answer that is not streamed is cut in its middle.
    """

    text: Text = ""
    _: KW_ONLY
    reasoning: Text = ""
    refusal: Text = ""
    tool_calls: Sequence[ToolCall] = ()
    finish_reason: str | None = None
    usage: Usage | Literal[False] | None = None
    choices: int | Sequence[str | Answer] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for text in (self.text, self.reasoning, self.refusal):
            if not all(isinstance(piece, (str, int, float, Gate)) for piece in text):
                raise TypeError("a text is a str, or a list of str, seconds and gates")
        if isinstance(self.choices, int) and self.choices < 1:
            raise ValueError(f"choices must be 1 or more, not {self.choices!r}")


@dataclass(frozen=True)
class Error:
    """An HTTP error. `body`: a mapping is sent as JSON, text that opens with `<` as HTML, other
    text as plain text; None: the format's own error object around `message`."""

    status: int
    message: str | None = None
    body: bytes | str | Mapping[str, object] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 300 <= self.status <= 599:
            raise ValueError(f"status must be 300 to 599, not {self.status!r}")
        _check_headers(self.headers)


@dataclass(frozen=True)
class Replay(_Faults):
    """The bytes of a recorded stream as the body, in pieces of any size.

    body: the bytes, or the path of a file that holds them (read at once).
    content_type, status, headers: of the response.
    sizes: None: one piece; a number of bytes; a list of sizes, what is left being the last piece;
        or `"random"` (1 to 1,024 bytes, small ones as often as large, fixed by `seed`).
        A piece is one HTTP chunk and one write; with a `pace` the pieces are apart in time too.
    first, pace: seconds before the first piece, and between pieces.
    cut_after, cut: as in `Answer`, counted in bytes of the body.
    comments, error, error_after, done: as in `Answer`, for server-sent events, counted in events;
        done None: as recorded, True: `[DONE]` at the end, False: taken away there.
    """

    body: bytes | str | os.PathLike[str] = field(repr=False)
    content_type: str = "text/event-stream"
    sizes: int | Sequence[int] | Literal["random"] | None = None
    _: KW_ONLY
    seed: int = 0
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    recorded: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        recorded = self.body if isinstance(self.body, bytes) else Path(self.body).read_bytes()
        object.__setattr__(self, "recorded", recorded)  # the one way in, where all is frozen
        _check_headers({**self.headers, "Content-Type": self.content_type})
        if isinstance(self.sizes, str):
            _check_choice("sizes", self.sizes, ("random",))
        elif self.sizes is not None:
            given = (self.sizes,) if isinstance(self.sizes, int) else self.sizes
            if not all(isinstance(size, int) and size > 0 for size in given):
                raise ValueError(f"sizes must be 1 or more bytes each, not {self.sizes!r}")


@dataclass(frozen=True)
class Raw:
    """Exactly these bytes on the socket, the status line and headers included.

    parts: bytes; or an iterable (it may be endless) of bytes, pauses in seconds, and `Gate`s, each
        bytes object in one write.
    then: `"close"` (FIN), `"reset"` (RST), `"hang"` (nothing more), `"keep"` (the next request).
    """

    parts: bytes | Iterable[Part]
    then: Then = "close"

    def __post_init__(self) -> None:
        parts: object = self.parts  # a str would be taken for an iterable of its letters
        if isinstance(parts, str):
            raise TypeError("parts must be bytes, or an iterable of bytes, pauses and gates")
        _check_choice("then", self.then, ("close", "reset", "hang", "keep"))


Single: TypeAlias = str | Answer | Error | Replay | Raw | None
Step: TypeAlias = Single | Callable[[Request], Single]
Script: TypeAlias = Step | Sequence[Step]
"""One answer for all requests; a list with one a request (the last repeats); or a function of the
request, called on the server's thread. None: what the request's model name says (see `MODELS`)."""


def steps_of(script: Script) -> list[Step]:
    """`script` as the list of its steps, each of a type that can be served."""
    alone = isinstance(script, str) or not isinstance(script, Sequence)
    steps = list(cast("Sequence[Step]", [script] if alone else script))
    if not steps:
        raise ValueError("an empty list is no script: give one answer at least")
    for step in steps:
        if not (step is None or callable(step) or isinstance(step, _ANSWERS)):
            raise TypeError(f"a script has no place for a {type(step).__name__}")
    return steps


_ANSWERS = (str, Answer, Error, Replay, Raw)
