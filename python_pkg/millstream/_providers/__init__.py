"""The providers: where each one is, how it lets a request in, which wire format it answers in.

A row of the table says all that. What a request's JSON looks like is a family's, one module each,
imported with the first request. URLs, headers and environment variables are those of the public
documentation that stands above each row.
"""

from __future__ import annotations

import os

from .._errors import MissingKey
from .._types import Hidden

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypeAlias

    Pairs: TypeAlias = tuple[tuple[str, str], ...]


class Provider:
    """One provider.

    family: the module here that writes its requests' JSON.
    base_url: with the version path; "{option}" stands for an option's value.
    path: where questions go, "{model}" for the model's name; behind `base_url`.
    format: the wire format of the answer, one of `_core.formats()`.
    key_variables: environment variables of the key, the first that is set counts.
    key_header: name and form of the header that carries it.
    headers: sent with every request.
    options: what else a client may be given, and the environment variables in its place.
    needs_key: the provider's own server asks for one.
    tells_usage_if_asked: `stream_options.include_usage` is understood.
    """

    __slots__ = (
        "_form", "base_url", "family", "format", "headers", "key_header", "key_variables", "name",
        "needs_key", "options", "path", "tells_usage_if_asked",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        base_url: str,
        *key_variables: str,
        family: str = "openai_chat",
        path: str = "/chat/completions",
        format: str = "openai-chat",
        key_header: tuple[str, str] = ("Authorization", "Bearer {}"),
        headers: Pairs = (),
        options: Mapping[str, tuple[str, ...]] | None = None,
        needs_key: bool = True,
        tells_usage_if_asked: bool = True,
    ) -> None:
        self.name = name
        self.base_url = base_url
        self.key_variables = key_variables
        self.family = family
        self.path = path
        self.format = format
        self.key_header = key_header
        self.headers = headers
        self.options = options or {}
        self.needs_key = needs_key
        self.tells_usage_if_asked = tells_usage_if_asked
        self._form: tuple[Any, Any, Any] | None = None  # of its questions; most are never asked

    def settle(self, given: Mapping[str, str]) -> dict[str, str]:
        """The options: as given, or from the environment. TypeError names one not known."""
        for name, value in given.items():
            if name not in self.options:
                known = ", ".join(self.options) or "none"
                raise TypeError(f"options: {self.name} has no {name!r}; it knows {known}")
            if not isinstance(value, str):
                raise TypeError(f"options: {name!r} must be a str, not {type(value).__name__}")
        found = {name: given.get(name) or _variable(self.options[name]) for name in self.options}
        return {name: value for name, value in found.items() if value}

    def place(self, options: Mapping[str, str]) -> str:
        """The base URL of the provider's own server."""
        for name, variables in self.options.items():
            if f"{{{name}}}" in self.base_url and name not in options:
                raise ValueError(
                    f"options: {self.name} has no address without {name!r}; pass it, set "
                    f"{variables[0]}, or pass base_url=..."
                )
        return self.base_url.format_map(options)

    def route(self, model: str, options: Mapping[str, str], own: bool) -> str:
        """The path of a question to `model`; own: behind `place()`, not a base URL given."""
        return self.path if "{" not in self.path else self.path.format(model=_segment(model))

    def auth(
        self, api_key: str | None, given: Mapping[str, str], options: Mapping[str, str], own: bool
    ) -> KeyHeader | Aws | None:
        """What lets a request in; None where nothing was given and `own` servers ask for none."""
        key = api_key or _variable(self.key_variables)
        if key:
            name, form = self.key_header
            return KeyHeader(name, form.format(key))
        if own and self.needs_key:
            raise MissingKey(f"api_key: none was given; {self._how_to_give_a_key()}")
        return None

    def question(
        self, arguments: Mapping[str, Any], options: Mapping[str, str], own: bool
    ) -> tuple[str, dict[str, Any]]:
        """(path, JSON) of a request for an answer that streams and tells its usage."""
        if self._form is None:
            from importlib import import_module

            from ._neutral import Ask

            form = import_module(f"{__name__}.{self.family}")
            self._form = Ask, form.body, getattr(form, "plain", None)
        ask_of, body_of, plain = self._form
        said = plain(arguments, self) if plain else None
        if said is not None:
            return self.route(said["model"], options, own), said
        ask = ask_of(**arguments)
        return self.route(ask.model, options, own), body_of(ask, self)

    def _how_to_give_a_key(self) -> str:
        return " or ".join(["pass api_key=...", *(f"set {name}" for name in self.key_variables)])


class KeyHeader:
    """A key that goes into a header as it is."""

    __slots__ = ("_pair",)
    lasts = True  # the headers are the same for all requests

    def __init__(self, name: str, value: str) -> None:
        self._pair = (name, Hidden(value))

    def pairs(self, method: str, url: str, headers: Pairs, body: bytes) -> Pairs:
        """The headers to add, but for those given already."""
        given = any(name.lower() == self._pair[0].lower() for name, _ in headers)
        return () if given else (self._pair,)


class Aws:
    """AWS credentials: each request is signed (`_sigv4`), for an attempt within five minutes."""

    __slots__ = ("_access_key_id", "_region", "_secret_access_key", "_session_token")
    lasts = False

    def __init__(self, options: Mapping[str, str]) -> None:
        self._region = options["region"]
        self._access_key_id = options["aws_access_key_id"]
        self._secret_access_key = Hidden(options["aws_secret_access_key"])
        self._session_token = options.get("aws_session_token")

    def pairs(self, method: str, url: str, headers: Pairs, body: bytes) -> Pairs:
        """The headers to add."""
        from . import _sigv4

        return _sigv4.sign(
            method,
            url,
            headers,
            body,
            service="bedrock",
            region=self._region,
            access_key_id=self._access_key_id,
            secret_access_key=self._secret_access_key,
            session_token=self._session_token,
        )


class _Azure(Provider):
    __slots__ = ()

    def route(self, model: str, options: Mapping[str, str], own: bool) -> str:
        """Dated API versions have a path for each deployment; "v1", the one without, has none."""
        version = options.get("api_version")
        query = f"?api-version={version}" if version else ""
        if not own:
            return self.path + query
        if version is None or not version[:1].isdigit():
            return "/v1" + self.path + query
        if self.family != "openai_chat":
            return self.path + query
        return f"/deployments/{_segment(model)}{self.path}{query}"


class _Google(Provider):
    __slots__ = ()

    def place(self, options: Mapping[str, str]) -> str:
        """Vertex's location "global" is the host without a location."""
        return super().place(options).replace("//global-", "//")

    def route(self, model: str, options: Mapping[str, str], own: bool) -> str:
        """A model may come with its kind: "tunedModels/mine", "publishers/meta/models/llama"."""
        kind = "publishers/google/models" if "project" in self.options else "models"
        name = model if "/" in model else f"{kind}/{model}"
        return self.path.format(model="/".join(map(_segment, name.split("/"))))


class _Bedrock(Provider):
    __slots__ = ()

    def settle(self, given: Mapping[str, str]) -> dict[str, str]:
        """Credentials are of one source: beside an access key given, none of the environment."""
        found = super().settle(given)
        if given.get("aws_access_key_id"):
            return {n: v for n, v in found.items() if n in given or not n.startswith("aws_")}
        return found

    def auth(
        self, api_key: str | None, given: Mapping[str, str], options: Mapping[str, str], own: bool
    ) -> KeyHeader | Aws | None:
        """A bearer key or credentials; arguments before the environment."""
        by_argument = given.get("aws_access_key_id") and not api_key
        if not by_argument and (api_key or _variable(self.key_variables)):
            return super().auth(api_key, given, options, own)
        if "aws_access_key_id" not in options:
            return super().auth(None, given, options, own)
        for name in ("aws_secret_access_key", "region"):
            if name not in options:
                raise ValueError(
                    f'options: a signature needs {name!r} beside "aws_access_key_id"; pass it, or '
                    f"set {self.options[name][0]}"
                )
        return Aws(options)

    def _how_to_give_a_key(self) -> str:
        return super()._how_to_give_a_key() + " or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


def _variable(names: tuple[str, ...]) -> str | None:
    return next((value for value in map(os.environ.get, names) if value), None)


def _segment(model: str) -> str:
    """A model's name as one segment of a path (RFC 3986, section 3.3)."""
    from urllib.parse import quote

    if model in ("", ".", ".."):
        raise ValueError(f"model: {model!r} cannot stand in a URL")
    return quote(model, safe="")


# ---- the table -----------------------------------------------------------------------------------

_AWS_REGION = {"region": ("AWS_REGION", "AWS_DEFAULT_REGION")}
_AZURE: dict[str, Any] = {
    "key_header": ("api-key", "{}"),
    "options": {"endpoint": ("AZURE_OPENAI_ENDPOINT",), "api_version": ("OPENAI_API_VERSION",)},
}
_RESPONSES: dict[str, Any] = {
    "family": "openai_responses",
    "path": "/responses",
    "format": "openai-responses",
}
_LOCAL: dict[str, Any] = {"needs_key": False}

_ROWS = (
    # https://platform.openai.com/docs/api-reference/chat, …/responses
    Provider("openai", "https://api.openai.com/v1", "OPENAI_API_KEY"),
    Provider("openai-responses", "https://api.openai.com/v1", "OPENAI_API_KEY", **_RESPONSES),
    # https://learn.microsoft.com/azure/foundry/openai/api-version-lifecycle
    _Azure("azure", "{endpoint}/openai", "AZURE_OPENAI_API_KEY", **_AZURE),
    _Azure("azure-responses", "{endpoint}/openai", "AZURE_OPENAI_API_KEY", **_AZURE, **_RESPONSES),
    # https://openrouter.ai/docs/api-reference
    Provider("openrouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY"),
    Provider(
        "openrouter-responses", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", **_RESPONSES
    ),
    # https://console.groq.com/docs/openai
    Provider("groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY"),
    # https://api-docs.deepseek.com
    Provider("deepseek", "https://api.deepseek.com", "DEEPSEEK_API_KEY"),
    # https://docs.x.ai/docs/api-reference
    Provider("xai", "https://api.x.ai/v1", "XAI_API_KEY"),
    Provider("xai-responses", "https://api.x.ai/v1", "XAI_API_KEY", **_RESPONSES),
    # https://docs.perplexity.ai/api-reference/chat-completions-post
    Provider("perplexity", "https://api.perplexity.ai", "PERPLEXITY_API_KEY"),
    # https://docs.together.ai/reference/chat-completions-1: usage comes unasked
    Provider(
        "together", "https://api.together.xyz/v1", "TOGETHER_API_KEY", tells_usage_if_asked=False
    ),
    # https://huggingface.co/docs/inference-providers
    Provider("huggingface", "https://router.huggingface.co/v1", "HF_TOKEN"),
    # https://www.alibabacloud.com/help/en/model-studio/compatibility-of-openai-with-dashscope
    Provider(
        "alibaba", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1", "DASHSCOPE_API_KEY"
    ),
    # https://docs.z.ai/api-reference/llm/chat-completion
    Provider("zai", "https://api.z.ai/api/paas/v4", "ZAI_API_KEY"),
    # https://dev.writer.com/api-reference/completion-api/chat-completion
    Provider("writer", "https://api.writer.com/v1", "WRITER_API_KEY", path="/chat"),
    # https://docs.crusoecloud.com/quickstart/getting-started-with-serverless-inference
    Provider("crusoe", "https://api.inference.crusoecloud.com/v1", "CRUSOE_API_KEY"),
    # https://docs.snowflake.com/en/user-guide/snowflake-cortex/open_ai_sdk
    Provider(
        "snowflake",
        "https://{account}.snowflakecomputing.com/api/v2/cortex/v1",
        "SNOWFLAKE_PAT",
        options={"account": ("SNOWFLAKE_ACCOUNT",)},
    ),
    # https://docs.aws.amazon.com/bedrock/latest/userguide/bedrock-mantle.html
    Provider(
        "bedrock-mantle",
        "https://bedrock-mantle.{region}.api.aws/v1",
        "AWS_BEARER_TOKEN_BEDROCK",
        options=_AWS_REGION,
        **_RESPONSES,
    ),
    # https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html
    Provider("vllm", "http://localhost:8000/v1", "VLLM_API_KEY", **_LOCAL),
    # https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md
    Provider("llama.cpp", "http://localhost:8080/v1", "LLAMA_API_KEY", **_LOCAL),
    # https://lmstudio.ai/docs/developer/openai-compat
    Provider("lmstudio", "http://localhost:1234/v1", "LM_API_TOKEN", **_LOCAL),
    Provider(
        "lmstudio-responses", "http://localhost:1234/v1", "LM_API_TOKEN", **_LOCAL, **_RESPONSES
    ),
    # https://docs.gpustack.ai/latest/user-guide/openai-compatible-apis/
    Provider("gpustack", "http://localhost/v1", "GPUSTACK_API_KEY", **_LOCAL),
    # https://docs.mistral.ai/api/endpoint/chat: usage comes unasked
    Provider(
        "mistral",
        "https://api.mistral.ai/v1",
        "MISTRAL_API_KEY",
        family="mistral",
        format="mistral-chat",
        tells_usage_if_asked=False,
    ),
    # https://docs.ollama.com/api/chat
    Provider(
        "ollama",
        "http://localhost:11434",
        "OLLAMA_API_KEY",
        family="ollama",
        path="/api/chat",
        format="ollama-chat",
        needs_key=False,
    ),
    # https://docs.anthropic.com/en/api/messages, …/versioning
    Provider(
        "anthropic",
        "https://api.anthropic.com/v1",
        "ANTHROPIC_API_KEY",
        family="anthropic",
        path="/messages",
        format="anthropic-messages",
        key_header=("x-api-key", "{}"),
        headers=(("anthropic-version", "2023-06-01"),),
    ),
    # https://ai.google.dev/api/generate-content, …/gemini-api/docs/api-key
    _Google(
        "gemini",
        "https://generativelanguage.googleapis.com/v1beta",
        "GOOGLE_API_KEY",
        "GEMINI_API_KEY",
        family="gemini",
        path="/{model}:streamGenerateContent?alt=sse",
        format="gemini",
        key_header=("x-goog-api-key", "{}"),
    ),
    # https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference
    _Google(
        "vertex",
        "https://{location}-aiplatform.googleapis.com/v1/projects/{project}/locations/{location}",
        family="gemini",
        path="/{model}:streamGenerateContent?alt=sse",
        format="gemini",
        options={"project": ("GOOGLE_CLOUD_PROJECT",), "location": ("GOOGLE_CLOUD_LOCATION",)},
    ),
    # https://docs.cohere.com/reference/chat-stream
    Provider(
        "cohere",
        "https://api.cohere.com",
        "CO_API_KEY",
        "COHERE_API_KEY",
        family="cohere",
        path="/v2/chat",
        format="cohere-v2-chat",
    ),
    # https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
    # https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys-use.html
    _Bedrock(
        "bedrock",
        "https://bedrock-runtime.{region}.amazonaws.com",
        "AWS_BEARER_TOKEN_BEDROCK",
        family="bedrock",
        path="/model/{model}/converse-stream",
        format="bedrock-converse",
        options={
            **_AWS_REGION,
            "aws_access_key_id": ("AWS_ACCESS_KEY_ID",),
            "aws_secret_access_key": ("AWS_SECRET_ACCESS_KEY",),
            "aws_session_token": ("AWS_SESSION_TOKEN",),
        },
    ),
)

PROVIDERS = {provider.name: provider for provider in _ROWS}


def find(name: str) -> Provider:
    """The provider of that name; ValueError lists the known ones."""
    if not isinstance(name, str):
        raise TypeError(f"provider: must be a str, not {type(name).__name__}")
    try:
        return PROVIDERS[name]
    except KeyError:
        known = ", ".join(sorted(PROVIDERS))
        raise ValueError(
            f"provider: {name!r} is not known; known are {known}. Servers that speak OpenAI's "
            'format work with Client("openai", base_url=...)'
        ) from None
