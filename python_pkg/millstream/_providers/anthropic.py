"""Anthropic's messages.

Source: https://docs.anthropic.com/en/api/messages. System messages move to `system`, tool calls
and results become blocks of the assistant's and the user's messages; blocks in that form already
are left alone.
"""

from __future__ import annotations

from . import _neutral

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .._core import Message
    from . import Provider
    from ._neutral import Ask, Json

DEFAULT_MAX_TOKENS = 4096
"""`max_tokens` is required there; this is what every model takes."""

# Parts of other providers' requests, which would come back as an error without a name.
_FOREIGN = {
    "audio", "file", "input_audio", "input_file", "input_image", "input_text", "output_text",
    "refusal", "video_url",
}  # fmt: skip


def body(ask: Ask, provider: Provider) -> Json:
    """The request's JSON."""
    system: list[Json] = _content("system", ask.system, provider.name)
    messages: list[Json] = []
    results: Json | None = None  # the user's message that takes the results of tools
    for where, message in ask.numbered():
        if _neutral.is_system(message):
            system += _content(where, message.get("content"), provider.name)
        elif message.get("role") == "tool":
            if results is None:
                results = {"role": "user", "content": []}
                messages.append(results)
            results["content"].append(_result(where, message, provider.name))
        else:
            results = None
            messages.append(_message(where, message, provider))
    fields = _neutral.given(
        system=_system(system),
        tools=None if ask.tools is None else [*map(_tool, _neutral.tools_of(ask))],
        tool_choice=None if ask.tool_choice is None else _choice(ask.tool_choice),
        temperature=ask.temperature,
        top_p=ask.top_p,
        stop_sequences=ask.stops(),
        output_config=_output(ask),
    )
    max_tokens = DEFAULT_MAX_TOKENS if ask.max_tokens is None else ask.max_tokens
    said = {"model": ask.model, "max_tokens": max_tokens, "messages": messages, "stream": True}
    return _neutral.merged({**said, **fields}, ask.params)


def _output(ask: Ask) -> Json | None:
    if ask.schema is None:
        return None
    return {"format": {"type": "json_schema", "schema": ask.schema.worded()}}


def _system(blocks: list[Json]) -> str | list[Json] | None:
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        return blocks[0]["text"]  # type: ignore[no-any-return]
    return blocks or None


def _message(where: str, message: Json, provider: Provider) -> Json:
    if message.get("role") not in ("user", "assistant"):
        raise _neutral.bad_role(where, message)
    thinking: list[Json] = []
    calls: list[Json] = []
    if message["role"] == "assistant":
        thinking = _thinking(_neutral.signed_by(provider, message))
        calls = [_call(call) for call in _neutral.calls_of(where, message)]
    content = message.get("content")
    if isinstance(content, str) and not thinking and not calls:
        return message
    rest = {name: value for name, value in message.items() if name != "tool_calls"}
    blocks = _content(where, content, provider.name)
    return {**rest, "content": [*thinking, *blocks, *calls]}


def _thinking(message: Message | None) -> list[Json]:
    """The block of a message's reasoning, which stands first."""
    if message is None:
        return []
    return [{"type": "thinking", "thinking": message.reasoning, "signature": message.signature}]


def _content(where: str, content: Any, provider: str) -> list[Json]:
    return [_part(name, part, provider) for name, part in _neutral.parts_of(where, content)]


def _part(where: str, part: Json, provider: str) -> Json:
    image = _neutral.image_of(where, part)
    if image is not None:
        source = (
            {"type": "url", "url": image.url}
            if image.url
            else {"type": "base64", "media_type": image.media_type, "data": image.data}
        )
        return {"type": "image", "source": source}
    if not isinstance(part.get("type"), str) or part["type"] in _FOREIGN:
        raise _neutral.bad_part(where, part, provider)
    return part


def _call(call: _neutral.Call) -> Json:
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": call.object()}


def _result(where: str, message: Json, provider: str) -> Json:
    content = message.get("content")
    if not isinstance(content, str):
        content = _content(where, content, provider)
    return {
        "type": "tool_result",
        "tool_use_id": message.get("tool_call_id"),
        "content": content,
        **_neutral.given(is_error=message.get("is_error")),
    }


def _tool(tool: _neutral.Tool | Json) -> Json:
    if not isinstance(tool, _neutral.Tool):
        return tool
    fields = tool.fields()
    return {"name": tool.name, "input_schema": fields.pop("parameters"), **fields}


def _choice(choice: Any) -> Any:
    read = _neutral.choice_of(choice)
    if read is None:
        return choice
    word, name = read
    return {"type": "tool", "name": name} if name else {"type": {"required": "any"}.get(word, word)}
