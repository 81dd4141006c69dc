"""Amazon Bedrock's ConverseStream.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html.
Roles must take turns there, so the results of tools and what the user says next are one message.
Content blocks in Bedrock's form already are left alone.
"""

from __future__ import annotations

from . import _neutral

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .._core import Message
    from .._structured._schema import Schema
    from . import Provider
    from ._neutral import Ask, Json


def body(ask: Ask, provider: Provider) -> Json:
    """The request's JSON; the model stands in the path."""
    system = _blocks("system", ask.system, provider.name)
    messages: list[Json] = []
    results: Json | None = None  # the user's message that takes the results of tools
    for where, message in ask.numbered():
        if _neutral.is_system(message):
            system += _blocks(where, message.get("content"), provider.name)
            continue
        said = _message(where, message, provider)
        if results is not None and said["role"] == "user":
            results["content"] += said["content"]
        else:
            messages.append(said)
        if message.get("role") == "tool":
            results = messages[-1]
        elif said["role"] == "assistant":
            results = None
    fields = _neutral.given(
        system=system or None,
        toolConfig=_tool_config(ask),
        inferenceConfig=_settings(ask) or None,
    )
    return _neutral.merged({"messages": messages, **fields}, ask.params)


def _settings(ask: Ask) -> Json:
    return _neutral.given(
        maxTokens=ask.max_tokens,
        temperature=ask.temperature,
        topP=ask.top_p,
        stopSequences=ask.stops(),
    )


def _message(where: str, message: Json, provider: Provider) -> Json:
    role = message.get("role")
    if role == "tool":
        return {"role": "user", "content": [_result(where, message, provider.name)]}
    if role not in ("user", "assistant"):
        raise _neutral.bad_role(where, message)
    thinking = _thinking(_neutral.signed_by(provider, message))
    blocks = _blocks(where, message.get("content"), provider.name)
    calls = [_call(call) for call in _neutral.calls_of(where, message)]
    return {"role": role, "content": [*thinking, *blocks, *calls]}


def _thinking(message: Message | None) -> list[Json]:
    """The block of a message's reasoning, which stands first."""
    if message is None:
        return []
    text = {"text": message.reasoning, "signature": message.signature}
    return [{"reasoningContent": {"reasoningText": text}}]


def _call(call: _neutral.Call) -> Json:
    return {"toolUse": {"toolUseId": call.id, "name": call.name, "input": call.object()}}


def _result(where: str, message: Json, provider: str) -> Json:
    result: Json = {
        "toolUseId": message.get("tool_call_id"),
        "content": _blocks(where, message.get("content"), provider),
    }
    if message.get("is_error"):
        result["status"] = "error"
    return {"toolResult": result}


def _blocks(where: str, content: Any, provider: str) -> list[Json]:
    return [_block(name, part, provider) for name, part in _neutral.parts_of(where, content)]


def _block(where: str, part: Json, provider: str) -> Json:
    if "type" not in part:
        return part
    text = _neutral.text_of(where, part)
    if text is not None:
        return {"text": text}
    image = _neutral.image_of(where, part)
    if image is None:
        raise _neutral.bad_part(where, part, provider)
    if image.url:
        raise ValueError(f"{where}: {provider} takes an image's bytes, not its URL")
    format = (image.media_type or "").rpartition("/")[2]
    return {"image": {"format": format, "source": {"bytes": image.data}}}


def _tool_config(ask: Ask) -> Json | None:
    """There is no choice "none": it is to offer no tools. An answer of a type is a tool as well."""
    offered = ask.tools is not None and ask.tool_choice != "none"
    tools = [_tool(tool) for tool in _neutral.tools_of(ask)] if offered else []
    choice = None if ask.tool_choice in (None, "none") else _choice(ask.tool_choice)
    if ask.schema is not None:
        choice = choice or ({"any": {}} if tools else {"tool": {"name": _neutral.ANSWER_TOOL}})
        tools.append(_answer(ask.schema))
    elif not offered:
        return None
    return {"tools": tools, **_neutral.given(toolChoice=choice)}


def _answer(schema: Schema) -> Json:
    """The tool whose arguments are the answer that `into` asks for."""
    about = "Gives the answer. Call it once, with the whole answer."
    spec = {"name": _neutral.ANSWER_TOOL, "description": about, "parameters": schema.json}
    return _tool(_neutral.Tool("into", spec))


def _tool(tool: _neutral.Tool | Json) -> Json:
    if not isinstance(tool, _neutral.Tool):
        return tool
    spec = {
        "name": tool.name,
        **_neutral.given(description=tool.description),
        "inputSchema": {"json": tool.parameters},
    }
    return {"toolSpec": spec}


def _choice(choice: Any) -> Any:
    read = _neutral.choice_of(choice)
    if read is None:
        return choice
    word, name = read
    return {"tool": {"name": name}} if name else {{"required": "any"}.get(word, word): {}}
