"""`millstream.metrics()` for Prometheus, without a dependency.

millstream.prometheus.exposition()      # the text that a scrape is answered with
registry.register(Collector())          # or beside other metrics, with prometheus_client
"""

from __future__ import annotations

from ._core import metrics

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from ._client import BaseClient

    Sample = tuple[str, tuple[tuple[str, str], ...], float]
    Family = tuple[str, str, str, str, list[Sample]]

__all__ = ["CONTENT_TYPE", "OPENMETRICS_CONTENT_TYPE", "Collector", "exposition"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""Of `exposition()`."""
OPENMETRICS_CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
"""Of `exposition(openmetrics=True)`."""

# (key of metrics(), name, type, unit, help). Counters are named without their suffix "_total".
_COUNTS = (
    ("streams_started", "millstream_streams_started", "counter", "", "Streams started."),
    ("streams_open", "millstream_streams_open", "gauge", "", "Streams that have not ended."),
    ("retries", "millstream_retries", "counter", "", "Attempts beyond the first."),
    ("connections", "millstream_connections", "counter", "", "Connections opened."),
    ("chunks", "millstream_chunks", "counter", "", "Chunks decoded."),
    ("events", "millstream_events", "counter", "", "Events decoded."),
    ("bytes_received", "millstream_received_bytes", "counter", "bytes", "Bytes received."),
    ("bytes_sent", "millstream_sent_bytes", "counter", "bytes", "Bytes sent."),
    ("wakeups", "millstream_wakeups", "counter", "", "Times that a waiting consumer was woken."),
    ("pauses", "millstream_pauses", "counter", "", "Transfers paused for a slow consumer."),
    ("gil_takes", "millstream_gil_takes", "counter", "", "Times the GIL was taken after a wait."),
    (
        "gil_wait_total", "millstream_gil_wait_seconds", "counter", "seconds",
        "Time spent waiting for the GIL.",
    ),
    (
        "engine_cpu_total", "millstream_engine_cpu_seconds", "counter", "seconds",
        "CPU time of the engine thread.",
    ),
)  # fmt: skip
_OUTCOMES = ("ok", "failed", "cancelled")
# (key, key of its sum, name, help, unit of the buckets in seconds, first and last power of two that
# is a bound). Each series has all of its bounds from the beginning.
_HISTOGRAMS = (
    (
        "first_chunk_seconds", "first_chunk_total", "millstream_first_chunk_seconds",
        "Time from the start of a stream to its first chunk.", 1e-6, 8, 27,
    ),
    (
        "inter_chunk_seconds", "inter_chunk_total", "millstream_inter_chunk_seconds",
        "Time between two arrivals of chunks of a stream.", 1e-6, 6, 27,
    ),
    (
        "gil_hold_seconds", "gil_hold_total", "millstream_gil_hold_seconds",
        "Time the GIL was held to hand over what a wait was for.", 1e-9, 10, 26,
    ),
)  # fmt: skip


def exposition(
    clients: Mapping[str, BaseClient[Any, Any]] | None = None, *, openmetrics: bool = False
) -> str:
    """The counters in Prometheus's text format.

    clients: those of these clients, each with its name as the label `client`; default: those of the
        process, without a label.
    openmetrics: in the format OpenMetrics 1.0 in place of 0.0.4.
    """
    lines = []
    for name, kind, unit, text, samples in _families(_sources(clients)):
        counts = kind == "counter"
        shown = name + "_total" if counts and not openmetrics else name
        lines.append(f"# TYPE {shown} {kind}")
        if unit and openmetrics:
            lines.append(f"# UNIT {shown} {unit}")
        lines.append(f"# HELP {shown} {text}")
        lines += [_line(*sample) for sample in samples]
    if openmetrics:
        lines.append("# EOF")
    return "\n".join(lines) + "\n"


class Collector:
    """For the registries of prometheus_client: `REGISTRY.register(Collector())`.

    clients: as in `exposition()`.
    """

    def __init__(self, clients: Mapping[str, BaseClient[Any, Any]] | None = None) -> None:
        self._clients = clients

    def collect(self) -> Iterator[Any]:
        """The metrics as prometheus_client has them."""
        from prometheus_client.core import Metric

        for name, kind, unit, text, samples in _families(_sources(self._clients)):
            metric = Metric(name, text, kind, unit)
            for sample, labels, value in samples:
                metric.add_sample(sample, dict(labels), value)
            yield metric


def _sources(
    clients: Mapping[str, BaseClient[Any, Any]] | None,
) -> list[tuple[tuple[tuple[str, str], ...], dict[str, Any]]]:
    if clients is None:
        return [((), metrics())]
    return [((("client", name),), client.metrics()) for name, client in clients.items()]


def _families(
    sources: list[tuple[tuple[tuple[str, str], ...], dict[str, Any]]],
) -> Iterator[Family]:
    for key, name, kind, unit, text in _COUNTS:
        sample = name + "_total" if kind == "counter" else name
        found = [(sample, labels, read[key]) for labels, read in sources if key in read]
        if found:  # the engine's CPU time is the process's alone
            yield name, kind, unit, text, found
    ended = "millstream_streams_ended"
    yield (
        ended,
        "counter",
        "",
        "Streams that ended, by outcome.",
        [
            (f"{ended}_total", (*labels, ("outcome", outcome)), read[f"streams_{outcome}"])
            for labels, read in sources
            for outcome in _OUTCOMES
        ],
    )
    for key, total, name, text, unit_s, first, last in _HISTOGRAMS:
        bounds = [2**power * unit_s for power in range(first, last + 1)]
        samples: list[Sample] = []
        for labels, read in sources:
            samples += _buckets(name, labels, read[key], bounds)
            samples.append((f"{name}_count", labels, sum(read[key].values())))
            samples.append((f"{name}_sum", labels, read[total]))
        yield name, "histogram", "seconds", text, samples


def _buckets(
    name: str,
    labels: tuple[tuple[str, str], ...],
    histogram: Mapping[float, int],
    bounds: list[float],
) -> Iterator[Sample]:
    """Cumulative, as Prometheus has them; the bounds are some of the histogram's own."""
    for bound in bounds:
        # Both are computed, and may differ in their last bits.
        below = sum(count for upper, count in histogram.items() if upper <= bound * 1.0001)
        yield f"{name}_bucket", (*labels, ("le", f"{bound:.9g}")), below
    yield f"{name}_bucket", (*labels, ("le", "+Inf")), sum(histogram.values())


def _line(name: str, labels: tuple[tuple[str, str], ...], value: float) -> str:
    pairs = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels)
    return f"{name}{{{pairs}}} {value!r}" if pairs else f"{name} {value!r}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
