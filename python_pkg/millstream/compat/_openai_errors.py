"""The exceptions of the openai SDK that streams and plain answers raise."""

from __future__ import annotations

from typing import Any

import millstream

from ._errors import CompatError, Names


class OpenAIError(millstream.Error):
    """The base of all."""


class APIError(CompatError, OpenAIError):
    """Something went wrong with a request. `code`, `param` and `type` are those of its `body`."""

    @property
    def param(self) -> str | None:
        """The argument that the server does not accept."""
        return self.body.get("param") if isinstance(self.body, dict) else None

    @property
    def type(self) -> str | None:
        """The kind of error, by the server."""
        return self.body.get("type") if isinstance(self.body, dict) else None


class APIConnectionError(APIError):
    """No connection, or it was lost."""


class APITimeoutError(APIConnectionError):
    """The server was silent for too long."""


class APIResponseValidationError(APIError):
    """The answer is not what its protocol asks for."""


class APIStatusError(APIError):
    """The server answered with an error."""


class BadRequestError(APIStatusError):
    """400."""


class AuthenticationError(APIStatusError):
    """401."""


class PermissionDeniedError(APIStatusError):
    """403."""


class NotFoundError(APIStatusError):
    """404."""


class ConflictError(APIStatusError):
    """409."""


class UnprocessableEntityError(APIStatusError):
    """422."""


class RateLimitError(APIStatusError):
    """429."""


class InternalServerError(APIStatusError):
    """5xx."""


def _words(status: int | None, given: Any, text: str) -> tuple[str, Any]:
    """Message and body. status: of an error answer; None for an error event."""
    body = given.get("error", given) if isinstance(given, dict) else given
    said = body.get("message") if isinstance(body, dict) else None
    said = said if isinstance(said, str) and said else None
    if status is not None:
        return f"Error code: {status}" + (f" - {said}" if said else ""), body
    return said or text, body


NAMES = Names(
    of_status={
        400: BadRequestError,
        401: AuthenticationError,
        403: PermissionDeniedError,
        404: NotFoundError,
        409: ConflictError,
        422: UnprocessableEntityError,
        429: RateLimitError,
    },
    any_status=APIStatusError,
    server=InternalServerError,
    connection=APIConnectionError,
    timeout=APITimeoutError,
    invalid=APIResponseValidationError,
    other=APIError,
    words=_words,
)
