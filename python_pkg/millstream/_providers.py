"""What is to be known of a provider to send it a request."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Provider:
    """One provider: where it is, how it is asked. The wire format is the C core's (`format`)."""

    __slots__ = ("base_url", "format", "key_header", "key_variable", "name", "path")

    def __init__(
        self,
        name: str,
        *,
        base_url: str,
        path: str,
        format: str,
        key_variable: str,
        key_header: tuple[str, str] = ("Authorization", "Bearer {}"),
    ) -> None:
        self.name = name
        self.base_url = base_url
        self.path = path
        self.format = format
        self.key_variable = key_variable
        self.key_header = key_header

    def body(self, model: str, messages: Any, params: dict[str, Any]) -> dict[str, Any]:
        """The request's JSON for an answer that streams and tells its usage."""
        body = {"model": model, "messages": messages, "stream": True, **params}
        options = params.get("stream_options", {})
        if options is None:
            del body["stream_options"]
        elif isinstance(options, dict):
            body["stream_options"] = {"include_usage": True, **options}
        return body


_PROVIDERS = {
    provider.name: provider
    for provider in (
        # https://platform.openai.com/docs/api-reference/chat-streaming
        Provider(
            "openai",
            base_url="https://api.openai.com/v1",
            path="/chat/completions",
            format="openai-chat",
            key_variable="OPENAI_API_KEY",
        ),
    )
}


def find(name: str) -> Provider:
    """The provider of that name; ValueError lists the known ones."""
    if not isinstance(name, str):
        raise TypeError(f"provider: must be a str, not {type(name).__name__}")
    try:
        return _PROVIDERS[name]
    except KeyError:
        known = ", ".join(sorted(_PROVIDERS))
        raise ValueError(
            f"provider: {name!r} is not known; known are {known}. Servers that speak OpenAI's "
            'format work with Client("openai", base_url=...)'
        ) from None
