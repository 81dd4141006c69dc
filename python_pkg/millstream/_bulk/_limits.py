"""How fast an endpoint may be asked: what was given, what its answers' headers say, and what its
refusals teach. No I/O and no clock: times are arguments, in seconds of any monotonic clock.

Requests are paced evenly, so that a limit is met one request at a time and not by a burst.

What is not known is looked for. At first the rate doubles four times a second, until a request is
refused (429). Then nothing is sent for a while, and one request tries whether it goes on, for as
long as a refusal takes to come. What was accepted so far tells about where the limit is; from there
it is a bisection: a rate that was kept up for some seconds is a lower bound, one that was refused
an upper. When they are close, the lower one is held, for a multiple of what the stop has cost in
time and in refused requests (so that both stay small), before a little more is tried. A lower bound
that is refused later was tried for too short: it is taken lower, and tried for longer.

A stop that is long beside what was before it is that of a window that was used up: what it let in,
over the time until it let in more, is its limit, but for how exactly that moment was met.

Headers (`x-ratelimit-*`) are an upper bound beside that search: see `_Rest`. While they are what
keeps the rate down, a refusal is only waited for, and nothing is looked for.
"""

from __future__ import annotations

import math
import re
from datetime import datetime
from typing import NamedTuple

_FIRST_RATE = 200.0  # requests a second, where nothing is known
_DOUBLING_S = 0.25
_MOST = 1e6
# What may be sent at once after a time in which nothing was: a loop is not always on time.
_LATE_S = 0.02
_TEST_S, _LONGEST_TEST_S, _TEST_REQUESTS = 4.0, 60.0, 20  # without a refusal: a lower bound
_CLOSE = 1.03  # bounds that need no more search
_MORE = 0.02  # what is tried above the lower bound; doubled with each success
_ENOUGH = 5  # accepted requests that tell a rate
_ABOUT = (0.5, 2.0)  # the first bounds, in times of what was accepted: the rate was rising
_SURELY_LESS = 1.1  # and of what was accepted from one stop to the next
_LOWER, _LITTLE_LOWER = 0.8, 0.96  # where a lower bound was none; one that was tried
_LEAST = 1 / 60  # a request a minute
_HOLD_TIMES = 40  # as long as the stop was
_HOLD_AT_MOST_S = 300.0
_HOLD_REQUESTS, _HOLD_AT_MOST = 100, 5000  # for each that was refused
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 60.0
_FEW = 20  # a limit of which what is left says too little
_MARGIN = 0.02  # of a limit: what is left of it
_HURRY = 1 / 3  # when what is left beyond that shall be spent, in times of that until the reset
_EVENLY = 1.05
_FIXED = 0.25  # a reset that moves less does not
_GIVE_UP_S = 900.0
_LONG = 0.2  # a stop, in times of what was before it
_GRAIN = 0.03  # how exactly the end of a stop is known, in times of its length
_ROUNDED_S = 1.0  # a Retry-After is in whole seconds, which says little of the time needed
_VERDICTS = 2  # how much longer than a refusal takes is waited for one
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

    def change(self, now: float, rate: float) -> None:
        """Another rate, for what waits now too."""
        if self.rate:
            self._next = now + (self._next - now) * self.rate / rate
        self.rate = rate

    def restart(self, now: float) -> None:
        """Nothing could be spent before: that time is no reason for a burst."""
        self._next = max(self._next, now)

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


class Sent(NamedTuple):
    """A request: when, in which epoch, and all that was spent until then, itself included."""

    at: float
    epoch: int
    requests: float
    tokens: float


class _Rest:
    """What a server has left of one kind of units, by its headers, and the rate of it.

    Kept close above nothing, the rest tells that all is used, whatever the server counts by: what
    comes back to it is spent, and of what is beyond the margin a part. Only what comes back all at
    once, at a moment that does not move, is spread over the time until then.
    """

    __slots__ = ("_at", "_back", "_most", "_moves", "_remaining", "_reset_at", "_spent", "pace")

    def __init__(self) -> None:
        self.pace = Pace()
        self._at = -math.inf
        self._spent = self._remaining = self._most = self._reset_at = 0.0
        self._back = 0.0  # units a second
        self._moves = 1.0  # seconds that the reset goes on in a second

    def told(self, now: float, fact: Told, at: float, spent: float, all_spent: float) -> None:
        """With the answer to a request sent `at` that time, when so much was `spent`."""
        span = at - self._at
        if span <= 0 or fact.reset_s < 0:
            return
        self._most = max(self._most, fact.limit or 0.0, fact.remaining)
        if self._most < _FEW:
            return
        if self.pace.rate:
            came_back = fact.remaining - self._remaining + spent - self._spent
            share = min(1.0, span / max(1.0, fact.reset_s / 2))
            self._back += (came_back / span - self._back) * share
            moved = min(1.0, (at + fact.reset_s - self._reset_at) / span)
            if fact.remaining >= 1:  # else it was perhaps refused, and moved nothing
                self._moves += (moved - self._moves) * min(1.0, span)
        self._at, self._spent, self._remaining = at, spent, fact.remaining
        self._reset_at = at + fact.reset_s
        self.pace.change(now, max(self._rate(now, all_spent), _LEAST))

    def _rate(self, now: float, all_spent: float) -> float:
        left = self._remaining - (all_spent - self._spent)
        if self._moves < _FIXED:
            return max(left, 0.0) / max(self._reset_at - now, _LATE_S)
        left += self._back * (now - self._at)
        margin = max(1.0, _MARGIN * self._most)
        reset_s = max(self._reset_at - self._at, _LATE_S)
        hurry_s = max(1.0, reset_s * _HURRY)
        rate = max(self._back + (left - margin) / hurry_s, margin / hurry_s / 4)
        all_of_it = max(self._most, self._remaining + self._back * reset_s)
        return min(rate, _EVENLY * all_of_it / reset_s)  # which is never below the limit


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
        self._pace = Pace()
        self._learns = self._searching = learns
        self._rests = {"requests": _Rest(), "tokens": _Rest()}
        self._spent = {"requests": 0.0, "tokens": 0.0}
        if learns:
            self._pace.rate = _FIRST_RATE
        self._doubles_at = now + _DOUBLING_S
        self._held_until = now
        self._low, self._high = 0.0, _MOST
        self._low_is_sure = False
        self._more = _MORE
        self._test_s = _TEST_S
        self._holds_until, self._holds_requests = now, 0
        self._pauses = 0  # in a row; 0: open
        self._tries = False
        self._opened = self._stopped = now
        self._closed_s = 0.0  # as far as that is sure
        self._sent = self._refused = 0  # since it opened
        self._latency = 0.0
        self._epoch = 0
        self.tokens_each = 0.0

    @property
    def rate(self) -> float:
        """Requests a second, as far as the endpoint's own limit goes."""
        told = self._rests["requests"].pace.rate
        return min(self._pace.rate, told) if told else self._pace.rate

    @property
    def _is_told(self) -> bool:
        """Whether headers keep the rate below the one that is looked for."""
        return self.rate < self._pace.rate

    @property
    def is_searching(self) -> bool:
        """No limit was met, and none was given."""
        told = self._rests["requests"].pace
        return self._searching and not any(pace.rate for pace in (*self._caps, told))

    @property
    def counts_tokens(self) -> bool:
        """What a request needs of them has to be told to `start`."""
        return bool(self._caps[1].rate or self._rests["tokens"].pace.rate)

    @property
    def due(self) -> float:
        """When the next request may be sent."""
        return max(self._held_until, *(pace.due for pace in self._paces()))

    def _paces(self) -> tuple[Pace, ...]:
        return (*self._of("requests"), *self._of("tokens"), self._pace)

    def _of(self, kind: str) -> tuple[Pace, Pace]:
        return self._caps[kind == "tokens"], self._rests[kind].pace

    @property
    def is_closed(self) -> bool:
        """It has refused all for long."""
        return self._pauses > 1 and self._closed_s > _GIVE_UP_S

    def start(self, now: float, tokens: float = 0) -> Sent:
        """A request is sent; what `refused` and `told` know it by."""
        if self._searching and not self._is_told and now >= self._doubles_at:
            self._doubles_at = now + _DOUBLING_S
            self._pace.rate = min(self._pace.rate * 2, _MOST)
        if self._pauses:
            self._try(now)
        if not self._pauses:
            self._sent += 1
            if self._learns and not (self._searching or self._is_told):
                self._advance(now)
        for pace in (*self._of("requests"), self._pace):
            pace.spend(now)
        for pace in self._of("tokens"):
            pace.spend(now, tokens)
        self._spent["requests"] += 1
        self._spent["tokens"] += tokens
        return Sent(now, self._epoch, **self._spent)

    def used(self, estimated: float, tokens: float) -> None:
        """What a request of so many tokens really took."""
        self.tokens_each += (tokens - self.tokens_each) / (16 if self.tokens_each else 1)
        self._spent["tokens"] += tokens - estimated
        for pace in self._of("tokens"):
            pace.give_back(estimated - tokens)

    def estimate(self, request_bytes: int) -> float:
        """The tokens of a request that was not answered yet."""
        return self.tokens_each or request_bytes / 4 + _FEW_TOKENS

    def refused(
        self, now: float, sent: Sent, latency: float, retry_after: float | None = None
    ) -> None:
        """A request was refused (429), so long after it was sent.

        Those that had been sent before the last refusal was known say nothing of the rate now.
        """
        self._latency = max(latency, self._latency * 0.98)
        self._refused += 1
        self._spent["requests"] -= 1
        if retry_after is not None:
            self._hold(now, retry_after)
        if sent.epoch != self._epoch:
            return
        self._epoch += 1
        if not self._pauses:
            self._stopped, self._closed_s = now, 0.0
        self._pauses += 1
        self._tries = True
        self._closed_s = max(self._closed_s, now - latency - self._stopped)
        if retry_after is None:
            first = max(_FIRST_PAUSE_S, 2 / self._pace.rate)
            self._hold(now, min(max(first, _GRAIN * self._closed_s), _LONGEST_PAUSE_S))
        else:
            self._closed_s = max(self._closed_s, now + retry_after - _ROUNDED_S - self._stopped)

    def told(self, now: float, sent: Sent, facts: list[Told]) -> None:
        """Headers of the answer to a request."""
        for fact in facts:
            spent = sent.requests if fact.kind == "requests" else sent.tokens
            self._rests[fact.kind].told(now, fact, sent.at, spent, self._spent[fact.kind])

    def _try(self, now: float) -> None:
        """After a pause: one request, and all when that was not refused."""
        if self._tries:
            self._tries = False
            self._held_until = now + max(_VERDICTS * self._latency, 1 / (_LOWER * self._pace.rate))
            return
        if not self._is_told:
            self._settle(now)
        self._pace.restart(now)
        self._opened, self._pauses, self._sent, self._refused = now, 0, 0, 0

    def _settle(self, now: float) -> None:
        """Behind a stop: the rate was too high."""
        accepted = self._sent - self._refused + self._pauses  # those that tried are not `sent`
        seconds = max(self._stopped - self._opened, self._closed_s)
        known = accepted / seconds if accepted >= _ENOUGH and seconds > 0 else 0.0
        if self._searching:
            self._searching = False
            about = known or self._pace.rate / 2
            self._low, self._high = _ABOUT[0] * about, min(self._pace.rate, _ABOUT[1] * about)
            if self._closed_s > _LONG * (self._stopped - self._opened):  # a window was used up
                self._low = accepted / (now - self._opened)
                self._high = min(self._pace.rate, _SURELY_LESS * about)
                self._test_s = max(_TEST_S, 1.1 * (now - self._opened))
        else:
            self._high = min(self._pace.rate, _SURELY_LESS * known or self._pace.rate)
            self._lower_low()
        self._more = _MORE
        self._holds_until = now + min(_HOLD_TIMES * (now - self._stopped), _HOLD_AT_MOST_S)
        self._holds_requests = min(_HOLD_REQUESTS * self._refused, _HOLD_AT_MOST)
        self._choose()

    def _lower_low(self) -> None:
        if self._low * 1.001 < self._high:
            return
        lower = _LOWER
        if self._low_is_sure:
            lower = _LITTLE_LOWER
            self._test_s = min(2 * self._test_s, _LONGEST_TEST_S)
        self._low = max(self._high * lower, _LEAST)
        self._low_is_sure = False

    def _choose(self) -> None:
        """The next rate: between the bounds, or the lower one: a guess, or close to the other."""
        is_close = self._high <= self._low * _CLOSE
        rate = (self._low + self._high) / 2 if self._low_is_sure and not is_close else self._low
        self._pace.rate = max(min(rate, _MOST), _LEAST)

    def _advance(self, now: float) -> None:
        """While nothing is refused: what was kept up for long enough is a lower bound."""
        if now - self._opened < self._test_s or self._sent < _TEST_REQUESTS:
            return
        self._low, self._low_is_sure = self._pace.rate, True
        if self._high <= self._low * _CLOSE:
            if now < self._holds_until or self._sent < self._holds_requests:
                return
            self._high = self._low * (1 + 2 * self._more)
            self._more *= 2
            self._pace.rate = (self._low + self._high) / 2
        else:
            self._choose()
        self._opened, self._sent, self._refused = now, 0, 0

    def _hold(self, now: float, pause: float) -> None:
        self._held_until = max(self._held_until, now + pause)


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
