"""Stream: what Python adds to the C iterator."""

from __future__ import annotations

from . import _core
from ._types import Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ._core import Chunk, Event, Message


class Stream(_core.Stream):
    """An answer as it comes: an iterator of `Chunk`, and a context manager that closes it.

    The request is on its way when the stream exists. Chunks that arrived before a fault come first,
    then exactly one exception, then StopIteration. Any thread may iterate, cancel or close; each
    chunk goes to exactly one. Dropping the last reference cancels.
    """

    __slots__ = ("__weakref__",)

    def texts(self) -> Iterator[str]:
        """Only the pieces of answer text."""
        return (chunk.text for chunk in self if chunk.type == "text")

    def batches(self) -> Iterator[list[Chunk]]:
        """Lists of all the chunks that are ready, never empty; one wait a list at most."""
        return iter(self._next_batch, None)

    def events(self) -> Iterator[Event]:
        """The answer's events as they came, the terminator too, in place of chunks."""
        return iter(self._next_event, None)

    def result(self) -> Message:
        """Wait for the end and return the whole message; raise what ended the stream early."""
        self._drain()
        return self.message

    @property
    def response(self) -> Response:
        """Status, headers, HTTP version, request id; waits for them."""
        return Response(*self._head())


def wait(streams: Iterable[Stream], timeout: float | None = None) -> list[Stream]:
    """Wait until one of the streams has something; return all those that have, in their order.

    Of a stream in the list `next()` returns or raises at once. The list is empty when `timeout`
    seconds are over before, or when there is nothing to wait for. One thread can so serve many
    streams.
    """
    return _core.wait(tuple(dict.fromkeys(streams)), timeout)
