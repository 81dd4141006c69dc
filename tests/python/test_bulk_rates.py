"""A bulk job settles at a server's limit: ≥ 95 % of it used, < 2 % refused, by the server's count.

Hours of virtual time tell whether the job's limiter does, beside servers of several kinds; a real
job against a real server, that the two fit together.
"""

from __future__ import annotations

import heapq
import random
import time
from collections.abc import Callable
from itertools import count

import pytest

import millstream
from answers import GIVE_UP_S
from conftest import Connect, Serve
from millstream import mock
from millstream._bulk._limits import Limiter, read_headers
from rate_limited import Bucket, Counts, Limit, Says, Window, nothing, ratelimit, retry_after

SETTLED_S, MEASURED_S = 300.0, 900.0
ANSWER_S, REFUSAL_S = (0.5, 3.0), (0.02, 0.06)
HEADER_S = 0.03

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
    chance, order, now = random.Random(seed), count(), 0.0
    limiter = Limiter(now)
    events: list[tuple[float, int, Callable[[float], None]]] = []

    def at(when: float, what: Callable[[float], None]) -> None:
        heapq.heappush(events, (when, next(order), what))

    def answered(sent: float, epoch: int, let_in: bool, headers: dict[str, str]) -> None:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        facts = read_headers(lines.encode(), 0.0)

        def told(now: float) -> None:
            if facts:
                limiter.told(now, facts)

        def refused(now: float) -> None:
            told(now)
            text = headers.get("Retry-After")
            limiter.refused(now, epoch, now - sent, float(text) if text else None)

        at(sent + chance.uniform(*REFUSAL_S), told if let_in else refused)

    while now < until:
        if events and events[0][0] <= max(now, limiter.due):
            when, _, happens = heapq.heappop(events)
            now = max(now, when)
            happens(now)
            continue
        now = max(now, limiter.due)
        epoch = limiter.start(now)
        answered(now, epoch, *server.ask(now))


@pytest.mark.parametrize("says", SAYS)
@pytest.mark.parametrize("limit", LIMITS)
def test_a_job_settles_just_below_the_limit(limit: str, says: str) -> None:
    server = Counts(LIMITS[limit](), SAYS[says])
    simulated(server, SETTLED_S + MEASURED_S, 12)
    used, refused = server.between(SETTLED_S, SETTLED_S + MEASURED_S)
    print(f"{limit}, {says}: {used:.1%} used, {refused:.2%} refused")
    assert used >= 0.95
    assert refused < 0.02
