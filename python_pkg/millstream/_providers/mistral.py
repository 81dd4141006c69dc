"""Mistral's chat completions: OpenAI's form but for a word.

Source: https://docs.mistral.ai/api/endpoint/chat. Unknown fields are refused there, so nothing is
added: usage comes unasked, and there is no `stream_options`.
"""

from __future__ import annotations

from . import openai_chat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import Provider
    from ._neutral import Ask, Json


def body(ask: Ask, provider: Provider) -> Json:
    """The request's JSON."""
    said = openai_chat.body(ask, provider)
    if said.get("tool_choice") == "required":
        said["tool_choice"] = "any"
    return said
