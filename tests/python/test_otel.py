"""Spans and metrics by OpenTelemetry's conventions: in memory, and at an OTLP receiver."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib
import json
import pkgutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import millstream
from answers import GIVE_UP_S, MESSAGES, chunked, event, eventually
from conftest import API_KEY, Connect, Serve, timeout
from millstream import _core, _providers, mock

pytest.importorskip("opentelemetry.sdk", reason="skipped: opentelemetry-sdk is not installed")

from opentelemetry import propagate, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, PeriodicExportingMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import millstream.otel

AT_ONCE = {"retry-after-ms": "0"}
SECONDS = [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92]
TOKENS = [1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864]
OPERATION = "gen_ai.client.operation."


class Recorder:
    """Providers that keep what they are given, and the hook that gives it to them."""

    def __init__(self, **options: Any) -> None:
        self._spans = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        self.tracers = TracerProvider()
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        self.meters = MeterProvider([self._reader])
        self.hook = millstream.otel.Telemetry(
            tracer_provider=self.tracers, meter_provider=self.meters, **options
        )

    @property
    def spans(self) -> list[ReadableSpan]:
        return list(self._spans.get_finished_spans())

    @property
    def span(self) -> ReadableSpan:
        (span,) = self.spans
        return span

    @property
    def metrics(self) -> list[Any]:
        data = self._reader.get_metrics_data()
        return [
            metric
            for resource in (data.resource_metrics if data else ())
            for scope in resource.scope_metrics
            for metric in scope.metrics
        ]

    def points(self, name: str) -> list[Any]:
        return [
            point
            for metric in self.metrics
            if metric.name == name
            for point in metric.data.data_points
        ]

    def close(self) -> None:
        self.tracers.shutdown()
        self.meters.shutdown()


@pytest.fixture
def record() -> Iterator[Any]:
    recorders: list[Recorder] = []

    def start(**options: Any) -> Recorder:
        recorders.append(Recorder(**options))
        return recorders[-1]

    yield start
    for recorder in recorders:
        recorder.close()


def attributes(of: Any) -> dict[str, Any]:
    return dict(of.attributes or {})


# ---- spans ---------------------------------------------------------------------------------------


def test_a_chat_is_a_client_span(serve: Serve, connect: Connect, record: Any) -> None:
    recorder = record()
    server = serve("a b c")
    stream = connect(server, on_event=recorder.hook).stream(
        model="gpt-x", messages=MESSAGES, max_tokens=100, temperature=0.5, top_p=1, stop="x",
        seed=7, n=1, frequency_penalty=0.1, presence_penalty=-0.1,
    )  # fmt: skip
    message = stream.result()
    assert message.usage is not None
    span = recorder.span
    port = int(server.origin.rpartition(":")[2])
    assert (span.name, span.kind) == ("chat gpt-x", trace.SpanKind.CLIENT)
    assert span.status.status_code is trace.StatusCode.UNSET
    assert attributes(span) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-x",
        "gen_ai.request.stream": True,
        "gen_ai.request.max_tokens": 100,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.top_p": 1.0,
        "gen_ai.request.seed": 7,
        "gen_ai.request.stop_sequences": ("x",),
        "gen_ai.request.frequency_penalty": 0.1,
        "gen_ai.request.presence_penalty": -0.1,
        "server.address": "127.0.0.1",
        "server.port": port,
        "gen_ai.response.id": message.id,
        "gen_ai.response.model": message.model,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.time_to_first_chunk": stream.timing.first_chunk,
        "gen_ai.usage.input_tokens": message.usage.input_tokens,
        "gen_ai.usage.output_tokens": message.usage.output_tokens,
        "gen_ai.usage.cache_read.input_tokens": message.usage.cached_tokens,
        "gen_ai.usage.reasoning.output_tokens": message.usage.reasoning_tokens,
        "http.response.status_code": 200,
        "millstream.outcome": "ok",
    }
    timing = stream.timing
    assert span.start_time is not None
    assert span.end_time is not None
    assert timing.total is not None
    assert timing.first_chunk is not None
    assert span.end_time - span.start_time == round(timing.total * 1e9)
    (first,) = span.events
    assert first.name == "gen_ai.response.first_chunk"
    assert first.timestamp - span.start_time == round(timing.first_chunk * 1e9)


def test_an_async_stream_has_one_too(serve: Serve, record: Any) -> None:
    recorder = record()

    async def main() -> None:
        client = millstream.AsyncClient(
            base_url=serve("a").url, api_key=API_KEY, timeout=timeout(), on_event=recorder.hook
        )
        with trace.use_span(recorder.tracers.get_tracer("t").start_span("outer")) as outer:
            await client.stream(model="m", messages=MESSAGES).result()
            assert recorder.span.parent == outer.get_span_context()

    asyncio.run(main())
    assert recorder.span.name == "chat m"


def test_errors_and_retries(serve: Serve, connect: Connect, record: Any) -> None:
    recorder = record()
    words = "the prompt, quoted"
    server = serve([mock.Error(503, headers=AT_ONCE), mock.Error(429, words)])
    client = connect(server, on_event=recorder.hook, max_retries=1, timeout=20)
    with pytest.raises(millstream.RateLimited):
        client.stream(model="m", messages=MESSAGES).result()
    span = recorder.span
    assert span.status.status_code is trace.StatusCode.ERROR
    facts = attributes(span)
    assert facts["error.type"] == "429"
    assert facts["http.response.status_code"] == 429
    assert facts["http.request.resend_count"] == 1
    assert facts["millstream.outcome"] == "failed"
    (retry,) = span.events
    assert (retry.name, attributes(retry)["error.type"]) == ("millstream.retry", "503")
    assert words not in span.to_json()
    (point,) = recorder.points(OPERATION + "duration")
    assert point.attributes["error.type"] == "429"


def test_errors_without_a_status_are_named(connect: Connect, record: Any) -> None:
    recorder = record()
    with pytest.raises(millstream.ConnectError):
        connect("http://[::1]:1/v1", on_event=recorder.hook).stream(
            model="m", messages=MESSAGES
        ).result()
    facts = attributes(recorder.span)
    assert facts["error.type"] == "ConnectError"
    assert (facts["server.address"], facts["server.port"]) == ("::1", 1)


def test_what_is_dropped_ends_without_an_error(serve: Serve, connect: Connect, record: Any) -> None:
    recorder = record()
    client = connect(serve(mock.Answer(["a", mock.Gate()])), on_event=recorder.hook)
    next(client.stream(model="m", messages=MESSAGES))
    assert recorder.span.status.status_code is trace.StatusCode.UNSET
    assert attributes(recorder.span)["millstream.outcome"] == "cancelled"
    assert "error.type" not in attributes(recorder.span)
    (point,) = recorder.points(OPERATION + "duration")
    assert "error.type" not in point.attributes


def test_tokens_of_the_cache_are_input(serve: Serve, record: Any) -> None:
    recorder = record()
    usage = {"input_tokens": 5, "cache_read_input_tokens": 30}
    start = {"type": "message_start", "message": {"id": "i", "model": "c", "usage": usage}}
    delta = {
        "type": "message_delta", "delta": {"stop_reason": "max_tokens"},
        "usage": {"cache_creation_input_tokens": 7, "output_tokens": 3},
    }  # fmt: skip
    answer = chunked(*(event(value) for value in (start, delta, {"type": "message_stop"})))
    client = millstream.Client(
        "anthropic", base_url=serve(mock.Raw(answer)).url, api_key=API_KEY, timeout=timeout(),
        on_event=recorder.hook,
    )  # fmt: skip
    client.stream(model="c", messages=MESSAGES).result()
    facts = attributes(recorder.span)
    assert facts["gen_ai.provider.name"] == "anthropic"
    assert facts["gen_ai.usage.input_tokens"] == 42
    assert facts["gen_ai.usage.cache_read.input_tokens"] == 30
    assert facts["gen_ai.usage.output_tokens"] == 3
    assert facts["gen_ai.response.finish_reasons"] == ("length",)


@pytest.mark.parametrize(
    ("provider", "options", "name", "operation"),
    [
        ("azure", {"api_version": "v1"}, "azure.ai.openai", "chat"),
        ("gemini", {}, "gcp.gemini", "generate_content"),
        ("mistral", {}, "mistral_ai", "chat"),
        ("bedrock", {"region": "eu-west-1"}, "aws.bedrock", "chat"),
        ("ollama", {}, "ollama", "chat"),
        ("xai", {}, "x_ai", "chat"),
    ],
)
def test_providers_have_the_conventions_names(
    record: Any, provider: str, options: Any, name: str, operation: str
) -> None:
    recorder = record()
    client = millstream.Client(
        provider, base_url="http://127.0.0.1:1", api_key=API_KEY, options=options,
        on_event=recorder.hook,
    )  # fmt: skip
    client.stream(model="m", messages=MESSAGES).close()
    facts = attributes(recorder.span)
    assert (facts["gen_ai.provider.name"], facts["gen_ai.operation.name"]) == (name, operation)
    assert recorder.span.name == f"{operation} m"


def test_every_format_and_provider_named_is_one() -> None:
    assert set(millstream.otel._OPERATIONS) <= set(_core.formats())
    assert set(millstream.otel._PROVIDERS) <= set(_providers.PROVIDERS)


# ---- content -------------------------------------------------------------------------------------

PROMPT: list[Any] = [
    {"role": "user", "content": "words of the prompt"},
    {"role": "assistant", "content": None,
     "tool_calls": [{"id": "1", "name": "rain", "arguments": '{"in": "Ulm"}'}]},
    {"role": "tool", "tool_call_id": "1", "content": "none"},
    {"role": "user", "content": [
        {"type": "text", "text": "and this?"},
        {"type": "image", "url": "https://h/a.png"},
        {"type": "image", "data": b"abc", "media_type": "image/png"},
    ]},
]  # fmt: skip
TOOLS = [{"name": "rain", "description": "Rain?", "parameters": {"type": "object"}}]


def ask_all(client: millstream.Client) -> None:
    client.stream(model="m", messages=PROMPT, system="be brief", tools=TOOLS).result()


def test_no_content_unless_asked(
    serve: Serve, connect: Connect, record: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", raising=False)
    recorder = record()
    ask_all(connect(serve("words of the answer"), on_event=recorder.hook))
    told = recorder.span.to_json()
    for word in ("words", "brief", "rain", "Ulm"):
        assert word not in told
    assert API_KEY not in told


@pytest.mark.parametrize("by", ["argument", "true", "SPAN_ONLY", "SPAN_AND_EVENT"])
def test_content_when_asked(
    serve: Serve, connect: Connect, record: Any, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    if by != "argument":
        monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", by)
    recorder = record(**({"capture_content": True} if by == "argument" else {}))
    answer = mock.Answer(
        "the answer", reasoning="hm", tool_calls=[mock.ToolCall("rain", {"in": "Ulm"}, id="c1")]
    )
    ask_all(connect(serve(answer), on_event=recorder.hook))
    facts = attributes(recorder.span)
    assert json.loads(facts["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "words of the prompt"}]},
        {"role": "assistant", "parts": [
            {"type": "tool_call", "id": "1", "name": "rain", "arguments": '{"in": "Ulm"}'},
        ]},
        {"role": "tool", "parts": [{"type": "tool_call_response", "id": "1", "response": "none"}]},
        {"role": "user", "parts": [
            {"type": "text", "content": "and this?"},
            {"type": "uri", "modality": "image", "uri": "https://h/a.png"},
            {"type": "blob", "modality": "image", "mime_type": "image/png", "content": "YWJj"},
        ]},
    ]  # fmt: skip
    assert json.loads(facts["gen_ai.system_instructions"]) == [
        {"type": "text", "content": "be brief"}
    ]
    assert json.loads(facts["gen_ai.tool.definitions"]) == [{"type": "function", **TOOLS[0]}]
    (output,) = json.loads(facts["gen_ai.output.messages"])
    assert output["role"] == "assistant"
    assert [part["type"] for part in output["parts"]] == ["reasoning", "text", "tool_call"]
    assert output["parts"][1]["content"] == "the answer"
    assert json.loads(output["parts"][2]["arguments"]) == {"in": "Ulm"}


# ---- the conventions' own package ----------------------------------------------------------------


@dataclasses.dataclass
class Typed:
    rain: int


def constants(package: str) -> set[str]:
    """The names that the modules of a package of the conventions define."""
    top = importlib.import_module(package)
    modules = [
        importlib.import_module(f"{package}.{each.name}")
        for each in pkgutil.iter_modules(top.__path__)
    ]
    found = (value for module in modules for name, value in vars(module).items() if name.isupper())
    return {value for value in found if isinstance(value, str)}


def test_each_name_is_one_of_the_conventions(serve: Serve, connect: Connect, record: Any) -> None:
    known = constants("opentelemetry.semconv._incubating.attributes")
    known |= constants("opentelemetry.semconv.attributes")
    recorder = record(capture_content=True)
    script = [mock.Error(503, headers=AT_ONCE), mock.Answer('{"rain": 1}'), mock.Error(429)]
    client = connect(serve(script), on_event=recorder.hook, max_retries=1)
    client.stream(
        model="m", messages=PROMPT, system="s", tools=TOOLS, max_tokens=1, temperature=1, top_p=1,
        top_k=1, stop=["x"], seed=1, n=2, frequency_penalty=0, presence_penalty=0, into=Typed,
    ).result()  # fmt: skip
    with pytest.raises(millstream.RateLimited):
        client.stream(model="m", messages=PROMPT).result()
    said = {name for span in recorder.spans for name in attributes(span)}
    said |= {n for span in recorder.spans for each in span.events for n in attributes(each)}
    metrics = {metric.name: metric for metric in recorder.metrics}
    said |= {n for each in metrics.values() for p in each.data.data_points for n in attributes(p)}
    own = {name for name in said if name.startswith("millstream.")}
    assert own == {"millstream.outcome", "millstream.retry.delay"}
    assert said - own <= known
    assert len(said - own) > 30  # all that there is, or nearly
    assert metrics.keys() <= constants("opentelemetry.semconv._incubating.metrics")
    assert len(metrics) == 4
    from opentelemetry.semconv._incubating.attributes import gen_ai_attributes as gen_ai

    providers = {each.value for each in gen_ai.GenAiProviderNameValues}
    assert {*millstream.otel._PROVIDERS.values()} - {"lmstudio", "openrouter"} <= providers
    operations = {each.value for each in gen_ai.GenAiOperationNameValues}
    assert {"chat", *millstream.otel._OPERATIONS.values()} - {"transcription"} <= operations


# ---- the way to the server -----------------------------------------------------------------------


def test_the_answer_of_one_document_has_no_chunks(
    serve: Serve, connect: Connect, record: Any
) -> None:
    recorder = record()
    client = connect(serve("a"), on_event=recorder.hook)
    json = {"model": "m", "messages": MESSAGES}
    list(client.request("/chat/completions", json=json, format="json").events())
    assert "gen_ai.request.stream" not in attributes(recorder.span)
    assert recorder.points(OPERATION + "duration")
    assert not recorder.points(OPERATION + "time_to_first_chunk")


def test_the_context_is_sent_when_asked(serve: Serve, connect: Connect, record: Any) -> None:
    recorder = record(propagate=True)
    server = serve("a")
    with trace.use_span(recorder.tracers.get_tracer("t").start_span("outer")) as outer:
        connect(server, on_event=recorder.hook).stream(model="m", messages=MESSAGES).result()
    sent = trace.get_current_span(propagate.extract(server.requests[0].headers))
    assert sent.get_span_context().span_id == recorder.span.get_span_context().span_id
    assert sent.get_span_context().trace_id == outer.get_span_context().trace_id


def test_the_context_is_not_sent_else(serve: Serve, connect: Connect, record: Any) -> None:
    server = serve("a")
    connect(server, on_event=record().hook).stream(model="m", messages=MESSAGES).result()
    assert "traceparent" not in server.requests[0].headers


# ---- instrument() --------------------------------------------------------------------------------


def test_instrument_one_client_or_all(serve: Serve, connect: Connect, record: Any) -> None:
    recorder = record()
    server = serve("a")
    one, other = connect(server), connect(server)
    providers = {"tracer_provider": recorder.tracers, "meter_provider": recorder.meters}

    def ask_both() -> int:
        before = len(recorder.spans)
        for client in (one, other):
            client.stream(model="m", messages=MESSAGES).result()
        return len(recorder.spans) - before

    assert ask_both() == 0
    millstream.otel.instrument(one, **providers)
    assert ask_both() == 1
    millstream.otel.uninstrument(one)
    assert ask_both() == 0
    millstream.otel.instrument(**providers)
    try:
        assert ask_both() == 2
    finally:
        millstream.otel.uninstrument()
    assert ask_both() == 0


# ---- metrics -------------------------------------------------------------------------------------


def ask_three(client: millstream.Client) -> list[millstream.Message]:
    """Two answers, each read in a way of its own, and a failure."""
    first = client.stream(model="m", messages=MESSAGES)
    assert list(first)
    second = client.stream(model="m", messages=MESSAGES).result()
    with pytest.raises(millstream.AuthenticationError):
        client.stream(model="m", messages=MESSAGES).result()
    return [first.message, second]


def script() -> list[Any]:
    return [mock.Answer("a b c"), mock.Answer("d e"), mock.Error(401)]


def test_histograms_are_the_conventions_and_equal_the_metrics(
    serve: Serve, connect: Connect, record: Any
) -> None:
    recorder = record()
    client = connect(serve(script()), on_event=recorder.hook)
    messages = ask_three(client)
    assert eventually(lambda: client.metrics()["streams_open"] == 0)
    metrics = client.metrics()
    durations = recorder.points(OPERATION + "duration")
    by_error = {point.attributes.get("error.type"): point.count for point in durations}
    assert by_error == {None: metrics["streams_ok"], "401": metrics["streams_failed"]}
    (first,) = recorder.points(OPERATION + "time_to_first_chunk")
    (each,) = recorder.points(OPERATION + "time_per_output_chunk")
    assert first.count == sum(metrics["first_chunk_seconds"].values()) == 2
    assert first.sum == pytest.approx(metrics["first_chunk_total"])
    assert each.count == metrics["chunks"] - 2
    for point in (*durations, first, each):
        assert list(point.explicit_bounds) == SECONDS
    tokens = {
        p.attributes["gen_ai.token.type"]: p for p in recorder.points("gen_ai.client.token.usage")
    }
    usages = [message.usage for message in messages]
    assert all(usages)
    assert tokens["input"].sum == sum(usage.input_tokens for usage in usages)  # type: ignore[union-attr, misc]
    assert tokens["output"].sum == sum(usage.output_tokens for usage in usages)  # type: ignore[union-attr, misc]
    assert list(tokens["input"].explicit_bounds) == TOKENS
    assert dict(first.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "m",
        "gen_ai.response.model": messages[0].model,
        "server.address": "127.0.0.1",
        "server.port": int(client.base_url.split(":")[2].split("/")[0]),
    }


def test_time_between_chunks_is_measured(serve: Serve, connect: Connect, record: Any) -> None:
    """A gate between two chunks is opened behind the first one, after a wait that can be told."""
    recorder = record()
    gate = mock.Gate()
    stream = connect(serve(mock.Answer(["a", gate, "b"])), on_event=recorder.hook).stream(
        model="m", messages=MESSAGES
    )
    while not next(stream).text:
        pass
    assert gate.wait_reached(GIVE_UP_S)
    threading.Event().wait(0.05)
    gate.open()
    stream.result()
    (each,) = recorder.points(OPERATION + "time_per_output_chunk")
    assert each.max >= 0.05
    assert each.sum <= recorder.points(OPERATION + "duration")[0].sum


# ---- a receiver in a process of its own ----------------------------------------------------------


class Receiver:
    def __init__(self) -> None:
        path = Path(__file__).with_name("otlp_receiver.py")
        self._process = subprocess.Popen(
            [sys.executable, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._guard = threading.Timer(GIVE_UP_S, self._process.kill)
        self._guard.start()
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().strip()

    def end(self) -> list[tuple[str, dict[str, Any]]]:
        """All that was exported, as (path, JSON)."""
        out, _ = self._process.communicate()
        self._guard.cancel()
        self._guard.join()
        assert self._process.returncode == 0
        return [json.loads(line) for line in out.splitlines()]


def each(node: Any, name: str) -> Iterator[Any]:
    """All values of that name in a JSON tree."""
    if isinstance(node, dict):
        for key, value in node.items():
            if key == name:
                yield from value
            else:
                yield from each(value, name)
    elif isinstance(node, list):
        for value in node:
            yield from each(value, name)


def test_an_otlp_receiver_gets_figures_that_equal_the_metrics(
    serve: Serve, connect: Connect
) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="skipped: no exporter")
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    receiver = Receiver()
    tracers = TracerProvider()
    tracers.add_span_processor(
        BatchSpanProcessor(OTLPSpanExporter(endpoint=receiver.url + "/v1/traces"))
    )
    meters = MeterProvider(
        [PeriodicExportingMetricReader(OTLPMetricExporter(endpoint=receiver.url + "/v1/metrics"))]
    )
    hook = millstream.otel.Telemetry(tracer_provider=tracers, meter_provider=meters)
    client = connect(serve(script()), on_event=hook)
    messages = ask_three(client)
    tracers.shutdown()
    meters.shutdown()
    exported = receiver.end()
    assert eventually(lambda: client.metrics()["streams_open"] == 0)
    metrics = client.metrics()

    spans = list(each([json for path, json in exported if path == "/v1/traces"], "spans"))
    assert [(span["name"], span["kind"]) for span in spans] == [("chat m", "SPAN_KIND_CLIENT")] * 3
    failed = [span for span in spans if span["status"].get("code") == "STATUS_CODE_ERROR"]
    assert (len(spans), len(failed)) == (metrics["streams_started"], metrics["streams_failed"])
    assert [span["events"][0]["name"] for span in spans[:2]] == ["gen_ai.response.first_chunk"] * 2

    last = [json for path, json in exported if path == "/v1/metrics"][-1]
    points = {m["name"]: m["histogram"]["dataPoints"] for m in each(last, "metrics")}
    counts = {name: sum(int(point["count"]) for point in of) for name, of in points.items()}
    assert counts == {
        OPERATION + "duration": metrics["streams_ok"] + metrics["streams_failed"],
        OPERATION + "time_to_first_chunk": sum(metrics["first_chunk_seconds"].values()),
        OPERATION + "time_per_output_chunk": metrics["chunks"] - 2,
        "gen_ai.client.token.usage": 4,
    }
    (first,) = points[OPERATION + "time_to_first_chunk"]
    assert first["sum"] == pytest.approx(metrics["first_chunk_total"])
    tokens = sum(point["sum"] for point in points["gen_ai.client.token.usage"])
    usages = [message.usage for message in messages if message.usage]
    assert tokens == sum((u.input_tokens or 0) + (u.output_tokens or 0) for u in usages)
    told = json.dumps(exported)
    assert API_KEY not in told
    assert '"stringValue": "chat"' in told
    assert f'"{MESSAGES[0]["content"]}"' not in told


def test_without_opentelemetry_it_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "import millstream\n"
        "try:\n    import millstream.otel\n"
        "except ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    )
    assert "millstream[otel]" in done.stdout
