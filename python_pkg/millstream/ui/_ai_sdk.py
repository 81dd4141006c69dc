"""The AI SDK's UI message stream, version 1, which its `useChat` reads.

Its parts are those of `uiMessageChunkSchema` in the npm package `ai`, versions 5 to 7.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from ._frames import HEADERS, Frames, compact, given, usage_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .._core import Chunk, Message, ToolCall
    from .._errors import Error
    from ._frames import OnError

_DONE = b"data: [DONE]\n\n"
_PART_OF = {"text": "text", "refusal": "text", "reasoning": "reasoning"}
_FINISH = {"stop": "stop", "length": "length", "tool_calls": "tool-calls",
           "content_filter": "content-filter"}  # fmt: skip


class UIMessageStream(Frames):
    """Parts of one step of one assistant's message. Only the first choice is told."""

    headers: Mapping[str, str] = {**HEADERS, "x-vercel-ai-ui-message-stream": "v1"}

    def __init__(
        self, data: Mapping[str, Any] | None, on_error: OnError | None, message_id: str | None
    ) -> None:
        super().__init__(data, on_error)
        self._message_id = message_id
        self._open = ""  # the kind of the part that grows
        self._part = 0
        self._head = b""
        self._calls: dict[int, _Call] = {}

    def begin(self) -> list[bytes]:
        """The message and its step begin."""
        start = self.event({"type": "start", **given(messageId=self._message_id)})
        return [start, self.event({"type": "start-step"}), *self.data_parts()]

    def of(self, chunk: Chunk) -> list[bytes]:
        """Growing parts: text, reasoning, the input of tools."""
        if chunk.choice:
            return []
        if chunk.type == "tool_call" and chunk.tool_call is not None:
            return self._tool_call(chunk, chunk.tool_call)
        part = _PART_OF.get(chunk.type)
        if part is None or not getattr(chunk, chunk.type):
            return []
        frames = [] if part == self._open else self._begin_part(part)
        frames.append(self.text_event(self._head, chunk))
        return frames

    def _begin_part(self, part: str) -> list[bytes]:
        frames = self._end_part()
        self._open = part
        self._part += 1
        self._head = b'data: {"type":"%s-delta","id":"%d","delta":"' % (part.encode(), self._part)
        return [*frames, self.event({"type": f"{part}-start", "id": str(self._part)})]

    def _end_part(self) -> list[bytes]:
        part, self._open = self._open, ""
        return [self.event({"type": f"{part}-end", "id": str(self._part)})] if part else []

    def _tool_call(self, chunk: Chunk, piece: ToolCall) -> list[bytes]:
        frames = self._end_part()
        call = self._calls.get(piece.index)
        if call is None:
            call = self._calls[piece.index] = _Call(piece)
            frames.append(self.event({"type": "tool-input-start", **call.names}))
        if piece.arguments:
            call.arguments.append(piece.arguments)
            frames.append(self.text_event(call.head, chunk))
        return frames

    def _end_step(self) -> list[bytes]:
        """All that is open is complete now."""
        frames = self._end_part()
        frames += [self.event(call.whole()) for call in self._calls.values()]
        self._calls.clear()
        return [*frames, self.event({"type": "finish-step"})]

    def _finish(self, reason: str, **metadata: Any) -> list[bytes]:
        about = {"messageMetadata": metadata} if metadata else {}
        return [self.event({"type": "finish", "finishReason": reason, **about}), _DONE]

    def end(self, message: Message) -> list[bytes]:
        """The message's end; its metadata tell model and usage."""
        reason = _FINISH.get(message.finish_reason or "", "other")
        metadata = given(model=message.model, usage=usage_of(message.usage))
        return [*self._end_step(), *self._finish(reason, **metadata)]

    def failed(self, error: Error) -> list[bytes]:
        """The error; calls that were not complete stay so."""
        frames = self._end_part()
        frames.append(self.event({"type": "error", "errorText": self.words_for(error)}))
        return frames + self._finish("error")

    def stopped(self) -> list[bytes]:
        """Aborted, as the AI SDK calls it."""
        return [*self._end_part(), self.event({"type": "abort"}), _DONE]


class _Call:
    """A tool call whose arguments come in pieces."""

    def __init__(self, first: ToolCall) -> None:
        id = first.id or f"call_{first.index}"
        self.names = {"toolCallId": id, "toolName": first.name}
        self.arguments: list[str] = []
        about = compact({"type": "tool-input-delta", "toolCallId": id})
        self.head = b'data: %s,"inputTextDelta":"' % about[:-1].encode()

    def whole(self) -> dict[str, Any]:
        """The part that gives the tool its input."""
        text = "".join(self.arguments)
        try:
            value = json.loads(text or "{}", parse_constant=_refuse)
        except (ValueError, RecursionError):
            why = "The arguments are no JSON."
            return {"type": "tool-input-error", **self.names, "input": text, "errorText": why}
        return {"type": "tool-input-available", **self.names, "input": value}


def _refuse(constant: str) -> None:
    raise ValueError(constant)  # NaN and the infinities, which JSON does not know
