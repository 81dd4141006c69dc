"""Annotations -> slots and nodes."""

from __future__ import annotations

import datetime
import decimal
import enum
import functools
import re
import typing
import uuid
from collections import abc
from typing import TYPE_CHECKING, Annotated, Any, Literal

from ._libraries import is_union, node_of
from ._marks import Done, NotNull, WithState
from ._nodes import (
    Anything,
    Bool,
    DictOf,
    Foreign,
    Json,
    ListOf,
    Node,
    Null,
    Number,
    OneOf,
    Parsed,
    Slot,
    Text,
    TupleOf,
    Union,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._nodes import Library

_NONE = type(None)
_FIELD_WORDS = {"Required", "NotRequired", "ReadOnly"}  # of typing or typing_extensions
_LISTS = (list, abc.Sequence, abc.MutableSequence, abc.Iterable, abc.Collection)
_OF_LISTS: dict[Any, Callable[[Any], Any]] = {
    **dict.fromkeys(_LISTS, list),
    tuple: tuple,
    **dict.fromkeys((set, abc.Set, abc.MutableSet), set),
    frozenset: frozenset,
}
_DICTS = (dict, abc.Mapping, abc.MutableMapping)
_Z = re.compile("[zZ]$")  # which fromisoformat() of Python 3.10 does not know


def _decimal(value: Any) -> decimal.Decimal:
    return decimal.Decimal(str(value))


def _iso(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: parse(_Z.sub("+00:00", text))


_PLAIN: dict[Any, Node] = {
    Any: Anything(),
    object: Anything(),
    dict: Json(dict),
    list: Json(list),
    str: Text(),
    int: Number(int),
    float: Number(float),
    bool: Bool(),
    None: Null(),
    _NONE: Null(),
}
_PARSED: dict[Any, Node] = {
    datetime.datetime: Parsed("date and time", _iso(datetime.datetime.fromisoformat), "date-time"),
    datetime.date: Parsed("date", datetime.date.fromisoformat, "date"),
    datetime.time: Parsed("time", _iso(datetime.time.fromisoformat), "time"),
    uuid.UUID: Parsed("UUID", uuid.UUID, "uuid"),
    decimal.Decimal: Parsed("decimal number", _decimal, None, (str, int, float)),
}


def slot_of(into: Any) -> Slot:
    """The root for a type. TypeError says what millstream cannot read."""
    try:
        return _cached_slot(into)
    except TypeError as error:
        if "unhashable" not in str(error):
            raise
        return _Reader().slot(into, None)


@functools.lru_cache(maxsize=256)
def _cached_slot(into: Any) -> Slot:
    return _Reader().slot(into, None)


class _Reader:
    """Reads the types of one root; a class that comes again is the same node."""

    def __init__(self) -> None:
        self._classes: dict[tuple[Any, Library | None], Node] = {}

    def slot(self, annotation: Any, library: Library | None) -> Slot:
        """A place for values of a type; library: whose class it is in."""
        plain, marks = _unwrapped(annotation)
        options = _options(plain)
        nullable = _NONE in options and len(options) > 1
        if nullable:
            options = [option for option in options if option is not _NONE]
        if len(options) == 1:
            inner, more = _unwrapped(options[0])
            node = self._node(inner, library)
            marks += more
        else:
            node = self._union(options, library)
        slot = Slot(node, nullable, None if library is None else Foreign(library, annotation))
        slot.done = _marked(marks, Done)
        slot.not_null = _marked(marks, NotNull)
        slot.with_state = _marked(marks, WithState)
        return slot

    def _union(self, options: list[Any], library: Library | None) -> Node:
        return Union([self.slot(option, library).node for option in options])

    def _node(self, plain: Any, library: Library | None) -> Node:
        if plain in _PLAIN if _is_hashable(plain) else False:
            return _PLAIN[plain]
        if isinstance(plain, typing.TypeVar):
            return Anything()
        origin = typing.get_origin(plain)
        if origin is Literal:
            return _literal(typing.get_args(plain))
        node = self._container(plain, origin, library)
        if node is None and isinstance(plain, type):
            node = self._class(plain, library)
        if node is None and isinstance(origin, type):  # a generic class of the user's
            node = self._class(plain, library)
        if node is not None:
            return node
        if library is not None:
            return Foreign(library, plain)
        raise TypeError(
            f"into: cannot read {plain!r}; it may be a pydantic model, a dataclass, a TypedDict, a "
            "msgspec Struct, or of JSON's own types"
        )

    def _container(self, plain: Any, origin: Any, library: Library | None) -> Node | None:
        kind = plain if origin is None else origin
        given = typing.get_args(plain)
        if not _is_hashable(kind):
            return None
        if kind is tuple and given and given[-1] is not ...:
            return TupleOf([self.slot(each, library) for each in given])
        if kind in _OF_LISTS:
            return ListOf(self.slot(given[0] if given else Any, library), _OF_LISTS[kind])
        if kind in _DICTS:
            key, value = given or (str, Any)
            if (key, value) == (str, Any):
                return Json(dict)
            return DictOf(self.slot(key, library), self.slot(value, library))
        return None

    def _class(self, plain: Any, library: Library | None) -> Node | None:
        known = self._classes.get((plain, library))
        if known is None:
            known = self._new_class(plain, library)
            if known is not None:
                self._classes[plain, library] = known
        return known

    def _new_class(self, plain: Any, library: Library | None) -> Node | None:
        cls: type = typing.get_origin(plain) or plain
        if issubclass(cls, enum.Enum):
            members = {member.value: member for member in cls}
            return OneOf(members, {name: each.value for name, each in cls.__members__.items()})
        if library is None and cls in _PARSED:
            return _PARSED[cls]
        return node_of(plain, self.slot, library)


def _literal(values: tuple[Any, ...]) -> Node:
    given = {each.value if isinstance(each, enum.Enum) else each: each for each in values}
    return OneOf(given, {})


def _is_hashable(plain: Any) -> bool:
    try:
        hash(plain)
    except TypeError:
        return False
    return True


def _options(plain: Any) -> list[Any]:
    """The types of a union, those in it laid open; else the type alone."""
    if not is_union(plain):
        return [_NONE if plain is None else plain]
    found: list[Any] = []
    for option in typing.get_args(plain):
        inner, marks = _unwrapped(option)
        found += _options(inner) if is_union(inner) and not marks else [option]
    return found


def _unwrapped(annotation: Any) -> tuple[Any, list[Any]]:
    """What is inside of Annotated, NotRequired, a NewType, an alias; and what Annotated says."""
    marks: list[Any] = []
    while True:
        origin = typing.get_origin(annotation)
        if origin is Annotated:
            marks += annotation.__metadata__
            annotation = annotation.__origin__
        elif getattr(origin, "_name", None) in _FIELD_WORDS:
            (annotation,) = typing.get_args(annotation)
        elif hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__
        elif type(annotation).__name__ == "TypeAliasType":
            annotation = annotation.__value__
        else:
            return annotation, marks


def _marked(marks: list[Any], mark: type) -> bool:
    return any(each is mark or isinstance(each, mark) for each in marks)
