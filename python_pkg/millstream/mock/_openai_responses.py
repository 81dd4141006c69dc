"""OpenAI's responses: `POST …/responses`, named and numbered server-sent events, the last of them
`response.completed` or `response.incomplete`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from typing import Any, TypeAlias

from ._format import (
    Ask,
    Fault,
    Format,
    Stamp,
    ask_for,
    compact,
    encoded,
    finish_of,
    json_object,
    named,
    string_in,
    text_of,
    told,
    tool_names,
    usage_of,
)
from ._openai_chat import openai_error
from ._request import Request
from ._script import Answer, Gate, Part, Text, ToolCall, Usage, joined, tokens

Event: TypeAlias = dict[str, Any]

_REASONS = {"length": "max_output_tokens", "content_filter": "content_filter"}


class OpenAIResponses(Format):
    """An answer is a response with output items: reasoning, a message, function calls."""

    name = "openai-responses"

    def serves(self, request: Request) -> bool:
        return request.path.endswith("/responses")

    def read(self, request: Request) -> Ask:
        body = json_object(request)
        given = body.get("input")
        items = given if isinstance(given, list) else [{"role": "user", "content": given}]
        said = [(i.get("role"), text_of(i.get("content"))) for i in items if isinstance(i, dict)]
        said.insert(0, ("system", text_of(body.get("instructions"))))
        return ask_for(
            string_in(body, "model"),
            said,
            stream=body.get("stream") is True,
            tools=tool_names(body.get("tools")),
        )

    def stream(self, ask: Ask, answer: Answer, stamp: Stamp) -> Iterator[Part]:
        numbers = count()
        for event in _events(ask, answer, stamp):
            if isinstance(event, dict):
                numbered = {**event, "sequence_number": next(numbers)}
                yield named(str(event["type"]), numbered)
            else:
                yield event

    def whole(self, ask: Ask, answer: Answer, stamp: Stamp) -> bytes:
        opening = _opening(ask, stamp)
        output = _output(answer, stamp)
        return encoded(compact({**opening, **_ending(ask, answer, output)}))

    def error(self, status: int, error: Fault) -> bytes:
        return openai_error(status, error)

    def error_event(self, error: Fault, number: int) -> bytes:
        if isinstance(error, str):
            fields: Event = {"code": "server_error", "message": error, "param": None}
        else:
            fields = {"error": dict(error)}
        return named("error", {"type": "error", **fields, "sequence_number": number})


def _events(ask: Ask, answer: Answer, stamp: Stamp) -> Iterator[Event | float | Gate]:
    opening = _opening(ask, stamp)
    output = _output(answer, stamp)
    for kind in ("created", "in_progress"):
        yield {"type": f"response.{kind}", "response": opening}
    for index, item in enumerate(output):
        yield from _item(index, item, answer)
    if answer.finishes:
        whole = {**opening, **_ending(ask, answer, output)}
        yield {"type": f"response.{whole['status']}", "response": whole}


def _output(answer: Answer, stamp: Stamp) -> list[Event]:
    """The items of a whole answer."""
    output: list[Event] = []
    if answer.reasoning:
        summary = [{"type": "summary_text", "text": joined(answer.reasoning)}]
        output.append({"id": stamp.id("rs_", 50), "type": "reasoning", "summary": summary})
    content: list[object] = []
    if answer.text or not (answer.refusal or answer.tool_calls):
        text = joined(answer.text)
        content.append({"type": "output_text", "annotations": [], "logprobs": [], "text": text})
    if answer.refusal:
        content.append({"type": "refusal", "refusal": joined(answer.refusal)})
    if content:
        message = {"id": stamp.id("msg_", 50), "type": "message", "status": "completed"}
        output.append({**message, "content": content, "role": "assistant"})
    return [*output, *(_function_call(call, stamp) for call in answer.tool_calls)]


def _function_call(call: ToolCall, stamp: Stamp) -> Event:
    return {
        "id": stamp.id("fc_", 50),
        "type": "function_call",
        "status": "completed",
        "arguments": call.text(),
        "call_id": call.id or stamp.id("call_", 24),
        "name": call.name,
    }


def _item(index: int, item: Event, answer: Answer) -> Iterator[Event | float | Gate]:
    """The events that build up one item of the output."""
    at = {"item_id": item["id"], "output_index": index}
    inner: Iterable[Event | float | Gate]
    if item["type"] == "reasoning":
        bare: Event = {"summary": []}
        where = {**at, "summary_index": 0}
        kind = "reasoning_summary"
        inner = _part(where, kind, f"{kind}_text", item["summary"][0], answer.reasoning)
    elif item["type"] == "message":
        bare = {"status": "in_progress", "content": []}
        inner = _content(at, item["content"], answer)
    else:
        bare = {"status": "in_progress", "arguments": ""}
        inner = _arguments(at, item["arguments"])
    added = {"type": "response.output_item.added", "output_index": index}
    yield {**added, "item": {**item, **bare}}
    yield from inner
    yield {"type": "response.output_item.done", "output_index": index, "item": item}


def _content(at: Event, content: Sequence[Event], answer: Answer) -> Iterator[Event | float | Gate]:
    for index, part in enumerate(content):
        text = answer.refusal if part["type"] == "refusal" else answer.text
        yield from _part({**at, "content_index": index}, "content", part["type"], part, text)


def _part(
    at: Event, holder: str, kind: str, part: Event, text: Text
) -> Iterator[Event | float | Gate]:
    """The events of one part of an item, which `holder` names, and of the text in it."""
    field = "refusal" if kind == "refusal" else "text"
    yield {"type": f"response.{holder}_part.added", **at, "part": {**part, field: ""}}
    yield from told(text, lambda token: {"type": f"response.{kind}.delta", **at, "delta": token})
    yield {"type": f"response.{kind}.done", **at, field: joined(text)}
    yield {"type": f"response.{holder}_part.done", **at, "part": part}


def _arguments(at: Event, arguments: str) -> Iterator[Event]:
    kind = "response.function_call_arguments"
    for token in tokens(arguments):
        yield {"type": f"{kind}.delta", **at, "delta": token}
    yield {"type": f"{kind}.done", **at, "arguments": arguments}


def _opening(ask: Ask, stamp: Stamp) -> Event:
    """A response that has just begun."""
    return {
        "id": stamp.id("resp_", 50),
        "object": "response",
        "created_at": stamp.created,
        "status": "in_progress",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": ask.model,
        "output": [],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": None,
    }


def _ending(ask: Ask, answer: Answer, output: Sequence[Event]) -> Event:
    """The fields of a response that its end has changed."""
    reason = _REASONS.get(finish_of(answer, {}, refused="stop"))
    usage = usage_of(ask, answer)
    return {
        "status": "incomplete" if reason else "completed",
        "incomplete_details": {"reason": reason} if reason else None,
        "output": output,
        "usage": _usage(usage) if usage else None,
    }


def _usage(usage: Usage) -> Event:
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {"cached_tokens": usage.cached_tokens},
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
