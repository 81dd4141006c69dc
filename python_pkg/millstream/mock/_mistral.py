"""Mistral: OpenAI's chat completions, below a path with the segment `mistral`. Reasoning is a list
of parts in the content, a tool call comes whole, and the usage beside the finish reason."""

from __future__ import annotations

from collections.abc import Iterator

from ._format import (
    Ask,
    Fault,
    Stamp,
    choices_of,
    compact,
    data,
    encoded,
    finish_of,
    in_turns,
    told,
    usage_of,
)
from ._openai_chat import OpenAIChat, openai_usage, tool_call
from ._request import Request
from ._script import Answer, Gate, Part, joined


class MistralChat(OpenAIChat):
    """The format of Mistral. A refusal is a text."""

    name = "mistral-chat"

    def serves(self, request: Request) -> bool:
        return super().serves(request) and "/mistral/" in request.path

    def stream(self, ask: Ask, answer: Answer, stamp: Stamp) -> Iterator[Part]:
        opening = _opening("chat.completion.chunk", ask, stamp)
        choices = [_pieces(choice, stamp) for choice in choices_of(ask, answer)]
        for index, piece in in_turns(choices):
            if not isinstance(piece, tuple):
                yield piece
                continue
            delta, finish = piece
            choice = {"index": index, "delta": delta, "finish_reason": finish}
            usage = _usage(ask, answer) if finish and index == 0 else {}
            yield data({**opening, "choices": [choice], **usage})

    def whole(self, ask: Ask, answer: Answer, stamp: Stamp) -> bytes:
        choices = [
            {
                "index": index,
                "message": _message(choice, stamp),
                "finish_reason": finish_of(choice, {}, refused="stop"),
            }
            for index, choice in enumerate(choices_of(ask, answer))
        ]
        opening = _opening("chat.completion", ask, stamp)
        return encoded(compact({**opening, "choices": choices, **_usage(ask, answer)}))

    def error(self, status: int, error: Fault) -> bytes:
        return encoded(compact(_error(status, error)))

    def error_event(self, error: Fault, number: int) -> bytes:
        return data({"error": _error(500, error)})


def _opening(kind: str, ask: Ask, stamp: Stamp) -> dict[str, object]:
    return {
        "id": stamp.id("", 32).lower(),
        "object": kind,
        "created": stamp.created,
        "model": ask.model,
    }


def _pieces(
    choice: Answer, stamp: Stamp
) -> Iterator[tuple[dict[str, object], str | None] | float | Gate]:
    """The choice's deltas, each with its finish reason."""
    yield {"role": "assistant", "content": ""}, None
    yield from told(choice.reasoning, lambda token: _content([_thinking(token)]))
    for text in (choice.text, choice.refusal):
        yield from told(text, _content)
    calls = [tool_call(call, stamp) for call in choice.tool_calls]
    for index, call in enumerate(calls):
        yield {"tool_calls": [{**call, "index": index}]}, None
    if not choice.fails:
        yield {"content": ""}, finish_of(choice, {}, refused="stop")


def _content(content: object) -> tuple[dict[str, object], None]:
    return {"content": content}, None


def _message(choice: Answer, stamp: Stamp) -> dict[str, object]:
    text: object = joined(choice.text) + joined(choice.refusal)
    if choice.reasoning:
        text = [_thinking(joined(choice.reasoning)), {"type": "text", "text": text}]
    calls = [tool_call(call, stamp) for call in choice.tool_calls]
    return {"role": "assistant", "content": text, "tool_calls": calls or None}


def _thinking(text: str) -> dict[str, object]:
    return {"type": "thinking", "thinking": [{"type": "text", "text": text}]}


def _usage(ask: Ask, answer: Answer) -> dict[str, object]:
    usage = usage_of(ask, answer)
    return {"usage": openai_usage(usage)} if usage else {}


def _error(status: int, error: Fault) -> dict[str, object]:
    if not isinstance(error, str):
        return dict(error)
    kind = "rate_limited" if status == 429 else "invalid_request_error"
    return {"object": "error", "message": error, "type": kind, "param": None, "code": str(status)}
