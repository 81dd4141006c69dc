"""What an annotation says about how a field streams, and the state of one that asked for it."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Literal


class Done:
    """`Annotated[T, Done]`: the value appears only when it is complete, and valid."""


class NotNull:
    """`Annotated[T, NotNull]`: the object that this field is in waits for it.

    Until the field is there, and is not None, the object is not: its own place is empty, or in a
    list, missing. It need not be complete: that would be `Annotated[T, NotNull, Done]`.
    """


class WithState:
    """`Annotated[T, WithState]`: while it streams, a `State` stands in the value's place."""


class State:
    """A value that is still coming, and how far it is; in place of a field that is `WithState`.

    state: "pending" (nothing has come, `value` is None), "incomplete" or "complete".
    """

    def __init__(
        self,
        value: Any = None,
        state: Literal["pending", "incomplete", "complete"] = "pending",
    ) -> None:
        self.value = value
        self.state = state

    def __repr__(self) -> str:
        return f"State({self.value!r}, {self.state!r})"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, State):
            return NotImplemented
        return (self.value, self.state) == (other.value, other.state)

    __hash__ = None  # type: ignore[assignment]


for _cls in (Done, NotNull, State, WithState):
    _cls.__module__ = "millstream"
