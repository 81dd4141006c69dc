"""How fast an endpoint may be asked: what was given, what its answers' headers say, and what its
refusals teach. No I/O and no clock: times are arguments, in seconds of any monotonic clock.

Requests are paced evenly, so that a limit is met one request at a time and not by a burst.

What is not known is looked for. At first the rate doubles four times a second, until a request is
refused (429). Then nothing is sent for a while; one request tries whether it goes on, for as long
as a refusal takes to come. What was accepted from one such stop to the next, by the time that it
took, is the server's limit: the rate goes just below it, and grows with each request, toward it by
a share of what is left, and beyond it slowly, then faster. Once it is near its place it stands
still after a refusal, for a hundred requests for each that was refused, and for a multiple of the
pause that the server wanted: so about 1 % are refused, and little time is lost.

A server that tells what is left and when it is whole again (`x-ratelimit-*`) needs no refusal: its
rest, spread over that time, is the rate. Where the rest grows again with time, that settles at half
of it; where it comes back all at once, it is used up at that moment.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import NamedTuple

_FIRST_RATE = 200.0  # requests a second, where nothing is known
_DOUBLING_S = 0.25
_MOST = 1e6
# What may be sent at once after a time in which nothing was: a loop is not always on time.
_LATE_S = 0.05
_BELOW = 0.98  # of what is taken for the limit
_ABOVE = 1.03
_HALF = 0.5  # where too few were accepted to tell
_ENOUGH = 5
_LEAST = 1 / 60  # a request a minute
_NEAR = 100  # so many without a refusal: the rate is near its place
_STILL_REQUESTS, _STILL_AT_MOST = 100, 5000
_STILL_PAUSES = 40
_APPROACH = 1 / 60
_CREEP = 1e-4
_CREEP_DOUBLES = 300
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 60.0
_EMPTY_PAUSE_S = 1.0
_ROUNDED_S = 1.0  # a Retry-After is in whole seconds, which says little of the time needed
_VERDICTS = 3  # how much longer than a refusal takes is waited for one
_FEW_TOKENS = 64  # an answer's, where none was seen yet


class Pace:
    """Units spent evenly, so many a second. A rate of 0: none were set."""

    __slots__ = ("_next", "rate")

    def __init__(self, per_minute: float | None = None) -> None:
        self.rate = (per_minute or 0.0) / 60
        self._next = 0.0

    @property
    def due(self) -> float:
        """When more may be spent."""
        return self._next if self.rate else 0.0

    def spend(self, now: float, units: float = 1) -> None:
        """They are spent."""
        if self.rate:
            self._next = max(self._next, now - _LATE_S) + units / self.rate

    def give_back(self, units: float) -> None:
        """They were not needed; negative: there were more."""
        if self.rate:
            self._next -= units / self.rate


class Told(NamedTuple):
    """What headers say of one kind of units."""

    kind: str
    limit: float | None
    remaining: float
    reset_s: float


class Limiter:
    """The rates of one endpoint.

    requests_per_minute, tokens_per_minute: never more than these.
    learns: look for what is not known; False: there are only those.
    """

    def __init__(
        self,
        now: float,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        learns: bool = True,
    ) -> None:
        self._caps = (Pace(requests_per_minute), Pace(tokens_per_minute))
        self._learned = {"requests": Pace(), "tokens": Pace()}
        self._learns = self._searching = learns
        if learns:
            self._learned["requests"].rate = _FIRST_RATE
        self._doubles_at = now + _DOUBLING_S
        self._held_until = now
        self._tries_until = now
        self._still_until = now
        self._still = 0.0
        self._high = _MOST
        self._pauses = 0  # in a row; 0: open
        self._tries = False
        self._near = False
        self._opened = self._stopped = now
        self._closed_s = 0.0  # as far as that is sure
        self._sent = self._refused = 0  # since it opened
        self._latency = 0.0
        self._epoch = 0
        self.tokens_each = 0.0
        self.tells = False

    @property
    def rate(self) -> float:
        """Requests a second, as far as the endpoint's own limit goes."""
        return self._learned["requests"].rate

    @property
    def counts_tokens(self) -> bool:
        """What a request needs of them has to be told to `start`."""
        return bool(self._caps[1].rate or self._learned["tokens"].rate)

    @property
    def due(self) -> float:
        """When the next request may be sent."""
        paces = (*self._caps, *self._learned.values())
        return max(self._held_until, *(pace.due for pace in paces))

    @property
    def is_closed(self) -> bool:
        """It has refused all for long."""
        return self._pauses > _GIVE_UP

    def start(self, now: float, tokens: float = 0) -> int:
        """A request is sent; what it is told to `refused` by."""
        if self._searching and now >= self._doubles_at:
            self._doubles_at = now + _DOUBLING_S
            self._learned["requests"].rate = min(self.rate * 2, _MOST)
        if self._pauses:
            self._try(now)
        if not self._pauses:
            self._sent += 1
            if self._learns and not self._searching:
                self._grow(now)
        for pace in (self._caps[0], self._learned["requests"]):
            pace.spend(now)
        for pace in (self._caps[1], self._learned["tokens"]):
            pace.spend(now, tokens)
        return self._epoch

    def used(self, estimated: float, tokens: float) -> None:
        """What a request of so many tokens really took."""
        self.tokens_each += (tokens - self.tokens_each) / (16 if self.tokens_each else 1)
        for pace in (self._caps[1], self._learned["tokens"]):
            pace.give_back(estimated - tokens)

    def estimate(self, request_bytes: int) -> float:
        """The tokens of a request that was not answered yet."""
        return self.tokens_each or request_bytes / 4 + _FEW_TOKENS

    def refused(
        self, now: float, epoch: int, latency: float, retry_after: float | None = None
    ) -> None:
        """A request was refused (429), so long after it was sent.

        Those that had been sent before the last refusal was known say nothing of the rate now.
        """
        self._latency = max(latency, self._latency * 0.9)
        self._refused += 1
        if retry_after is not None:
            self._hold(now, retry_after)
        if epoch != self._epoch:
            return
        self._epoch += 1
        if not self._pauses:
            self._stopped, self._closed_s = now, 0.0
        self._pauses += 1
        self._tries = True
        self._closed_s = max(self._closed_s, now - latency - self._stopped)
        if retry_after is None:
            first = max(_FIRST_PAUSE_S, 2 / self.rate)
            self._hold(now, min(first * 2 ** (self._pauses - 1), _LONGEST_PAUSE_S))
        else:
            self._closed_s = max(self._closed_s, now + retry_after - _ROUNDED_S - self._stopped)

    def told(self, now: float, facts: list[Told]) -> None:
        """Headers of an answer that was just begun."""
        for kind, _, remaining, reset_s in facts:
            self.tells = True
            pace = self._learned[kind]
            if remaining < 1:
                self._hold(now, min(reset_s, _EMPTY_PAUSE_S))
            elif reset_s > 0:
                pace.rate = min(remaining / reset_s, _MOST)
                if kind == "requests":
                    self._searching = False
                    self._high = _MOST

    def _try(self, now: float) -> None:
        """After a pause: one request, and all when that was not refused."""
        if self._tries:
            self._tries = False
            self._held_until = now + _VERDICTS * self._latency
            return
        self._settle()
        self._opened, self._pauses, self._sent, self._refused = now, 0, 0, 0

    def _settle(self) -> None:
        """Put the rate just below what was accepted before the stop."""
        pace = self._learned["requests"]
        self._searching = False
        accepted = self._sent - self._refused + self._pauses  # those that tried are not `sent`
        seconds = max(self._stopped - self._opened, self._closed_s)
        self._near = self._near or accepted >= _NEAR
        self._still = min(_STILL_REQUESTS * self._refused, _STILL_AT_MOST)
        if accepted < _ENOUGH or seconds <= 0:
            self._high, pace.rate = pace.rate, max(pace.rate * _HALF, _LEAST)
            return
        limit = min(accepted / seconds, pace.rate)
        self._high, pace.rate = limit * _ABOVE, max(limit * _BELOW, _LEAST)

    def _grow(self, now: float) -> None:
        beyond = self._sent - (self._still if self._near else 0)
        if beyond <= 0 or (self._near and now < self._still_until):
            return
        pace = self._learned["requests"]
        step = (self._high - pace.rate) * _APPROACH
        creep = pace.rate * min(_CREEP * 2 ** min(beyond / _CREEP_DOUBLES, 10), 0.01)
        pace.rate = min(pace.rate + max(step, creep), _MOST)

    def _hold(self, now: float, pause: float) -> None:
        self._held_until = max(self._held_until, now + pause)
        self._still_until = max(self._still_until, self._held_until + _STILL_PAUSES * pause)


_GIVE_UP = 20  # pauses in a row: a quarter of an hour at least

# ---- headers -------------------------------------------------------------------------------------

# OpenAI and compatibles: x-ratelimit-remaining-tokens; Anthropic: anthropic-ratelimit-tokens-limit.
_OPENAI = re.compile(r"x-ratelimit-(limit|remaining|reset)(?:-(requests|tokens))?")
_ANTHROPIC = re.compile(r"anthropic-ratelimit-(requests|tokens)-(limit|remaining|reset)")
_SPANS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|[dhms])")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_EPOCH_S = 1e9  # a number above it is a time, not a span


def read_headers(block: bytes, wall: float) -> list[Told]:
    """What the header lines of an answer say. wall: the time of day, in seconds since 1970."""
    if b"ratelimit-" not in block.lower():
        return []
    found: dict[str, dict[str, str]] = {}
    for line in block.decode("latin-1").lower().split("\r\n"):
        name, _, value = line.partition(":")
        if match := _OPENAI.fullmatch(name):
            found.setdefault(match[2] or "requests", {})[match[1]] = value.strip()
        elif match := _ANTHROPIC.fullmatch(name):
            found.setdefault(match[1], {})[match[2]] = value.strip()
    told = (_read(kind, fields, wall) for kind, fields in found.items())
    return [each for each in told if each is not None]


def _read(kind: str, fields: dict[str, str], wall: float) -> Told | None:
    remaining, reset_s = _number(fields.get("remaining")), seconds_of(fields.get("reset"), wall)
    if remaining is None or reset_s is None:
        return None
    return Told(kind, _number(fields.get("limit")), remaining, reset_s)


def _number(text: str | None) -> float | None:
    return float(text) if text and _NUMBER.fullmatch(text) else None


def seconds_of(text: str | None, wall: float) -> float | None:
    """Seconds from now: of "1.5", "6m0s", "20ms", a Unix time, or a date of RFC 3339."""
    if not text:
        return None
    number = _number(text)
    if number is not None:
        return max(0.0, number - wall) if number > _EPOCH_S else number
    spans = _SPAN.findall(text)
    if spans and "".join(map("".join, spans)) == text:
        return sum(float(count) * _SPANS[unit] for count, unit in spans)
    try:
        return max(
            0.0, datetime.fromisoformat(text.upper().replace("Z", "+00:00")).timestamp() - wall
        )
    except ValueError:
        return None
