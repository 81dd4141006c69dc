"""The limiter of bulk jobs against servers that are simulated, by a clock of the tests."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

import pytest

from millstream._bulk._limits import Limiter, Sent, Told, read_headers, seconds_of


class Server(Protocol):
    """Says whether a request is within its limit."""

    def ask(self, now: float) -> bool: ...


class Bucket:
    """So many a second, and a number at once after a pause."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate, self.burst, self.left, self.at = rate, burst, burst, 0.0

    def ask(self, now: float) -> bool:
        self.left = min(self.burst, self.left + (now - self.at) * self.rate)
        self.at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


class Window:
    """A number in each of the seconds, one after the other."""

    def __init__(self, rate: float, seconds: float = 1.0) -> None:
        self.most, self.seconds = round(rate * seconds), seconds
        self.window, self.count = -1, 0

    def ask(self, now: float) -> bool:
        if int(now / self.seconds) != self.window:
            self.window, self.count = int(now / self.seconds), 0
        self.count += 1
        return self.count <= self.most


class Sliding:
    """A number in any span of that length."""

    def __init__(self, rate: float, seconds: float = 1.0) -> None:
        self.most, self.seconds = round(rate * seconds), seconds
        self.times: deque[float] = deque()

    def ask(self, now: float) -> bool:
        while self.times and self.times[0] <= now - self.seconds:
            self.times.popleft()
        if len(self.times) >= self.most:
            return False
        self.times.append(now)
        return True


class Outcome(NamedTuple):
    """Of the time after `settle_s`: accepted a second, and the share that was refused."""

    rate: float
    refused: float
    all_refused: float


def run(
    limiter: Limiter,
    server: Server,
    seconds: float,
    settle_s: float = 0.0,
    delay_s: float = 0.02,
    retry_after: float | None = None,
) -> Outcome:
    """A job that has requests without end, of which each answer takes a tenth of a second."""
    now, number = 0.0, 0
    verdicts: list[tuple[float, int, bool, Sent, float]] = []
    accepted: list[float] = []
    refused: list[float] = []
    while now < seconds:
        while limiter.due <= now:
            number += 1
            epoch = limiter.start(now)
            fine = server.ask(now + delay_s / 2)
            at = now + delay_s + (0.1 if fine else 0)
            heapq.heappush(verdicts, (at, number, fine, epoch, now))
        soonest = verdicts[0][0] if verdicts else limiter.due
        now = max(now + 0.0005, min(soonest, limiter.due))
        while verdicts and verdicts[0][0] <= now:
            _, _, fine, epoch, sent = heapq.heappop(verdicts)
            if fine:
                accepted.append(sent)
            else:
                refused.append(sent)
                limiter.refused(now, epoch, now - sent, retry_after)
    end = seconds - delay_s - 0.1
    good = sum(settle_s <= at < end for at in accepted)
    bad = sum(settle_s <= at < end for at in refused)
    share = len(refused) / (len(accepted) + len(refused))
    return Outcome(good / (end - settle_s), bad / (good + bad), share)


SERVERS: dict[str, Callable[[float], Server]] = {
    "bucket": lambda rate: Bucket(rate, rate / 20),
    "bucket-of-a-second": lambda rate: Bucket(rate, rate),
    "window": Window,
    "sliding": Sliding,
    "sliding-of-five": lambda rate: Sliding(rate, 5.0),
}


@pytest.mark.parametrize("retry_after", [None, 1.0])
@pytest.mark.parametrize("rate", [100, 200])
@pytest.mark.parametrize("kind", SERVERS)
def test_an_unknown_limit_is_met_and_hardly_ever_passed(
    kind: str, rate: int, retry_after: float | None
) -> None:
    outcome = run(Limiter(0.0), SERVERS[kind](rate), 200, 60, retry_after=retry_after)
    assert outcome.rate >= 0.95 * rate
    assert outcome.refused < 0.02
    assert outcome.all_refused < 0.02


def test_a_server_without_a_limit_is_not_held_back() -> None:
    limiter = Limiter(0.0)
    outcome = run(limiter, Bucket(1e9, 1e9), 3)
    assert outcome.rate > 2000
    assert outcome.refused == 0


def test_a_limit_that_is_raised_is_found_again() -> None:
    server = Bucket(100, 5)
    limiter = Limiter(0.0)
    run(limiter, server, 60)
    assert 90 < limiter.rate < 105

    class Raised:
        def ask(self, now: float) -> bool:
            return server.ask(now + 60)

    server.rate = 200
    # the clock of `run` begins anew; that of the limiter must not
    shifted = Shifted(limiter, 60)
    assert run(shifted, Raised(), 120, 100).rate > 190  # type: ignore[arg-type]


class Shifted:
    """A limiter whose clock is behind."""

    def __init__(self, limiter: Limiter, by: float) -> None:
        self._limiter, self._by = limiter, by

    @property
    def due(self) -> float:
        return self._limiter.due - self._by

    def start(self, now: float) -> Sent:
        return self._limiter.start(now + self._by)

    def refused(self, now: float, *rest: float) -> None:
        self._limiter.refused(now + self._by, *rest)  # type: ignore[arg-type]


def test_given_rates_are_kept_evenly() -> None:
    limiter = Limiter(0.0, requests_per_minute=600, learns=False)
    sent: list[float] = []
    while len(sent) < 50:
        sent.append(limiter.due)
        limiter.start(limiter.due)
    gaps = [later - earlier for earlier, later in itertools.pairwise(sent)]
    assert gaps == pytest.approx([0.1] * 49)


def test_tokens_are_counted_as_they_were() -> None:
    limiter = Limiter(0.0, tokens_per_minute=6000, learns=False)  # 100 a second
    assert limiter.counts_tokens
    limiter.start(0.0, 500)
    assert limiter.due == pytest.approx(5, abs=0.1)
    limiter.used(500, 100)
    assert limiter.due == pytest.approx(1, abs=0.1)
    assert limiter.estimate(10**6) == 100


def test_the_pause_that_a_server_asks_for_is_kept() -> None:
    limiter = Limiter(0.0)
    epoch = limiter.start(0.0)
    limiter.refused(0.1, epoch, 0.1, 7.5)
    assert limiter.due == 7.6
    limiter.refused(0.2, epoch, 0.2, 9.0)  # of the same time: but its pause counts
    assert limiter.due == 9.2


def test_one_request_tries_whether_it_goes_on() -> None:
    limiter = Limiter(0.0)
    epochs = [limiter.start(0.0) for _ in range(20)]
    for epoch in epochs:
        limiter.refused(0.1, epoch, 0.1, 1.0)
    trial = limiter.start(1.1)
    assert limiter.due > 1.1 + 0.1
    limiter.refused(1.2, trial, 0.1)
    assert limiter.due > 1.2
    assert not limiter.is_closed


def test_an_endpoint_that_refuses_all_is_given_up() -> None:
    limiter, now = Limiter(0.0), 0.0
    while not limiter.is_closed:
        now = max(now, limiter.due)
        limiter.refused(now + 0.1, limiter.start(now), 0.1)
    assert 300 < now < 3600


# ---- headers -------------------------------------------------------------------------------------

OPENAI = (
    b"HTTP/1.1 200 OK\r\nx-ratelimit-limit-requests: 60\r\nX-RateLimit-Remaining-Requests: 30\r\n"
    b"x-ratelimit-reset-requests: 1m0s\r\nx-ratelimit-limit-tokens: 1000\r\n"
    b"x-ratelimit-remaining-tokens: 999\r\nx-ratelimit-reset-tokens: 60ms\r\n\r\n"
)
ANTHROPIC = (
    b"anthropic-ratelimit-requests-limit: 50\r\nanthropic-ratelimit-requests-remaining: 49\r\n"
    b"anthropic-ratelimit-requests-reset: 2025-01-01T00:00:30Z\r\n"
    b"anthropic-ratelimit-output-tokens-limit: 9\r\n\r\n"
)
NEW_YEAR = 1735689600.0  # 2025-01-01T00:00:00Z


def test_headers_are_read() -> None:
    assert read_headers(OPENAI, NEW_YEAR) == [
        Told("requests", 60, 30, 60),
        Told("tokens", 1000, 999, 0.06),
    ]
    assert read_headers(ANTHROPIC, NEW_YEAR) == [Told("requests", 50, 49, 30)]
    assert read_headers(b"x-ratelimit-remaining: 5\r\nx-ratelimit-reset: 2\r\n", 0) == [
        Told("requests", None, 5, 2)
    ]
    assert read_headers(b"content-type: text/event-stream\r\n", 0) == []
    assert read_headers(b"x-ratelimit-remaining: many\r\nx-ratelimit-reset: 2\r\n", 0) == []


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1.5", 1.5), ("20ms", 0.02), ("6m0s", 360), ("1h2m3.5s", 3723.5), ("1d", 86400),
        (str(int(NEW_YEAR) + 9), 9), ("2025-01-01T00:01:00+00:00", 60), ("soon", None),
        ("5 apples", None), ("", None), (None, None), ("2024-01-01T00:00:00Z", 0),
    ],
)  # fmt: skip
def test_times_until_a_reset(text: str | None, seconds: float | None) -> None:
    found = seconds_of(text, NEW_YEAR)
    assert found == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize("fills_at_once", [False, True])
def test_a_server_that_tells_its_limit_refuses_nothing(fills_at_once: bool) -> None:
    """The rest that it tells, spread over the time until it is whole, is the rate."""
    limiter, limit, rate, now = Limiter(0.0), 60.0, 10.0, 0.0
    left, window, sent, refused = limit, 0, 0, 0
    at = 0.0
    while now < 120:
        now = max(now, limiter.due)
        if fills_at_once and int(now / 6) != window:
            left, window = limit, int(now / 6)
        elif not fills_at_once:
            left = min(limit, left + (now - at) * rate)
        at = now
        epoch = limiter.start(now)
        sent += now >= 30
        if left >= 1:
            left -= 1
        else:
            refused += 1
            limiter.refused(now, epoch, 0.001)
        reset_s = 6 - now % 6 if fills_at_once else (limit - left) / rate
        limiter.told(now, epoch, [Told("requests", limit, left, reset_s)])
    assert sent / 90 > 0.95 * rate
    assert refused < 0.02 * sent
