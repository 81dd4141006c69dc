"""A bulk job settles at a server's limit: ≥ 95 % of it used, < 2 % refused, by the server's count.

Hours of virtual time tell whether the job's limiter does, beside servers of several kinds; a real
job against a real server, that the two fit together.
"""

from __future__ import annotations

import heapq
import itertools
import random
import time
from collections.abc import Callable, Iterator

import pytest

from conftest import Connect, Serve
from millstream import mock
from millstream._bulk._limits import Limiter, read_headers
from rate_limited import Bucket, Counts, Limit, Says, Window, nothing, ratelimit, retry_after

SETTLED_S, MEASURED_S, MEASURED_REQUESTS = 60.0, 400.0, 60_000
REAL_S, SPAN_S, LIMIT = 120.0, 5.0, 50.0
CONCURRENCY = 1000
HEAD_S, HEAD_EVERY_S = 0.03, 0.1  # when an answer's head comes, and how often one is looked at
ANSWER_S, REFUSAL_S = (0.1, 1.5), (0.02, 0.06)

LIMITS: dict[str, Callable[[], Limit]] = {
    "bucket, 5 a second, bursts of 5": lambda: Bucket(5, 5),
    "bucket, 50 a second, bursts of 10": lambda: Bucket(50, 10),
    "bucket, 500 a second, bursts of 500": lambda: Bucket(500, 500),
    "window, 300 a minute": lambda: Window(300, 60),
    "window, 3,000 a minute": lambda: Window(3_000, 60),
    "window, 100 a second": lambda: Window(100, 1),
}
SAYS: dict[str, Says] = {
    "no headers": nothing,
    "Retry-After": retry_after,
    "x-ratelimit": ratelimit,
}


def simulated(server: Counts, until: float, seed: int) -> None:
    """A job without end, as `_job.Job` goes about it, in virtual time."""
    chance, order, now = random.Random(seed), itertools.count(), 0.0
    limiter, open_, head_at = Limiter(now), 0, 0.0
    events: list[tuple[float, int, Callable[[float], None]]] = []

    def at(when: float, what: Callable[[float], None]) -> None:
        heapq.heappush(events, (when, next(order), what))

    def send(sent: float) -> None:
        nonlocal open_, head_at
        open_ += 1
        ticket = limiter.start(sent)
        let_in, headers = server.ask(sent)
        text = headers.get("Retry-After")
        lines = [f"{name}: {value}\r\n" for name, value in headers.items()]
        facts = read_headers("".join(lines).encode(), 0.0)

        def end(now: float) -> None:
            nonlocal open_
            open_ -= 1
            limiter.told(now, ticket, facts)
            if not let_in:
                limiter.refused(now, ticket, now - sent, float(text) if text else None)

        if let_in and facts and sent >= head_at:
            head_at = sent + HEAD_EVERY_S
            at(sent + HEAD_S, lambda now: limiter.told(now, ticket, facts))
        at(sent + chance.uniform(*(ANSWER_S if let_in else REFUSAL_S)), end)

    while now < until:
        if events and (open_ == CONCURRENCY or events[0][0] <= max(now, limiter.due)):
            when, _, happens = heapq.heappop(events)
            now = max(now, when)
            happens(now)
        else:
            now = max(now, limiter.due)
            send(now)


def settles(limit: Limit, says: str, memory_s: float, seed: int) -> None:
    """After a minute, or three times what the limit reaches back."""
    server, settled = Counts(limit, SAYS[says]), max(SETTLED_S, 3 * memory_s)
    end = settled + min(MEASURED_S, MEASURED_REQUESTS / limit.rate)
    simulated(server, end, seed)
    used, refused = server.between(settled, end)
    print(f"{says}: {used:.1%} used, {refused:.2%} refused")
    assert used >= 0.95
    assert refused < 0.02


@pytest.mark.parametrize("says", SAYS)
@pytest.mark.parametrize("limit", LIMITS)
def test_a_job_settles_just_below_the_limit(limit: str, says: str) -> None:
    settles(LIMITS[limit](), says, 60 if "minute" in limit else 1, 12)


@pytest.mark.parametrize("says", SAYS)
@pytest.mark.parametrize("seed", range(16))
def test_a_job_settles_just_below_any_limit(seed: int, says: str) -> None:
    """From one a second to two hundred, which keeps the simulation short."""
    chance = random.Random(seed)
    rate = 10 ** chance.uniform(0, 2.3)
    if chance.random() < 0.5:
        burst = max(1.0, rate * 10 ** chance.uniform(-1.5, 1.0))
        settles(Bucket(rate, burst), says, burst / rate, seed)
    else:
        seconds = chance.choice([1, 5, 10, 37, 60])
        settles(Window(max(1, round(rate * seconds)), seconds), says, seconds, seed)


class Changes(Bucket):
    """Another rate after two minutes."""

    def __init__(self, rate: float, later: float) -> None:
        super().__init__(rate, rate)
        self._later = later

    def take(self, now: float) -> bool:
        if now >= 120:
            self.rate = self._later
        return super().take(now)


@pytest.mark.parametrize("says", SAYS)
@pytest.mark.parametrize(("rate", "later", "found_s"), [(100, 40, 120), (40, 100, 480)])
def test_a_limit_that_changes_is_found_again(
    rate: float, later: float, found_s: float, says: str
) -> None:
    server, begin = Counts(Changes(rate, later), SAYS[says]), 120 + found_s
    simulated(server, begin + MEASURED_S, 12)
    used, refused = server.between(begin, begin + MEASURED_S)
    assert used >= 0.95
    assert refused < 0.02


@pytest.mark.parametrize("says", ["no headers", "Retry-After"])
def test_a_real_server_is_asked_at_its_limit(says: str, serve: Serve, connect: Connect) -> None:
    """The bounds are wider here, and some seconds in which it keeps them are waited for: a busy
    machine may be late.
    """
    server = Counts(Bucket(LIMIT, LIMIT / 4), SAYS[says])

    def script(_: mock.Request) -> mock.Answer | mock.Error:
        let_in, headers = server.ask(time.monotonic())
        return mock.Answer("yes") if let_in else mock.Error(429, headers=headers)

    client = connect(serve(script))
    begin = time.monotonic()
    settled = False

    def asks() -> Iterator[dict[str, str]]:
        nonlocal settled
        while not settled and time.monotonic() < begin + REAL_S:
            yield {"model": "m", "prompt": "?"}
            now = time.monotonic()
            if now >= begin + 2 * SPAN_S:
                used, refused = server.between(now - SPAN_S, now)
                settled = used >= 0.8 and refused < 0.05

    results = [result.error for result in client.bulk(asks(), concurrency=50)]
    assert not any(results)  # a refusal is never the caller's matter
    assert settled
