"""The rows of the benchmark: who takes part, what is asked of the server, and the goals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

US = "millstream"
EASY = "C: libcurl + yajl"
MULTI = "C: libcurl multi + epoll"
CORE = "C: the core alone"
NOTHING = "nothing"

Command = list[str]


@dataclass(frozen=True)
class Metric:
    """A figure of a row, as it is printed."""

    key: str
    title: str
    digits: int = 1


@dataclass(frozen=True)
class Goal:
    """What one figure has to be: by itself, or beside a contestant of the same round."""

    metric: str
    bound: float
    against: str | None = None
    difference: bool = False  # beside it: minus, not over
    at_least: bool = False
    subject: str = US

    def value(self, round_: dict[str, dict[str, float]]) -> float:
        """The figure of one round."""
        mine = round_[self.subject][self.metric]
        if self.against is None:
            return mine
        other = round_[self.against][self.metric]
        return mine - other if self.difference else mine / other

    def reached(self, value: float) -> bool:
        """Whether that is good enough."""
        return value >= self.bound if self.at_least else value <= self.bound


@dataclass(frozen=True)
class Row:
    """One kind of work. `command` gives a contestant's arguments: program first, then the rest."""

    name: str
    title: str
    contestants: tuple[str, ...]
    metrics: tuple[Metric, ...]
    goals: tuple[Goal, ...]
    command: Callable[[str, bool], Command]
    once: tuple[str, ...] = ()  # contestants too slow for more than one round


# What a command's words stand for: run.py puts programs and the server's address in their place.
CONTESTANT = "{contestant}"
START = "{start}"
CHAT = "/v1/chat/completions"


def server(n: int, rate: int = 0) -> str:
    """A base URL of the load server."""
    return f"{{server}}/n={n},rate={rate},spread=1" if rate else f"{{server}}/n={n}"


# ---- one stream ----------------------------------------------------------------------------------

FAST = (EASY, US, "millstream batches", "pycurl + orjson")


def one(name: str, quick: bool) -> Command:
    """Enough chunks for half a second or more of each."""
    n = (1_000_000 if name in FAST else 30_000) // (8 if quick else 1)
    if name == EASY:
        return ["{floor_easy}", "one", server(n) + CHAT]
    return [CONTESTANT, "one", name, server(n)]


def first(name: str, quick: bool) -> Command:
    """Short answers one after the other; the first chunk is sent at once."""
    base, requests = "{server}/n=2,rate=1000", "100" if quick else "500"
    if name == EASY:
        return ["{floor_easy}", "first", base + CHAT, requests]
    return [CONTESTANT, "first", name, base, requests]


# ---- many streams --------------------------------------------------------------------------------


def many(
    scenario: str, streams: int, rate: int, seconds: int, slack_s: int, whole: bool = False
) -> Callable[[str, bool], Command]:
    """Streams that last for the time to start them all, and for what is measured."""

    def command(name: str, quick: bool) -> Command:
        measured = max(seconds // 2, 1) if quick else seconds
        base = server((measured + slack_s) * rate, rate)
        rest = [str(streams), str(measured), *(["whole"] if whole else [])]
        if name == MULTI:
            return ["{floor_multi}", base + CHAT, *rest]
        return [CONTESTANT, scenario, name, base, *rest]

    return command


def steady(name: str, quick: bool) -> Command:
    """Two programs: what the core allocates, and what the extension counts."""
    if name == CORE:
        return ["{steady}", server(50_000 if quick else 400_000) + CHAT]
    return many("steady", 50, 20, 4, 20)(name, quick)


def start(name: str, quick: bool) -> Command:
    """A fresh process."""
    return [START, name]


CPU = Metric("cpu_us", "CPU a chunk, µs", 2)
LATENCY = (Metric("p50_us", "p50, µs", 0), Metric("p99_us", "p99, µs", 0))
RSS = Metric("rss_kib_a_stream", "RSS a stream, KiB")

ROWS = (
    Row(
        "one",
        "One stream, chunks as fast as they come",
        (
            *FAST,
            "curl_cffi",
            "http.client",
            "httpx-sse + json",
            "requests",
            "niquests",
            "anthropic",
            "openai",
        ),
        (CPU,),
        (
            Goal("cpu_us", 1.0, EASY),
            Goal("cpu_us", 1 / 2, "pycurl + orjson"),
            Goal("cpu_us", 1 / 6, "httpx-sse + json"),
            Goal("cpu_us", 1 / 80, "openai"),
        ),
        one,
    ),
    Row(
        "threads",
        "50 threads, a stream each, 20 chunks a second",
        (
            MULTI,
            US,
            "http.client",
            "requests",
            "httpx-sse + json",
            "curl_cffi",
            "niquests",
            "anthropic",
            "openai",
        ),
        (CPU, Metric("begun", "streams under way", 0)),
        (
            Goal("cpu_us", 2.5, MULTI),
            Goal("cpu_us", 0.6, "http.client"),
            Goal("cpu_us", 1 / 10, "openai"),
        ),
        many("threads", 50, 20, 4, 20),
    ),
    Row(
        "busy",
        "A computing thread beside these 50: its share of a CPU",
        (
            NOTHING,
            US,
            "http.client",
            "requests",
            "httpx-sse + json",
            "curl_cffi",
            "openai",
            "baml-py",
        ),
        (Metric("share", "share of a CPU", 3), Metric("begun", "streams under way", 0)),
        (Goal("share", 0.97, at_least=True),),
        many("busy", 50, 20, 4, 300),
        once=("baml-py",),
    ),
    Row(
        "tasks",
        "500 tasks of an event loop, a stream each, 10 chunks a second",
        (MULTI, US, "aiohttp", "httpx-sse + json", "openai"),
        (CPU, *LATENCY),
        (
            Goal("cpu_us", 1.6, MULTI),
            Goal("cpu_us", 1 / 3, "aiohttp"),
            Goal("cpu_us", 1 / 13, "openai"),
            Goal("p99_us", 1 / 5, "aiohttp"),
        ),
        many("tasks", 500, 10, 5, 20),
    ),
    Row(
        "crowd",
        "10,000 tasks of an event loop, a stream each, 1 chunk a second",
        (MULTI, US, "aiohttp"),
        (CPU, *LATENCY, RSS, Metric("whole", "streams whole", 0)),
        (
            Goal("whole", 10_000, at_least=True),
            Goal("cpu_us", 1.6, MULTI),
            Goal("p99_us", 1 / 10, "aiohttp"),
            Goal("rss_kib_a_stream", 1.4, MULTI),
        ),
        many("tasks", 10_000, 1, 8, 24, whole=True),
    ),
    Row(
        "first",
        "Time to the first chunk, connection kept",
        (EASY, US, "http.client", "requests", "httpx-sse + json", "openai"),
        (Metric("first_chunk_us", "median, µs", 0),),
        (Goal("first_chunk_us", 50, EASY, difference=True),),
        first,
    ),
    Row(
        "steady",
        "Steady state",
        (CORE, US),
        (
            Metric("mallocs_a_chunk", "allocations a chunk", 4),
            Metric("mallocs_a_chunk_of_all", "of libcurl and yajl too", 4),
            Metric("takes_a_wakeup", "GIL takes a wake-up", 2),
            Metric("hold_us", "GIL held a chunk, median, µs", 2),
        ),
        (
            Goal(
                "mallocs_a_chunk", 0.001, subject=CORE
            ),  # a long text's buffer doubles now and then
            Goal("takes_a_wakeup", 1),
            Goal("hold_us", 1),
        ),
        steady,
    ),
    Row(
        "start",
        "A fresh process",
        (
            US,
            "requests",
            "httpx",
            "niquests",
            "curl_cffi",
            "aiohttp",
            "anthropic",
            "openai",
            "baml_py",
        ),
        (Metric("import_ms", "import, ms"), Metric("client_us", "a client, µs", 0)),
        (Goal("import_ms", 20), Goal("client_us", 20)),
        start,
    ),
)
