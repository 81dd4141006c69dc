"""A type as a tree of nodes: what JSON may stand where, and what becomes of it in Python.

A `Slot` is a place for a value (a field, the elements of a list, the root) and what is said about
it; its `node` is the type. `whole()` turns a complete JSON value into the type's, or raises
`Misfit`; `fix()` is the lenient mode: JSON that nearly fits -> JSON that does, each change noted.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from ._marks import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Path = tuple[str | int, ...]
    Storage = Any  # what takes `storage[key] = value`


class Library(Protocol):
    """Whose types they are: pydantic or msgspec, in _libraries."""

    def reader(self, annotation: Any) -> Callable[[Any], Any]:
        """What turns JSON values into the type's, or raises Misfit."""

    def schema(self, annotation: Any) -> dict[str, Any]:
        """The JSON schema of a type."""


# Kinds of JSON.
OBJECT, ARRAY, SCALAR = 1, 2, 4
ANY = OBJECT | ARRAY | SCALAR


class Misfit(Exception):
    """A value that its type does not take; `path` leads to it from where `whole()` began."""

    def __init__(self, why: str, path: Path = (), cause: Exception | None = None) -> None:
        super().__init__(why)
        self.path = path
        self.cause = cause

    @staticmethod
    def raiser(why: str, cause: Exception) -> Callable[[Any], Any]:
        """What takes no value."""

        def read(value: Any) -> Any:
            raise Misfit(why, cause=cause)

        return read


class Coercion(NamedTuple):
    """A value that was not of its type, put right in lenient mode."""

    path: tuple[str | int, ...]
    """The keys and indexes that lead to it."""
    given: Any
    """What the answer said: a JSON value, or the key of a field that is called otherwise."""
    taken: Any
    """What was made of it."""


Coercion.__module__ = "millstream"


class Node:
    """A type; this one is any JSON value, taken as it is."""

    __slots__ = ()
    exact: tuple[type, ...] = ()
    """Types of JSON values that need no look."""
    roots: int = ANY
    """What may be its JSON: bits of enum mill_partial_root of the C core."""

    def streams(self) -> dict[type, Node]:
        """For each type of JSON value that may be shown while it grows: the node that does it."""
        return {}

    def whole(self, value: Any) -> Any:
        """The type's value of a complete JSON value."""
        return value

    def fix(self, value: Any, path: Path, notes: list[Coercion]) -> Any:
        """A JSON value that fits, where it can be told; else the same."""
        return value

    def schema(self, define: Definitions) -> dict[str, Any]:
        """The type in JSON schema."""
        return {}


class Slot:
    """A place for a value.

    name: of the field in its object; None where the key is the name.
    checker: who turns values into the type's, where that is not the node: its library.
    done, not_null, with_state: what `Done`, `NotNull` and `WithState` say.
    """

    __slots__ = (
        "_streams", "checker", "done", "name", "node", "not_null", "nullable", "with_state",
    )  # fmt: skip

    def __init__(self, node: Node, nullable: bool = False, checker: Node | None = None) -> None:
        self.node = node
        self.nullable = nullable
        self.checker = node if checker is None else checker
        self.name: str | None = None
        self.done = self.not_null = self.with_state = False
        self._streams: dict[type, Node] | None = None

    @property
    def streams(self) -> dict[type, Node]:
        """As `Node.streams`; asked of the node late, for types may hold themselves."""
        if self._streams is None:
            self._streams = {} if self.done else self.node.streams()
        return self._streams

    def whole(self, value: Any) -> Any:
        """As `Node.whole`."""
        if type(value) in self.node.exact or (value is None and self.nullable):
            return value
        return self.checker.whole(value)

    def fix(self, value: Any, path: Path, notes: list[Coercion]) -> Any:
        """As `Node.fix`."""
        if value is None and self.nullable:
            return None
        if self.nullable and _means_none(value) and not isinstance(self.node, Text):
            return noted(notes, path, value, None)
        while (inner := _opened(value, self.node.roots)) is not value:
            value = noted(notes, path, value, inner)
        return self.node.fix(value, path, notes)

    def schema(self, define: Definitions) -> dict[str, Any]:
        """As `Node.schema`."""
        schema = self.node.schema(define)
        if not self.nullable or not schema:
            return schema
        if list(schema) == ["anyOf"]:
            return {"anyOf": [*schema["anyOf"], {"type": "null"}]}
        return {"anyOf": [schema, {"type": "null"}]}


class Definitions:
    """The `$defs` of a schema that is being written."""

    def __init__(self) -> None:
        self._names: dict[object, str] = {}
        self.schemas: dict[str, dict[str, Any]] = {}

    def ref(self, cls: type, write: Callable[[Definitions], dict[str, Any]]) -> dict[str, Any]:
        """A reference to the schema of a class, written where it is asked for first."""
        if cls not in self._names:
            name = cls.__name__
            while name in self.schemas:
                name += "_"
            self._names[cls] = name
            self.schemas[name] = {}
            self.schemas[name] = write(self)
        return {"$ref": f"#/$defs/{self._names[cls]}"}

    def adopt(self, schema: dict[str, Any]) -> dict[str, Any]:
        """A library's schema, its definitions moved here."""
        for name, each in schema.get("$defs", {}).items():
            if self.schemas.setdefault(name, each) not in (each, {}):
                raise ValueError(f"into: two types are called {name!r}; rename one of them")
            self.schemas[name] = each
        return {name: each for name, each in schema.items() if name != "$defs"}


# ---- single values -------------------------------------------------------------------------------


class Anything(Node):
    """Any JSON value."""

    __slots__ = ()
    exact = (dict, list, str, int, float, bool, type(None))

    def streams(self) -> dict[type, Node]:
        """All that grows."""
        return {dict: self, list: self, str: self}


class Json(Anything):
    """A JSON object or array, of whatever is in it."""

    __slots__ = ("kind",)

    def __init__(self, kind: type) -> None:
        self.kind = kind

    @property
    def roots(self) -> int:  # type: ignore[override]
        """The one kind."""
        return OBJECT if self.kind is dict else ARRAY

    @property
    def exact(self) -> tuple[type, ...]:  # type: ignore[override]
        """The one kind."""
        return (self.kind,)

    def streams(self) -> dict[type, Node]:
        """The one kind."""
        return {self.kind: self}

    def whole(self, value: Any) -> Any:
        """The same value."""
        raise Misfit(f"must be {_JSON_NAMES[self.kind]}, not {said(value)}")

    def schema(self, define: Definitions) -> dict[str, Any]:
        """Its type."""
        return {"type": "object" if self.kind is dict else "array"}


class Text(Node):
    """A str, which grows."""

    __slots__ = ()
    roots = SCALAR
    exact = (str,)

    def streams(self) -> dict[type, Node]:
        """Strings."""
        return {str: self}

    def whole(self, value: Any) -> str:
        """The same str."""
        raise Misfit(f"must be a string, not {said(value)}")

    def fix(self, value: Any, path: Path, notes: list[Coercion]) -> Any:
        """A number, true or false as it is written."""
        if isinstance(value, (bool, int, float)):
            return noted(notes, path, value, said(value))
        return value

    def schema(self, define: Definitions) -> dict[str, Any]:
        """A string."""
        return {"type": "string"}


_MARKS = re.compile(r"[\s,_$€£]")  # in a number that is written for people
_DIGITS = re.compile(r"[+-]?[0-9]+")


class Number(Node):
    """An int or a float."""

    __slots__ = ("kind",)
    roots = SCALAR

    def __init__(self, kind: type) -> None:
        self.kind = kind

    @property
    def exact(self) -> tuple[type, ...]:  # type: ignore[override]
        """The one kind."""
        return (self.kind,)

    def whole(self, value: Any) -> Any:
        """An int for a float; a float for an int where it is one."""
        if self.kind is float and type(value) is int:
            return float(value)
        if type(value) is float and value.is_integer():
            return int(value)
        raise Misfit(f"must be {_JSON_NAMES[self.kind]}, not {said(value)}")

    def fix(self, value: Any, path: Path, notes: list[Coercion]) -> Any:
        """A string that says a number: "12", "1,200", "$5", "1e3"."""
        if not isinstance(value, str):
            return value
        text = _MARKS.sub("", value)
        try:
            number = int(text) if _DIGITS.fullmatch(text) else float(text)
        except ValueError:
            return value
        if not math.isfinite(number) or (self.kind is int and number != int(number)):
            return value
        return noted(notes, path, value, self.kind(number))

    def schema(self, define: Definitions) -> dict[str, Any]:
        """A number."""
        return {"type": "integer" if self.kind is int else "number"}


class Bool(Node):
    """True or False."""

    __slots__ = ()
    roots = SCALAR
    exact = (bool,)

    def whole(self, value: Any) -> bool:
        """The same bool."""
        raise Misfit(f"must be true or false, not {said(value)}")

    def fix(self, value: Any, path: Path, notes: list[Coercion]) -> Any:
        """A string that says so."""
        word = value.strip().lower() if isinstance(value, str) else None
        return noted(notes, path, value, word == "true") if word in ("true", "false") else value

    def schema(self, define: Definitions) -> dict[str, Any]:
        """A boolean."""
        return {"type": "boolean"}


class Null(Node):
    """None and nothing else."""

    __slots__ = ()
    roots = SCALAR
    exact = (type(None),)

    def whole(self, value: Any) -> None:
        """None."""
        raise Misfit(f"must be null, not {said(value)}")

    def schema(self, define: Definitions) -> dict[str, Any]:
        """Null."""
        return {"type": "null"}


class OneOf(Node):
    """An Enum, by its values, or a Literal."""

    __slots__ = ("names", "values")
    roots = SCALAR

    def __init__(self, values: Mapping[Any, Any], names: Mapping[str, Any]) -> None:
        self.values = {(type(given), given): value for given, value in values.items()}
        self.names = {fold(name): given for name, given in names.items()}

    def whole(self, value: Any) -> Any:
        """The member of that value."""
        try:
            return self.values[type(value), value]
        except (KeyError, TypeError):
            known = ", ".join(said(given) for _, given in self.values)
            raise Misfit(f"must be one of {known}, not {said(value)}") from None

    def fix(self, value: Any, path: Path, notes: list[Coercion]) -> Any:
        """The value that is written the same but for case, spaces and signs, or is so called."""
        if not isinstance(value, str) or (str, value) in self.values:
            return value
        alike = {fold(given): given for kind, given in self.values if kind is str}
        found = {**self.names, **alike}.get(fold(value), value)
        return value if found == value else noted(notes, path, value, found)

    def schema(self, define: Definitions) -> dict[str, Any]:
        """The values."""
        return {"enum": [given for _, given in self.values]}


class Parsed(Node):
    """A type that is written as a string: a date, a time, a UUID, a Decimal."""

    __slots__ = ("format", "name", "parse", "takes")
    roots = SCALAR

    def __init__(
        self,
        name: str,
        parse: Callable[[Any], Any],
        format: str | None,
        takes: tuple[type, ...] = (str,),
    ) -> None:
        self.name = name
        self.parse = parse
        self.format = format
        self.takes = takes

    def whole(self, value: Any) -> Any:
        """What the string says."""
        if type(value) not in self.takes:
            raise Misfit(f"must be a string with a {self.name}, not {said(value)}")
        try:
            return self.parse(value)
        except (ValueError, ArithmeticError) as error:
            raise Misfit(f"must be a {self.name}: {error}", cause=error) from None

    def schema(self, define: Definitions) -> dict[str, Any]:
        """A string of that format."""
        return {"type": "string", **({"format": self.format} if self.format else {})}


class Foreign(Node):
    """A type as its library alone knows it."""

    __slots__ = ("_read", "annotation", "library")

    def __init__(self, library: Library, annotation: Any) -> None:
        self.library = library
        self.annotation = annotation
        self._read: Callable[[Any], Any] | None = None

    def whole(self, value: Any) -> Any:
        """As the library says; its validator is made for the first value."""
        if self._read is None:
            self._read = self.library.reader(self.annotation)
        return self._read(value)

    def schema(self, define: Definitions) -> dict[str, Any]:
        """As the library says."""
        return define.adopt(self.library.schema(self.annotation))


# ---- containers ----------------------------------------------------------------------------------


class Container(Node):
    """A type that other values are in. While it grows, `make()` and `slot()` say how."""

    __slots__ = ()
    not_null: frozenset[str] = frozenset()
    """Names of fields that must be there before the container is shown."""

    def slot(self, key: Any) -> Slot | None:
        """The place of what comes under this key or index; None: it has none."""
        raise NotImplementedError

    def slot_like(self, key: Any) -> Slot | None:
        """In lenient mode: the place of a key that is written somewhat differently."""
        return None

    def make(self) -> tuple[Any, Storage]:
        """A new value without anything, and what takes its items."""
        raise NotImplementedError

    def copy(self, typed: Any) -> tuple[Any, Storage]:
        """A copy that shares what is in it, and what takes the copy's items."""
        raise NotImplementedError

    def came(self, typed: Any, name: Any) -> None:
        """An item was put in."""


class ListOf(Container):
    """A list, or what is made of one: a tuple of any length, a set, a frozenset."""

    __slots__ = ("element", "make_of")
    roots = ARRAY

    def __init__(self, element: Slot, make_of: Callable[[Iterable[Any]], Any] = list) -> None:
        self.element = element
        self.make_of = make_of

    def streams(self) -> dict[type, Node]:
        """Arrays, where they become lists."""
        return {list: self} if self.make_of is list else {}

    def slot(self, key: Any) -> Slot:
        """The same for all."""
        return self.element

    def make(self) -> tuple[Any, Storage]:
        """A list twice."""
        made: list[Any] = []
        return made, made

    def copy(self, typed: Any) -> tuple[Any, Storage]:
        """Of what grows, only the last element can still change."""
        copied = list(typed)
        if self.element.with_state and copied:
            copied[-1] = State(copied[-1].value, copied[-1].state)
        return copied, copied

    def whole(self, value: Any) -> Any:
        """Each element."""
        if not isinstance(value, list):
            raise Misfit(f"must be an array, not {said(value)}")
        made = [inside(at, self.element.whole, each) for at, each in enumerate(value)]
        return inside(None, self.make_of, made) if self.make_of is not list else made

    def fix(self, value: Any, path: Path, notes: list[Coercion]) -> Any:
        """What is no array is the only element of one."""
        if not isinstance(value, list):
            if value is None:
                return value
            value = noted(notes, path, value, [value])
        return [self.element.fix(each, (*path, at), notes) for at, each in enumerate(value)]

    def schema(self, define: Definitions) -> dict[str, Any]:
        """An array."""
        unique = {} if self.make_of in (list, tuple) else {"uniqueItems": True}
        return {"type": "array", "items": self.element.schema(define), **unique}


class TupleOf(Node):
    """A tuple of a fixed length."""

    __slots__ = ("slots",)
    roots = ARRAY

    def __init__(self, slots: list[Slot]) -> None:
        self.slots = slots

    def whole(self, value: Any) -> Any:
        """Each element by its own type."""
        if not isinstance(value, list) or len(value) != len(self.slots):
            raise Misfit(f"must be an array of {len(self.slots)} elements, not {said(value)}")
        pairs = enumerate(zip(self.slots, value, strict=True))
        return tuple(inside(at, slot.whole, each) for at, (slot, each) in pairs)

    def fix(self, value: Any, path: Path, notes: list[Coercion]) -> Any:
        """Each element."""
        if not isinstance(value, list) or len(value) != len(self.slots):
            return value
        pairs = enumerate(zip(self.slots, value, strict=True))
        return [slot.fix(each, (*path, at), notes) for at, (slot, each) in pairs]

    def schema(self, define: Definitions) -> dict[str, Any]:
        """An array of that length."""
        length = len(self.slots)
        elements = [slot.schema(define) for slot in self.slots]
        return {"type": "array", "prefixItems": elements, "minItems": length, "maxItems": length}


class DictOf(Container):
    """A dict of any keys."""

    __slots__ = ("key", "value")
    roots = OBJECT

    def __init__(self, key: Slot, value: Slot) -> None:
        self.key = key
        self.value = value

    def streams(self) -> dict[type, Node]:
        """Objects, where their keys stay strings."""
        return {dict: self} if isinstance(self.key.node, Text) else {}

    def slot(self, key: Any) -> Slot:
        """The same for all."""
        return self.value

    def make(self) -> tuple[Any, Storage]:
        """A dict twice."""
        made: dict[Any, Any] = {}
        return made, made

    def copy(self, typed: Any) -> tuple[Any, Storage]:
        """Of what grows, any item can still be replaced."""
        copied = dict(typed)
        if self.value.with_state:
            copied.update((k, State(v.value, v.state)) for k, v in copied.items())
        return copied, copied

    def whole(self, value: Any) -> Any:
        """Keys and values; a key that is a number is written as a string."""
        if not isinstance(value, dict):
            raise Misfit(f"must be an object, not {said(value)}")
        return {
            inside(key, self._key, key): inside(key, self.value.whole, each)
            for key, each in value.items()
        }

    def _key(self, key: str) -> Any:
        if not isinstance(self.key.node, Number):
            return self.key.whole(key)
        try:
            return self.key.node.kind(key)
        except ValueError:
            raise Misfit(f"the key must be a number, not {said(key)}") from None

    def fix(self, value: Any, path: Path, notes: list[Coercion]) -> Any:
        """The values."""
        if not isinstance(value, dict):
            return value
        return {key: self.value.fix(each, (*path, key), notes) for key, each in value.items()}

    def schema(self, define: Definitions) -> dict[str, Any]:
        """An object of any properties."""
        return {"type": "object", "additionalProperties": self.value.schema(define)}


class Record(Container):
    """A class with fields. What differs between the libraries is in `_libraries`."""

    __slots__ = ("_fields", "_like", "cls", "not_null", "states")
    roots = OBJECT

    def __init__(self, cls: Any) -> None:
        self.cls = cls
        self._fields: dict[str, Slot] | None = None
        self._like: dict[str, str] = {}
        self.not_null = frozenset()
        self.states: tuple[str, ...] = ()

    def read_fields(self) -> dict[str, Slot]:
        """The fields by their keys in JSON, each with its `name`."""
        raise NotImplementedError

    @property
    def fields(self) -> dict[str, Slot]:
        """As `read_fields`; read late, for a class may hold itself."""
        if self._fields is None:
            fields = self.read_fields()
            slots = {slot.name: slot for slot in fields.values() if slot.name is not None}
            self.not_null = frozenset(name for name, slot in slots.items() if slot.not_null)
            self.states = tuple(name for name, slot in slots.items() if slot.with_state)
            self._like = {fold(key): key for key in fields}
            self._fields = fields
        return self._fields

    def streams(self) -> dict[type, Node]:
        """Objects. The fields are read now: they must be known before one is made."""
        _ = self.fields
        return {dict: self}

    def slot(self, key: Any) -> Slot | None:
        """That of the field."""
        return self.fields.get(key)

    def slot_like(self, key: Any) -> Slot | None:
        """That of a field whose key is the same but for case and signs."""
        like = self._like.get(fold(key))
        return None if like is None else self.fields[like]

    def fix(self, value: Any, path: Path, notes: list[Coercion]) -> Any:
        """Keys, and the values of fields."""
        if not isinstance(value, dict):
            return value
        fixed: dict[str, Any] = {}
        for key, each in value.items():
            slot, name = self.slot(key), key
            if slot is None and (like := self._like.get(fold(key))) not in (None, *value):
                name = noted(notes, (*path, key), key, like)
                slot = self.fields[name]
            fixed[name] = each if slot is None else slot.fix(each, (*path, key), notes)
        return fixed


class Union(Node):
    """One of several types."""

    __slots__ = ("options",)

    def __init__(self, options: list[Node]) -> None:
        self.options = options

    @property
    def roots(self) -> int:  # type: ignore[override]
        """Those of the options."""
        roots = 0
        for option in self.options:
            roots |= option.roots
        return roots

    @property
    def exact(self) -> tuple[type, ...]:  # type: ignore[override]
        """Those that an option takes as they are: 1 is no float where there is int as well."""
        return tuple(kind for option in self.options for kind in option.exact)

    def streams(self) -> dict[type, Node]:
        """What one option alone streams; of several objects, once their tag tells which it is."""
        found: dict[type, list[Node]] = {}
        for option in self.options:
            for kind, node in option.streams().items():
                found.setdefault(kind, []).append(node)
        chosen = {kind: nodes[0] for kind, nodes in found.items() if len(nodes) == 1}
        records = [node for node in found.get(dict, ()) if isinstance(node, Record)]
        if len(records) > 1 and len(records) == len(found[dict]):
            tagged = Tagged.of(records)
            if tagged:
                chosen[dict] = tagged
        return chosen

    def whole(self, value: Any) -> Any:
        """The first option that takes it."""
        misfits = []
        for option in self.options:
            try:
                return value if type(value) in option.exact else option.whole(value)
            except Misfit as misfit:
                misfits.append(misfit)
        nearest = max(misfits, key=lambda misfit: len(misfit.path))
        if nearest.path:
            raise nearest
        raise Misfit("; or ".join(dict.fromkeys(map(str, misfits))))

    def fix(self, value: Any, path: Path, notes: list[Coercion]) -> Any:
        """As it is where an option takes it, else by the first that takes what it made of it."""
        if self._takes(value):
            return value
        for option in self.options:
            own: list[Coercion] = []
            fixed = option.fix(value, path, own)
            try:
                option.whole(fixed) if type(fixed) not in option.exact else None
            except Misfit:
                continue
            notes += own
            return fixed
        return value

    def _takes(self, value: Any) -> bool:
        try:
            self.whole(value)
        except Misfit:
            return False
        return True

    def schema(self, define: Definitions) -> dict[str, Any]:
        """Any of them."""
        return {"anyOf": [option.schema(define) for option in self.options]}


class Tagged(Container):
    """An object that is one of several classes, before the field that tells which has come."""

    __slots__ = ("classes", "key", "tag")
    not_null = frozenset({""})  # it is not shown

    def __init__(self, key: str, classes: dict[Any, Record]) -> None:
        self.key = key
        self.classes = classes
        self.tag = Slot(Anything())
        self.tag.done = True

    @staticmethod
    def of(records: list[Record]) -> Tagged | None:
        """By the key under which each class has values that no other one has."""
        tags = [tags_of(record) for record in records]
        for key in tags[0]:
            if not all(key in each for each in tags):
                continue
            classes = {v: r for r, each in zip(records, tags, strict=True) for v in each[key]}
            if len(classes) == sum(len(each[key]) for each in tags):
                return Tagged(key, classes)
        return None

    def slot(self, key: Any) -> Slot | None:
        """That of the tag."""
        return self.tag if key == self.key else None

    def make(self) -> tuple[Any, Storage]:
        """Something for the tag."""
        return None, {}

    def copy(self, typed: Any) -> tuple[Any, Storage]:
        """It is not shown, so what the copy is does not matter."""
        return None, {}


def tags_of(record: Record) -> dict[str, list[Any]]:
    """The keys of a class whose values are known, and those values."""
    own = getattr(record, "tag", None)
    found = {own[0]: [own[1]]} if own else {}
    for key, slot in record.fields.items():
        if isinstance(slot.node, OneOf) and not slot.nullable:
            found[key] = [given for _, given in slot.node.values]
    return found


# ---- words ---------------------------------------------------------------------------------------

_JSON_NAMES = {dict: "an object", list: "an array", int: "an integer", float: "a number"}
_SHOWN_CHARACTERS = 40


def said(value: Any) -> str:
    """A JSON value as it is written, cut where it is long."""
    import json

    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"


def inside(key: str | int | None, whole: Callable[[Any], Any], value: Any) -> Any:
    """`whole(value)`, of what stands under `key`."""
    try:
        return whole(value)
    except Misfit as misfit:
        misfit.path = misfit.path if key is None else (key, *misfit.path)
        raise
    except (TypeError, ValueError) as error:  # a set of dicts, a class's own check
        raise Misfit(str(error), () if key is None else (key,), error) from None


def noted(notes: list[Coercion], path: Path, given: Any, taken: Any) -> Any:
    """`taken`, and a note of it."""
    notes.append(Coercion(path, given, taken))
    return taken


def fold(name: str) -> str:
    """A name without case, spaces and signs."""
    return "".join(filter(str.isalnum, name)).casefold()


def _opened(value: Any, roots: int) -> Any:
    """What is in a string that is JSON itself, or alone in a list, where no such thing can be."""
    if isinstance(value, list) and len(value) == 1 and not roots & ARRAY:
        return value[0]
    if not isinstance(value, str) or roots & SCALAR or value.lstrip()[:1] not in ("{", "["):
        return value
    import json

    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def _means_none(value: Any) -> bool:
    return isinstance(value, str) and value.strip().lower() in ("", "null", "none")
