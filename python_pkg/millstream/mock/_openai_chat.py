"""OpenAI's chat completions: `POST …/chat/completions`, unnamed server-sent events, `[DONE]`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ._format import Ask, Refused, Stamp, choices_of, compact, count_tokens, encoded, usage_of
from ._request import Request
from ._script import Answer, Gate, Part, Usage, joined, tokens

_FINGERPRINT = "fp_a1b2c3d4e5"
_ERROR_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
_ERROR_CODES = {401: "invalid_api_key", 404: "not_found", 429: "rate_limit_exceeded"}


class OpenAIChat:
    """The format of OpenAI, and of the many servers that are compatible with it."""

    name = "openai-chat"
    content_type = "text/event-stream; charset=utf-8"
    comment = b": keep-alive\n\n"
    terminator = b"data: [DONE]\n\n"

    def serves(self, path: str) -> bool:
        return path.endswith("/chat/completions")

    def read(self, request: Request) -> Ask:
        try:
            body = request.json()
        except ValueError as why:
            raise Refused(f"The body is not valid JSON: {why}.") from why
        if not isinstance(body, dict):
            raise Refused("The body must be a JSON object.")
        if not isinstance(body.get("model"), str):
            raise Refused("The body must name a model: 'model' must be a string.")
        messages = body.get("messages")
        if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
            raise Refused("The body must hold 'messages', a list of objects.")
        options, choices = body.get("stream_options"), body.get("n")
        return Ask(
            model=body["model"],
            stream=body.get("stream") is True,
            include_usage=isinstance(options, dict) and options.get("include_usage") is True,
            choices=choices if isinstance(choices, int) and 1 <= choices <= 128 else 1,
            prompt=next((_text(m) for m in reversed(messages) if m.get("role") == "user"), ""),
            input_tokens=sum(count_tokens(_text(m)) for m in messages),
            tools=_tool_names(body.get("tools")),
        )

    def stream(self, ask: Ask, answer: Answer, stamp: Stamp) -> Iterator[Part]:
        head = _opening("chat.completion.chunk", ask, stamp, stamp.id("chatcmpl-"))
        head = f'data: {head},"choices":['
        asked = ask.include_usage and answer.usage is not False
        tail = '],"usage":null}\n\n' if asked else "]}\n\n"
        deltas = [_deltas(choice, stamp, answer.fails) for choice in choices_of(ask, answer)]
        for index, item in _in_turns(deltas):
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
            yield encoded(f'{head}],"usage":{compact(_usage(usage))}}}\n\n')

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
        stated = f',"usage":{compact(_usage(usage))}' if usage else ""
        return encoded(f'{head},"choices":{compact(choices)}{stated}}}')

    def error(self, status: int, message: str) -> bytes:
        default = "server_error" if status >= 500 else "invalid_request_error"
        error = {
            "message": message,
            "type": _ERROR_TYPES.get(status, default),
            "param": None,
            "code": _ERROR_CODES.get(status),
        }
        return encoded(compact({"error": error}))

    def error_event(self, error: str | Mapping[str, object]) -> bytes:
        if not isinstance(error, str):
            return encoded(f"data: {compact({'error': dict(error)})}\n\n")
        return b"data: %b\n\n" % self.error(500, error)

    def models(self, names: Sequence[str]) -> bytes:
        data = [
            {"id": name, "object": "model", "created": 1_750_000_000, "owned_by": "millstream"}
            for name in names
        ]
        return encoded(compact({"object": "list", "data": data}))


def _text(message: Mapping[str, Any]) -> str:
    """The text of a message whose content is a string or a list of parts."""
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    texts = [part.get("text") for part in parts if isinstance(part, dict)]
    return "".join(text for text in texts if isinstance(text, str))


def _tool_names(tools: object) -> list[str]:
    names = []
    for tool in tools if isinstance(tools, list) else []:
        function = tool.get("function") if isinstance(tool, dict) else None
        name = function.get("name") if isinstance(function, dict) else None
        if isinstance(name, str):
            names.append(name)
    return names


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
        call_id = call.id or stamp.id("call_", 24)
        opening = {"name": call.name, "arguments": ""}
        first = {"index": index, "id": call_id, "type": "function", "function": opening}
        yield compact({"tool_calls": [first]}), "null"
        for token in tokens(call.text()):
            fragment = {"index": index, "function": {"arguments": token}}
            yield compact({"tool_calls": [fragment]}), "null"
    if not fails:
        yield "{}", compact(_finish(choice))


def _in_turns(
    choices: Sequence[Iterable[tuple[str, str] | float | Gate]],
) -> Iterator[tuple[int, tuple[str, str] | float | Gate]]:
    """One item of each choice in turn, with the choice's index, until all are at their end."""
    live = list(enumerate(map(iter, choices)))
    while live:
        for turn in list(live):
            index, items = turn
            item = next(items, None)
            if item is None:
                live.remove(turn)
            else:
                yield index, item


def _message(choice: Answer, stamp: Stamp) -> dict[str, object]:
    message: dict[str, object] = {
        "role": "assistant",
        "content": joined(choice.text) if choice.text or not choice.tool_calls else None,
        "refusal": joined(choice.refusal) or None,
    }
    if choice.reasoning:
        message["reasoning_content"] = joined(choice.reasoning)
    if choice.tool_calls:
        message["tool_calls"] = [
            {
                "id": call.id or stamp.id("call_", 24),
                "type": "function",
                "function": {"name": call.name, "arguments": call.text()},
            }
            for call in choice.tool_calls
        ]
    return message


def _finish(choice: Answer) -> str:
    return choice.finish_reason or ("tool_calls" if choice.tool_calls else "stop")


def _usage(usage: Usage) -> dict[str, object]:
    return {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cached_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }
