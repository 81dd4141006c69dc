"""`client.messages.stream()`: the events that the anthropic SDK derives, and the message so far.

What grows is kept in pieces and put together when it is looked at: who reads only the pieces pays
for no snapshot.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

from ._errors import HTTPResponse
from ._lazy import Json, Kinds, Model
from ._streams import AsyncStream, Stream

# Beside the table of the SDK's types: what its helper makes.
DERIVED = """
TextEvent: type text snapshot
ThinkingEvent: type thinking snapshot
CitationEvent: type citation snapshot
SignatureEvent: type signature
InputJsonEvent: type partial_json snapshot
MessageStopEvent: type message
ContentBlockStopEvent: type index content_block
"""


# ---- what grows ----------------------------------------------------------------------------------


class _Text:
    """A text in pieces."""

    def __init__(self, text: str) -> None:
        self._pieces = [text]
        self.length = len(text)

    def add(self, piece: str) -> None:
        self._pieces.append(piece)
        self.length += len(piece)

    def value(self, length: int) -> Any:
        """The first `length` characters; what is asked for once is joined for good."""
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0][:length]


class _Input(_Text):
    """The JSON of a tool's input; `start` is the input before any came."""

    def __init__(self, start: Any) -> None:
        super().__init__("")
        self._start = start

    def value(self, length: int) -> Any:
        text = super().value(length)
        return complete_part(text) if text else self._start


_TOKEN = re.compile(
    r"\s*(?:([{\[])|([}\]])|([:,])|"
    r'("(?:[^"\\]|\\.)*"|true|false|null|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\d.eE+-])))',
    re.DOTALL,
)
_CLOSING = {"{": "}", "[": "]"}


def complete_part(text: str) -> Any:
    """The value of a JSON text that is cut: what is complete in it, its open containers closed."""
    try:
        return json.loads(text)
    except ValueError:
        pass  # as nearly always: it is cut
    open_, end, closers = "", 0, ""
    is_key = False
    at = 0
    while match := _TOKEN.match(text, at):
        at = match.end()
        opening, closing, mark, _ = match.groups()
        if opening:
            open_ += opening
        elif closing:
            open_ = open_[:-1]
        whole = not mark and not is_key  # a container as far as it came, or a value
        is_key = open_[-1:] == "{" and bool(opening or mark == ",")
        if whole or opening:
            end, closers = at, "".join(_CLOSING[each] for each in reversed(open_))
    return json.loads(text[:end] + closers)


class _Growing(Model):
    """An object of which some attributes grow."""

    __slots__ = ("_grown",)

    def __init__(self, source: Any) -> None:
        super().__init__(source)
        self._grown: dict[str, tuple[_Text, int | None]] = {}

    def __getattr__(self, name: str) -> Any:
        if name not in self._grown:
            return super().__getattr__(name)
        grown, length = self._grown[name]
        value = self.__dict__[name] = grown.value(grown.length if length is None else length)
        return value

    def __reduce__(self) -> tuple[Any, ...]:
        for name in self._grown:
            getattr(self, name)
        return super().__reduce__()


class _Block(_Growing):
    """A block of a message's content."""

    __slots__ = ()
    parsed_output = None  # nothing is parsed into types here

    def grow(self, name: str, piece: str) -> tuple[_Text, int]:
        """Add a piece; the text and how long it is now."""
        if name not in self._grown:
            start = getattr(self, name)
            self._grown[name] = (_Input(start) if name == "input" else _Text(start or ""), None)
        grown = self._grown[name][0]
        grown.add(piece)
        self.__dict__.pop(name, None)
        return grown, grown.length


class _Message(Model):
    """A message."""

    __slots__ = ()
    parsed_output = None


class _Derived(_Growing):
    """An event that the helper makes."""

    __slots__ = ()


BASES: dict[str, type[Model]] = {
    "Message": _Message,
    **dict.fromkeys(("TextBlock", "ThinkingBlock", "ToolUseBlock", "ServerToolUseBlock"), _Block),
    **dict.fromkeys(("TextEvent", "ThinkingEvent", "InputJsonEvent"), _Derived),
}


# ---- the message so far --------------------------------------------------------------------------

# Of a delta: the block's attribute that grows, the blocks that have it, the event that tells it.
_DELTAS = {
    "text_delta": ("text", "text", ("text",), "TextEvent", "text"),
    "thinking_delta": ("thinking", "thinking", ("thinking",), "ThinkingEvent", "thinking"),
    "input_json_delta": (
        "partial_json", "input", ("tool_use", "server_tool_use"), "InputJsonEvent", "input_json",
    ),
}  # fmt: skip
_COUNTS = (
    "input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "server_tool_use",
    "output_tokens_details",
)  # fmt: skip


class Accumulation:
    """A message as its events make it, and the events that are told of each."""

    def __init__(self, kinds: Kinds) -> None:
        self._kinds = kinds
        self.message: Model | None = None

    def take(self, event: Model) -> list[Model]:
        """The events to hand out for one of the server's."""
        if event.type == "message_start":
            if self.message is None:
                self.message = self._kinds["Message"](event.message.to_dict())
            return [event]
        act = None if self.message is None else getattr(self, "_" + str(event.type), None)
        return [event] if act is None else act(event, self.message)

    def _content_block_start(self, event: Model, message: Model) -> list[Model]:
        block = event.content_block
        message.content.append(type(block)(block.to_dict()))
        return [event]

    def _content_block_delta(self, event: Model, message: Model) -> list[Model]:
        delta, block = event.delta, _at(message.content, event.index)
        told: Model | None = None
        if delta.type in _DELTAS:
            told = self._grow(block, delta, *_DELTAS[delta.type])
        elif delta.type == "citations_delta" and block.type == "text":
            block.put("citations", [*(block.citations or []), delta.citation])
            told = self._derived(
                "CitationEvent",
                type="citation", citation=delta.citation, snapshot=block.citations,
            )  # fmt: skip
        elif delta.type == "signature_delta" and block.type == "thinking":
            block.put("signature", delta.signature)
            told = self._derived("SignatureEvent", type="signature", signature=delta.signature)
        return [event] if told is None else [event, told]

    def _grow(
        self, block: Any, delta: Model, piece: str, name: str, of: tuple[str, ...], event: str,
        type: str,
    ) -> Model | None:  # fmt: skip
        if block.type not in of:
            return None
        text = getattr(delta, piece)
        told: _Growing = self._derived(event, **{"type": type, piece: text})
        told._grown["snapshot"] = block.grow(name, text)
        return told

    def _content_block_stop(self, event: Model, message: Model) -> list[Model]:
        block = _at(message.content, event.index)
        told = self._derived(
            "ContentBlockStopEvent",
            type="content_block_stop", index=event.index, content_block=block,
        )  # fmt: skip
        return [told]

    def _message_delta(self, event: Model, message: Model) -> list[Model]:
        delta, usage = event.delta, event.usage
        for name in ("stop_reason", "stop_sequence", "stop_details"):
            message.put(name, getattr(delta, name))
        if delta.container is not None:
            message.put("container", delta.container)
        if message.usage is None or usage is None:
            message.put("usage", usage or message.usage)
            return [event]
        message.usage.put("output_tokens", usage.output_tokens)
        for name in _COUNTS:  # totals; one that is missing has not changed
            if getattr(usage, name) is not None:
                message.usage.put(name, getattr(usage, name))
        return [event]

    def _message_stop(self, event: Model, message: Model) -> list[Model]:
        return [self._derived("MessageStopEvent", type="message_stop", message=message)]

    def _derived(self, name: str, **values: Any) -> Any:
        """An event of ours: its values are objects already."""
        made = self._kinds[name](dict.fromkeys(values))
        made.__dict__.update(values)
        return made

    def final(self) -> Model:
        """The message, which must have begun."""
        if self.message is None:
            raise RuntimeError("no message has begun in this stream")
        return self.message

    def final_text(self) -> str:
        """The texts of its blocks."""
        content = self.final().content
        if not (texts := [block.text for block in content if block.type == "text"]):
            kinds = ", ".join(block.type for block in content) or "no blocks"
            raise RuntimeError(f"get_final_text: the message has no text, but {kinds}")
        return "".join(texts)


class _NoBlock:
    """Stands for a block that the server did not begin."""

    type = None


def _at(content: list[Any], index: int) -> Any:
    return content[index] if 0 <= index < len(content) else _NoBlock()


# ---- the streams ---------------------------------------------------------------------------------


def _items(raw: Iterator[Model], message: Accumulation) -> Iterator[Model]:
    for event in raw:
        yield from message.take(event)


async def _async_items(raw: AsyncIterator[Model], message: Accumulation) -> AsyncIterator[Model]:
    async for event in raw:
        for each in message.take(event):
            yield each


def _text(event: Model) -> str | None:
    if event.type == "content_block_delta" and event.delta.type == "text_delta":
        return event.delta.text  # type: ignore[no-any-return]
    return None


def _texts(events: Iterator[Model]) -> Iterator[str]:
    return (text for text in map(_text, events) if text is not None)


async def _async_texts(events: AsyncIterator[Model]) -> AsyncIterator[str]:
    async for event in events:
        if (text := _text(event)) is not None:
            yield text


class MessageStream:
    """An iterator of events, with the message that they add up to."""

    def __init__(self, raw: Stream, kinds: Kinds) -> None:
        self._raw = raw
        self._message = Accumulation(kinds)
        self._iterator = _items(iter(raw), self._message)
        self.text_stream = _texts(self._iterator)
        """Only the pieces of text."""

    def __iter__(self) -> Iterator[Model]:
        return self._iterator

    def __next__(self) -> Model:
        return next(self._iterator)

    def __enter__(self) -> MessageStream:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def response(self) -> HTTPResponse:
        """The answer's head."""
        return self._raw.response

    @property
    def request_id(self) -> str | None:
        """The server's id of the request."""
        return self.response.request_id

    @property
    def current_message_snapshot(self) -> Model:
        """The message so far; it grows."""
        return self._message.final()

    def until_done(self) -> None:
        """Read to the end."""
        for _ in self._iterator:
            pass

    def get_final_message(self) -> Model:
        """Read to the end; the whole message."""
        self.until_done()
        return self._message.final()

    def get_final_text(self) -> str:
        """Read to the end; the text of the whole message, RuntimeError where it has none."""
        self.until_done()
        return self._message.final_text()

    def close(self) -> None:
        """End the transfer; iteration just stops."""
        self._raw.close()


class AsyncMessageStream:
    """`MessageStream`, with `async for`, `async with`, `await`."""

    def __init__(self, raw: AsyncStream, kinds: Kinds) -> None:
        self._raw = raw
        self._message = Accumulation(kinds)
        self._iterator = _async_items(raw.__aiter__(), self._message)
        self.text_stream = _async_texts(self._iterator)

    def __aiter__(self) -> AsyncIterator[Model]:
        return self._iterator

    async def __anext__(self) -> Model:
        return await self._iterator.__anext__()

    async def __aenter__(self) -> AsyncMessageStream:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    @property
    def response(self) -> HTTPResponse:
        """The answer's head."""
        return self._raw.response

    @property
    def request_id(self) -> str | None:
        """The server's id of the request."""
        return self.response.request_id

    @property
    def current_message_snapshot(self) -> Model:
        """The message so far; it grows."""
        return self._message.final()

    async def until_done(self) -> None:
        """Read to the end."""
        async for _ in self._iterator:
            pass

    async def get_final_message(self) -> Model:
        """Read to the end; the whole message."""
        await self.until_done()
        return self._message.final()

    async def get_final_text(self) -> str:
        """Read to the end; the text of the whole message, RuntimeError where it has none."""
        await self.until_done()
        return self._message.final_text()

    async def close(self) -> None:
        """End the transfer; iteration just stops."""
        await self._raw.close()


class MessageStreamManager:
    """What `messages.stream()` returns: entered, it sends the request."""

    def __init__(self, messages: Any, params: Json, kinds: Kinds) -> None:
        self._messages = messages
        self._params = params
        self._kinds = kinds
        self._stream: MessageStream | None = None

    def __enter__(self) -> MessageStream:
        raw = self._messages.create(**self._params, stream=True)
        self._stream = MessageStream(raw, self._kinds)
        return self._stream

    def __exit__(self, *exc: object) -> None:
        if self._stream is not None:
            self._stream.close()


class AsyncMessageStreamManager:
    """`MessageStreamManager`, with `async with`."""

    def __init__(self, messages: Any, params: Json, kinds: Kinds) -> None:
        self._messages = messages
        self._params = params
        self._kinds = kinds
        self._stream: AsyncMessageStream | None = None

    async def __aenter__(self) -> AsyncMessageStream:
        raw = await self._messages.create(**self._params, stream=True)
        self._stream = AsyncMessageStream(raw, self._kinds)
        return self._stream

    async def __aexit__(self, *exc: object) -> None:
        if self._stream is not None:
            await self._stream.close()
