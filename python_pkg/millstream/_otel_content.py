"""Prompts and answers in the JSON that OpenTelemetry's conventions have for them.

Source: gen-ai-input-messages.json, gen-ai-output-messages.json, gen-ai-system-instructions.json and
gen-ai-tool-definitions.json of open-telemetry/semantic-conventions-genai. What is in a provider's
own form already stays as it is: the schemas allow parts of other types.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ._core import Choice, Message


def input_messages(messages: Any) -> str | None:
    """Those of `client.stream()`, or of the JSON of `client.request()`."""
    return _json([_input(message) for message in messages]) if _is_list(messages) else None


def output_messages(message: Message) -> str:
    """One message a choice."""
    return _json(
        [
            {"role": "assistant", "parts": _answer(choice), "finish_reason": choice.finish_reason}
            for choice in message.choices or (message,)
        ]
    )


def system_instructions(system: Any) -> str | None:
    """The argument `system`."""
    return _json(_parts(system)) if system else None


def tool_definitions(tools: Any) -> str | None:
    """The argument `tools`."""
    if not _is_list(tools) or not tools:
        return None
    return _json(
        [
            {"type": "function", **tool} if isinstance(tool, dict) and "name" in tool else tool
            for tool in tools
        ]
    )


def _input(message: Any) -> Any:
    if not isinstance(message, dict):  # a Message: an assistant's turn
        return {"role": "assistant", "parts": _answer(message)}
    role, content = message.get("role"), message.get("content")
    if role == "tool":
        found = {
            "type": "tool_call_response", "id": message.get("tool_call_id"), "response": content,
        }  # fmt: skip
        return {"role": role, "parts": [found]}
    calls = [_call(call) for call in message.get("tool_calls") or ()]
    return {"role": role, "parts": [*_parts(content), *calls]}


def _parts(content: Any) -> list[Any]:
    if content is None:
        return []
    if isinstance(content, str):
        return [{"type": "text", "content": content}]
    return [_part(part) for part in content] if _is_list(content) else [content]


def _part(part: Any) -> Any:
    if isinstance(part, str):
        return {"type": "text", "content": part}
    kind = part.get("type") if isinstance(part, dict) else None
    if kind == "text":
        return {"type": "text", "content": part.get("text")}
    if kind == "image" and "url" in part:
        return {"type": "uri", "modality": "image", "uri": part["url"]}
    if kind == "image" and "data" in part:
        media_type = part.get("media_type")
        return {
            "type": "blob", "modality": "image", "mime_type": media_type, "content": part["data"],
        }  # fmt: skip
    return part


def _call(call: Any) -> dict[str, Any]:
    """A `ToolCall`, or a dict in our form or OpenAI's."""
    if isinstance(call, dict):
        function = call.get("function") or call
        name, arguments = function.get("name"), function.get("arguments")
        return {"type": "tool_call", "id": call.get("id"), "name": name, "arguments": arguments}
    return {"type": "tool_call", "id": call.id, "name": call.name, "arguments": call.arguments}


def _answer(choice: Choice | Message) -> list[Any]:
    parts: list[Any] = []
    if choice.reasoning:
        parts.append({"type": "reasoning", "content": choice.reasoning})
    parts += _parts(choice.text or choice.refusal or None)
    return parts + [_call(call) for call in choice.tool_calls]


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _json(value: Iterable[Any]) -> str:
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    """What JSON has no form for; bytes as the schemas have them."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
