"""AsyncClient: Client for event loops. Not imported before it is asked for: asyncio is large."""

from __future__ import annotations

from ._async_stream import DONE, AsyncEventStream, AsyncStream, Done
from ._client import BaseClient

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence
    from typing import Any

    from ._bulk._rows import BulkResult, Endpoint


class AsyncClient(BaseClient[AsyncStream, AsyncEventStream]):
    """A provider's settings; its streams are `AsyncStream`s. The arguments are those of `Client`.

    `stream()`, `request()` and `events()` return at once and are not awaited: the stream they give
    is. Works on asyncio, uvloop and trio, in any number of loops; nothing belongs to the loop but
    the waits.
    """

    __slots__ = ()
    _stream_type = AsyncStream
    _event_stream_type = AsyncEventStream

    def _watched_type(self) -> type[AsyncStream]:
        from ._async_watch import WatchedAsyncStream

        return WatchedAsyncStream

    def bulk(
        self,
        requests: Iterable[Any] | AsyncIterable[Any],
        *,
        concurrency: int = 100,
        ordered: bool = False,
        on_result: Callable[[BulkResult], object] | None = None,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        endpoints: Sequence[Endpoint] | None = None,
        into: Any = None,
        max_retries: int = 4,
        prices: tuple[float, float] | None = None,
    ) -> AsyncIterator[BulkResult]:
        """Ask many requests, so many at a time: `Client.bulk`, with `async for`.

        `requests` may be an async iterable too, which then holds no result back, and what
        `on_result` returns is awaited where it can be. Use `contextlib.aclosing` where the
        iteration may be left early: an event loop closes an async generator only later.
        """
        from ._bulk import _async, _job

        job = _job.Job(
            self, concurrency=concurrency, ordered=ordered,
            requests_per_minute=requests_per_minute, tokens_per_minute=tokens_per_minute,
            endpoints=endpoints, into=into, max_retries=max_retries, prices=prices,
        )  # fmt: skip
        return _async.run(job, requests, on_result)

    def close(self) -> Done:
        """Nothing is held open for a client; may be awaited."""
        return DONE

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()
