"""What the typed value is at a cut of a JSON text: slow, and as plain as can be.

`tree()` reads the text so far into `Tree`s, which know whether they are complete; `expected()` puts
one into a type by its annotations. Values are told in a plain form, as `told()` tells real ones: an
object of a class is a dict with its name under "class". Well-formed JSON without duplicate keys.
"""

from __future__ import annotations

import enum
import json
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import typing_extensions

from millstream import Done, NotNull, State, WithState
from partial_reference import value_at

ABSENT = object()
_decoder = json.JSONDecoder()


@dataclass
class Tree:
    value: Any  # of an object: its members' trees by key; of an array: its elements' trees
    complete: bool


def tree(text: str) -> tuple[Tree | None, str]:
    """The first value of a text, None where it has not begun, and what follows it."""
    text = text.lstrip()
    if text[:1] == "{":
        return _members(text[1:])
    if text[:1] == "[":
        return _elements(text[1:])
    try:
        value, end = _decoder.raw_decode(text)
    except ValueError:
        return (Tree(value_at(text), False), "") if text[:1] == '"' else (None, "")
    is_known = text[0] == '"' or text[end : end + 1] not in ("", *"0123456789.eE+-")
    return (Tree(value, True), text[end:]) if is_known else (None, "")


def _members(text: str) -> tuple[Tree, str]:
    members: dict[str, Tree] = {}
    while True:
        text = text.lstrip()
        if text[:1] == "}":
            return Tree(members, True), text[1:]
        key, text = tree(text.removeprefix(","))
        if key is None or not key.complete:
            return Tree(members, False), ""
        member, text = tree(text.lstrip().removeprefix(":"))
        if member is None:
            return Tree(members, False), ""
        members[key.value] = member
        if not member.complete:
            return Tree(members, False), ""


def _elements(text: str) -> tuple[Tree, str]:
    elements: list[Tree] = []
    while True:
        text = text.lstrip()
        if text[:1] == "]":
            return Tree(elements, True), text[1:]
        element, text = tree(text.removeprefix(","))
        if element is None:
            return Tree(elements, False), ""
        if element.value != {} or element.complete:  # an object comes with its first member
            elements.append(element)
        if not element.complete:
            return Tree(elements, False), ""


def plain(of: Tree) -> Any:
    if isinstance(of.value, dict):
        return {key: plain(member) for key, member in of.value.items()}
    if isinstance(of.value, list):
        return [plain(element) for element in of.value]
    return of.value


def expected(of: Tree | None, annotation: Any) -> Any:
    """What stands in a place of that type; ABSENT: nothing."""
    marks = getattr(annotation, "__metadata__", ())
    inner = annotation.__origin__ if marks else annotation
    if WithState in marks:
        hidden = of is None or (Done in marks and not of.complete)
        value = ABSENT if of is None or hidden else _of_type(of, inner)
        state = "pending" if of is None else "complete" if of.complete else "incomplete"
        return {"class": "State", "value": None if value is ABSENT else value, "state": state}
    if of is None or (Done in marks and not of.complete):
        return ABSENT
    return _of_type(of, inner)


def _of_type(of: Tree, kind: Any) -> Any:
    origin, given = typing.get_origin(kind), typing.get_args(kind)
    if of.value is None or kind in (Any, dict, list):
        return plain(of)
    if origin in (typing.Union, types.UnionType):
        return _of_union(of, [each for each in given if each is not type(None)])
    if origin is list:
        elements = [expected(element, given[0]) for element in of.value]
        return [element for element in elements if element is not ABSENT]
    if origin is dict:
        members = {key: expected(member, given[1]) for key, member in of.value.items()}
        return {key: member for key, member in members.items() if member is not ABSENT}
    if hasattr(kind, "__annotations__") and isinstance(of.value, dict):
        return _of_class(of, kind)
    if kind is str:
        return of.value
    return told(_LEAVES.get(kind, _leaf(kind))(of.value)) if of.complete else ABSENT


def _leaf(kind: Any) -> Callable[[Any], Any]:
    return kind if isinstance(kind, type) else lambda value: value  # an Enum; a Literal


_LEAVES: dict[Any, Callable[[Any], Any]] = {}


def _of_union(of: Tree, options: list[Any]) -> Any:
    if len(options) == 1:
        return expected(of, options[0])
    if not isinstance(of.value, dict):
        return plain(of) if isinstance(of.value, str) or of.complete else ABSENT
    for option in options:
        tag = of.value.get("kind")
        if tag and tag.complete and tag.value in typing.get_args(hints(option)["kind"]):
            return _of_class(of, option)
    return ABSENT


def _of_class(of: Tree, cls: Any) -> Any:
    found: dict[str, Any] = {}
    for name, annotation in hints(cls).items():
        if typing.get_origin(annotation) is typing_extensions.NotRequired:
            (annotation,) = typing.get_args(annotation)
        value = expected(of.value.get(name), annotation)
        if NotNull in getattr(annotation, "__metadata__", ()) and value in (ABSENT, None):
            return ABSENT
        if value is not ABSENT:
            found[name] = value
        elif not typing.is_typeddict(cls):
            found[name] = told(DEFAULTS.get(name))
    return found if typing.is_typeddict(cls) else {"class": cls.__name__, **found}


DEFAULTS: dict[str, Any] = {}
"""Of fields that have one, by name, whatever the class."""


def hints(cls: Any) -> dict[str, Any]:
    return {
        name: hint
        for name, hint in typing.get_type_hints(cls, include_extras=True).items()
        if typing.get_origin(hint) is not typing.ClassVar and not name.startswith("_")
    }


def told(value: Any) -> Any:
    """A real value in plain form."""
    if isinstance(value, State):
        return {"class": "State", "value": told(value.value), "state": value.state}
    if isinstance(value, dict):
        return {key: told(each) for key, each in value.items()}
    if isinstance(value, list):
        return [told(each) for each in value]
    if isinstance(value, (enum.Enum, str, int, float, type(None))):
        return value
    names = hints(type(value))
    if not names:
        return value
    return {"class": type(value).__name__, **{name: told(getattr(value, name)) for name in names}}
