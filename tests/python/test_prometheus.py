"""`millstream.prometheus`: the text that a scrape gets, read by Prometheus's own parsers."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest

import millstream
import millstream.prometheus
from answers import MESSAGES, eventually
from conftest import Connect, Serve
from millstream import mock
from processes import Run

pytest.importorskip("prometheus_client", reason="skipped: prometheus_client is not installed")

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families as plain

COUNTERS = {
    "streams_started": "millstream_streams_started_total",
    "retries": "millstream_retries_total",
    "connections": "millstream_connections_total",
    "chunks": "millstream_chunks_total",
    "events": "millstream_events_total",
    "bytes_received": "millstream_received_bytes_total",
    "bytes_sent": "millstream_sent_bytes_total",
    "wakeups": "millstream_wakeups_total",
    "pauses": "millstream_pauses_total",
    "gil_takes": "millstream_gil_takes_total",
    "gil_wait_total": "millstream_gil_wait_seconds_total",
}
HISTOGRAMS = {  # and the key of each one's sum
    "first_chunk_seconds": ("millstream_first_chunk_seconds", "first_chunk_total"),
    "inter_chunk_seconds": ("millstream_inter_chunk_seconds", "inter_chunk_total"),
    "gil_hold_seconds": ("millstream_gil_hold_seconds", "gil_hold_total"),
}
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def read(text: str, parser: Any) -> tuple[Samples, dict[str, str]]:
    """The samples, and the type of each family."""
    samples: Samples = {}
    types = {}
    for family in parser(text):
        assert family.documentation
        types[family.name] = family.type
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in samples
            samples[key] = sample.value
    return samples, types


def check_equal(samples: Samples, metrics: dict[str, Any], **labels: str) -> None:
    """All figures of `metrics()` are there, and are the same."""

    def sample(name: str, **more: str) -> float:
        return samples[name, frozenset({**labels, **more}.items())]

    for key, name in COUNTERS.items():
        assert sample(name) == metrics[key], key
    assert sample("millstream_streams_open") == metrics["streams_open"]
    for outcome in ("ok", "failed", "cancelled"):
        counted = sample("millstream_streams_ended_total", outcome=outcome)
        assert counted == metrics[f"streams_{outcome}"]
    for key, (name, total) in HISTOGRAMS.items():
        found = {
            float(bound): value
            for (family, pairs), value in samples.items()
            if family == f"{name}_bucket" and labels.items() <= dict(pairs).items()
            for bound in [dict(pairs)["le"]]
        }
        count = sample(f"{name}_count")
        assert count == found[float("inf")] == sum(metrics[key].values())
        assert sample(f"{name}_sum") == metrics[total]
        # Each duration is below its bucket's bound, and that is the next power of two.
        most = sum(bound * n for bound, n in metrics[key].items())
        unit = 1e-9 if key == "gil_hold_seconds" else 1e-6
        assert most / 2 - count * unit <= metrics[total] <= most
        for bound, value in found.items():
            assert value == sum(n for upper, n in metrics[key].items() if upper <= bound * 1.001)


@pytest.fixture
def client(serve: Serve, connect: Connect) -> millstream.Client:
    """One that has had answers, a retry and a failure, and has nothing open."""
    retry = mock.Error(503, headers={"retry-after-ms": "0"})
    script = [retry, mock.Answer("a b", pace=0.001), mock.Answer("c d e"), mock.Error(401)]
    client = connect(serve(script), max_retries=1)
    for _ in range(3):
        try:
            client.stream(model="m", messages=MESSAGES).result()
        except millstream.AuthenticationError:
            pass
    assert eventually(lambda: client.metrics()["streams_open"] == 0)
    return client


@pytest.mark.parametrize(("parser", "openmetrics"), [(plain, False), (open_metrics, True)])
def test_both_formats_have_the_figures_of_the_metrics(
    client: millstream.Client, parser: Any, openmetrics: bool
) -> None:
    name = 'with "quotes", \\ and\nlines'
    clients = {"chat": client, name: client}
    samples, types = read(
        millstream.prometheus.exposition(clients, openmetrics=openmetrics), parser
    )
    check_equal(samples, client.metrics(), client="chat")
    check_equal(samples, client.metrics(), client=name)
    assert (client.metrics()["retries"], client.metrics()["streams_failed"]) == (1, 1)
    assert types["millstream_streams_open"] == "gauge"
    assert types["millstream_received_bytes"] == "counter"
    assert types["millstream_first_chunk_seconds"] == "histogram"


def test_a_series_has_its_buckets_from_the_beginning(connect: Connect) -> None:
    fresh, _ = read(millstream.prometheus.exposition({"c": connect("http://h")}), plain)
    now, _ = read(millstream.prometheus.exposition({"c": connect("http://i")}), plain)
    assert fresh.keys() == now.keys()
    bounds = [key for key in fresh if key[0] == "millstream_first_chunk_seconds_bucket"]
    assert len(bounds) == 21
    assert set(fresh.values()) == {0}


def test_the_collector_gives_the_same_to_a_registry(client: millstream.Client) -> None:
    registry = CollectorRegistry()
    registry.register(millstream.prometheus.Collector({"chat": client}))
    samples, types = read(generate_latest(registry).decode(), plain)
    ours, our_types = read(millstream.prometheus.exposition({"chat": client}), plain)
    assert samples == ours
    assert types == our_types


SCRAPED = """
    import http.server, json, time, millstream.prometheus

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = millstream.prometheus.exposition().encode()
            self.send_response(200)
            self.send_header("Content-Type", millstream.prometheus.CONTENT_TYPE)
            self.end_headers()
            self.wfile.write(body)
        def log_message(self, *_):
            pass

    streams = [ask() for _ in range(3)]
    for stream in streams:
        stream.result()
    streams.append(ask())
    next(streams[-1])
    streams[-1].close()
    while millstream.metrics()["streams_open"]:
        time.sleep(0.002)
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    say(server.server_port)
    server.handle_request()
    metrics = millstream.metrics()
    for name in ("first_chunk_seconds", "inter_chunk_seconds", "gil_hold_seconds"):
        metrics[name] = list(metrics[name].items())
    say(json.dumps(metrics))
    say(sum(stream.timing.first_chunk for stream in streams))
"""


def test_a_scrape_of_another_process_equals_its_metrics(serve: Serve, run: Run) -> None:
    script: list[Any] = [*["a b c"] * 3, mock.Answer(["a", mock.Gate()])]
    process = run(serve(script), SCRAPED)
    with urllib.request.urlopen(f"http://127.0.0.1:{process.line()}/metrics") as response:
        assert response.headers["Content-Type"] == millstream.prometheus.CONTENT_TYPE
        samples, types = read(response.read().decode(), plain)
    metrics = json.loads(process.line())
    for name in HISTOGRAMS:
        metrics[name] = dict(metrics[name])
    check_equal(samples, metrics)
    assert samples["millstream_first_chunk_seconds_sum", frozenset()] == pytest.approx(
        float(process.line())
    )
    assert samples["millstream_engine_cpu_seconds_total", frozenset()] > 0
    assert types["millstream_engine_cpu_seconds"] == "counter"
    assert metrics["streams_started"] == 4
    assert metrics["streams_cancelled"] == 1
    assert process.end()[0] == 0
