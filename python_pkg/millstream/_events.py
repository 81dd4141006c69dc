"""EventStream: what Python adds to the C iterator over an event source."""

from __future__ import annotations

from . import _core
from ._types import Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing_extensions import Self


class EventStream(_core.EventStream):
    """A stream of server-sent events that lasts: an iterator of `Event`, and a context manager.

    The WHATWG EventSource algorithm. A connection that is lost is followed by another, from the
    last event id on; iteration ends with a 204 of the server, `close()`, or an exception that
    reconnecting cannot help. With `comments=True` there are `Comment`s among the events. Any thread
    may iterate, restart, cancel or close; each event goes to exactly one. Dropping the last
    reference cancels.
    """

    __slots__ = ("__weakref__",)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def response(self) -> Response:
        """Status, headers, HTTP version of the first answer that was a stream; waits for it."""
        return Response(*self._head())
