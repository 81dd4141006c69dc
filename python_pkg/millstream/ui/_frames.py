"""What a browser is sent of an answer: server-sent events, numbered, each with a JSON object."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import millstream

from .. import _core
from .._errors import Error

if TYPE_CHECKING:
    from .._core import Chunk, Message, ToolCall, Usage

OnError: TypeAlias = "Callable[[Error], str | None]"

KEEP_ALIVE = b": keep-alive\n\n"
HEADERS = {
    "content-type": "text/event-stream",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
}
_END = b'"}\n\n'

_TEXTS = {
    "RateLimited": "The model is asked too much at the moment. Try again later.",
    "AuthenticationError": "The model's server did not let this application in.",
    "PermissionDenied": "The model's server did not let this application in.",
    "NotFound": "The model's server does not know this model.",
    "BadRequest": "The model's server did not understand the question.",
    "ServerError": "The model's server has a fault. Try again later.",
    "Timeout": "The model took too long to answer.",
    "ConnectError": "The model's server cannot be reached.",
    "StreamInterrupted": "The answer broke off.",
    "LimitExceeded": "The answer is too large.",
}


def kind(error: Error) -> str:
    """The name of an error's public class, the most telling one: "RateLimited"."""
    names = [each.__name__ for each in type(error).__mro__]
    known = [name for name in names if name in _TEXTS]
    return known[0] if known else next(name for name in names if name in millstream.__all__)


def describe(error: Error) -> str:
    """One sentence for the reader, by the error's class alone.

    What the provider said is not in it: that may name accounts, keys' endings or other people's
    questions.
    """
    return _TEXTS.get(kind(error), "The answer failed.")


def compact(value: object) -> str:
    """JSON in ASCII that may stand in a script element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")


def usage_of(usage: Usage | None) -> dict[str, int] | None:
    """The counts that are known."""
    names = ("input_tokens", "output_tokens", "reasoning_tokens", "cached_tokens")
    counts = {name: getattr(usage, name, None) for name in names}
    return {name: count for name, count in counts.items() if count is not None} or None


def given(**fields: Any) -> dict[str, Any]:
    """The fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


class Frames:
    """Makes the events of one answer. Their ids count from 1."""

    headers: Mapping[str, str] = HEADERS

    def __init__(self, data: Mapping[str, Any] | None, on_error: OnError | None) -> None:
        self._number = 0
        self._data = dict(data or {})
        self._on_error = on_error

    def begin(self) -> list[bytes]:
        """What is sent at once, before the model has said anything."""
        raise NotImplementedError

    def of(self, chunk: Chunk) -> list[bytes]:
        """What a chunk is sent as; nothing where it says nothing to a reader."""
        raise NotImplementedError

    def end(self, message: Message) -> list[bytes]:
        """The whole answer is there."""
        raise NotImplementedError

    def failed(self, error: Error) -> list[bytes]:
        """Nothing more comes, because of this."""
        raise NotImplementedError

    def stopped(self) -> list[bytes]:
        """Nothing more comes, for somebody wanted it so."""
        raise NotImplementedError

    def data_parts(self) -> list[bytes]:
        """The application's own parts, "data-" before their names."""
        return [self.event({"type": f"data-{name}", "data": x}) for name, x in self._data.items()]

    def event(self, value: Mapping[str, Any]) -> bytes:
        """An event of any shape."""
        self._number += 1
        return b"id: %d\ndata: %s\n\n" % (self._number, compact(value).encode())

    def text_event(self, head: bytes, text: str | Chunk) -> bytes:
        """An event whose JSON ends with a text: `head` is what stands before it."""
        self._number += 1
        return _core.frame(head, text, _END, self._number)

    def words_for(self, error: Error) -> str:
        """What the reader is told of an error."""
        own = self._on_error(error) if self._on_error else None
        return describe(error) if own is None else own


class Plain(Frames):
    """Small events of our own; docs/howto/chat-ui.md lists them."""

    def begin(self) -> list[bytes]:
        """The start, and the application's parts."""
        return [self.event({"type": "start"}), *self.data_parts()]

    def of(self, chunk: Chunk) -> list[bytes]:
        """A piece of text, reasoning, refusal or tool call."""
        kind = chunk.type
        head = _HEADS.get(kind)
        if head is None:
            return [self._tool_call(chunk, chunk.tool_call)] if chunk.tool_call else []
        if not getattr(chunk, kind):
            return []
        return [self.text_event(_of_choice(head, chunk.choice), chunk)]

    def _tool_call(self, chunk: Chunk, call: ToolCall) -> bytes:
        about = given(index=call.index, id=call.id or None, name=call.name or None)
        head = b'data: {"type":"tool_call",%s,"arguments":"' % compact(about)[1:-1].encode()
        return self.text_event(_of_choice(head, chunk.choice), chunk)

    def end(self, message: Message) -> list[bytes]:
        """What there is to know of the message beside its texts."""
        about = given(
            id=message.id,
            model=message.model,
            finish_reason=message.finish_reason,
            usage=usage_of(message.usage),
        )
        return [self.event({"type": "done", **about})]

    def failed(self, error: Error) -> list[bytes]:
        """The kind of error and a sentence."""
        about = given(retry_after=error.retry_after)
        words = self.words_for(error)
        return [self.event({"type": "error", "error": kind(error), "text": words, **about})]

    def stopped(self) -> list[bytes]:
        """The stop, as an event of its own."""
        return [self.event({"type": "stopped"})]


_TEXT_KINDS = ("text", "reasoning", "refusal")
_HEADS = {kind: b'data: {"type":"%s","text":"' % kind.encode() for kind in _TEXT_KINDS}


def _of_choice(head: bytes, choice: int) -> bytes:
    """The head with the number of its answer, where that is not the first."""
    return head.replace(b",", b',"choice":%d,' % choice, 1) if choice else head
