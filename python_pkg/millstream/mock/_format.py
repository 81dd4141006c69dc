"""What a wire format is to the rest of the mock server, and what the formats share.

A format is one class that extends `Format`, one module a family; the table is `_reply.FORMATS`.
"""

from __future__ import annotations

import json
import random
import string
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any, TypeAlias, TypeVar

from ._request import Request
from ._script import Answer, Gate, Part, Text, ToolCall, Usage, joined, tokens

_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
_EPOCH = 1_750_000_000  # the fixed clock of servers with a seed starts here (June 2025)

Fault: TypeAlias = str | Mapping[str, object]
"""An error that a script names: its message, or its whole object."""

_T = TypeVar("_T")


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

    def uuid(self) -> str:
        """A random UUID; another one at each call."""
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def iso(self) -> str:
        """The time as ISO 8601 writes it."""
        return datetime.fromtimestamp(self.created, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


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


class Format(ABC):
    """One wire format: reads its requests, writes its answers."""

    name: str  # as `Client.request(format=…)` has it
    content_type = "text/event-stream; charset=utf-8"  # of a streamed answer
    comment = b": keep-alive\n\n"  # a keep-alive ping; empty where the format has none
    terminator = b""  # what follows the finish; empty where the finish itself is the end
    many_choices = False  # whether a request may ask for several answers
    request_id = "X-Request-Id"  # the response header that holds it

    @abstractmethod
    def serves(self, request: Request) -> bool:
        """Whether a request to this path and query is in this format."""

    @abstractmethod
    def read(self, request: Request) -> Ask:
        """Understands the body; raises `Refused`."""

    @abstractmethod
    def stream(self, ask: Ask, answer: Answer, stamp: Stamp) -> Iterator[Part]:
        """The chunks, one `bytes` each, without the terminator; the pauses and gates of the
        answer's texts between them. Where `answer.fails`, no finish; where the finish is the
        end of the stream, only if `answer.finishes`."""

    @abstractmethod
    def whole(self, ask: Ask, answer: Answer, stamp: Stamp) -> bytes:
        """The answer to a request that does not stream, as JSON."""

    @abstractmethod
    def error(self, status: int, error: Fault) -> bytes:
        """The JSON body of an HTTP error."""

    @abstractmethod
    def error_event(self, error: Fault, number: int) -> bytes:
        """An error inside a stream, as its chunk number `number` (from 0)."""

    def error_headers(self, status: int) -> Mapping[str, str]:
        """What the headers of an HTTP error say beside its body."""
        return {}


# ---- requests ------------------------------------------------------------------------------------


def json_object(request: Request) -> dict[str, Any]:
    """The body, which must be a JSON object."""
    try:
        body = request.json()
    except ValueError as why:
        raise Refused(f"The body is not valid JSON: {why}.") from why
    if not isinstance(body, dict):
        raise Refused("The body must be a JSON object.")
    return body


def string_in(body: Mapping[str, Any], name: str) -> str:
    """A field that must be a string."""
    value = body.get(name)
    if not isinstance(value, str):
        raise Refused(f"The body must hold {name!r}, a string.")
    return value


def objects_in(body: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """A field that must be a list of objects."""
    value = body.get(name)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise Refused(f"The body must hold {name!r}, a list of objects.")
    return value


def text_of(content: object) -> str:
    """The text of a content that is a string, a part with a text, or a list of those."""
    if isinstance(content, str):
        return content
    if isinstance(content, dict):
        return text_of(content.get("text"))
    return "".join(map(text_of, content)) if isinstance(content, list) else ""


def tool_names(tools: object, key: str = "") -> list[str]:
    """The names in a list of tools: of the object under `key`, or of the tool itself."""
    names = []
    for tool in tools if isinstance(tools, list) else []:
        inner = tool.get(key) if key and isinstance(tool, dict) else tool
        name = inner.get("name") if isinstance(inner, dict) else None
        if isinstance(name, str):
            names.append(name)
    return names


def count_in(body: object, name: str) -> int:
    """How many choices a request asks for; 1 where it does not say."""
    value = body.get(name) if isinstance(body, dict) else None
    return value if isinstance(value, int) and 1 <= value <= 128 else 1


def ask_for(
    model: str,
    said: Sequence[tuple[object, str]],
    *,
    stream: bool,
    tools: Sequence[str] = (),
    include_usage: bool = True,
    choices: int = 1,
) -> Ask:
    """The `Ask` of a request in which each `(role, text)` was said."""
    prompts = (text for role, text in reversed(said) if str(role).lower() == "user")
    spent = sum(count_tokens(text) for _, text in said)
    return Ask(model, stream, include_usage, choices, next(prompts, ""), spent, tools)


# ---- answers -------------------------------------------------------------------------------------


def data(value: object) -> bytes:
    """An unnamed server-sent event that carries `value` as JSON."""
    return encoded(f"data: {compact(value)}\n\n")


def named(event: str, value: object) -> bytes:
    """A server-sent event of that type that carries `value` as JSON."""
    return encoded(f"event: {event}\ndata: {compact(value)}\n\n")


def line(value: object) -> bytes:
    """A line of newline-delimited JSON."""
    return encoded(compact(value) + "\n")


def told(text: Text, tell: Callable[[str], _T]) -> Iterator[_T | float | Gate]:
    """What `tell` makes of each token of `text`; its pauses and gates as they are."""
    for token in tokens(text):
        yield tell(token) if isinstance(token, str) else token


def texts_of(answer: Answer) -> list[tuple[bool, Text]]:
    """What an answer says, in its order: whether it is reasoning, and the text. A refusal is a
    text like the answer: so it is in formats that have no other place for it."""
    said = ((True, answer.reasoning), (False, answer.text), (False, answer.refusal))
    return [(thought, text) for thought, text in said if text]


def in_turns(choices: Sequence[Iterable[_T]]) -> Iterator[tuple[int, _T]]:
    """One item of each choice in turn, with the choice's index, until all are at their end."""
    live = list(enumerate(map(iter, choices)))
    while live:
        for turn in list(live):
            index, items = turn
            try:
                yield index, next(items)
            except StopIteration:
                live.remove(turn)


def finish_of(answer: Answer, words: Mapping[str, str], refused: str = "content_filter") -> str:
    """The finish reason in the words of a format; one that is not among them as it is. `refused`:
    that of a refusal, for formats that have no other place to tell it."""
    default = "tool_calls" if answer.tool_calls else refused if answer.refusal else "stop"
    reason = answer.finish_reason or default
    return words.get(reason, reason)


def arguments_of(call: ToolCall) -> object:
    """The arguments for a format that sends them as an object; as text where they are no JSON."""
    try:
        return json.loads(call.text())
    except ValueError:
        return call.text()


def message_of(error: Fault) -> str:
    """The message of an error."""
    return error if isinstance(error, str) else str(error.get("message", ""))


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
