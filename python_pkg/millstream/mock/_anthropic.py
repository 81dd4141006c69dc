"""Anthropic's messages: `POST …/messages`, named server-sent events, `message_stop`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from ._format import (
    Ask,
    Fault,
    Format,
    Stamp,
    arguments_of,
    ask_for,
    compact,
    encoded,
    finish_of,
    json_object,
    named,
    objects_in,
    string_in,
    text_of,
    texts_of,
    told,
    tool_names,
    usage_of,
)
from ._request import Request
from ._script import Answer, Gate, Part, Text, ToolCall, joined, tokens

Event: TypeAlias = dict[str, object]

_FINISHES = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    529: "overloaded_error",
}
_PING = b'event: ping\ndata: {"type": "ping"}\n\n'
_SIGNATURE_LENGTH = 88


class AnthropicMessages(Format):
    """The format of Anthropic. A refusal is a text, with its finish reason."""

    name = "anthropic-messages"
    comment = _PING
    terminator = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    request_id = "request-id"

    def serves(self, request: Request) -> bool:
        return request.path.endswith("/messages")

    def read(self, request: Request) -> Ask:
        body = json_object(request)
        return ask_of(body, string_in(body, "model"), stream=body.get("stream") is True)

    def stream(self, ask: Ask, answer: Answer, stamp: Stamp) -> Iterator[Part]:
        pinged = False
        for event in events_of(ask, answer, stamp):
            if not isinstance(event, dict):
                yield event
                continue
            yield named(str(event["type"]), event)
            if not pinged and event["type"] == "content_block_start":
                pinged = True
                yield _PING

    def whole(self, ask: Ask, answer: Answer, stamp: Stamp) -> bytes:
        return encoded(compact(message_of_answer(ask, answer, stamp)))

    def error(self, status: int, error: Fault) -> bytes:
        return encoded(compact(_error(status, error)))

    def error_event(self, error: Fault, number: int) -> bytes:
        return named("error", _error(500, error))


def ask_of(body: Mapping[str, Any], model: str, stream: bool) -> Ask:
    """What the body of a request asks for."""
    said = [(m.get("role"), text_of(m.get("content"))) for m in objects_in(body, "messages")]
    said.insert(0, ("system", text_of(body.get("system"))))
    return ask_for(model, said, stream=stream, tools=tool_names(body.get("tools")))


def events_of(ask: Ask, answer: Answer, stamp: Stamp) -> Iterator[Event | float | Gate]:
    """The events of an answer up to the finish, without pings and `message_stop`."""
    yield {"type": "message_start", "message": _opening(ask, answer, stamp)}
    texts = texts_of(answer)
    for index, (thought, text) in enumerate(texts):
        yield from _thinking(index, text, stamp) if thought else _text(index, text)
    for index, call in enumerate(answer.tool_calls, len(texts)):
        yield _event("start", index, content_block={**_tool(call, stamp), "input": {}})
        for fragment in ["", *tokens("" if call.text() == "{}" else call.text())]:
            yield _delta(index, "input_json", fragment)
        yield _event("stop", index)
    if not answer.fails:
        yield {
            "type": "message_delta",
            "delta": {"stop_reason": finish_of(answer, _FINISHES), "stop_sequence": None},
            **_usage(ask, answer, spent=True),
        }


def message_of_answer(ask: Ask, answer: Answer, stamp: Stamp) -> Event:
    """The whole answer to a request that does not stream."""
    content: list[object] = []
    message = {**_opening(ask, answer, stamp), "content": content}
    for thought, text in texts_of(answer):
        kind = "thinking" if thought else "text"
        signature = {"signature": stamp.id("", _SIGNATURE_LENGTH)} if thought else {}
        content.append({"type": kind, kind: joined(text), **signature})
    for call in answer.tool_calls:
        content.append({**_tool(call, stamp), "input": arguments_of(call)})
    message["stop_reason"] = finish_of(answer, _FINISHES)
    return {**message, **_usage(ask, answer, spent=True)}


def _thinking(index: int, text: Text, stamp: Stamp) -> Iterator[Event | float | Gate]:
    thinking = {"type": "thinking", "thinking": "", "signature": ""}
    yield _event("start", index, content_block=thinking)
    yield from told(text, lambda token: _delta(index, "thinking", token))
    yield _delta(index, "signature", stamp.id("", _SIGNATURE_LENGTH))
    yield _event("stop", index)


def _text(index: int, text: Text) -> Iterator[Event | float | Gate]:
    yield _event("start", index, content_block={"type": "text", "text": ""})
    yield from told(text, lambda token: _delta(index, "text", token))
    yield _event("stop", index)


def _tool(call: ToolCall, stamp: Stamp) -> Event:
    return {"type": "tool_use", "id": call.id or stamp.id("toolu_", 24), "name": call.name}


def _opening(ask: Ask, answer: Answer, stamp: Stamp) -> Event:
    return {
        "id": stamp.id("msg_01", 22),
        "type": "message",
        "role": "assistant",
        "model": ask.model,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        **_usage(ask, answer, spent=False),
    }


def _usage(ask: Ask, answer: Answer, spent: bool) -> Event:
    """The usage before anything was said, or after all was (`spent`)."""
    usage = usage_of(ask, answer)
    if usage is None:
        return {}
    counts = {
        "input_tokens": usage.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.output_tokens if spent else min(1, usage.output_tokens),
    }
    return {"usage": counts}


def _event(kind: str, index: int, **fields: object) -> Event:
    return {"type": f"content_block_{kind}", "index": index, **fields}


def _delta(index: int, kind: str, value: object) -> Event:
    field = {"input_json": "partial_json"}.get(kind, kind)
    return _event("delta", index, delta={"type": f"{kind}_delta", field: value})


def _error(status: int, error: Fault) -> Event:
    if isinstance(error, str):
        error = {"type": _ERROR_TYPES.get(status, "api_error"), "message": error}
    return {"type": "error", "error": dict(error)}
