"""AsyncClient: Client for event loops. Not imported before it is asked for: asyncio is large."""

from __future__ import annotations

from ._async_stream import DONE, AsyncEventStream, AsyncStream, Done
from ._client import BaseClient


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

    def close(self) -> Done:
        """Nothing is held open for a client; may be awaited."""
        return DONE

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()
