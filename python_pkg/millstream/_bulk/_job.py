"""A bulk job: which request goes where and when, what is asked again, and what is done. No I/O.

A loop around it (`_sync`, `_async`) gives it requests while it `wants` any, waits for the streams
that `start` gives, calls `look` for those that have something, and hands out `results`.

Limits: `concurrency` requests are held at a time, those that wait for another try among them; in
order, also the results behind the first one that is missing, four times as many at most.
"""

from __future__ import annotations

import time
from collections import deque
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any

from .._errors import (
    AuthenticationError,
    Cancelled,
    ConnectError,
    Error,
    ForkedError,
    NotFound,
    PermissionDenied,
    RateLimited,
    ServerError,
    StreamInterrupted,
    Timeout,
)
from .._types import Response, without_password
from ._limits import Limiter, read_headers
from ._rows import Asked, BulkResult, Endpoint, Ids, duplicate, read_request, refusal

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable, Sequence

    from .._client import BaseClient
    from .._core import BaseStream, Message

_FIRST_DELAY_S, _LONGEST_DELAY_S = 0.5, 30.0
_FAILURES_TO_REST = 3
_AHEAD = 4  # in order: how far results may run ahead, in times of `concurrency`
_BUFFERED_BYTES = 64 << 10
_LATE_HEAD_S = 2.0  # what headers of that age say of a limit is old
_HEAD_EVERY_S = 0.1  # the next stream's is looked at when it comes
_QUOTA_CODES = {"insufficient_quota", "billing_hard_limit_reached"}  # no waiting helps
_ANOTHER_MAY = (AuthenticationError, PermissionDenied, NotFound)
_AGAIN = (ConnectError, ServerError, StreamInterrupted, Timeout)
_AGAIN_STATUS = {408, 409, 425}


class Target:
    """An endpoint in use: its client, its rates, how it has been."""

    def __init__(self, client: BaseClient[Any, Any], endpoint: Endpoint, now: float) -> None:
        given = client if endpoint.client is None else endpoint.client
        self.client = given._for_bulk(endpoint.base_url, endpoint.api_key, _BUFFERED_BYTES)
        self.name = without_password(self.client.base_url)
        self.model = endpoint.model
        self.limiter = Limiter(now, endpoint.requests_per_minute, endpoint.tokens_per_minute)
        self.step = 1 / endpoint.weight
        self.passed = 0.0  # by weights: who is least ahead is next
        self.rests_until = now
        self.head_at = now
        self._failures = 0

    def due(self) -> float:
        """When it may be asked again."""
        return max(self.limiter.due, self.rests_until)

    def failed(self, now: float, at_once: bool = False) -> None:
        """It did not answer as it should; after some of these it rests, longer each time."""
        self._failures += 1
        beyond = self._failures - (1 if at_once else _FAILURES_TO_REST)
        if beyond >= 0 and now >= self.rests_until:
            self.rests_until = now + min(_FIRST_DELAY_S * 2**beyond, _LONGEST_DELAY_S)

    def answered(self) -> None:
        """It did."""
        self._failures = 0


class Job:
    """See the module. Times are those of `time.monotonic`, `clock` in tests."""

    def __init__(
        self,
        client: BaseClient[Any, Any],
        *,
        concurrency: int,
        ordered: bool,
        requests_per_minute: float | None,
        tokens_per_minute: float | None,
        endpoints: Sequence[Endpoint] | None,
        into: Any,
        max_retries: int,
        prices: tuple[float, float] | None,
        clock: Callable[[], float] = time.monotonic,
        random: random.Random | None = None,
    ) -> None:
        import random as random_module

        now = clock()
        self.clock = clock
        self.results: deque[BulkResult] = deque()
        self._random = random or random_module.Random()
        self._concurrency = _count("concurrency", concurrency, 1, 1_000_000)
        self._max_retries = _count("max_retries", max_retries, 0, 100)
        self._into = into
        self._prices = prices
        self._targets = [Target(client, each, now) for each in _endpoints(endpoints)]
        self._limiter = Limiter(
            now,
            _rate("requests_per_minute", requests_per_minute),
            _rate("tokens_per_minute", tokens_per_minute),
            learns=False,
        )
        self._given = 0
        self._ended = False
        self._ids = Ids()
        self._waiting: deque[Asked] = deque()
        self._later: list[tuple[float, int, Asked]] = []
        self._order = count()
        self._active: dict[BaseStream, Asked] = {}
        self._starts_at = now  # the first of those that wait
        self._next = 0 if ordered else None
        self._behind: dict[int, BulkResult] = {}

    # ---- what goes in ----------------------------------------------------------------------------

    @property
    def wants(self) -> bool:
        """Whether another request can be taken now."""
        if self._ended or self._waiting or len(self.results) >= self._concurrency:
            return False
        if self._next is not None and self._given - self._next >= _AHEAD * self._concurrency:
            return False
        return len(self._active) + len(self._later) < self._concurrency

    def give(self, item: Any) -> None:
        """The next request."""
        asked = read_request(item, self._given, self._into)
        self._given += 1
        own = asked.id != str(asked.place)
        if own and not self._ids.add(asked.id) and asked.error is None:
            asked.error = duplicate(asked.id)
        if asked.error is not None:
            self._finish(asked, None)
            return
        self._waiting.append(asked)

    def end(self) -> None:
        """There are no more requests."""
        self._ended = True

    @property
    def over(self) -> bool:
        """All is done, and all results are in `results`."""
        return self._ended and not (self._waiting or self._later or self._active)

    # ---- what goes out ---------------------------------------------------------------------------

    def start(self) -> list[BaseStream]:
        """Send what can be sent now; the streams that are to be waited for."""
        now = self.clock()
        while self._later and self._later[0][0] <= now:
            self._waiting.append(heappop(self._later)[2])
        started = []
        while self._waiting and len(self._active) < self._concurrency:
            asked = self._waiting[0]
            target, self._starts_at = self._place_for(asked, now)
            if self._starts_at > now:
                break
            self._waiting.popleft()
            stream = self._send(asked, target, now)
            if stream is not None:
                started.append(stream)
        return started

    def delay(self) -> float | None:
        """Seconds until `start` may have something to do; None: not before a stream ends."""
        times = [self._later[0][0]] if self._later else []
        if self._waiting and len(self._active) < self._concurrency:
            times.append(self._starts_at)
        return max(0.0, min(times) - self.clock()) if times else None

    def awaits_head(self, stream: BaseStream) -> bool:
        """Whether its first chunk is waited for: one now and then tells the rates of all."""
        return self._active[stream].shows_head

    def look(self, stream: BaseStream) -> bool:
        """A stream has something: take it. Whether it goes on."""
        error: Error | None = None
        try:
            if stream._poll_drain() is NotImplemented:
                if self.awaits_head(stream):
                    self._read_limits(self._active[stream], stream, self.clock())
                return True
        except (Cancelled, ForkedError):  # of the whole process: not this request's matter
            raise
        except Error as found:
            error = found
        asked = self._active.pop(stream)
        self._tell_hooks(stream, error)
        if asked.into is not None and error is None:
            error = self._parse(asked, stream)
        self._judge(asked, stream, error)
        return False

    def close(self) -> None:
        """End all that is under way."""
        for stream in self._active:
            stream.close()
        self._active.clear()

    # ---- where to --------------------------------------------------------------------------------

    def _place_for(self, asked: Asked, now: float) -> tuple[Target, float]:
        """Which endpoint, and when: the least ahead of those that may be asked now.

        Where it failed only if there is no other. One whose limit was not met yet is waited for:
        else weights would say nothing while rates are looked for.
        """
        awake = [each for each in self._targets if each.rests_until <= now] or self._targets
        fresh = [each for each in awake if each not in asked.failed_at] or awake
        free = [each for each in fresh if each.limiter.is_searching or each.due() <= now]
        target = min(free, key=lambda each: each.passed) if free else min(fresh, key=Target.due)
        return target, max(target.due(), self._limiter.due)

    def _send(self, asked: Asked, target: Target, now: float) -> BaseStream | None:
        arguments = asked.arguments
        if target.model is not None:
            arguments = {**arguments, "model": target.model}
        if asked.into is not None:
            arguments = {**arguments, "into": asked.into}
        try:
            _check_complete(arguments)
            stream: BaseStream = target.client.stream(**arguments)
        except Error as error:  # such as a key that is missing
            asked.attempts += 1
            self._finish(asked, error)
            return None
        except (TypeError, ValueError) as error:
            self._finish(asked, refusal(error))
            return None
        if target.limiter.counts_tokens or self._limiter.counts_tokens:
            asked.tokens = target.limiter.estimate(len(str(arguments)))
        asked.target, asked.stream, asked.started = target, stream, now
        asked.attempts += 1
        asked.shows_head = now >= target.head_at
        if asked.shows_head:
            target.head_at = now + _HEAD_EVERY_S
        asked.sent = target.limiter.start(now, asked.tokens)
        self._limiter.start(now, asked.tokens)
        least = min(each.passed for each in self._targets)
        target.passed = max(target.passed, least) + target.step
        self._active[stream] = asked
        return stream

    # ---- what became of it -----------------------------------------------------------------------

    def _judge(self, asked: Asked, stream: BaseStream, error: Error | None) -> None:
        now, target = self.clock(), asked.target
        self._read_limits(asked, stream, now)
        self._count_tokens(asked, stream)
        if error is None:
            target.answered()
            self._finish(asked, None)
        elif isinstance(error, RateLimited) and error.code not in _QUOTA_CODES:
            self._put_back(asked, error, now)
        elif isinstance(error, _ANOTHER_MAY):
            target.failed(now, at_once=True)
            asked.failed_at.add(target)
            if len(asked.failed_at) < len(self._targets):
                self._again(asked, 0.0)
            else:
                self._finish(asked, error)
        elif _may_help(error) and asked.attempts <= self._max_retries:
            target.failed(now)
            asked.failed_at.add(target)
            self._again(asked, self._backoff(asked, error, now))
        else:
            self._finish(asked, error)

    def _put_back(self, asked: Asked, error: RateLimited, now: float) -> None:
        """Refused for the rate alone: it did not count as an attempt."""
        limiter = asked.target.limiter
        limiter.refused(now, asked.sent, now - asked.started, error.retry_after)
        if limiter.is_closed:
            self._finish(asked, error)
            return
        asked.attempts -= 1
        self._let_go(asked)
        self._waiting.appendleft(asked)

    def _again(self, asked: Asked, delay: float) -> None:
        self._let_go(asked)
        if delay <= 0:
            self._waiting.appendleft(asked)
        else:
            heappush(self._later, (self.clock() + delay, next(self._order), asked))

    def _let_go(self, asked: Asked) -> None:
        asked.stream = asked.target = None

    def _backoff(self, asked: Asked, error: Error, now: float) -> float:
        if error.retry_after is not None:
            return min(error.retry_after, _LONGEST_DELAY_S)
        others = [each for each in self._targets if each not in asked.failed_at]
        if any(each.rests_until <= now for each in others):
            return 0.0
        longest: float = min(_FIRST_DELAY_S * 2 ** (asked.attempts - 1), _LONGEST_DELAY_S)
        return longest * (0.5 + self._random.random() / 2)

    def _parse(self, asked: Asked, stream: BaseStream) -> Error | None:
        from .._structured._readers import Result

        reader = Result(_type_of(asked.into), False)
        try:
            reader.begin(stream.message)
            (asked.parsed,) = reader.end(stream.message)
        except Error as error:
            error.message = error.message or stream.message
            return error
        return None

    def _finish(self, asked: Asked, error: Error | None) -> None:
        stream, target = asked.stream, asked.target
        error = error or asked.error
        message: Message | None = None if stream is None else stream.message
        timing = None if stream is None else stream.timing
        result = BulkResult(
            id=asked.id,
            index=asked.index,
            message=message,
            parsed=asked.parsed,
            error=error,
            attempts=asked.attempts,
            endpoint=None if target is None else target.name,
            first_chunk=None if timing is None else timing.first_chunk,
            duration=None if timing is None else timing.total,
            chunks=0 if timing is None else timing.chunks,
            cost=self._cost(message),
        )
        if self._next is None:
            self.results.append(result)
            return
        self._behind[asked.place] = result
        while self._next in self._behind:
            self.results.append(self._behind.pop(self._next))
            self._next += 1

    def _cost(self, message: Message | None) -> float | None:
        usage = None if message is None else message.usage
        if self._prices is None or usage is None:
            return None
        tokens = (usage.input_tokens or 0, usage.output_tokens or 0)
        total: float = sum(n * price for n, price in zip(tokens, self._prices, strict=True))
        return total / 1e6

    def _count_tokens(self, asked: Asked, stream: BaseStream) -> None:
        if not (asked.target.limiter.counts_tokens or self._limiter.counts_tokens):
            return
        usage = stream.message.usage
        if usage is None:
            return
        tokens = (usage.input_tokens or 0) + (usage.output_tokens or 0)
        for limiter in (asked.target.limiter, self._limiter):
            limiter.used(asked.tokens, tokens)

    def _read_limits(self, asked: Asked, stream: BaseStream, now: float) -> None:
        try:
            head = stream._poll_head()
        except Error:
            return
        if head is NotImplemented:
            return
        asked.shows_head = False
        came = stream.timing.first_byte or 0.0
        if now - asked.started - came <= _LATE_HEAD_S:
            asked.target.limiter.told(now, asked.sent, read_headers(head[2], time.time()))

    @staticmethod
    def _tell_hooks(stream: BaseStream, error: Error | None) -> None:
        """Of a client with `on_event`: what it is told is told at the end."""
        watch = getattr(stream, "_watch", None)
        if watch is None:
            return
        try:
            watch.head(stream, Response(*stream._poll_head()))
        except Error:
            pass  # there is none
        if stream.timing.chunks:
            watch.chunks(stream, stream.timing.chunks)
        watch.end(stream, error)


def _check_complete(arguments: dict[str, Any]) -> None:
    for name in ("model", "messages"):
        if name not in arguments:
            raise ValueError(f"{name}: is missing")


def _type_of(into: Any) -> Any:
    """What an answer is read as."""
    from .._structured._schema import Schema

    return dict if isinstance(into, Schema) else into


def _may_help(error: Error) -> bool:
    """Whether asking again may bring an answer."""
    if isinstance(error, Timeout):
        return error.phase != "total"
    return isinstance(error, _AGAIN) or error.status in _AGAIN_STATUS


def _endpoints(given: Iterable[Endpoint] | None) -> list[Endpoint]:
    found = [Endpoint()] if given is None else list(given)
    if not found:
        raise ValueError("endpoints: there is none in it")
    for each in found:
        if not isinstance(each, Endpoint):
            raise TypeError(f"endpoints: must hold Endpoints, not {type(each).__name__}")
    return found


def _count(name: str, given: int, least: int, most: int) -> int:
    if isinstance(given, bool) or not isinstance(given, int):
        raise TypeError(f"{name}: must be an int, not {given!r}")
    if not least <= given <= most:
        raise ValueError(f"{name}: must be between {least} and {most}, not {given}")
    return given


def _rate(name: str, given: float | None) -> float | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, (int, float)):
        raise TypeError(f"{name}: must be a number, not {given!r}")
    if not given > 0:
        raise ValueError(f"{name}: must be above 0, not {given}")
    return given
