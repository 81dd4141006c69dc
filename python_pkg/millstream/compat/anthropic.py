"""The anthropic SDK's clients for messages, on this engine.

    from millstream.compat.anthropic import Anthropic

    client = Anthropic()
    with client.messages.stream(model="claude-haiku-4-5", max_tokens=99, messages=[...]) as stream:
        for text in stream.text_stream:
            print(text, end="", flush=True)

Source: https://docs.anthropic.com/en/api/messages. docs/howto/compat.md says what differs.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from typing import Any, TypeVar

import millstream

from ._anthropic_errors import (
    NAMES,
    AnthropicError,
    APIConnectionError,
    APIError,
    APIResponseValidationError,
    APIStatusError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    ConflictError,
    ContentTooLargeError,
    GatewayTimeoutError,
    InternalServerError,
    NotFoundError,
    OverloadedError,
    PaymentRequiredError,
    PermissionDeniedError,
    PreconditionFailedError,
    RateLimitError,
    RequestTimeoutError,
    ServiceUnavailableError,
    UnprocessableEntityError,
)
from ._anthropic_fields import FIELDS
from ._anthropic_stream import (
    BASES,
    DERIVED,
    AsyncMessageStream,
    AsyncMessageStreamManager,
    MessageStream,
    MessageStreamManager,
)
from ._clients import Ask, AsyncClient, AsyncCreates, BaseClient, Creates, SyncClient
from ._errors import HTTPResponse
from ._lazy import NOT_GIVEN, Kinds, Model, NotGiven, Union
from ._streams import AsyncStream, Dialect, ErrorEvent, Stream, type_of

__all__ = [
    "NOT_GIVEN",
    "APIConnectionError",
    "APIError",
    "APIResponseValidationError",
    "APIStatusError",
    "APITimeoutError",
    "Anthropic",
    "AnthropicError",
    "AsyncAnthropic",
    "AsyncMessageStream",
    "AsyncMessageStreamManager",
    "AsyncStream",
    "AuthenticationError",
    "BadRequestError",
    "ConflictError",
    "ContentTooLargeError",
    "GatewayTimeoutError",
    "HTTPResponse",
    "InternalServerError",
    "MessageStream",
    "MessageStreamManager",
    "Model",
    "NotFoundError",
    "NotGiven",
    "OverloadedError",
    "PaymentRequiredError",
    "PermissionDeniedError",
    "PreconditionFailedError",
    "RateLimitError",
    "RequestTimeoutError",
    "ServiceUnavailableError",
    "Stream",
    "UnprocessableEntityError",
    "omit",
]

_SettingsT = TypeVar("_SettingsT", bound="_Settings")

omit = NOT_GIVEN
_URL = "https://api.anthropic.com"

# ---- how answers are read ------------------------------------------------------------------------

_KINDS = Kinds("anthropic", FIELDS + DERIVED, BASES)
_EVENTS = _KINDS.union("RawMessageStreamEvent")


def _event(event: millstream.Event) -> Model | ErrorEvent | None:
    kind = type_of(event)
    if kind == "error":
        return ErrorEvent(event.json())
    if kind == "ping" or not event.data:
        return None
    return _EVENTS.of(kind)(event)


_MESSAGES = Ask(
    "/v1/messages", "anthropic-messages", Dialect(_event, NAMES), Union(_KINDS, ["Message"])
)


# ---- the clients ---------------------------------------------------------------------------------


class Messages(Creates):
    """`client.messages`."""

    _offers = "create() and stream()"
    _ask = _MESSAGES

    def stream(self, **params: Any) -> MessageStreamManager:
        """Ask for a message by `with`: a `MessageStream`. params: as for `create`."""
        return MessageStreamManager(self, _streamed(params), _KINDS)


class AsyncMessages(AsyncCreates):
    """`client.messages`."""

    _offers = "create() and stream()"
    _ask = _MESSAGES

    def stream(self, **params: Any) -> AsyncMessageStreamManager:
        """Ask for a message by `async with`; see `Messages.stream`."""
        return AsyncMessageStreamManager(self, _streamed(params), _KINDS)


def _streamed(params: dict[str, Any]) -> dict[str, Any]:
    if "output_format" in params:
        raise TypeError(
            "output_format: types are millstream's own here: client.stream(into=T), "
            "docs/howto/structured.md; a JSON schema goes into output_config"
        )
    return params


class _Settings(BaseClient):
    """The arguments of both clients."""

    _provider = "anthropic"
    _names = NAMES
    _offers = "messages.create() and messages.stream()"
    _own = ("auth_token",)

    def __init__(
        self,
        *,
        api_key: str | None = None,
        auth_token: str | None = None,
        base_url: Any = None,
        timeout: Any = NOT_GIVEN,
        max_retries: int = 2,
        default_headers: Mapping[str, Any] | None = None,
        default_query: Mapping[str, Any] | None = None,
        **engine: Any,
    ) -> None:
        env = os.environ.get
        if api_key is None and auth_token is None:
            api_key = env("ANTHROPIC_API_KEY")
            auth_token = env("ANTHROPIC_AUTH_TOKEN") if api_key is None else None
        self.auth_token = auth_token
        super().__init__(
            api_key=api_key,
            base_url=base_url or env("ANTHROPIC_BASE_URL") or _URL,
            timeout=timeout,
            max_retries=max_retries,
            default_headers=default_headers,
            default_query=default_query,
            engine=engine,
        )

    def with_options(self: _SettingsT, **changed: Any) -> _SettingsT:
        """A client with other settings; a key or token takes the place of the other."""
        keys = changed.keys() & {"api_key", "auth_token"}
        given = dict.fromkeys(("api_key", "auth_token")) if keys else {}
        return super().with_options(**{**given, **changed})

    copy = with_options

    def _headers(self) -> dict[str, Any]:
        return {"Authorization": self.auth_token and f"Bearer {self.auth_token}"}

    def _start(self, ask: Ask, key: Any, arguments: Mapping[str, Any]) -> Any:
        given = {**self.default_headers, **(arguments.get("extra_headers") or {})}
        named = {"authorization", "x-api-key"} & {name.lower() for name in given}
        if self.base_url == _URL and not (self.api_key or self.auth_token or named):
            raise AnthropicError(
                "api_key: none was given; pass api_key=..., or set ANTHROPIC_API_KEY"
            )
        return super()._start(ask, key, arguments)


class Anthropic(_Settings, SyncClient):
    """The client.

    api_key, auth_token: default, where neither is given: ANTHROPIC_API_KEY, ANTHROPIC_AUTH_TOKEN.
    base_url: default: ANTHROPIC_BASE_URL, then Anthropic's own; without "/v1".
    The others as `BaseClient` says.
    """

    @cached_property
    def messages(self) -> Messages:
        """Messages."""
        return Messages(self)


class AsyncAnthropic(_Settings, AsyncClient):
    """`Anthropic` for event loops."""

    @cached_property
    def messages(self) -> AsyncMessages:
        """Messages."""
        return AsyncMessages(self)
