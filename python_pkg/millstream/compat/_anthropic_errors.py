"""The exceptions of the anthropic SDK that streams and plain answers raise."""

from __future__ import annotations

from typing import Any

import millstream

from ._errors import CompatError, Names


class AnthropicError(millstream.Error):
    """The base of all."""


class APIError(CompatError, AnthropicError):
    """Something went wrong with a request."""

    @property
    def type(self) -> str | None:
        """The kind of error, by the server: `error.type` of the `body`."""
        return self._said("type")

    @property
    def api_message(self) -> str | None:
        """What the server said: `error.message` of the `body`."""
        return self._said("message")

    def _said(self, name: str) -> str | None:
        error = self.body.get("error") if isinstance(self.body, dict) else None
        return error.get(name) if isinstance(error, dict) else None


class APIConnectionError(APIError):
    """No connection, or it was lost."""


class APITimeoutError(APIConnectionError):
    """The server was silent for too long."""


class APIResponseValidationError(APIError):
    """The answer is not what its protocol asks for."""


class APIStatusError(APIError):
    """The server answered with an error, or told one inside a stream."""


class BadRequestError(APIStatusError):
    """400."""


class AuthenticationError(APIStatusError):
    """401."""


class PaymentRequiredError(APIStatusError):
    """402."""


class PermissionDeniedError(APIStatusError):
    """403."""


class NotFoundError(APIStatusError):
    """404."""


class RequestTimeoutError(APIStatusError):
    """408."""


class ConflictError(APIStatusError):
    """409."""


class PreconditionFailedError(APIStatusError):
    """412."""


class ContentTooLargeError(APIStatusError):
    """413."""


class UnprocessableEntityError(APIStatusError):
    """422."""


class RateLimitError(APIStatusError):
    """429."""


class InternalServerError(APIStatusError):
    """5xx."""


class ServiceUnavailableError(InternalServerError):
    """503."""


class GatewayTimeoutError(InternalServerError):
    """504."""


class OverloadedError(InternalServerError):
    """529."""


def _words(status: int | None, given: Any, text: str) -> tuple[str, Any]:
    """Message and body. status: of an error answer; None for an error event."""
    if given is None:
        return text, None
    if status is None:
        return str(given), given
    if isinstance(given, str):
        return given or f"Error code: {status}", given
    return f"Error code: {status} - {given}", given


NAMES = Names(
    of_status={
        400: BadRequestError,
        401: AuthenticationError,
        402: PaymentRequiredError,
        403: PermissionDeniedError,
        404: NotFoundError,
        408: RequestTimeoutError,
        409: ConflictError,
        412: PreconditionFailedError,
        413: ContentTooLargeError,
        422: UnprocessableEntityError,
        429: RateLimitError,
        503: ServiceUnavailableError,
        504: GatewayTimeoutError,
        529: OverloadedError,
    },
    any_status=APIStatusError,
    server=InternalServerError,
    connection=APIConnectionError,
    timeout=APITimeoutError,
    invalid=APIResponseValidationError,
    other=APIStatusError,
    words=_words,
)
