"""OpenAI's chat completions, and the many servers that speak it.

Source: https://platform.openai.com/docs/api-reference/chat/create. What is in this form already
goes out as it was given; tools, tool calls, images and `system` of the neutral shape are put into
it.
"""

from __future__ import annotations

from . import _neutral

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from .._structured._schema import Schema
    from . import Provider
    from ._neutral import Ask, Json


_OPTIONAL = (
    "system", "tools", "tool_choice", "max_tokens", "temperature", "top_p", "stop", "into",
)  # fmt: skip


def plain(arguments: Mapping[str, Any], provider: Provider) -> Json | None:
    """What `body` would say of a model and messages of text alone, in a fifth of the time; or None.

    The first chunk waits for it, and most questions are like that.
    """
    model, messages = arguments["model"], arguments["messages"]
    if type(model) is not str or type(messages) is not list or arguments["params"]:
        return None
    for name in _OPTIONAL:
        if arguments[name] is not None:
            return None
    for each in messages:
        if type(each) is not dict or type(each.get("content")) is not str or "tool_calls" in each:
            return None
    said: Json = {"model": model, "messages": messages.copy(), "stream": True}
    if provider.tells_usage_if_asked:
        said["stream_options"] = {"include_usage": True}
    return said


def body(ask: Ask, provider: Provider) -> Json:
    """The request's JSON."""
    fields = _neutral.given(
        tools=tools(ask),
        tool_choice=tool_choice(ask),
        max_tokens=ask.max_tokens,
        temperature=ask.temperature,
        top_p=ask.top_p,
        stop=ask.stop,
        response_format=response_format(ask),
    )
    said = {"model": ask.model, "messages": messages(ask), "stream": True, **fields, **ask.params}
    options = ask.params.get("stream_options", {} if provider.tells_usage_if_asked else None)
    if options is None:
        said.pop("stream_options", None)
    elif isinstance(options, dict) and provider.tells_usage_if_asked:
        said["stream_options"] = {"include_usage": True, **options}
    return said


def response_format(ask: Ask) -> Json | None:
    """The type that `into` asks for."""
    if ask.schema is None:
        return None
    return {"type": "json_schema", "json_schema": json_schema(ask.schema)}


def json_schema(schema: Schema) -> Json:
    """A schema in OpenAI's form; strict where that mode can hold it."""
    strict = schema.strict()
    return {"name": schema.name, "schema": strict or schema.json, "strict": strict is not None}


def messages(ask: Ask) -> list[Any]:
    """The messages; `system` is the first of them."""
    said = [message(where, each) for where, each in ask.numbered()]
    if ask.system is not None:
        said.insert(0, {"role": "system", "content": _content("system", ask.system)})
    return said


def message(where: str, said: Json) -> Json:
    """One message, with its parts and tool calls in OpenAI's form."""
    changed: Json = {}
    content = said.get("content")
    if isinstance(content, (list, tuple)):
        changed["content"] = _content(where, content)
    calls = said.get("tool_calls")
    if calls:
        changed["tool_calls"] = [
            _call(f"{where}.tool_calls[{at}]", call) for at, call in enumerate(calls)
        ]
    return {**said, **changed} if changed else said


def _content(where: str, content: Any) -> Any:
    if isinstance(content, str):
        return content
    return [_part(name, part) for name, part in _neutral.parts_of(where, content)]


def _part(where: str, part: Json) -> Json:
    if part.get("type") != "image":
        return part
    image = _neutral.image_of(where, part)
    if image is None:
        return part
    detail = {"detail": part["detail"]} if "detail" in part else {}
    return {"type": "image_url", "image_url": {"url": image.any_url(), **detail}}


def _call(where: str, call: Any) -> Json:
    own = isinstance(call, dict) and call.get("type") not in (None, "function")
    if own or (isinstance(call, dict) and isinstance(_arguments(call), str)):
        return call  # type: ignore[no-any-return]
    read = _neutral.call_of(where, call)
    function = {"name": read.name, "arguments": read.text()}
    return {"id": read.id, "type": "function", "function": function}


def _arguments(call: Json) -> Any:
    function = call.get("function")
    return function.get("arguments") if isinstance(function, dict) else None


def tools(ask: Ask) -> list[Any] | None:
    """The tools."""
    if ask.tools is None:
        return None
    return [_tool(f"tools[{at}]", tool) for at, tool in enumerate(ask.tools)]


def _tool(where: str, tool: Any) -> Any:
    if isinstance(tool, dict) and "function" in tool:
        return tool
    read = _neutral.tool_of(where, tool)
    if isinstance(read, _neutral.Tool):
        return {"type": "function", "function": read.fields()}
    return read


def tool_choice(ask: Ask) -> Any:
    """The choice; words are those of OpenAI."""
    choice = ask.tool_choice
    if isinstance(choice, dict) and choice.keys() == {"name"}:
        return {"type": "function", "function": dict(choice)}
    return choice
