"""Gemini's generateContent, of the Gemini API and of Vertex AI.

Source: https://ai.google.dev/api/generate-content, …/api/caching#Content. Messages become contents
with parts; contents and parts in that form already are left alone. Tools are declared by
`parametersJsonSchema`, which takes the schema as it is.
"""

from __future__ import annotations

from . import _neutral

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from . import Provider
    from ._neutral import Ask, Json

_MODES = {"auto": "AUTO", "none": "NONE", "required": "ANY", "name": "ANY"}


def body(ask: Ask, provider: Provider) -> Json:
    """The request's JSON; the model stands in the path."""
    system = _parts("system", ask.system, provider.name)
    contents: list[Json] = []
    results: Json | None = None  # the user's content that takes the results of tools
    names = _neutral.ToolNames()
    for where, message in ask.numbered():
        own = "parts" in message
        if _neutral.is_system(message) and not own:
            system += _parts(where, message.get("content"), provider.name)
        elif message.get("role") == "tool" and not own:
            if results is None:
                results = {"role": "user", "parts": []}
                contents.append(results)
            results["parts"].append(_result(where, message, names, provider.name))
        else:
            results = None
            contents.append(message if own else _turn(where, message, names, provider))
    fields = _neutral.given(
        systemInstruction={"parts": system} if system else None,
        tools=None if ask.tools is None else _tools(_neutral.tools_of(ask)),
        toolConfig=None if ask.tool_choice is None else _choice(ask.tool_choice),
        generationConfig=_settings(ask) or None,
    )
    return _neutral.merged({"contents": contents, **fields}, ask.params)


def _settings(ask: Ask) -> Json:
    return _neutral.given(
        maxOutputTokens=ask.max_tokens,
        temperature=ask.temperature,
        topP=ask.top_p,
        stopSequences=ask.stops(),
        responseMimeType=None if ask.schema is None else "application/json",
        responseJsonSchema=None if ask.schema is None else ask.schema.subset(),
    )


def _turn(where: str, message: Json, names: _neutral.ToolNames, provider: Provider) -> Json:
    role = {"user": "user", "assistant": "model", "model": "model"}.get(str(message.get("role")))
    if role is None:
        raise _neutral.bad_role(where, message)
    calls = _neutral.calls_of(where, message)
    names.add(calls)
    parts = _parts(where, message.get("content"), provider.name)
    first_call = len(parts)
    parts += [{"functionCall": _call(call)} for call in calls]
    signed = _neutral.signed_by(provider, message)
    if signed:  # it belongs to the first call, or else to the end of the text
        parts[first_call if calls else -1]["thoughtSignature"] = signed.signature
    return {"role": role, "parts": parts}


def _call(call: _neutral.Call) -> Json:
    return {**_id(call.id), "name": call.name, "args": call.object()}


def _id(id: str | None) -> Json:
    return {"id": id} if id else {}


def _result(where: str, message: Json, names: _neutral.ToolNames, provider: str) -> Json:
    """The API wants an object; "output" is its name for what a function returned."""
    output = _neutral.plain_text(where, message.get("content"), provider)
    return {
        "functionResponse": {
            **_id(message.get("tool_call_id")),
            "name": names.of(where, message),
            "response": {"output": output},
        }
    }


def _parts(where: str, content: Any, provider: str) -> list[Json]:
    return [_part(name, part, provider) for name, part in _neutral.parts_of(where, content)]


def _part(where: str, part: Json, provider: str) -> Json:
    if "type" not in part:
        return part
    text = _neutral.text_of(where, part)
    if text is not None:
        return {"text": text}
    image = _neutral.image_of(where, part)
    if image is None:
        raise _neutral.bad_part(where, part, provider)
    media_type = _neutral.given(mimeType=image.media_type)
    if image.url:
        return {"fileData": {**media_type, "fileUri": image.url}}
    return {"inlineData": {**media_type, "data": image.data}}


def _tools(tools: list[_neutral.Tool | Json]) -> list[Json]:
    declared = [_declared(tool) for tool in tools if isinstance(tool, _neutral.Tool)]
    own = [tool for tool in tools if not isinstance(tool, _neutral.Tool)]
    return [*([{"functionDeclarations": declared}] if declared else []), *own]


def _declared(tool: _neutral.Tool) -> Json:
    return {
        "name": tool.name,
        **_neutral.given(description=tool.description),
        "parametersJsonSchema": tool.parameters,
    }


def _choice(choice: Any) -> Any:
    read = _neutral.choice_of(choice)
    if read is None:
        return choice
    word, name = read
    config: Json = {"mode": _MODES[word]}
    if name:
        config["allowedFunctionNames"] = [name]
    return {"functionCallingConfig": config}
