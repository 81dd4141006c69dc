"""Gemini's interactions: `POST …/interactions`, typed server-sent events, `done`."""

from __future__ import annotations

from collections.abc import Iterator

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
    message_of,
    named,
    string_in,
    text_of,
    texts_of,
    told,
    tool_names,
    usage_of,
)
from ._request import Request
from ._script import Answer, Part, Text, ToolCall, joined

_FINISHES = {
    "stop": "completed",
    "length": "incomplete",
    "tool_calls": "requires_action",
    "content_filter": "incomplete",
}


class GeminiInteractions(Format):
    """An answer is an interaction of steps. A refusal is a text."""

    name = "gemini-interactions"
    content_type = "text/event-stream"
    terminator = b"event: done\ndata: [DONE]\n\n"

    def serves(self, request: Request) -> bool:
        return request.path.endswith("/interactions")

    def read(self, request: Request) -> Ask:
        body = json_object(request)
        given = body.get("input")
        turns = given if isinstance(given, list) else [{"text": given}]
        said = [_turn(turn) for turn in turns if isinstance(turn, dict)]
        said.insert(0, ("system", text_of(body.get("system_instruction"))))
        return ask_for(
            string_in(body, "model"),
            said,
            stream=body.get("stream") is True,
            tools=tool_names(body.get("tools")),
        )

    def stream(self, ask: Ask, answer: Answer, stamp: Stamp) -> Iterator[Part]:
        opening = {"id": stamp.id("v1_", 60), "status": "in_progress", "object": "interaction"}
        yield _event("interaction.created", interaction={**opening, "model": ask.model})
        yield _event(
            "interaction.status_update", interaction_id=opening["id"], status="in_progress"
        )
        texts = texts_of(answer)
        for index, (thought, text) in enumerate(texts):
            yield from _thought(index, text, stamp) if thought else _output(index, text)
            yield _step("stop", index)
        for index, call in enumerate(answer.tool_calls, len(texts)):
            step = {**_call(call, stamp), "signature": "", "arguments": {}}
            yield _step("start", index, step=step)
            arguments = {"arguments": call.text(), "type": "arguments_delta"}
            yield _step("delta", index, delta=arguments)
            yield _step("stop", index)
        if answer.finishes:
            whole = {**opening, **_ending(ask, answer, stamp)}
            yield _event("interaction.completed", interaction=whole)

    def whole(self, ask: Ask, answer: Answer, stamp: Stamp) -> bytes:
        steps: list[object] = []
        for thought, text in texts_of(answer):
            kind, field = ("thought", "summary") if thought else ("model_output", "content")
            steps.append({"type": kind, field: [{"type": "text", "text": joined(text)}]})
        for call in answer.tool_calls:
            steps.append({**_call(call, stamp), "arguments": arguments_of(call)})
        opening = {"id": stamp.id("v1_", 60), "object": "interaction", "steps": steps}
        return encoded(compact({**opening, **_ending(ask, answer, stamp)}))

    def error(self, status: int, error: Fault) -> bytes:
        return encoded(compact({"error": _error(status, error)}))

    def error_event(self, error: Fault, number: int) -> bytes:
        return _event("error", error=_error(500, error))


def _turn(turn: dict[str, object]) -> tuple[object, str]:
    """The role and the text of one item of the input: a content, a message or a step."""
    role = "model" if turn.get("type") in ("model_output", "thought") else turn.get("role", "user")
    return role, text_of(turn.get("content", turn.get("text")))


def _event(kind: str, **fields: object) -> bytes:
    return named(kind, {**fields, "event_type": kind})


def _step(kind: str, index: int, **fields: object) -> bytes:
    return _event(f"step.{kind}", index=index, **fields)


def _thought(index: int, text: Text, stamp: Stamp) -> Iterator[Part]:
    def delta(token: str) -> bytes:
        content = {"type": "text", "text": token}
        return _step("delta", index, delta={"content": content, "type": "thought_summary"})

    yield _step("start", index, step={"type": "thought"})
    yield from told(text, delta)
    signature = {"signature": stamp.id("", 88), "type": "thought_signature"}
    yield _step("delta", index, delta=signature)


def _output(index: int, text: Text) -> Iterator[Part]:
    yield _step("start", index, step={"type": "model_output"})
    yield from told(
        text, lambda token: _step("delta", index, delta={"text": token, "type": "text"})
    )


def _call(call: ToolCall, stamp: Stamp) -> dict[str, object]:
    return {"id": call.id or stamp.id("", 8), "type": "function_call", "name": call.name}


def _ending(ask: Ask, answer: Answer, stamp: Stamp) -> dict[str, object]:
    """The status, the usage and the times of an interaction that is over."""
    usage = usage_of(ask, answer)
    stated = {}
    if usage:
        stated["usage"] = {
            "total_tokens": usage.input_tokens + usage.output_tokens,
            "total_input_tokens": usage.input_tokens,
            "total_cached_tokens": usage.cached_tokens,
            "total_output_tokens": usage.output_tokens,
            "total_tool_use_tokens": 0,
            "total_thought_tokens": usage.reasoning_tokens,
        }
    times = {"created": stamp.iso(), "updated": stamp.iso(), "model": ask.model}
    return {"status": finish_of(answer, _FINISHES, refused="stop"), **stated, **times}


def _error(status: int, error: Fault) -> dict[str, object]:
    if not isinstance(error, str):
        return dict(error)
    return {"code": status, "message": message_of(error)}
