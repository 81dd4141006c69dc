"""The loop of a bulk job in a thread: one descriptor, however many streams."""

from __future__ import annotations

import math
import select
from typing import TYPE_CHECKING, Any

from .. import _core

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .._core import BaseStream
    from ._job import Job
    from ._rows import BulkResult


def run(
    job: Job, requests: Iterable[Any], on_result: Callable[[BulkResult], object] | None
) -> Iterator[BulkResult]:
    """Hand out the results; what ends this ends all streams."""
    waiter = _core.Waiter()
    poll = select.poll()
    poll.register(waiter.fileno(), select.POLLIN)
    source = iter(requests)
    ready: list[BaseStream] = []
    try:
        while True:
            for stream in ready:
                _take(job, waiter, stream)
            _fill(job, waiter, source)
            while job.results:
                result = job.results.popleft()
                if on_result is not None:
                    on_result(result)
                yield result
            if job.over:
                return
            if not job.wants:
                delay = job.delay()
                poll.poll(None if delay is None else math.ceil(delay * 1000))
            ready = waiter.take()
    finally:
        job.close()


def _fill(job: Job, waiter: _core.Waiter, source: Iterator[Any]) -> None:
    """Send as much as may be sent, from the source what is needed for it."""
    while True:
        for stream in job.start():
            _take(job, waiter, stream)
        if not job.wants:
            return
        try:
            job.give(next(source))
        except StopIteration:
            job.end()


def _take(job: Job, waiter: _core.Waiter, stream: BaseStream) -> None:
    """All that it has; when it goes on, it is waited for."""
    while not waiter.arm(stream, False, not job.awaits_head(stream)):
        if not job.look(stream):
            return
