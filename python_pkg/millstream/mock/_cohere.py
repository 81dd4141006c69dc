"""Cohere: `POST …/v2/chat`, typed server-sent events; `…/v1/chat` and `…/v1/generate`, lines of
JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ._format import (
    Ask,
    Fault,
    Format,
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
    line,
    message_of,
    named,
    objects_in,
    string_in,
    text_of,
    texts_of,
    told,
    tool_names,
    usage_of,
)
from ._openai_chat import tool_call
from ._request import Request
from ._script import Answer, Gate, Part, Text, joined, tokens

_FINISHES = {
    "stop": "COMPLETE",
    "length": "MAX_TOKENS",
    "tool_calls": "TOOL_CALL",
    "content_filter": "ERROR_TOXIC",
}
_DEFAULT_MODEL = "command"
_V1_FINISHES = {**_FINISHES, "tool_calls": "COMPLETE"}


class _Cohere(Format):
    """What all of its formats share. A refusal is a text, with its finish reason."""

    def error(self, status: int, error: Fault) -> bytes:
        return encoded(compact({"message": error} if isinstance(error, str) else error))


class CohereV2Chat(_Cohere):
    """The second version of the chat."""

    name = "cohere-v2-chat"
    terminator = b"data: [DONE]\n\n"

    def serves(self, request: Request) -> bool:
        return request.path.endswith("/v2/chat")

    def read(self, request: Request) -> Ask:
        body = json_object(request)
        return ask_for(
            string_in(body, "model"),
            [(m.get("role"), text_of(m.get("content"))) for m in objects_in(body, "messages")],
            stream=body.get("stream") is True,
            tools=tool_names(body.get("tools"), "function"),
        )

    def stream(self, ask: Ask, answer: Answer, stamp: Stamp) -> Iterator[Part]:
        empty = {"content": [], "tool_plan": "", "tool_calls": [], "citations": []}
        start = {"message": {"role": "assistant", **empty}}
        opened = {"id": stamp.uuid(), "type": "message-start", "delta": start}
        yield named("message-start", opened)
        for index, (thought, text) in enumerate(texts_of(answer)):
            yield from _content(index, "thinking" if thought else "text", text)
        for index, call in enumerate(answer.tool_calls):
            opening = tool_call(call, stamp)
            opening["function"] = {"name": call.name, "arguments": ""}
            yield _event("tool-call-start", index, {"tool_calls": opening})
            for token in tokens(call.text()):
                fragment = {"function": {"arguments": token}}
                yield _event("tool-call-delta", index, {"tool_calls": fragment})
            yield _event("tool-call-end", index)
        if answer.finishes:
            delta = {"finish_reason": finish_of(answer, _FINISHES), **_usage(ask, answer)}
            yield named("message-end", {"type": "message-end", "delta": delta})

    def whole(self, ask: Ask, answer: Answer, stamp: Stamp) -> bytes:
        said = (("thinking" if t else "text", joined(text)) for t, text in texts_of(answer))
        content = [{"type": kind, kind: text} for kind, text in said]
        message: dict[str, object] = {"role": "assistant", "content": content}
        if answer.tool_calls:
            message["tool_calls"] = [tool_call(call, stamp) for call in answer.tool_calls]
        finish = finish_of(answer, _FINISHES)
        opening = {"id": stamp.uuid(), "message": message, "finish_reason": finish}
        return encoded(compact({**opening, **_usage(ask, answer)}))

    def error_event(self, error: Fault, number: int) -> bytes:
        delta = {"error": message_of(error), "finish_reason": "ERROR"}
        return named("message-end", {"type": "message-end", "delta": delta})


class CohereV1Chat(_Cohere):
    """The first version of the chat: text and tool calls."""

    name = "cohere-v1-chat"
    content_type = "application/stream+json"
    comment = b""

    def serves(self, request: Request) -> bool:
        return request.path.endswith("/v1/chat")

    def read(self, request: Request) -> Ask:
        body = json_object(request)
        history = objects_in(body, "chat_history") if body.get("chat_history") else []
        return ask_for(
            str(body.get("model") or _DEFAULT_MODEL),
            [
                ("system", text_of(body.get("preamble"))),
                *((turn.get("role"), text_of(turn.get("message"))) for turn in history),
                ("user", string_in(body, "message")),
            ],
            stream=body.get("stream") is True,
            tools=tool_names(body.get("tools")),
        )

    def stream(self, ask: Ask, answer: Answer, stamp: Stamp) -> Iterator[Part]:
        generation = stamp.uuid()
        yield _step("stream-start", {"generation_id": generation})
        for text in (answer.text, answer.refusal):
            yield from told(text, lambda token: _step("text-generation", {"text": token}))
        if answer.tool_calls:
            yield _step("tool-calls-generation", {"tool_calls": _v1_calls(answer)})
        if answer.finishes:
            response = _v1_response(ask, answer, generation, stamp)
            finish = {"finish_reason": response["finish_reason"], "response": response}
            yield _step("stream-end", finish, is_finished=True)

    def whole(self, ask: Ask, answer: Answer, stamp: Stamp) -> bytes:
        return encoded(compact(_v1_response(ask, answer, stamp.uuid(), stamp)))

    def error_event(self, error: Fault, number: int) -> bytes:
        fields = {"finish_reason": "ERROR", "error": message_of(error)}
        return _step("stream-end", fields, is_finished=True)


class CohereV1Generate(_Cohere):
    """The completion of a prompt: text only."""

    name = "cohere-v1-generate"
    content_type = "application/stream+json"
    comment = b""
    many_choices = True

    def serves(self, request: Request) -> bool:
        return request.path.endswith("/v1/generate")

    def read(self, request: Request) -> Ask:
        body = json_object(request)
        return ask_for(
            str(body.get("model") or _DEFAULT_MODEL),
            [("user", string_in(body, "prompt"))],
            stream=body.get("stream") is True,
            choices=count_in(body, "num_generations"),
        )

    def stream(self, ask: Ask, answer: Answer, stamp: Stamp) -> Iterator[Part]:
        choices = choices_of(ask, answer)
        many = len(choices) > 1
        for index, token in in_turns([_said(choice) for choice in choices]):
            if isinstance(token, str):
                fields: dict[str, object] = {"text": token, **({"index": index} if many else {})}
                yield _step("text-generation", fields)
            else:
                yield token
        if answer.finishes:
            finish = {
                "finish_reason": finish_of(answer, _V1_FINISHES),
                "response": _v1_generations(ask, answer, stamp),
            }
            yield _step("stream-end", finish, is_finished=True)

    def whole(self, ask: Ask, answer: Answer, stamp: Stamp) -> bytes:
        return encoded(compact(_v1_generations(ask, answer, stamp)))

    def error_event(self, error: Fault, number: int) -> bytes:
        fields = {"finish_reason": "ERROR", "err": message_of(error)}
        return _step("stream-error", fields, is_finished=True)


def _content(index: int, kind: str, text: Text) -> Iterator[Part]:
    yield _event("content-start", index, {"content": {"type": kind, kind: ""}})
    yield from told(text, lambda token: _event("content-delta", index, {"content": {kind: token}}))
    yield _event("content-end", index)


def _event(kind: str, index: int, message: object = None) -> bytes:
    delta = {} if message is None else {"delta": {"message": message}}
    return named(kind, {"type": kind, "index": index, **delta})


def _usage(ask: Ask, answer: Answer) -> dict[str, object]:
    usage = usage_of(ask, answer)
    if usage is None:
        return {}
    counts = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
    usage_object = {"billed_units": counts, "tokens": counts, "cached_tokens": usage.cached_tokens}
    return {"usage": usage_object}


def _step(kind: str, fields: Mapping[str, object], is_finished: bool = False) -> bytes:
    return line({"is_finished": is_finished, "event_type": kind, **fields})


def _said(choice: Answer) -> Iterator[str | float | Gate]:
    yield from tokens(choice.text)
    yield from tokens(choice.refusal)


def _v1_calls(answer: Answer) -> list[object]:
    return [{"name": call.name, "parameters": arguments_of(call)} for call in answer.tool_calls]


def _v1_response(ask: Ask, answer: Answer, generation: str, stamp: Stamp) -> dict[str, object]:
    text = joined(answer.text) + joined(answer.refusal)
    turns = [{"role": "USER", "message": ask.prompt}, {"role": "CHATBOT", "message": text}]
    calls = {"tool_calls": _v1_calls(answer)} if answer.tool_calls else {}
    return {
        "response_id": stamp.uuid(),
        "text": text,
        "generation_id": generation,
        "chat_history": turns,
        **calls,
        "finish_reason": finish_of(answer, _V1_FINISHES),
        "meta": _v1_meta(ask, answer),
    }


def _v1_generations(ask: Ask, answer: Answer, stamp: Stamp) -> dict[str, object]:
    generations = [
        {
            "id": stamp.uuid(),
            "text": joined(choice.text) + joined(choice.refusal),
            "finish_reason": finish_of(choice, _V1_FINISHES),
        }
        for choice in choices_of(ask, answer)
    ]
    opening = {"id": stamp.uuid(), "generations": generations, "prompt": ask.prompt}
    return {**opening, "meta": _v1_meta(ask, answer)}


def _v1_meta(ask: Ask, answer: Answer) -> dict[str, object]:
    usage = usage_of(ask, answer)
    if usage is None:
        return {"api_version": {"version": "1"}}
    counts = {"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens}
    return {"api_version": {"version": "1"}, "billed_units": counts, "tokens": counts}
