"""OpenAI's responses.

Source: https://platform.openai.com/docs/api-reference/responses/create. Messages become input
items, and so does each tool call and each result; items in that form already are left alone.
"""

from __future__ import annotations

from . import _neutral
from .openai_chat import json_schema

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from . import Provider
    from ._neutral import Ask, Json

# Parts of chat requests that have no place here.
_FOREIGN = {"audio", "file", "input_audio", "video_url"}


def body(ask: Ask, provider: Provider) -> Json:
    """The request's JSON."""
    if ask.stop is not None:
        raise ValueError(f"stop: {provider.name} has no stop sequences")
    items = [item for where, each in ask.numbered() for item in _items(where, each, provider.name)]
    fields = _neutral.given(
        instructions=_instructions(ask, provider.name),
        tools=None if ask.tools is None else [*map(_tool, _neutral.tools_of(ask))],
        tool_choice=None if ask.tool_choice is None else _choice(ask.tool_choice),
        max_output_tokens=ask.max_tokens,
        temperature=ask.temperature,
        top_p=ask.top_p,
        text=_text(ask),
    )
    return _neutral.merged(
        {"model": ask.model, "input": items, "stream": True, **fields}, ask.params
    )


def _text(ask: Ask) -> Json | None:
    """The type that `into` asks for."""
    if ask.schema is None:
        return None
    return {"format": {"type": "json_schema", **json_schema(ask.schema)}}


def _instructions(ask: Ask, provider: str) -> str | None:
    return None if ask.system is None else _neutral.plain_text("system", ask.system, provider)


def _items(where: str, message: Json, provider: str) -> list[Json]:
    if "type" in message:
        return [message]
    role = message.get("role")
    content = message.get("content")
    if role == "tool":
        if not isinstance(content, str):
            content = _content(where, content, "input_text", provider)
        id = message.get("tool_call_id")
        return [{"type": "function_call_output", "call_id": id, "output": content}]
    if role == "assistant":
        calls = [_call(call) for call in _neutral.calls_of(where, message)]
        return [*_said(where, message, "output_text", provider), *calls]
    if role == "user" or _neutral.is_system(message):
        return _said(where, message, "input_text", provider)
    raise _neutral.bad_role(where, message)


def _said(where: str, message: Json, kind: str, provider: str) -> list[Json]:
    said = {name: value for name, value in message.items() if name != "tool_calls"}
    content = message.get("content")
    if not isinstance(content, str):
        said["content"] = _content(where, content, kind, provider)
    return [said] if said["content"] else []


def _content(where: str, content: Any, kind: str, provider: str) -> list[Json]:
    return [_part(name, part, kind, provider) for name, part in _neutral.parts_of(where, content)]


def _part(where: str, part: Json, kind: str, provider: str) -> Json:
    text = _neutral.text_of(where, part)
    if text is not None:
        return {**part, "type": kind}
    image = _neutral.image_of(where, part)
    if image is not None:
        nested = part.get("image_url")
        detail = part.get("detail") or (isinstance(nested, dict) and nested.get("detail"))
        said = {"type": "input_image", "image_url": image.any_url()}
        return {**said, "detail": detail} if detail else said
    if part.get("type") in _FOREIGN:
        raise _neutral.bad_part(where, part, provider)
    return part


def _call(call: _neutral.Call) -> Json:
    return {
        "type": "function_call",
        "call_id": call.id,
        "name": call.name,
        "arguments": call.text(),
    }


def _tool(tool: _neutral.Tool | Json) -> Json:
    """Strict is this API's default, and changes schemas; elsewhere it is not: said either way."""
    if isinstance(tool, _neutral.Tool):
        return {"type": "function", "strict": False, **tool.fields()}
    return tool


def _choice(choice: Any) -> Any:
    read = None if isinstance(choice, str) else _neutral.choice_of(choice)
    return {"type": "function", "name": read[1]} if read else choice
