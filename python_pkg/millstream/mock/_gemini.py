"""Gemini: `POST …/models/{model}:streamGenerateContent`, server-sent events with `?alt=sse`, one
JSON array without; `:generateContent`, one JSON object."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, unquote

from ._format import (
    Ask,
    Fault,
    Format,
    Refused,
    Stamp,
    arguments_of,
    ask_for,
    choices_of,
    compact,
    count_in,
    encoded,
    finish_of,
    in_turns,
    json_object,
    objects_in,
    text_of,
    told,
    tool_names,
    usage_of,
)
from ._request import Request
from ._script import Answer, Gate, Part, ToolCall, joined

_METHOD = re.compile(r".*/([^/:]+):(streamGenerateContent|generateContent)")
_FINISHES = {
    "stop": "STOP",
    "length": "MAX_TOKENS",
    "tool_calls": "STOP",
    "content_filter": "SAFETY",
}
_STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class Gemini(Format):
    """The format of Gemini. A refusal is a text, with its finish reason."""

    name = "gemini"
    content_type = "text/event-stream"
    comment = b": keep-alive\r\n\r\n"
    many_choices = True

    def serves(self, request: Request) -> bool:
        method = _METHOD.fullmatch(request.path)
        return method is not None and (method[2] == "generateContent" or _as_events(request))

    def read(self, request: Request) -> Ask:
        method = _METHOD.fullmatch(request.path)
        if method is None:
            raise Refused(f"Unknown path: {request.path}", 404)
        body = json_object(request)
        said = [(c.get("role", "user"), _text_of(c)) for c in objects_in(body, "contents")]
        said.insert(0, ("system", _text_of(_either(body, "systemInstruction"))))
        return ask_for(
            unquote(method[1]),
            said,
            stream=method[2] == "streamGenerateContent",
            tools=_tool_names(body.get("tools")),
            choices=count_in(_either(body, "generationConfig"), "candidateCount"),
        )

    def stream(self, ask: Ask, answer: Answer, stamp: Stamp) -> Iterator[Part]:
        for chunk in _chunks(ask, answer, stamp):
            yield _event(chunk) if isinstance(chunk, dict) else chunk

    def whole(self, ask: Ask, answer: Answer, stamp: Stamp) -> bytes:
        candidates = [
            {
                "content": {"parts": _parts(choice, stamp), "role": "model"},
                "finishReason": finish_of(choice, _FINISHES),
                "index": index,
            }
            for index, choice in enumerate(choices_of(ask, answer))
        ]
        closing = _closing(ask, answer, stamp.id("", 22), spent=True)
        return encoded(compact({"candidates": candidates, **closing}))

    def error(self, status: int, error: Fault) -> bytes:
        return encoded(compact(_error(status, error)))

    def error_event(self, error: Fault, number: int) -> bytes:
        return _event(_error(500, error))


class GeminiJSONArray(Gemini):
    """The same as one JSON array, element by element; its bracket is the terminator."""

    name = "gemini-json-array"
    content_type = "application/json; charset=UTF-8"
    comment = b""
    terminator = b"\n]\n"

    def serves(self, request: Request) -> bool:
        return _METHOD.fullmatch(request.path) is not None and not super().serves(request)

    def stream(self, ask: Ask, answer: Answer, stamp: Stamp) -> Iterator[Part]:
        number = 0
        for chunk in _chunks(ask, answer, stamp):
            yield _element(chunk, number) if isinstance(chunk, dict) else chunk
            number += isinstance(chunk, dict)

    def error(self, status: int, error: Fault) -> bytes:
        return encoded(compact([_error(status, error)]))

    def error_event(self, error: Fault, number: int) -> bytes:
        return _element(_error(500, error), number) + self.terminator


def _as_events(request: Request) -> bool:
    return parse_qs(request.query).get("alt") == ["sse"]


def _either(body: Mapping[str, Any], name: str) -> Any:
    """A field by its name, or by that name with underscores: both are understood."""
    snake = re.sub("[A-Z]", lambda letter: f"_{letter[0].lower()}", name)
    return body.get(name, body.get(snake))


def _text_of(content: object) -> str:
    return text_of(content.get("parts")) if isinstance(content, dict) else ""


def _tool_names(tools: object) -> list[str]:
    lists = [t for t in tools if isinstance(t, dict)] if isinstance(tools, list) else []
    return [name for t in lists for name in tool_names(_either(t, "functionDeclarations"))]


def _event(value: Mapping[str, object]) -> bytes:
    return encoded(f"data: {compact(value)}\r\n\r\n")


def _element(value: Mapping[str, object], number: int) -> bytes:
    return encoded(("," if number else "[") + compact(value) + "\n")


def _chunks(ask: Ask, answer: Answer, stamp: Stamp) -> Iterator[dict[str, object] | float | Gate]:
    closing = _closing(ask, answer, stamp.id("", 22), spent=False)
    choices = choices_of(ask, answer)
    spoken = in_turns([_candidates(choice, stamp) for choice in choices])
    open_choices = len(choices)
    for index, candidate in spoken:
        if not isinstance(candidate, dict):
            yield candidate
            continue
        open_choices -= "finishReason" in candidate
        if not open_choices:
            closing = {**closing, **_usage(ask, answer, spent=True)}
        yield {"candidates": [{**candidate, "index": index}], **closing}


def _candidates(choice: Answer, stamp: Stamp) -> Iterator[dict[str, object] | float | Gate]:
    """A candidate for each piece of what a choice says; the last one has the finish reason."""
    yield from told(choice.reasoning, lambda token: _candidate({"text": token, "thought": True}))
    for text in (choice.text, choice.refusal):
        yield from told(text, lambda token: _candidate({"text": token}))
    for call in choice.tool_calls:
        yield _candidate(_call(call, stamp))
    if choice.finishes:
        yield {**_candidate({"text": ""}), "finishReason": finish_of(choice, _FINISHES)}


def _candidate(part: object) -> dict[str, object]:
    return {"content": {"parts": [part], "role": "model"}}


def _parts(choice: Answer, stamp: Stamp) -> list[object]:
    parts: list[object] = []
    if choice.reasoning:
        parts.append({"text": joined(choice.reasoning), "thought": True})
    parts += [{"text": joined(text)} for text in (choice.text, choice.refusal) if text]
    return [*parts, *(_call(call, stamp) for call in choice.tool_calls)]


def _call(call: ToolCall, stamp: Stamp) -> dict[str, object]:
    function = {"name": call.name, "args": arguments_of(call), "id": call.id or stamp.id("", 8)}
    return {"functionCall": function}


def _closing(ask: Ask, answer: Answer, answer_id: str, spent: bool) -> dict[str, object]:
    """What stands beside the candidates."""
    usage = _usage(ask, answer, spent)
    return {**usage, "modelVersion": ask.model, "responseId": answer_id}


def _usage(ask: Ask, answer: Answer, spent: bool) -> dict[str, object]:
    """The usage: of the prompt alone, or of all that was said too (`spent`)."""
    usage = usage_of(ask, answer)
    if usage is None:
        return {}
    modality = {"modality": "TEXT", "tokenCount": usage.input_tokens}
    counts: dict[str, object] = {"promptTokenCount": usage.input_tokens}
    total = usage.input_tokens
    if spent:
        # Thoughts are counted apart here; a `Usage` that was written down is sent as it is.
        thoughts = usage.reasoning_tokens
        said = usage.output_tokens - (thoughts if answer.usage is None else 0)
        counts["candidatesTokenCount"] = said
        counts.update({"thoughtsTokenCount": thoughts} if thoughts else {})
        total += said + thoughts
    counts["totalTokenCount"] = total
    if usage.cached_tokens:
        counts["cachedContentTokenCount"] = usage.cached_tokens
    return {"usageMetadata": {**counts, "promptTokensDetails": [modality]}}


def _error(status: int, error: Fault) -> dict[str, object]:
    if isinstance(error, str):
        word = _STATUSES.get(status, "INTERNAL" if status >= 500 else "INVALID_ARGUMENT")
        error = {"code": status, "message": error, "status": word}
    return {"error": dict(error)}
