"""Stream: what Python adds to the C iterator."""

from __future__ import annotations

from . import _core
from ._errors import Error
from ._types import Response

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any, TypeVar, overload

    from ._core import Chunk, Event, Message, Repair
    from ._structured._nodes import Coercion
    from ._structured._readers import PartialCall, Reader

    _T = TypeVar("_T")


class Stream(_core.Stream):
    """An answer as it comes: an iterator of `Chunk`, and a context manager that closes it.

    The request is on its way when the stream exists. Chunks that arrived before a fault come first,
    then exactly one exception, then StopIteration. Any thread may iterate, cancel or close; each
    chunk goes to exactly one. Dropping the last reference cancels.
    """

    __slots__ = ("__weakref__", "_coercions", "_into", "_repairs")

    def texts(self) -> Iterator[str]:
        """Only the pieces of answer text."""
        return (chunk.text for chunk in self if chunk.type == "text")

    def batches(self) -> Iterator[list[Chunk]]:
        """Lists of all the chunks that are ready, never empty; one wait a list at most."""
        return iter(self._next_batch, None)

    def events(self) -> Iterator[Event]:
        """The answer's events as they came, the terminator too, in place of chunks."""
        return iter(self._next_event, None)

    if TYPE_CHECKING:

        @overload
        def result(self) -> Message: ...
        @overload
        def result(self, into: type[_T], *, lenient: bool = False) -> _T: ...
        @overload
        def result(self, into: Any, *, lenient: bool = False) -> Any: ...

    def result(self, into: Any = None, *, lenient: bool = False) -> Any:
        """Wait for the end and return the whole message; raise what ended the stream early.

        into: return the answer as a T in its place, validated; ValidationError where it is none.
        """
        self._drain()
        if into is None:
            return self.message
        from ._structured._readers import Result

        (value,) = self._read(Result(into, lenient))
        return value

    if TYPE_CHECKING:

        @overload
        def partials(self, into: type[_T], *, lenient: bool = False) -> Iterator[_T]: ...
        @overload
        def partials(self, into: Any = None, *, lenient: bool = False) -> Iterator[Any]: ...

    def partials(self, into: Any = None, *, lenient: bool = False) -> Iterator[Any]:
        """The answer as a T while it comes: the same value each time, grown; at last the validated.

        into: a pydantic model, a dataclass, a TypedDict, a msgspec Struct, `dict`, `list`, or made
            of those; default: that of `client.stream(into=T)`.
        lenient: repair what is no JSON, and what is not of the type; `repairs` lists it.

        A piece costs the same at the end of a long answer as at its beginning. What is there when:
        docs/howto/structured.md.
        """
        from ._structured._readers import Partials

        return self._read(Partials(self._asked(into), lenient))

    if TYPE_CHECKING:

        @overload
        def items(
            self, into: type[_T], path: str | Sequence[str | int] = ..., *, lenient: bool = False
        ) -> Iterator[_T]: ...
        @overload
        def items(
            self, into: Any, path: str | Sequence[str | int] = ..., *, lenient: bool = False
        ) -> Iterator[Any]: ...

    def items(
        self, into: Any, path: str | Sequence[str | int] = "items", *, lenient: bool = False
    ) -> Iterator[Any]:
        """The elements of an array in the answer, each once, as a T, as soon as it is complete.

        into: the type of an element.
        path: of the array, "a.b" or ("a", "b"); "" where it is the whole answer.
        """
        from ._structured._readers import Items

        return self._read(Items(into, path, lenient))

    def tool_calls(self) -> Iterator[PartialCall]:
        """The tool calls, each time the arguments of one have grown, for `call.partial(T)`."""
        from ._structured._readers import Calls

        return self._read(Calls())

    @property
    def repairs(self) -> tuple[Repair, ...]:
        """What the last lenient reading put right in the text."""
        return getattr(self, "_repairs", ())

    @property
    def coercions(self) -> tuple[Coercion, ...]:
        """What the last lenient reading put right toward the type."""
        return getattr(self, "_coercions", ())

    def _asked(self, into: Any) -> Any:
        return getattr(self, "_into", None) if into is None else into

    def _read(self, reader: Reader) -> Iterator[Any]:
        try:
            yield from reader.begin(self.message)
            for chunk in self:
                yield from reader.take(chunk)
            yield from reader.end(self.message)
        except Error as error:
            error.message = error.message or self.message
            raise
        finally:
            self._repairs, self._coercions = reader.repairs, reader.coercions

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
