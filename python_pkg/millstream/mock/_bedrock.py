"""Amazon Bedrock: `POST /model/{id}/converse-stream` and `…/invoke-with-response-stream`, frames
of an AWS event stream; without `-stream` and `-with-response-stream`, one JSON object.

Signatures are not checked.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from . import _anthropic, _awsev
from ._format import (
    Ask,
    Fault,
    Format,
    Refused,
    Stamp,
    arguments_of,
    ask_for,
    compact,
    encoded,
    finish_of,
    json_object,
    message_of,
    objects_in,
    text_of,
    texts_of,
    told,
    tool_names,
    usage_of,
)
from ._request import Request
from ._script import Answer, Part, Text, ToolCall, joined, tokens

_CONVERSE = re.compile(r".*/model/([^/]+)/(converse-stream|converse)")
_INVOKE = re.compile(r".*/model/([^/]+)/(invoke-with-response-stream|invoke)")
_FINISHES = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "content_filtered",
}
_EXCEPTIONS = {
    400: "ValidationException",
    401: "UnrecognizedClientException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
}


class _Bedrock(Format):
    """What both of its formats share."""

    content_type = "application/vnd.amazon.eventstream"
    comment = b""
    request_id = "x-amzn-RequestId"
    path: re.Pattern[str]

    def serves(self, request: Request) -> bool:
        return self.path.fullmatch(request.path) is not None

    def error(self, status: int, error: Fault) -> bytes:
        return encoded(compact({"message": error} if isinstance(error, str) else error))

    def error_event(self, error: Fault, number: int) -> bytes:
        kind = "internalServerException" if isinstance(error, str) else error.get("type")
        return _awsev.exception(str(kind or "internalServerException"), _payload(error))

    def error_headers(self, status: int) -> Mapping[str, str]:
        return {"x-amzn-ErrorType": _EXCEPTIONS.get(status, "InternalServerException")}

    def _asked(self, request: Request) -> tuple[str, bool]:
        """The model, and whether the answer is to be streamed."""
        match = self.path.fullmatch(request.path)
        if match is None:
            raise Refused(f"Unknown path: {request.path}", 404)
        return unquote(match[1]), match[2].endswith("-stream")


class BedrockConverse(_Bedrock):
    """The format of all of Bedrock's models. A refusal is a text, with its finish reason."""

    name = "bedrock-converse"
    path = _CONVERSE

    def read(self, request: Request) -> Ask:
        model, stream = self._asked(request)
        body = json_object(request)
        said = [(m.get("role"), text_of(m.get("content"))) for m in objects_in(body, "messages")]
        said.insert(0, ("system", text_of(body.get("system"))))
        config = body.get("toolConfig")
        tools = config.get("tools") if isinstance(config, dict) else None
        return ask_for(model, said, stream=stream, tools=tool_names(tools, "toolSpec"))

    def stream(self, ask: Ask, answer: Answer, stamp: Stamp) -> Iterator[Part]:
        yield _awsev.event("messageStart", {"role": "assistant"})
        texts = texts_of(answer)
        for index, (thought, text) in enumerate(texts):
            yield from _thinking(index, text, stamp) if thought else _text(index, text)
            yield _stop(index)
        for index, call in enumerate(answer.tool_calls, len(texts)):
            start = {"contentBlockIndex": index, "start": {"toolUse": _tool(call, stamp)}}
            yield _awsev.event("contentBlockStart", start)
            for fragment in tokens(call.text()):
                yield _delta(index, {"toolUse": {"input": fragment}})
            yield _stop(index)
        if answer.finishes:
            yield _awsev.event("messageStop", {"stopReason": finish_of(answer, _FINISHES)})
            usage = _usage(ask, answer)
            if usage:
                yield _awsev.event("metadata", {"metrics": {"latencyMs": 500}, "usage": usage})

    def whole(self, ask: Ask, answer: Answer, stamp: Stamp) -> bytes:
        content: list[object] = []
        if answer.reasoning:
            thought = {"text": joined(answer.reasoning), "signature": _signature(stamp)}
            content.append({"reasoningContent": {"reasoningText": thought}})
        content += [{"text": joined(t)} for t in (answer.text, answer.refusal) if t]
        for call in answer.tool_calls:
            tool = {**_tool(call, stamp), "input": arguments_of(call)}
            content.append({"toolUse": tool})
        usage = _usage(ask, answer)
        whole = {
            "metrics": {"latencyMs": 500},
            "output": {"message": {"content": content, "role": "assistant"}},
            "stopReason": finish_of(answer, _FINISHES),
            **({"usage": usage} if usage else {}),
        }
        return encoded(compact(whole))


class BedrockInvoke(_Bedrock):
    """The models' own formats within frames: here Anthropic's."""

    name = "bedrock-invoke"
    path = _INVOKE

    def read(self, request: Request) -> Ask:
        model, stream = self._asked(request)
        return _anthropic.ask_of(json_object(request), model, stream)

    def stream(self, ask: Ask, answer: Answer, stamp: Stamp) -> Iterator[Part]:
        for event in _anthropic.events_of(ask, answer, stamp):
            yield _chunk(event) if isinstance(event, dict) else event
        if answer.finishes:
            usage = usage_of(ask, answer)
            metrics: dict[str, object] = {"invocationLatency": 500, "firstByteLatency": 100}
            if usage:
                metrics["inputTokenCount"] = usage.input_tokens
                metrics["outputTokenCount"] = usage.output_tokens
            yield _chunk({"type": "message_stop", "amazon-bedrock-invocationMetrics": metrics})

    def whole(self, ask: Ask, answer: Answer, stamp: Stamp) -> bytes:
        return encoded(compact(_anthropic.message_of_answer(ask, answer, stamp)))


def _chunk(value: Mapping[str, object]) -> bytes:
    inner = base64.b64encode(encoded(compact(value))).decode()
    return _awsev.event("chunk", {"bytes": inner})


def _thinking(index: int, text: Text, stamp: Stamp) -> Iterator[Part]:
    yield from told(text, lambda token: _delta(index, {"reasoningContent": {"text": token}}))
    yield _delta(index, {"reasoningContent": {"signature": _signature(stamp)}})


def _text(index: int, text: Text) -> Iterator[Part]:
    yield from told(text, lambda token: _delta(index, {"text": token}))


def _signature(stamp: Stamp) -> str:
    return stamp.id("", 88)


def _tool(call: ToolCall, stamp: Stamp) -> dict[str, object]:
    return {"name": call.name, "toolUseId": call.id or stamp.id("tooluse_", 22)}


def _delta(index: int, delta: Mapping[str, object]) -> bytes:
    return _awsev.event("contentBlockDelta", {"contentBlockIndex": index, "delta": delta})


def _stop(index: int) -> bytes:
    return _awsev.event("contentBlockStop", {"contentBlockIndex": index})


def _usage(ask: Ask, answer: Answer) -> dict[str, int]:
    usage = usage_of(ask, answer)
    if usage is None:
        return {}
    return {
        "inputTokens": usage.input_tokens,
        "outputTokens": usage.output_tokens,
        "totalTokens": usage.input_tokens + usage.output_tokens,
        "cacheReadInputTokens": usage.cached_tokens,
        "cacheWriteInputTokens": 0,
    }


def _payload(error: Fault) -> dict[str, object]:
    return {"message": message_of(error), **({} if isinstance(error, str) else error)}
