"""Types of what `Client` and its `stream()` take, for annotations: the neutral shape of a question.

    from millstream.params import ChatMessage

    messages: list[ChatMessage] = [{"role": "user", "content": "Hi"}]

Plain dicts of these shapes work with every provider; where one cannot take something, a ValueError
says so. What is in a provider's own form is left alone, so these types are not all that may be
given. docs/reference/providers.md says what becomes of each field.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias, TypedDict

from ._core import ToolCall


class Options(TypedDict, total=False):
    """`Client(options=...)`: what else a provider's own server needs. Each has an environment
    variable, or two, in its place."""

    endpoint: str
    """azure: "https://my-resource.openai.azure.com" (AZURE_OPENAI_ENDPOINT)"""
    api_version: str
    """azure: a dated version of the older API (OPENAI_API_VERSION); default: the v1 API"""
    region: str
    """bedrock, bedrock-mantle (AWS_REGION, AWS_DEFAULT_REGION)"""
    aws_access_key_id: str
    """bedrock (AWS_ACCESS_KEY_ID)"""
    aws_secret_access_key: str
    """bedrock (AWS_SECRET_ACCESS_KEY)"""
    aws_session_token: str
    """bedrock: of temporary credentials (AWS_SESSION_TOKEN)"""
    project: str
    """vertex (GOOGLE_CLOUD_PROJECT)"""
    location: str
    """vertex: "europe-west4", or "global" (GOOGLE_CLOUD_LOCATION)"""
    account: str
    """snowflake: the account's identifier (SNOWFLAKE_ACCOUNT)"""


class TextPart(TypedDict):
    """A text within a content."""

    type: Literal["text"]
    text: str


class ImageURL(TypedDict):
    """An image at an https or data URL; OpenAI's "image_url" parts are taken as well."""

    type: Literal["image"]
    url: str


class ImageData(TypedDict):
    """An image's bytes, or their base64."""

    type: Literal["image"]
    data: bytes | str
    media_type: str
    """ "image/png", "image/jpeg", …"""


Part: TypeAlias = TextPart | ImageURL | ImageData


class Call(TypedDict):
    """A tool call in an assistant's message; `ToolCall`s and OpenAI's form are taken as well."""

    id: str
    name: str
    arguments: str | dict[str, Any]
    """JSON text, or what it says"""


class SystemMessage(TypedDict):
    """Instructions; for anthropic, gemini and bedrock they go before the conversation."""

    role: Literal["system"]
    content: str | Sequence[TextPart]


class UserMessage(TypedDict):
    """What the user says and shows."""

    role: Literal["user"]
    content: str | Sequence[Part]


class _AssistantMessage(TypedDict):
    role: Literal["assistant"]


class AssistantMessage(_AssistantMessage, total=False):
    """What the model said; a `Message` of a stream may stand in its place."""

    content: str | Sequence[TextPart] | None
    tool_calls: Sequence[Call | ToolCall]


class _ToolMessage(TypedDict):
    role: Literal["tool"]
    content: str | Sequence[Part]


class ToolMessage(_ToolMessage, total=False):
    """The result of a tool call, by the call's id; where it has none, by the tool's name."""

    tool_call_id: str
    name: str
    is_error: bool
    """anthropic, bedrock: the tool failed"""


ChatMessage: TypeAlias = SystemMessage | UserMessage | AssistantMessage | ToolMessage


class _Tool(TypedDict):
    name: str


class Tool(_Tool, total=False):
    """A function that the model may call; OpenAI's {"type": "function", …} is taken as well."""

    description: str
    parameters: dict[str, Any]
    """JSON schema of an object; default: no parameters"""
    strict: bool
    """openai, anthropic: hold the arguments to the schema"""


class NamedTool(TypedDict):
    """The choice of this one tool."""

    name: str


ToolChoice: TypeAlias = Literal["auto", "none", "required"] | NamedTool
