"""What a wire format is to the rest of the mock server.

A format is one module with one class that satisfies `Format`; the table is `_reply.FORMATS`.
"""

from __future__ import annotations

import json
import random
import string
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from ._request import Request
from ._script import Answer, Part, Usage, joined, tokens

_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_EPOCH = 1_750_000_000  # the fixed clock of servers with a seed starts here (June 2025)


def compact(value: object) -> str:
    """`value` as JSON text the way model servers write it: no blanks, UTF-8 left as it is."""
    return _COMPACT.encode(value)


def encoded(text: str) -> bytes:
    """JSON text as UTF-8; lone surrogates, which UTF-8 cannot hold, become JSON escapes."""
    return text.encode("utf-8", "backslashreplace")


class Stamp:
    """The ids and the time of one answer: fixed by the server's seed and the request's number,
    or real ones where the seed is None."""

    def __init__(self, seed: int | None, number: int) -> None:
        self._random = random.Random(None if seed is None else f"{seed}/{number}")
        self.created = int(time.time()) if seed is None else _EPOCH + number

    def id(self, prefix: str, length: int = 29) -> str:
        """`prefix` and `length` letters and digits; another one at each call."""
        letters = self._random.choices(string.ascii_letters + string.digits, k=length)
        return prefix + "".join(letters)


@dataclass(frozen=True)
class Ask:
    """A request for an answer as every format can state it. `prompt`: the last user message;
    `tools`: the names of the tools on offer."""

    model: str
    stream: bool
    include_usage: bool
    choices: int
    prompt: str
    input_tokens: int
    tools: Sequence[str]


class Refused(Exception):
    """The request is well-formed HTTP but not what the format wants."""

    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class Format(Protocol):
    """One wire format: reads its requests, writes its answers."""

    name: str
    content_type: str  # of a streamed answer
    comment: bytes  # a keep-alive ping; empty where the format has none
    terminator: bytes  # what ends a stream; empty where nothing does

    def serves(self, path: str) -> bool:
        """Whether requests to `path` are in this format."""

    def read(self, request: Request) -> Ask:
        """Understands the body; raises `Refused`."""

    def stream(self, ask: Ask, answer: Answer, stamp: Stamp) -> Iterator[Part]:
        """The chunks, one `bytes` each, without the terminator; the pauses and gates of the
        answer's texts between them. Where `answer.fails`, no finish."""

    def whole(self, ask: Ask, answer: Answer, stamp: Stamp) -> bytes:
        """The answer to a request that does not stream, as JSON."""

    def error(self, status: int, message: str) -> bytes:
        """The JSON body of an HTTP error."""

    def error_event(self, error: str | Mapping[str, object]) -> bytes:
        """An error inside a stream."""

    def models(self, names: Sequence[str]) -> bytes:
        """The JSON body of the list of models."""


def choices_of(ask: Ask, answer: Answer) -> list[Answer]:
    """One answer a choice, in the order of their indices."""
    others = ask.choices if answer.choices is None else answer.choices
    if isinstance(others, int):
        return [answer] * others
    return [answer, *(Answer(text=o) if isinstance(o, str) else o for o in others)]


def usage_of(ask: Ask, answer: Answer) -> Usage | None:
    """The usage that the answer states: the one it was given, or the tokens counted."""
    if answer.usage is not None:
        return answer.usage or None
    usage = Usage(ask.input_tokens, 0)
    for choice in choices_of(ask, answer):
        said = [choice.text, choice.refusal, *(call.text() for call in choice.tool_calls)]
        reasoning = count_tokens(joined(choice.reasoning))
        usage = replace(
            usage,
            output_tokens=usage.output_tokens
            + reasoning
            + sum(count_tokens(joined(t)) for t in said),
            reasoning_tokens=usage.reasoning_tokens + reasoning,
        )
    return usage


def count_tokens(text: str) -> int:
    """The number of tokens that `text` would be sent in."""
    return len(tokens(text))
