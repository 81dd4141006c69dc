"""Ollama: `POST …/api/chat` and `…/api/generate`, lines of JSON, the last with `"done": true`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Any

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
    line,
    objects_in,
    string_in,
    text_of,
    told,
    tool_names,
    usage_of,
)
from ._request import Request
from ._script import Answer, Part, joined

_FINISHES = {"tool_calls": "stop"}
_NANOSECONDS = 1_000_000  # that a token takes


class _Ollama(Format):
    """What both of its formats share. A refusal is a text."""

    content_type = "application/x-ndjson"
    comment = b""

    @abstractmethod
    def said(self, text: str, thinking: str = "", calls: object = None) -> dict[str, object]:
        """The fields of an object that hold what is said in it."""

    def stream(self, ask: Ask, answer: Answer, stamp: Stamp) -> Iterator[Part]:
        opening = {"model": ask.model, "created_at": stamp.iso()}
        thoughts = told(answer.reasoning, lambda token: self.said("", token))
        texts = (told(text, self.said) for text in (answer.text, answer.refusal))
        calls = (self.said("", calls=[call]) for call in _calls(answer, stamp))
        for said in chain(thoughts, *texts, calls):
            if isinstance(said, dict):
                yield line({**opening, **said, "done": False})
            else:
                yield said
        if answer.finishes:
            yield line({**opening, **self.said(""), **_finish(ask, answer)})

    def whole(self, ask: Ask, answer: Answer, stamp: Stamp) -> bytes:
        text = joined(answer.text) + joined(answer.refusal)
        said = self.said(text, joined(answer.reasoning), list(_calls(answer, stamp)))
        opening = {"model": ask.model, "created_at": stamp.iso()}
        return encoded(compact({**opening, **said, **_finish(ask, answer)}))

    def error(self, status: int, error: Fault) -> bytes:
        return encoded(compact({"error": error}))

    def error_event(self, error: Fault, number: int) -> bytes:
        return line({"error": error})


class OllamaChat(_Ollama):
    """The chat: messages, thinking, tool calls."""

    name = "ollama-chat"

    def serves(self, request: Request) -> bool:
        return request.path.endswith("/api/chat")

    def read(self, request: Request) -> Ask:
        body = json_object(request)
        return ask_for(
            string_in(body, "model"),
            [(m.get("role"), text_of(m.get("content"))) for m in objects_in(body, "messages")],
            stream=_streams(body),
            tools=tool_names(body.get("tools"), "function"),
        )

    def said(self, text: str, thinking: str = "", calls: object = None) -> dict[str, object]:
        message: dict[str, object] = {"role": "assistant", "content": text}
        if thinking:
            message["thinking"] = thinking
        if calls:
            message["tool_calls"] = calls
        return {"message": message}


class OllamaGenerate(_Ollama):
    """The completion of a prompt: text and thinking, no tool calls."""

    name = "ollama-generate"

    def serves(self, request: Request) -> bool:
        return request.path.endswith("/api/generate")

    def read(self, request: Request) -> Ask:
        body = json_object(request)
        said = [("system", text_of(body.get("system"))), ("user", text_of(body.get("prompt")))]
        return ask_for(string_in(body, "model"), said, stream=_streams(body))

    def stream(self, ask: Ask, answer: Answer, stamp: Stamp) -> Iterator[Part]:
        return super().stream(ask, replace(answer, tool_calls=()), stamp)

    def said(self, text: str, thinking: str = "", calls: object = None) -> dict[str, object]:
        return {"response": text, **({"thinking": thinking} if thinking else {})}


def _streams(body: dict[str, Any]) -> bool:
    return body.get("stream") is not False  # it streams unless told otherwise


def _calls(answer: Answer, stamp: Stamp) -> Iterator[dict[str, object]]:
    for index, call in enumerate(answer.tool_calls):
        function = {"index": index, "name": call.name, "arguments": arguments_of(call)}
        yield {"id": call.id or stamp.id("call_", 8), "function": function}


def _finish(ask: Ask, answer: Answer) -> dict[str, object]:
    finish: dict[str, object] = {
        "done": True,
        "done_reason": finish_of(answer, _FINISHES, refused="stop"),
    }
    usage = usage_of(ask, answer)
    if usage:
        spent = usage.input_tokens * _NANOSECONDS, usage.output_tokens * _NANOSECONDS
        finish["total_duration"] = sum(spent)
        finish["load_duration"] = 0
        finish["prompt_eval_count"] = usage.input_tokens
        finish["prompt_eval_duration"] = spent[0]
        finish["eval_count"] = usage.output_tokens
        finish["eval_duration"] = spent[1]
    return finish
