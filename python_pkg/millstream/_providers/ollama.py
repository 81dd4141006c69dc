"""Ollama's own chat API.

Source: https://docs.ollama.com/api/chat. Settings go into `options`, images into a list beside the
text, results of tools go by the tool's name.
"""

from __future__ import annotations

from . import _neutral

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from . import Provider
    from ._neutral import Ask, Json


def body(ask: Ask, provider: Provider) -> Json:
    """The request's JSON."""
    names = _neutral.ToolNames()
    messages = [_message(where, each, names, provider.name) for where, each in ask.numbered()]
    if ask.system is not None:
        system = _neutral.plain_text("system", ask.system, provider.name)
        messages.insert(0, {"role": "system", "content": system})
    fields = _neutral.given(
        tools=_tools(ask, provider.name),
        options=_options(ask) or None,
        format=None if ask.schema is None else ask.schema.json,
    )
    said = {"model": ask.model, "messages": messages, "stream": True, **fields}
    return _neutral.merged(said, ask.params)


def _options(ask: Ask) -> Json:
    return _neutral.given(
        num_predict=ask.max_tokens,
        temperature=ask.temperature,
        top_p=ask.top_p,
        stop=ask.stops(),
    )


def _message(where: str, message: Json, names: _neutral.ToolNames, provider: str) -> Json:
    said = {name: value for name, value in message.items() if name != "tool_call_id"}
    if message.get("role") == "tool" and "tool_name" not in message:
        said["tool_name"] = names.of(where, message)
        said.pop("name", None)
    if message.get("tool_calls"):
        calls = _neutral.calls_of(where, message)
        names.add(calls)
        said["tool_calls"] = [_call(call) for call in calls]
    content = message.get("content")
    if not isinstance(content, str):
        texts, images = _apart(where, content, provider)
        said["content"] = "".join(texts)
        if images:
            said["images"] = [*message.get("images", []), *images]
    return said


def _apart(where: str, content: Any, provider: str) -> tuple[list[str], list[str]]:
    """The texts and the images of a content."""
    texts, images = [], []
    for name, part in _neutral.parts_of(where, content):
        text = _neutral.text_of(name, part)
        image = None if text is not None else _neutral.image_of(name, part)
        if text is not None:
            texts.append(text)
        elif image is None:
            raise _neutral.bad_part(name, part, provider)
        elif image.url:
            raise ValueError(f"{name}: {provider} takes an image's bytes, not its URL")
        else:
            images.append(image.data)
    return texts, images


def _call(call: _neutral.Call) -> Json:
    return {"function": {"name": call.name, "arguments": call.object()}}


def _tools(ask: Ask, provider: str) -> list[Json] | None:
    """There is no choice of tools: "none" is to offer none, and nothing forces one."""
    word = None if ask.tool_choice is None else _neutral.choice_of(ask.tool_choice)
    if word == ("none", ""):
        return None
    if word not in (None, ("auto", "")) or isinstance(ask.tool_choice, dict):
        raise ValueError(f'tool_choice: {provider} knows "auto" and "none" only')
    if ask.tools is None:
        return None
    return [
        {"type": "function", "function": tool.fields()} if isinstance(tool, _neutral.Tool) else tool
        for tool in _neutral.tools_of(ask)
    ]
