"""Cohere's chat API, version 2.

Source: https://docs.cohere.com/reference/chat-stream. Messages, tools and tool calls are OpenAI's;
settings and the choice of tools have names of their own.
"""

from __future__ import annotations

from . import _neutral, openai_chat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from . import Provider
    from ._neutral import Ask, Json

_FOREIGN = {"audio", "file", "image", "input_audio", "refusal", "video_url"}


def body(ask: Ask, provider: Provider) -> Json:
    """The request's JSON."""
    messages = openai_chat.messages(ask)
    for at, message in enumerate(messages):
        _check(f"messages[{at}]", message, provider.name)
    fields = _neutral.given(
        tools=openai_chat.tools(ask),
        tool_choice=None if ask.tool_choice is None else _choice(ask.tool_choice, provider.name),
        max_tokens=ask.max_tokens,
        temperature=ask.temperature,
        p=ask.top_p,
        stop_sequences=ask.stops(),
        response_format=_response_format(ask),
    )
    return {"model": ask.model, "messages": messages, "stream": True, **fields, **ask.params}


def _response_format(ask: Ask) -> Json | None:
    if ask.schema is None:
        return None
    return {"type": "json_object", "json_schema": ask.schema.json}


def _check(where: str, message: Json, provider: str) -> None:
    for name, part in _neutral.parts_of(where, message.get("content")):
        if part.get("type") in _FOREIGN:
            raise _neutral.bad_part(name, part, provider)


def _choice(choice: Any, provider: str) -> str | None:
    """To choose freely is what happens without the field."""
    if choice in ("REQUIRED", "NONE"):
        return str(choice)
    word = _neutral.choice_of(choice)
    if word is None or word[1]:
        raise ValueError(f'tool_choice: {provider} knows "auto", "none" and "required" only')
    return None if word[0] == "auto" else word[0].upper()
