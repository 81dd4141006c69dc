"""The openai SDK's clients for chat completions and responses, on this engine.

    from millstream.compat.openai import OpenAI

    client = OpenAI()
    for chunk in client.chat.completions.create(model="gpt-5-mini", messages=[...], stream=True):
        print(chunk.choices[0].delta.content or "", end="")

Source: https://platform.openai.com/docs/api-reference. docs/howto/compat.md says what differs.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from typing import Any

import millstream

from ._clients import (
    Ask,
    AsyncClient,
    AsyncCreates,
    BaseClient,
    Creates,
    Resource,
    SyncClient,
)
from ._errors import HTTPResponse
from ._lazy import NOT_GIVEN, Kinds, Model, NotGiven, Union
from ._openai_errors import (
    NAMES,
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    InternalServerError,
    NotFoundError,
    OpenAIError,
    PermissionDeniedError,
    RateLimitError,
    UnprocessableEntityError,
)
from ._openai_fields import FIELDS
from ._streams import AsyncStream, Dialect, ErrorEvent, Stream, type_of

__all__ = [
    "NOT_GIVEN",
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "AsyncOpenAI",
    "AsyncStream",
    "AuthenticationError",
    "BadRequestError",
    "ConflictError",
    "HTTPResponse",
    "InternalServerError",
    "Model",
    "NotFoundError",
    "NotGiven",
    "OpenAI",
    "OpenAIError",
    "PermissionDeniedError",
    "RateLimitError",
    "Stream",
    "UnprocessableEntityError",
    "omit",
]

omit = NOT_GIVEN


class _Response(Model):
    """A response, with the SDK's `output_text`."""

    __slots__ = ()

    @property
    def output_text(self) -> str:
        """The texts of all messages."""
        return "".join(
            content.text
            for item in self.output or ()
            if item.type == "message"
            for content in item.content
            if content.type == "output_text"
        )


# ---- how answers are read ------------------------------------------------------------------------

_KINDS = Kinds("openai", FIELDS, {"Response": _Response})
_CHUNK = _KINDS["ChatCompletionChunk"]
_EVENTS = _KINDS.union("ResponseStreamEvent")


def _raised(event: millstream.Event) -> ErrorEvent | None:
    """The error that an event carries, whatever else it holds."""
    if '"error"' in event.data:
        value = event.json()
        if isinstance(value, dict) and value.get("error"):
            return ErrorEvent(value)
    return None


def _chunk(event: millstream.Event) -> Model | ErrorEvent | None:
    data = event.data
    if data.startswith("[DONE]"):
        return None
    return _raised(event) or _CHUNK(event)


def _event(event: millstream.Event) -> Model | ErrorEvent | None:
    data = event.data
    if data.startswith("[DONE]"):
        return None
    if (error := _raised(event)) is not None:
        return error
    return _EVENTS.of(type_of(event))(event)


_CHAT = Ask(
    "/chat/completions", "openai-chat", Dialect(_chunk, NAMES), Union(_KINDS, ["ChatCompletion"])
)
_RESPONSES = Ask(
    "/responses",
    "openai-responses",
    Dialect(_event, NAMES, frozenset({"error", "response.failed"})),
    Union(_KINDS, ["Response"]),
)


# ---- the clients ---------------------------------------------------------------------------------


class Completions(Creates):
    """`client.chat.completions`."""

    _ask = _CHAT


class AsyncCompletions(AsyncCreates):
    """`client.chat.completions`."""

    _ask = _CHAT


class Responses(Creates):
    """`client.responses`."""

    _ask = _RESPONSES


class AsyncResponses(AsyncCreates):
    """`client.responses`."""

    _ask = _RESPONSES


class Chat(Resource):
    """`client.chat`."""

    _offers = "completions.create()"

    @cached_property
    def completions(self) -> Completions:
        """Chat completions."""
        return Completions(self._client)


class AsyncChat(Resource):
    """`client.chat`."""

    _offers = "completions.create()"

    @cached_property
    def completions(self) -> AsyncCompletions:
        """Chat completions."""
        return AsyncCompletions(self._client)


class _Settings(BaseClient):
    """The arguments of both clients."""

    _provider = "openai"
    _names = NAMES
    _offers = "chat.completions.create() and responses.create()"
    _own = ("organization", "project")

    def __init__(
        self,
        *,
        api_key: str | Callable[[], str] | Callable[[], Awaitable[str]] | None = None,
        organization: str | None = None,
        project: str | None = None,
        base_url: Any = None,
        timeout: Any = NOT_GIVEN,
        max_retries: int = 2,
        default_headers: Mapping[str, Any] | None = None,
        default_query: Mapping[str, Any] | None = None,
        **engine: Any,
    ) -> None:
        env = os.environ.get
        api_key = env("OPENAI_API_KEY") if api_key is None else api_key
        if api_key is None:
            raise OpenAIError("api_key: none was given; pass api_key=..., or set OPENAI_API_KEY")
        self.organization = organization or env("OPENAI_ORG_ID")
        self.project = project or env("OPENAI_PROJECT_ID")
        super().__init__(
            api_key=api_key,
            base_url=base_url or env("OPENAI_BASE_URL") or "https://api.openai.com/v1",
            timeout=timeout,
            max_retries=max_retries,
            default_headers=default_headers,
            default_query=default_query,
            engine=engine,
        )

    def _headers(self) -> dict[str, Any]:
        return {"OpenAI-Organization": self.organization, "OpenAI-Project": self.project}


class OpenAI(_Settings, SyncClient):
    """The client.

    api_key: default: OPENAI_API_KEY; a function that returns it is called for each request.
    organization, project: default: OPENAI_ORG_ID, OPENAI_PROJECT_ID.
    base_url: default: OPENAI_BASE_URL, then OpenAI's own.
    The others as `BaseClient` says.
    """

    @cached_property
    def chat(self) -> Chat:
        """Chat completions."""
        return Chat(self)

    @cached_property
    def responses(self) -> Responses:
        """Responses."""
        return Responses(self)


class AsyncOpenAI(_Settings, AsyncClient):
    """`OpenAI` for event loops; a function for `api_key` may be a coroutine's."""

    @cached_property
    def chat(self) -> AsyncChat:
        """Chat completions."""
        return AsyncChat(self)

    @cached_property
    def responses(self) -> AsyncResponses:
        """Responses."""
        return AsyncResponses(self)
