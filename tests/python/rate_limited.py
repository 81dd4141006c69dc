"""Rate limits as servers have them: what is over one is refused (429). Times are arguments."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable


class Bucket:
    """A token bucket: so many requests a second, and `burst` that may come at once."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self._burst = self._tokens = burst
        self._at = 0.0

    def take(self, now: float) -> bool:
        """Whether a request is let in."""
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def remaining(self) -> int:
        return int(self._tokens)

    def reset(self, now: float) -> float:
        """Seconds until it is full again."""
        return (self._burst - self._tokens) / self.rate

    def again(self, now: float) -> float:
        """Seconds until the next one is let in."""
        return max(0.0, 1 - self._tokens) / self.rate


class Window:
    """A sliding window: `most` requests in any `seconds`."""

    def __init__(self, most: int, seconds: float) -> None:
        self.rate = most / seconds
        self._most, self._seconds = most, seconds
        self._taken: deque[float] = deque()

    def _forget(self, now: float) -> None:
        while self._taken and self._taken[0] <= now - self._seconds:
            self._taken.popleft()

    def take(self, now: float) -> bool:
        """Whether a request is let in."""
        self._forget(now)
        if len(self._taken) >= self._most:
            return False
        self._taken.append(now)
        return True

    def remaining(self) -> int:
        return self._most - len(self._taken)

    def reset(self, now: float) -> float:
        """Seconds until all of it is free again."""
        return self._taken[-1] + self._seconds - now if self._taken else 0.0

    def again(self, now: float) -> float:
        """Seconds until the next one is let in."""
        if len(self._taken) < self._most:
            return 0.0
        return self._taken[0] + self._seconds - now


Limit = Bucket | Window
Says = Callable[[Limit, float, bool], dict[str, str]]


def nothing(limit: Limit, now: float, refused: bool) -> dict[str, str]:
    """No header tells of the limit."""
    return {}


def retry_after(limit: Limit, now: float, refused: bool) -> dict[str, str]:
    """With a refusal, in whole seconds as HTTP has it."""
    return {"Retry-After": str(max(1, math.ceil(limit.again(now))))} if refused else {}


def ratelimit(limit: Limit, now: float, refused: bool) -> dict[str, str]:
    """With all answers."""
    return {
        "x-ratelimit-remaining-requests": str(limit.remaining()),
        "x-ratelimit-reset-requests": f"{limit.reset(now):.3f}s",
    }


class Counts:
    """What a limit let in and what it refused, by time."""

    def __init__(self, limit: Limit, says: Says) -> None:
        self.limit, self._says = limit, says
        self.seen: list[tuple[float, bool]] = []

    def ask(self, now: float) -> tuple[bool, dict[str, str]]:
        """Whether a request is let in, and the headers of its answer."""
        let_in = self.limit.take(now)
        self.seen.append((now, let_in))
        return let_in, self._says(self.limit, now, not let_in)

    def between(self, begin: float, end: float) -> tuple[float, float]:
        """What was let in, as a share of the limit; what was refused, as a share of what came."""
        seen = [let_in for at, let_in in self.seen if begin <= at < end]
        let_in = sum(seen)
        return let_in / (self.limit.rate * (end - begin)), 1 - let_in / max(1, len(seen))
