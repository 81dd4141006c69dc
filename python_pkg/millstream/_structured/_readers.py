"""What reads an answer as a type: chunks in, values out. Stream and AsyncStream only move chunks.

A reader is asked three things: `begin(message)`, with what came before it; `take(chunk)`;
`end(message)`. Each gives the values that are to be handed out, in order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._errors import ProtocolError, ValidationError
from .._partial import PartialJSON
from .._providers._neutral import ANSWER_TOOL
from ._nodes import Misfit
from ._read_types import slot_of
from ._typed import validation_error

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .._core import Chunk, Message, Repair, ToolCall
    from ._nodes import Coercion, Path


class Reader:
    """The base of all."""

    repairs: tuple[Repair, ...] = ()
    coercions: tuple[Coercion, ...] = ()

    def begin(self, message: Message) -> Sequence[Any]:
        """What the chunks that are gone add up to."""
        raise NotImplementedError

    def take(self, chunk: Chunk) -> Sequence[Any]:
        """The next chunk."""
        raise NotImplementedError

    def end(self, message: Message) -> Sequence[Any]:
        """The answer is complete."""
        raise NotImplementedError


class AnswerReader(Reader):
    """Reads the first choice's answer: its text, or the arguments of the tool that `into` offers.

    What a model says before it calls that tool is no part of the answer.
    """

    def __init__(self, new: Callable[[], PartialJSON]) -> None:
        self._new = new
        self._json = new()
        self._tool: int | None = None

    @property
    def repairs(self) -> tuple[Repair, ...]:  # type: ignore[override]
        """What was put right in the text."""
        return self._json.repairs

    @property
    def coercions(self) -> tuple[Coercion, ...]:  # type: ignore[override]
        """What was put right toward the type."""
        return self._json.coercions

    def begin(self, message: Message) -> Sequence[Any]:
        """As one piece."""
        call = _answer_call(message)
        if call is not None:
            return self._take_call(call)
        return self._feed(message.text) if message.text else ()

    def take(self, chunk: Chunk) -> Sequence[Any]:
        """Its text, or its piece of the arguments."""
        if chunk.choice != 0:
            return ()
        if chunk.type == "text":
            return self._feed(chunk.text) if self._tool is None else ()
        return self._take_call(chunk.tool_call) if chunk.tool_call else ()

    def _take_call(self, call: ToolCall) -> Sequence[Any]:
        if call.name == ANSWER_TOOL and self._tool != call.index:
            self._tool = call.index
            self._json = self._new()
        return self._feed(call.arguments) if call.index == self._tool else ()

    def _feed(self, piece: str) -> Sequence[Any]:
        try:
            self._json.feed(piece)
        except ProtocolError as error:
            raise self._no_json(error, None) from error
        return self._values()

    def end(self, message: Message) -> Sequence[Any]:
        """The whole."""
        try:
            return self._last(self._json.finish())
        except ProtocolError as error:
            raise self._no_json(error, message) from error

    def _no_json(self, error: ProtocolError, message: Message | None) -> ValidationError:
        """The error for an answer that is broken JSON, or none at all."""
        why = f"the answer is not the JSON that was asked for: {error}"
        if message is not None and message.refusal:
            why = f"the model refused: {message.refusal}"
        elif message is not None and message.finish_reason not in (None, "stop", "tool_calls"):
            why += f'; it ended with finish_reason "{message.finish_reason}"'
        found = ValidationError(why)
        found.byte_offset = error.byte_offset
        found.value = PartialJSON.snapshot(self._json)
        return found

    def _values(self) -> Sequence[Any]:
        """What a piece made new."""
        raise NotImplementedError

    def _last(self, whole: Any) -> Sequence[Any]:
        """What the whole is handed out as."""
        raise NotImplementedError


class Partials(AnswerReader):
    """The growing value, behind each piece; at last the whole, validated."""

    def __init__(self, into: Any, lenient: bool) -> None:
        super().__init__(lambda: PartialJSON(into, lenient=lenient))

    def _values(self) -> Sequence[Any]:
        value = self._json.value
        return () if value is None else (value,)

    def _last(self, whole: Any) -> Sequence[Any]:
        return (whole,)


class Result(Partials):
    """The whole alone."""

    def _values(self) -> Sequence[Any]:
        return ()


class Items(AnswerReader):
    """The elements of one array, each when it is complete, validated."""

    def __init__(self, into: Any, path: str | Sequence[str | int], lenient: bool) -> None:
        self._slot = slot_of(into)
        self._path = steps_of(path)
        self._lenient = lenient
        self._coercions: list[Coercion] = []
        self._found = False
        root = list if not self._path or isinstance(self._path[0], int) else dict
        super().__init__(lambda: _watched(PartialJSON(root, lenient=lenient)))

    @property
    def coercions(self) -> tuple[Coercion, ...]:  # type: ignore[override]
        """Those of the elements so far."""
        return tuple(self._coercions)

    def _values(self) -> Sequence[Any]:
        depth = len(self._path)
        return [
            self._item(change.path)
            for change in self._json.changes()
            if change.complete
            and len(change.path) == depth + 1
            and change.path[:depth] == self._path
            and isinstance(change.path[depth], int)
        ]

    def _item(self, path: Path) -> Any:
        value = self._json.value
        for step in path:
            value = value[step]
        notes: list[Coercion] = []
        if self._lenient:
            value = self._slot.fix(value, path, notes)
            self._coercions += notes
        try:
            return self._slot.whole(value)
        except Misfit as misfit:
            raise validation_error(misfit, value, path) from misfit.cause

    def _last(self, whole: Any) -> Sequence[Any]:
        last = self._values()
        at = whole
        for step in self._path:
            known = isinstance(at, dict if isinstance(step, str) else list)
            at = at[step] if known and (step in at or isinstance(step, int)) else None
        if not isinstance(at, list):
            raise validation_error(Misfit("is no array", self._path), whole)
        return last


def _watched(partial: PartialJSON) -> PartialJSON:
    partial.changes()  # from here on they are kept
    return partial


def steps_of(path: str | Sequence[str | int]) -> Path:
    """The keys and indexes of a path: "a.b" is ("a", "b"); "" and () are the root."""
    if isinstance(path, str):
        return tuple(path.split(".")) if path else ()
    if all(isinstance(step, (str, int)) and not isinstance(step, bool) for step in path):
        return tuple(path)
    raise TypeError(f"path: must be a str, or keys and indexes, not {path!r}")


def _answer_call(message: Message) -> ToolCall | None:
    return next((call for call in message.tool_calls if call.name == ANSWER_TOOL), None)


# ---- tool calls ----------------------------------------------------------------------------------


class PartialCall:
    """A tool call whose arguments are coming; `stream.tool_calls()` gives it each time they grow.

    index, id, name: as of a `ToolCall`. choice: of which answer.
    """

    def __init__(self, choice: int, call: ToolCall) -> None:
        self.choice = choice
        self.index = call.index
        self.id = call.id
        self.name = call.name
        self._pieces: list[str] = []
        self._fed = 0
        self._asked: tuple[Any, bool] | None = None
        self._json: PartialJSON = PartialJSON(dict)
        self._whole: PartialJSON | None = PartialJSON(dict)
        self._ended = False
        self.grow(call.arguments)

    @property
    def arguments(self) -> str:
        """The JSON text so far."""
        return "".join(self._pieces)

    @property
    def done(self) -> bool:
        """The arguments are complete."""
        return self._ended or (self._whole is not None and self._whole.done)

    def partial(self, into: Any, *, lenient: bool = False) -> Any:
        """The arguments so far as a T, growing in place; None before they begin.

        Asked for the same T at each turn, all pieces are read once. Raises ValidationError where
        they are no JSON.
        """
        if self._asked != (into, lenient):
            self._json, self._fed = PartialJSON(into, lenient=lenient), 0
            self._asked = (into, lenient)
        try:
            for piece in self._pieces[self._fed :]:
                self._fed += 1
                self._json.feed(piece)
        except ProtocolError as error:
            raise self._no_json(error) from error
        return self._json.value

    def result(self, into: Any, *, lenient: bool = False) -> Any:
        """The complete arguments as a T, validated; ValidationError where they are none.

        No arguments at all are an empty object.
        """
        self.partial(into, lenient=lenient)
        try:
            if not self.arguments.strip():
                self._json.feed("{}")
            return self._json.finish()
        except ProtocolError as error:
            raise self._no_json(error) from error

    def _no_json(self, error: ProtocolError) -> ValidationError:
        found = ValidationError(f"the arguments of {self.name} are broken: {error}")
        found.byte_offset = error.byte_offset
        found.value = PartialJSON.snapshot(self._json)
        return found

    def grow(self, piece: str) -> None:
        """The next piece."""
        self._pieces += [piece] if piece else []
        try:
            if self._whole is not None:
                self._whole.feed(piece)
        except ProtocolError:  # it is told where the arguments are asked for
            self._whole = None

    def end(self) -> None:
        """No more comes."""
        self._ended = True

    def __repr__(self) -> str:
        return f"PartialCall({self.name!r}, {self.arguments!r})"


PartialCall.__module__ = "millstream"


class Calls(Reader):
    """The tool calls, each time one grows; at the end those that were not known to be complete."""

    def __init__(self) -> None:
        self._calls: dict[tuple[int, int], PartialCall] = {}

    def begin(self, message: Message) -> Sequence[PartialCall]:
        """The calls so far."""
        return [
            self._take(choice.index, call)
            for choice in message.choices
            for call in choice.tool_calls
        ]

    def take(self, chunk: Chunk) -> Sequence[PartialCall]:
        """One at most."""
        return () if chunk.tool_call is None else (self._take(chunk.choice, chunk.tool_call),)

    def _take(self, choice: int, call: ToolCall) -> PartialCall:
        known = self._calls.get((choice, call.index))
        if known is None:
            known = self._calls[choice, call.index] = PartialCall(choice, call)
        else:
            known.grow(call.arguments)
        return known

    def end(self, message: Message) -> Sequence[PartialCall]:
        """Those without arguments, or with broken ones."""
        waiting = [call for call in self._calls.values() if not call.done]
        for call in waiting:
            call.end()
        return waiting
