"""OpenAI's chat completions: `POST …/chat/completions`, unnamed server-sent events, `[DONE]`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ._format import (
    Ask,
    Fault,
    Format,
    Stamp,
    ask_for,
    choices_of,
    compact,
    count_in,
    encoded,
    finish_of,
    in_turns,
    json_object,
    objects_in,
    string_in,
    text_of,
    tool_names,
    usage_of,
)
from ._request import Request
from ._script import Answer, Gate, Part, ToolCall, Usage, joined, tokens

_FINGERPRINT = "fp_a1b2c3d4e5"
_ERROR_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_ERROR_CODES = {401: "invalid_api_key", 404: "not_found", 429: "rate_limit_exceeded"}


class OpenAIChat(Format):
    """The format of OpenAI, and of the many servers that are compatible with it."""

    name = "openai-chat"
    terminator = b"data: [DONE]\n\n"
    many_choices = True

    def serves(self, request: Request) -> bool:
        return request.path.endswith(("/chat/completions", "/writer/v1/chat"))

    def read(self, request: Request) -> Ask:
        body = json_object(request)
        return ask_for(
            string_in(body, "model"),
            [(m.get("role"), text_of(m.get("content"))) for m in objects_in(body, "messages")],
            stream=body.get("stream") is True,
            tools=tool_names(body.get("tools"), "function"),
            include_usage=usage_wanted(body),
            choices=count_in(body, "n"),
        )

    def stream(self, ask: Ask, answer: Answer, stamp: Stamp) -> Iterator[Part]:
        head = _opening("chat.completion.chunk", ask, stamp, stamp.id("chatcmpl-"))
        head = f'data: {head},"choices":['
        asked = ask.include_usage and answer.usage is not False
        tail = '],"usage":null}\n\n' if asked else "]}\n\n"
        deltas = [_deltas(choice, stamp, answer.fails) for choice in choices_of(ask, answer)]
        for index, item in in_turns(deltas):
            if isinstance(item, tuple):
                delta, finish = item
                choice = (
                    f'{{"index":{index},"delta":{delta},"logprobs":null,"finish_reason":{finish}}}'
                )
                yield encoded(f"{head}{choice}{tail}")
            else:
                yield item
        usage = usage_of(ask, answer)
        if asked and usage and not answer.fails:
            yield encoded(f'{head}],"usage":{compact(openai_usage(usage))}}}\n\n')

    def whole(self, ask: Ask, answer: Answer, stamp: Stamp) -> bytes:
        head = _opening("chat.completion", ask, stamp, stamp.id("chatcmpl-"))
        choices = [
            {
                "index": index,
                "message": _message(choice, stamp),
                "logprobs": None,
                "finish_reason": _finish(choice),
            }
            for index, choice in enumerate(choices_of(ask, answer))
        ]
        usage = usage_of(ask, answer)
        stated = f',"usage":{compact(openai_usage(usage))}' if usage else ""
        return encoded(f'{head},"choices":{compact(choices)}{stated}}}')

    def error(self, status: int, error: Fault) -> bytes:
        return openai_error(status, error)

    def error_event(self, error: Fault, number: int) -> bytes:
        return openai_error_event(error)


def usage_wanted(body: Mapping[str, object]) -> bool:
    """Whether a request asks for a last chunk with the usage."""
    options = body.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def openai_error(status: int, error: Fault) -> bytes:
    """OpenAI's error object, of all its endpoints."""
    if isinstance(error, str):
        default = "server_error" if status >= 500 else "invalid_request_error"
        error = {
            "message": error,
            "type": _ERROR_TYPES.get(status, default),
            "param": None,
            "code": _ERROR_CODES.get(status),
        }
    return encoded(compact({"error": dict(error)}))


def openai_error_event(error: Fault) -> bytes:
    """The same inside a stream."""
    return b"data: %b\n\n" % openai_error(500, error)


def openai_models(names: Sequence[str]) -> bytes:
    """The list of models."""
    models = [
        {"id": name, "object": "model", "created": 1_750_000_000, "owned_by": "millstream"}
        for name in names
    ]
    return encoded(compact({"object": "list", "data": models}))


def _opening(kind: str, ask: Ask, stamp: Stamp, answer_id: str) -> str:
    """The fields that open every object of an answer; the brace is left open."""
    fields = {
        "id": answer_id,
        "object": kind,
        "created": stamp.created,
        "model": ask.model,
        "service_tier": "default",
        "system_fingerprint": _FINGERPRINT,
    }
    return compact(fields)[:-1]


def _deltas(choice: Answer, stamp: Stamp, fails: bool) -> Iterator[tuple[str, str] | float | Gate]:
    """The choice's deltas, each with its finish reason, both as JSON text."""
    content = None if choice.tool_calls and not choice.text else ""
    yield compact({"role": "assistant", "content": content, "refusal": None}), "null"
    said = (("reasoning_content", choice.reasoning), ("content", choice.text))
    for name, text in (*said, ("refusal", choice.refusal)):
        for token in tokens(text):
            yield (compact({name: token}), "null") if isinstance(token, str) else token
    for index, call in enumerate(choice.tool_calls):
        for fragment in fragments_of(index, call, call.id or stamp.id("call_", 24)):
            yield compact({"tool_calls": [fragment]}), "null"
    if not fails:
        yield "{}", compact(_finish(choice))


def _message(choice: Answer, stamp: Stamp) -> dict[str, object]:
    message: dict[str, object] = {
        "role": "assistant",
        "content": joined(choice.text) if choice.text or not choice.tool_calls else None,
        "refusal": joined(choice.refusal) or None,
    }
    if choice.reasoning:
        message["reasoning_content"] = joined(choice.reasoning)
    if choice.tool_calls:
        message["tool_calls"] = [tool_call(call, stamp) for call in choice.tool_calls]
    return message


def fragments_of(index: int, call: ToolCall, call_id: str) -> Iterator[dict[str, object]]:
    """A tool call in fragments: its id and name, then its arguments token by token."""
    opening = {"name": call.name, "arguments": ""}
    yield {"index": index, "id": call_id, "type": "function", "function": opening}
    for token in tokens(call.text()):
        yield {"index": index, "function": {"arguments": token}}


def tool_call(call: ToolCall, stamp: Stamp) -> dict[str, object]:
    """A whole tool call, as a message has it."""
    return {
        "id": call.id or stamp.id("call_", 24),
        "type": "function",
        "function": {"name": call.name, "arguments": call.text()},
    }


def _finish(choice: Answer) -> str:
    return finish_of(choice, {}, refused="stop")


def openai_usage(usage: Usage) -> dict[str, object]:
    """The usage object."""
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
