"""OpenTelemetry for streams, by its semantic conventions for generative AI. Extra: `otel`.

    import millstream.otel
    millstream.otel.instrument()

Each stream is a client span "chat MODEL" with the event of its first chunk, and is counted by the
conventions' histograms. No text of a prompt, an answer or a server's error is recorded unless asked
for. Source: open-telemetry/semantic-conventions-genai, gen-ai-spans and gen-ai-metrics, 2026.
"""

from __future__ import annotations

import os
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from . import __version__, _hooks, _route
from ._otel_content import input_messages, output_messages, system_instructions, tool_definitions

try:
    from opentelemetry import metrics, propagate, trace
except ImportError as error:  # the package itself needs none of it
    raise ImportError(
        "millstream.otel needs opentelemetry-api: install millstream[otel]"
    ) from error

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._client import BaseClient
    from ._core import Message, Usage
    from .hooks import Call, EndEvent, HookEvent, OnEvent, RequestEvent

__all__ = ["Telemetry", "instrument", "uninstrument"]

SECONDS = (
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92,
)  # fmt: skip
TOKENS = tuple(4**power for power in range(14))

# The conventions' names, where ours is another.
_PROVIDERS = {
    "azure": "azure.ai.openai",
    "azure-responses": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "bedrock-mantle": "aws.bedrock",
    "gemini": "gcp.gemini",
    "lmstudio-responses": "lmstudio",
    "mistral": "mistral_ai",
    "openai-responses": "openai",
    "openrouter-responses": "openrouter",
    "vertex": "gcp.vertex_ai",
    "xai": "x_ai",
    "xai-responses": "x_ai",
}
_OPERATIONS = {
    "openai-completions": "text_completion",
    "openai-transcription": "transcription",
    "gemini": "generate_content",
    "gemini-json-array": "generate_content",
    "gemini-interactions": "generate_content",
    "cohere-v1-generate": "text_completion",
    "ollama-generate": "text_completion",
}
# Names that a request's argument may have, and what its attribute is made with.
_PARAMETERS: dict[str, tuple[type, tuple[str, ...]]] = {
    "max_tokens": (int, ("max_tokens", "max_completion_tokens", "max_output_tokens")),
    "temperature": (float, ("temperature",)),
    "top_p": (float, ("top_p",)),
    "top_k": (float, ("top_k",)),
    "frequency_penalty": (float, ("frequency_penalty",)),
    "presence_penalty": (float, ("presence_penalty",)),
    "seed": (int, ("seed",)),
}
_CACHE_WRITES = ("cache_creation_input_tokens", "cacheWriteInputTokens")


def instrument(
    client: BaseClient[Any, Any] | None = None,
    *,
    tracer_provider: trace.TracerProvider | None = None,
    meter_provider: metrics.MeterProvider | None = None,
    capture_content: bool | None = None,
    propagate: bool = False,
) -> Telemetry:
    """Record the streams that `client` starts from now on; None: those of all clients.

    The arguments are those of `Telemetry`, which is returned. To call it twice for the same streams
    records them twice.
    """
    telemetry = Telemetry(
        tracer_provider=tracer_provider,
        meter_provider=meter_provider,
        capture_content=capture_content,
        propagate=propagate,
    )
    if client is None:
        _hooks.of_process += (telemetry,)
    else:
        client._hooks += (telemetry,)
    return telemetry


def uninstrument(client: BaseClient[Any, Any] | None = None) -> None:
    """Undo `instrument()` for streams that start from now on."""
    if client is None:
        _hooks.of_process = _others(_hooks.of_process)
    else:
        client._hooks = _others(client._hooks)


def _others(hooks: tuple[OnEvent, ...]) -> tuple[OnEvent, ...]:
    return tuple(hook for hook in hooks if not isinstance(hook, Telemetry))


class Telemetry:
    """The hook: `Client(on_event=Telemetry())` records the streams of one client.

    tracer_provider, meter_provider: default: the global ones.
    capture_content: record prompts, answers and tools as JSON; default: whether the environment
        variable OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT asks for it on spans.
    propagate: send the span's context to the server, by the global propagator (`traceparent`).
    """

    chunk_times = True

    def __init__(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        capture_content: bool | None = None,
        propagate: bool = False,
    ) -> None:
        self._tracer = trace.get_tracer("millstream", __version__, tracer_provider)
        self._captures = _asked_for() if capture_content is None else capture_content
        self._propagates = propagate
        self._open: dict[int, tuple[trace.Span, dict[str, Any]]] = {}
        meter = metrics.get_meter("millstream", __version__, meter_provider)
        self._duration = _seconds(meter, "duration", "GenAI operation duration.")
        self._first = _seconds(meter, "time_to_first_chunk", "Time to receive the first chunk.")
        self._each = _seconds(
            meter, "time_per_output_chunk", "Time between a chunk and the one before it."
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Number of input and output tokens used.",
            explicit_bucket_boundaries_advisory=TOKENS,
        )

    def __call__(self, event: HookEvent) -> None:
        """Take one event of a stream."""
        if event.type == "request":
            self._begin(event)
            return
        span, common = self._open.get(event.call.id, (trace.INVALID_SPAN, {}))
        if event.type == "first_chunk":
            span.set_attribute("gen_ai.response.time_to_first_chunk", event.at)
            span.add_event("gen_ai.response.first_chunk", timestamp=_ns(event.call, event.at))
        elif event.type == "retry":
            facts = {
                "http.request.resend_count": event.number,
                "millstream.retry.delay": event.delay,
            }
            kind = str(event.status) if event.status else event.error
            span.add_event(
                "millstream.retry",
                {**facts, "error.type": kind or "_OTHER"},
                timestamp=_ns(event.call, event.at),
            )
        elif event.type == "end":
            self._end(event, span, common)

    def _begin(self, event: RequestEvent) -> None:
        call = event.call
        common = _common(call)
        span = self._tracer.start_span(
            f"{common['gen_ai.operation.name']} {call.model or ''}".rstrip(),
            kind=trace.SpanKind.CLIENT,
            attributes={**common, **_streams(call), **_parameters(call.arguments)},
            start_time=call.started_ns,
        )
        self._open[call.id] = span, common
        if self._captures and span.is_recording():
            span.set_attributes(_asked(call.arguments))
        if self._propagates:
            carrier: dict[str, str] = {}
            propagate.inject(carrier, trace.set_span_in_context(span))
            for name, value in carrier.items():
                event.add_header(name, value)

    def _end(self, event: EndEvent, span: trace.Span, common: dict[str, Any]) -> None:
        self._open.pop(event.call.id, None)
        if event.message is not None and event.message.model:
            common["gen_ai.response.model"] = event.message.model
        if span.is_recording():
            span.set_attributes({**common, **self._answer(event)})
            if event.outcome == "failed":
                span.set_attribute("error.type", _error_type(event))
                span.set_status(trace.StatusCode.ERROR, self._description(event))
            span.end(_ns(event.call, event.at))
        self._measure(event, common)

    def _description(self, event: EndEvent) -> str:
        """What a server says may quote the prompt."""
        return str(event.error) if self._captures else type(event.error).__name__

    def _answer(self, event: EndEvent) -> dict[str, Any]:
        facts: dict[str, Any] = {"millstream.outcome": event.outcome}
        if event.timing is not None and event.timing.retries:
            facts["http.request.resend_count"] = event.timing.retries
        if event.response is not None:
            facts["http.response.status_code"] = event.response.status
        if event.message is None:
            return facts
        facts.update(_message(event.message))
        if event.message.usage is not None:
            facts.update(_usage(event.message.usage, event.call))
        if self._captures:
            facts["gen_ai.output.messages"] = output_messages(event.message)
        return facts

    def _measure(self, event: EndEvent, common: dict[str, Any]) -> None:
        failed = {"error.type": _error_type(event)} if event.outcome == "failed" else {}
        self._duration.record(event.at, {**common, **failed})
        times = event.chunk_times if _streams(event.call) else ()
        if event.timing is not None and times:
            self._first.record(event.timing.first_chunk or times[0], common)
        for before, at in pairwise(times):
            self._each.record(at - before, common)
        usage = event.message.usage if event.message is not None else None
        if usage is None:
            return
        for kind, count in _billed(usage, event.call):
            if count is not None:
                self._tokens.record(count, {**common, "gen_ai.token.type": kind})


def _seconds(meter: metrics.Meter, name: str, description: str) -> metrics.Histogram:
    return meter.create_histogram(
        f"gen_ai.client.operation.{name}",
        unit="s",
        description=description,
        explicit_bucket_boundaries_advisory=SECONDS,
    )


def _asked_for() -> bool:
    value = os.environ.get("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "")
    return value.strip().lower() in ("true", "1", "span_only", "span_and_event")


def _ns(call: Call, at: float) -> int:
    return call.started_ns + round(at * 1e9)


def _common(call: Call) -> dict[str, Any]:
    """The attributes of the span and of every measurement."""
    _, host, port = _route.origin(call.url)
    facts: dict[str, Any] = {
        "gen_ai.operation.name": _OPERATIONS.get(call.format, "chat"),
        "gen_ai.provider.name": _PROVIDERS.get(call.provider, call.provider),
        "server.address": host.strip("[]"),
    }
    if call.model:
        facts["gen_ai.request.model"] = call.model
    if port:
        facts["server.port"] = int(port)
    return facts


def _streams(call: Call) -> dict[str, bool]:
    """Of an answer that is one document there are no chunks."""
    return {} if call.format == "json" else {"gen_ai.request.stream": True}


def _parameters(arguments: Mapping[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    for name, (make, aliases) in _PARAMETERS.items():
        value = next((v for v in map(arguments.get, aliases) if v is not None), None)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            facts[f"gen_ai.request.{name}"] = make(value)
    stop = arguments.get("stop") or arguments.get("stop_sequences")
    if stop:
        facts["gen_ai.request.stop_sequences"] = [stop] if isinstance(stop, str) else list(stop)
    choices = arguments.get("n")
    if isinstance(choices, int) and choices != 1:
        facts["gen_ai.request.choice.count"] = choices
    if arguments.get("into") is not None:
        facts["gen_ai.output.type"] = "json"
    return facts


def _asked(arguments: Mapping[str, Any]) -> dict[str, str]:
    """The prompt as attributes."""
    facts = {
        "gen_ai.input.messages": input_messages(arguments.get("messages")),
        "gen_ai.system_instructions": system_instructions(arguments.get("system")),
        "gen_ai.tool.definitions": tool_definitions(arguments.get("tools")),
    }
    return {name: json for name, json in facts.items() if json is not None}


def _message(message: Message) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    if message.id:
        facts["gen_ai.response.id"] = message.id
    reasons = [choice.finish_reason for choice in message.choices or (message,)]
    if any(reasons):
        facts["gen_ai.response.finish_reasons"] = [reason or "" for reason in reasons]
    return facts


def _usage(usage: Usage, call: Call) -> dict[str, int]:
    facts = {f"gen_ai.usage.{kind}_tokens": count for kind, count in _billed(usage, call)}
    facts["gen_ai.usage.cache_read.input_tokens"] = usage.cached_tokens
    facts["gen_ai.usage.reasoning.output_tokens"] = usage.reasoning_tokens
    return {name: count for name, count in facts.items() if count is not None}


def _billed(usage: Usage, call: Call) -> tuple[tuple[str, int | None], tuple[str, int | None]]:
    """Input and output tokens. The convention's input has those of the cache in it, which anthropic
    and bedrock count apart."""
    given = usage.input_tokens
    if given is not None and call.format in ("anthropic-messages", "bedrock-converse"):
        given += usage.cached_tokens or 0
        given += sum(usage.raw.get(key) or 0 for key in _CACHE_WRITES)
    return ("input", given), ("output", usage.output_tokens)


def _error_type(event: EndEvent) -> str:
    """The status where there is one, else the exception's name."""
    status = getattr(event.error, "status", None)
    return str(status) if status else type(event.error).__name__
