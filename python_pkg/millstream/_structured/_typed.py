"""PartialJSON of a type: its changes put into a value of that type, one by one.

The strings of the typed value are those of the JSON value, the same objects. Before a piece is fed
the one that is growing is taken out of the typed value, for CPython lengthens a string in place
only where there is one reference to it; after it, it is put back. So a piece costs the same however
much has come before.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from .. import _core
from .._core import Change
from .._errors import ValidationError
from .._partial import PartialJSON
from .._types import Limits
from ._marks import State
from ._nodes import OBJECT, SCALAR, Container, ListOf, Misfit, Slot, Tagged
from ._read_types import slot_of

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer
    from typing_extensions import Self

    from ._nodes import Coercion, Path, Storage

_feed = _core.PartialJSON.feed
_changes = _core.PartialJSON.changes
_plain_value = _core.PartialJSON.value.__get__


class _Open:
    """A container that is open, and its place."""

    __slots__ = ("key", "missing", "node", "parent", "plain", "slot", "state", "storage", "typed")

    def __init__(
        self, parent: _Open | None, slot: Slot, key: Any, node: Container, plain: Any
    ) -> None:
        self.parent = parent
        self.slot = slot
        self.key = key  # of the JSON value in the parent's
        self.plain = plain
        self.state: State | None = None
        self.take(node)

    def take(self, node: Container) -> None:
        """What it is: for an object with a tag, once that is known."""
        self.node = node
        self.typed, self.storage = node.make()
        self.missing: set[str] | None = set(node.not_null)
        """Names of fields that it waits for; None: it is shown."""


class _Root(Container):
    """What the whole value is in, as if it were a field."""

    __slots__ = ("root",)

    def __init__(self, root: Slot) -> None:
        self.root = root

    def slot(self, key: Any) -> Slot:
        """The one."""
        return self.root

    def make(self) -> tuple[Any, Storage]:
        """A dict with one key."""
        made: dict[str, Any] = {_ROOT: None}
        return made, made


_ROOT = "value"


class _Aside:
    """A value that is not put in while it grows."""

    __slots__ = ("depth", "frame", "key", "shared", "slot", "where")

    def __init__(self, depth: int, frame: _Open, slot: Slot | None, key: Any) -> None:
        self.depth = depth
        self.frame = frame
        self.slot = slot  # None: it has no place
        self.key = key
        self.shared = False  # it stands there as it is, and grows by itself
        self.where: Any = None


class _OpenText:
    """The string that is open, and where it stands."""

    __slots__ = ("frame", "key", "state", "storage", "where")

    def __init__(self, frame: _Open, key: Any, storage: Storage, where: Any) -> None:
        self.frame = frame
        self.key = key
        self.state: State | None = None
        self.storage = storage
        self.where = where


class TypedJSON(PartialJSON):
    """`PartialJSON(T)` for a type T; see there."""

    __slots__ = (
        "_aside", "_busy", "_coercions", "_copy", "_frames", "_is_whole", "_lenient", "_log",
        "_root", "_slot", "_text", "_turn",
    )  # fmt: skip
    _slot: Slot
    _lenient: bool
    _root: _Open
    _frames: list[_Open]
    """The open containers, outermost first; the root is in the first."""
    _aside: _Aside | None
    _text: _OpenText | None
    _log: list[Change] | None
    """What `changes()` gives next; None before its first call."""
    _copy: tuple[Any] | None
    """The last snapshot, until something changes."""
    _coercions: tuple[Coercion, ...]
    _is_whole: bool
    _turn: threading.RLock
    """One call at a time, as the C part has it; reentered only by what a call itself runs."""
    _busy: bool
    """A call that changes the value is under way."""

    def __new__(
        cls, into: Any = None, /, *, lenient: bool = False, limits: Limits | None = None
    ) -> Self:
        slot = slot_of(into)
        limits = Limits() if limits is None else limits
        self = _core.PartialJSON.__new__(
            cls,
            lenient=lenient,
            roots=_roots(slot, lenient),
            max_depth=limits.json_depth,
            text_bytes=limits.event_bytes,
        )
        self._slot = slot
        self._lenient = lenient
        self._root = _Open(None, slot, None, _Root(slot), None)
        self._frames = [self._root]
        self._aside = self._text = self._log = self._copy = None
        self._coercions = ()
        self._is_whole = self._busy = False
        self._turn = threading.RLock()
        _changes(self)  # from here on they are kept
        return self

    # ---- what a user calls ----

    def feed(self, text: ReadableBuffer | str, /) -> None:
        """Take the next piece of the text; see `PartialJSON.feed`."""
        with self._turn:
            self._begin_call()
            try:
                self._take(text)
            finally:
                self._busy = False

    def _take(self, text: ReadableBuffer | str) -> None:
        growing = self._text
        if growing is not None:
            growing.storage[growing.where] = None
        try:
            _feed(self, text)
        finally:
            self._follow(_changes(self))

    def _begin_call(self) -> None:
        if self._busy:
            raise RuntimeError("another call of this PartialJSON is under way")
        self._busy = True

    @property
    def value(self) -> Any:
        """The value as far as it has come, growing in place; None before it begins.

        After `finish()` it is what that returned.
        """
        return self._root.storage[_ROOT]

    @property
    def coercions(self) -> tuple[Coercion, ...]:
        """What `finish()` put right toward the type."""
        return self._coercions

    def changes(self) -> list[Change]:
        """The Changes since the last call, of the JSON value; see `PartialJSON.changes`."""
        with self._turn:
            if self._log is None:
                done = self.done
                value = super().snapshot()
                self._log = [] if value is None else [Change(((), "set", value, done))]
            changes, self._log = self._log, []
            return changes

    def snapshot(self) -> Any:
        """The value as it is now, which later pieces do not change.

        What is still open is copied; what is complete is shared with the value and with other
        snapshots.
        """
        with self._turn:
            if self._copy is None:
                self._copy = (self.value if self._is_whole else self._copied(),)
            return self._copy[0]

    def finish(self) -> Any:
        """Say that the text has ended, and return the value, validated by the type's own library.

        Raises ProtocolError where there is no JSON, or, unless lenient, where it is cut;
        ValidationError where it is not of the type.
        """
        with self._turn:
            if not self._is_whole:
                self._begin_call()
                try:
                    self._end()
                finally:
                    self._busy = False
            return self.value

    def _end(self) -> None:
        plain = super().finish()
        self._follow(_changes(self))
        value = self._whole(plain)
        self._is_whole, self._copy = True, None
        self._root.storage[_ROOT] = value

    def _whole(self, plain: Any) -> Any:
        notes: list[Coercion] = []
        if self._lenient:
            plain = self._slot.fix(plain, (), notes)
            self._coercions = tuple(notes)
        try:
            return self._slot.whole(plain)
        except Misfit as misfit:
            raise validation_error(misfit, plain) from misfit.cause

    # ---- the changes ----

    def _follow(self, changes: list[Change]) -> None:
        if changes:
            self._copy = None
            if self._log is not None:
                self._log += changes
        for change in changes:
            path, kind, value, complete = change
            if self._aside is not None:
                if complete and len(path) == self._aside.depth:
                    self._end_aside(self._aside)
            elif kind == "grow":
                if complete:
                    self._end_text()
            elif kind == "end":
                self._close(self._frames.pop())
            else:
                self._begin(path, value, complete)
        growing = self._text
        if growing is not None:
            growing.storage[growing.where] = self._plain(growing.frame, growing.key)

    def _begin(self, path: tuple[str | int, ...], value: Any, complete: bool) -> None:
        frame = self._frames[-1]
        key = path[-1] if path else None
        slot = frame.node.slot(key)
        if slot is None and self._lenient:
            slot = frame.node.slot_like(key)
        node = None if slot is None else slot.streams.get(type(value))
        if slot is None or (node is None and not complete):
            self._aside = None if complete else _Aside(len(path), frame, slot, key)
            self._wait(frame, slot)
        elif node is None:
            self._put_whole(frame, slot, key, value)
        elif type(value) is str:
            self._begin_text(frame, slot, key, value, complete)
        elif isinstance(node, Container):
            self._open(frame, slot, key, node)
        else:
            self._share(frame, slot, key, len(path))

    def _begin_text(self, frame: _Open, slot: Slot, key: Any, value: str, complete: bool) -> None:
        where = self._put(frame, slot, key, value, complete)
        if complete:
            return
        storage = frame.storage
        self._text = growing = _OpenText(frame, key, storage, where)
        if slot.with_state:
            growing.state = storage[where]
            growing.storage, growing.where = vars(growing.state), "value"

    def _end_text(self) -> None:
        growing = self._text
        assert growing is not None
        text = self._plain(growing.frame, growing.key)
        growing.storage[growing.where] = text if type(text) is str else ""  # replaced already
        if growing.state is not None:
            growing.state.state = "complete"
        self._text = None

    def _open(self, frame: _Open, slot: Slot, key: Any, node: Container) -> None:
        inner = _Open(frame, slot, key, node, self._plain(frame, key))
        self._frames.append(inner)
        self._wait(frame, slot)
        if not inner.missing:
            self._show(inner)

    def _show(self, frame: _Open) -> None:
        """The container in its parent's place."""
        assert frame.parent is not None
        frame.missing = None
        where = self._put(frame.parent, frame.slot, frame.key, frame.typed, False)
        if frame.slot.with_state:
            frame.state = frame.parent.storage[where]

    def _close(self, frame: _Open) -> None:
        assert frame.parent is not None
        if frame.state is not None:
            frame.state.state = "complete"
        if isinstance(frame.node, Tagged):
            self._put_whole(frame.parent, frame.slot, frame.key, frame.plain)

    def _share(self, frame: _Open, slot: Slot, key: Any, depth: int) -> None:
        """An object or array of any JSON: the JSON value itself."""
        self._aside = aside = _Aside(depth, frame, slot, key)
        aside.shared = True
        aside.where = self._put(frame, slot, key, self._plain(frame, key), False)

    def _end_aside(self, aside: _Aside) -> None:
        self._aside = None
        if aside.slot is None:
            return
        if not aside.shared:
            self._put_whole(aside.frame, aside.slot, aside.key, self._plain(aside.frame, aside.key))
        elif aside.slot.with_state:
            aside.frame.storage[aside.where].state = "complete"

    # ---- places ----

    def _plain(self, frame: _Open, key: Any) -> Any:
        """The JSON value in an open container, or the root.

        Where a key came again in the same piece, `plain` may be the later value: what is found in
        it does not matter, for the change that tells of it comes next.
        """
        if frame.parent is None:
            return _plain_value(self)
        try:
            return frame.plain[key]
        except (IndexError, KeyError, TypeError):
            return None

    def _put(self, frame: _Open, slot: Slot, key: Any, value: Any, complete: bool) -> Any:
        """A value in its place; returns its key there."""
        known = value is not None
        if slot.with_state:
            value = State(value, "complete" if complete else "incomplete")
        if isinstance(frame.node, ListOf):
            where: Any = len(frame.storage)
            frame.storage.append(value)
        else:
            where = _where(frame, slot, key)
            frame.storage[where] = value
            frame.node.came(frame.typed, where)
        if frame.missing and slot.not_null and known:
            frame.missing.discard(where)
            if not frame.missing:
                self._show(frame)
        return where

    def _put_whole(self, frame: _Open, slot: Slot, key: Any, value: Any) -> None:
        """A complete value, as the type has it. What is not of the type has no place."""
        try:
            typed = slot.whole(slot.fix(value, (), []) if self._lenient else value)
        except Misfit:
            return
        self._put(frame, slot, key, typed, True)
        if isinstance(frame.node, Tagged) and typed in frame.node.classes:
            self._decide(frame, frame.node.classes[typed])

    def _decide(self, frame: _Open, node: Container) -> None:
        """The class of an object is known: it gets what has come of it."""
        frame.take(node)
        for key, value in frame.plain.items():
            slot = node.slot(key)
            if slot is not None:
                self._put_whole(frame, slot, key, value)
        if frame.missing is not None and not frame.missing:
            self._show(frame)

    def _wait(self, frame: _Open, slot: Slot | None) -> None:
        """A value that is not shown has begun: its `State` says so."""
        if slot is not None and slot.with_state and slot.name in getattr(frame.node, "states", ()):
            frame.storage[slot.name] = State(None, "incomplete")

    # ---- copies ----

    def _copied(self) -> Any:
        """The open containers copied, from the innermost outwards."""
        inner: Any = None
        if self._aside is not None and self._aside.shared:
            inner = self._copied_share(self._aside)
        for frame in reversed(self._frames[1:]):
            copied, storage = frame.node.copy(frame.typed)
            if inner is not None:
                _put_copy(storage, *inner)
            inner = None
            if frame.missing is None:
                inner = (self._where_shown(frame), copied, frame.slot.with_state)
        if inner is None:
            return self._root_copied()
        value = inner[1]
        return State(value, self.value.state) if inner[2] else value

    def _root_copied(self) -> Any:
        value = self.value
        return State(value.value, value.state) if isinstance(value, State) else value

    def _copied_share(self, aside: _Aside) -> tuple[Any, Any, bool]:
        copied = super().snapshot()
        for frame in self._frames[1:]:
            if frame.parent is not self._root:
                copied = copied[frame.key]
        if aside.frame is not self._root:
            copied = copied[aside.key]
        assert aside.slot is not None
        return aside.where, copied, aside.slot.with_state

    def _where_shown(self, frame: _Open) -> Any:
        assert frame.parent is not None
        if isinstance(frame.parent.node, ListOf):
            return len(frame.parent.storage) - 1
        return _where(frame.parent, frame.slot, frame.key)


def _where(frame: _Open, slot: Slot, key: Any) -> Any:
    if frame.parent is None:
        return _ROOT
    return key if slot.name is None else slot.name


def _put_copy(storage: Storage, where: Any, copied: Any, with_state: bool) -> None:
    storage[where] = State(copied, storage[where].state) if with_state else copied


def _roots(slot: Slot, lenient: bool) -> int:
    """What may be the root; in lenient mode an object where a list of them is wanted."""
    single = OBJECT if lenient and isinstance(slot.node, ListOf) else 0
    return slot.node.roots | single | (SCALAR if slot.nullable else 0)


def _where_of(path: Path) -> str:
    """A path as it is written: items[2].price."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def validation_error(misfit: Misfit, value: Any, path: Path = ()) -> ValidationError:
    """The error for a JSON value that is not of its type; path: where the value stands."""
    whole = (*path, *misfit.path)
    error = ValidationError(f"{_where_of(whole)}: {misfit}" if whole else str(misfit))
    error.path = whole
    error.value = value
    return error
