"""PartialJSON: the value of a JSON text while it is being written."""

from __future__ import annotations

from . import _core
from ._core import Change, Repair
from ._types import Limits

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from typing_extensions import Self

    from ._structured._nodes import Coercion

__all__ = ["Change", "PartialJSON", "Repair"]

# What may be the root of a text: enum mill_partial_root of the C core.
_OBJECT, _ARRAY, _ANY = 1, 2, 7


class PartialJSON(_core.PartialJSON):
    """A JSON text that comes in pieces, and its value as far as it has come.

        p = millstream.PartialJSON(dict)
        for chunk in stream:
            p.feed(chunk.text)
            print(p.value)
        answer = p.finish()

    into: what the value is: None for any JSON, `dict` or `list` for an object or array, which is
    then looked for in the text: all before it is skipped. Or a type: a pydantic model, a dataclass,
    a TypedDict, a msgspec Struct, also in `list[T]`, `dict[str, T]`, `T | None` and the like: then
    `value` is of it while it grows, and `finish()` validates. See docs/howto/structured.md.
    lenient: repair what is no JSON, and list it in `repairs`, instead of raising `ProtocolError`;
    coerce what is not of the type, and list it in `coercions`.
    limits: `event_bytes` for the whole text, `json_depth`.

    Each byte is looked at once: a piece costs the same at the end of a long text as at its
    beginning. For that, `value` grows in place; `snapshot()` gives what does not change any more.
    Keep no reference to a string that is still growing: while there is one, or after it was
    hashed, the next piece copies it.

    Prose around the value and Markdown's code fences are skipped, by the rules that stand in
    include/millstream/partial.h. A key that comes twice has its last value. Lone surrogate halves,
    and what is no UTF-8 in a string, become U+FFFD.

    Any thread may call: one call at a time, the others wait for their turn. Of a piece of 64 KiB or
    more each 64 KiB are parsed without the GIL, and then put into the value with it; a smaller one
    takes less time than to let go of the GIL and have it back. A reader of `value` in another
    thread may find None in place of the string that is growing; `snapshot()` never has that.
    """

    __slots__ = ()

    @property
    def coercions(self) -> tuple[Coercion, ...]:
        """What `finish()` put right toward the type; always () where `lenient` is not set."""
        return ()

    def __new__(
        cls,
        into: Any = None,
        /,
        *,
        lenient: bool = False,
        limits: Limits | None = None,
    ) -> Self:
        if into not in (None, dict, list):
            from ._structured._typed import TypedJSON

            return TypedJSON(into, lenient=lenient, limits=limits)  # type: ignore[return-value]
        limits = Limits() if limits is None else limits
        return super().__new__(
            cls,
            lenient=lenient,
            roots=_roots(into),
            max_depth=limits.json_depth,
            text_bytes=limits.event_bytes,
        )


def _roots(into: type | None) -> int:
    return _ANY if into is None else _OBJECT if into is dict else _ARRAY
