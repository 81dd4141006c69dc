"""Objects with the SDKs' attributes over an answer's JSON, which is read at the first of them.

A table (`_openai_fields`, `_anthropic_fields`) names the fields of each object: one that the JSON
lacks is None, as in the SDKs. What no table knows stays as it is in the JSON.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from millstream import Event

Json: TypeAlias = dict[str, Any]
Wrap: TypeAlias = Callable[[Any], Any]
Names: TypeAlias = Iterable[str] | None


class Model:
    """An object of an answer. Its attributes are those of the SDK's; nothing is validated."""

    __slots__ = ("__dict__", "_source")
    _fields: ClassVar[dict[str, tuple[str, Wrap | None]]] = {}
    """Attribute -> name in the JSON, and what makes its value an object."""
    _kinds: ClassVar[Kinds]
    _name: ClassVar[str]
    _request_id: str | None = None
    """The server's id of the request, of a plain answer."""

    def __init__(self, source: Event | Json) -> None:
        self._source = source

    if TYPE_CHECKING:

        def __setattr__(self, name: str, value: Any) -> None: ...

    def __getattr__(self, name: str) -> Any:
        # Called once an attribute: the value then stands in the __dict__, which comes first.
        source = self._source
        values = source if type(source) is dict else self._read()
        field = self._fields.get(name)
        if field is not None:
            key, wrap = field
            value = values.get(key)
            if wrap is not None and value is not None:
                value = wrap(value)
        elif name in values and not name.startswith("_"):
            value = values[name]
        else:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        self.__dict__[name] = value
        return value

    def _read(self) -> Json:
        source = self._source
        if isinstance(source, Event):
            source = source.json()
            self._source = source if isinstance(source, dict) else {}
        return self._source  # type: ignore[return-value]

    def _names(self) -> list[str]:
        """All attributes: the known, those of the JSON, those that were set."""
        known = {key for key, _ in self._fields.values()}
        own = (name for name in (*self._read(), *self.__dict__) if name not in known)
        return [name for name in dict.fromkeys([*self._fields, *own]) if not name.startswith("_")]

    def _value(self, name: str) -> Any:
        """The attribute; where a property has its name, what the answer says."""
        return self.__dict__[name] if name in self.__dict__ else self.__getattr__(name)

    def put(self, name: str, value: Any) -> None:
        """Set an attribute, as if the answer had said so."""
        self._read().setdefault(name, None)
        self.__dict__[name] = value

    def _was_set(self, name: str) -> bool:
        key = self._fields[name][0] if name in self._fields else name
        return key in self._read() or self.__dict__.get(name) is not None

    # ---- what pydantic's models have -------------------------------------------------------------

    def model_dump(
        self,
        *,
        mode: str = "python",
        include: Names = None,
        exclude: Names = None,
        by_alias: bool | None = None,
        exclude_unset: bool = False,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
        warnings: bool | str = True,
    ) -> Json:
        """The object as a dict, what it holds too; fields that the answer lacks are None.

        mode: "python", or "json", where a time is a str.
        include, exclude: names of the outermost fields.
        by_alias: names as in the JSON (`schema`) where attributes differ (`schema_`).
        exclude_unset: without what the answer lacks; exclude_defaults, exclude_none: without None.
        """
        inner = {
            "mode": mode, "by_alias": by_alias, "exclude_unset": exclude_unset,
            "exclude_none": exclude_none or exclude_defaults,
        }  # fmt: skip
        names = self._names()
        if include is not None:
            names = [name for name in names if name in include]
        if exclude is not None:
            names = [name for name in names if name not in exclude]
        dumped = {}
        for name in names:
            if exclude_unset and not self._was_set(name):
                continue
            value = _dumped(self._value(name), inner)
            if value is not None or not inner["exclude_none"]:
                key = self._fields[name][0] if by_alias and name in self._fields else name
                dumped[key] = value
        return dumped

    def model_dump_json(self, *, indent: int | None = None, **options: Any) -> str:
        """The JSON of `model_dump()`, which has the same options."""
        dumped = self.model_dump(**{"mode": "json", **options})
        separators = (",", ":") if indent is None else None
        return json.dumps(dumped, indent=indent, separators=separators, ensure_ascii=False)

    def to_dict(
        self,
        *,
        mode: str = "python",
        use_api_names: bool = True,
        exclude_unset: bool = True,
        exclude_defaults: bool = False,
        exclude_none: bool = False,
        warnings: bool = True,
    ) -> Json:
        """What the answer said, as a dict."""
        return self.model_dump(
            mode=mode,
            by_alias=use_api_names,
            exclude_unset=exclude_unset,
            exclude_defaults=exclude_defaults,
            exclude_none=exclude_none,
        )

    def to_json(self, *, indent: int | None = 2, **options: Any) -> str:
        """The JSON of `to_dict()`, which has the same options."""
        dumped = self.to_dict(**{"mode": "json", **options})
        return json.dumps(dumped, indent=indent, ensure_ascii=False)

    @property
    def model_extra(self) -> Json:
        """What the answer has beside the fields that the SDK knows."""
        return {name: self._value(name) for name in self._names() if name not in self._fields}

    @property
    def model_fields_set(self) -> set[str]:
        """The attributes that the answer has."""
        return {name for name in self._names() if self._was_set(name)}

    def get(self, name: str, default: Any = None) -> Any:
        """The attribute, or `default` where the answer has none."""
        return getattr(self, name) if name in self else default

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name in self._names() and self._was_set(name)

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return ((name, self._value(name)) for name in self._names())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Model):
            return NotImplemented
        return type(self) is type(other) and self.model_dump() == other.model_dump()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={value!r}" for name, value in self)
        return f"{type(self).__name__}({fields})"

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._names()]

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self._kinds, type(self)._name, self._read(), self.__dict__)


def _dumped(value: Any, options: Mapping[str, Any]) -> Any:
    if isinstance(value, Model):
        return value.model_dump(**options)
    if isinstance(value, list):
        return [_dumped(each, options) for each in value]
    if isinstance(value, dict):
        return {key: _dumped(each, options) for key, each in value.items()}
    if isinstance(value, datetime) and options["mode"] == "json":
        return value.isoformat().replace("+00:00", "Z")
    return value


def plain(value: Any) -> Any:
    """A request's value with its objects, ours and those of pydantic, as JSON has them."""
    if isinstance(value, Model):
        return value.to_dict(mode="json")
    if isinstance(value, Mapping):
        return {key: plain(each) for key, each in value.items() if not is_omitted(each)}
    if isinstance(value, (str, int, float, type(None))):
        return value
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if isinstance(value, Iterable) and not isinstance(value, (bytes, bytearray)):
        return [plain(each) for each in value]
    return value


class NotGiven:
    """An argument that is as good as left out; the SDKs' own are taken for it too."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "NOT_GIVEN"


NOT_GIVEN = NotGiven()


def is_omitted(value: object) -> bool:
    """The argument is as good as left out."""
    return type(value).__name__ in ("NotGiven", "Omit")


# ---- the tables ----------------------------------------------------------------------------------


class Kinds:
    """The kinds of one SDK's objects. A class is made when its first object is.

    table: its lines; tests/python/sdk_fields.py, which writes them, says how they read.
    bases: the classes of those that have more than fields.
    """

    def __init__(self, name: str, table: str, bases: Mapping[str, type[Model]]) -> None:
        self._bases = bases
        self._made: dict[str, type[Model]] = {}
        self._lines: dict[str, tuple[list[str], str]] = {}
        self._name = name
        _ALL[name] = self
        for line in table.replace("\n  ", " ").replace("| ", "|").replace(", ", ",").splitlines():
            head, _, rest = line.partition(": " if ": " in line else " = ")
            kind, _, tags = head.rstrip(")").partition("(")
            self._lines[kind] = (tags.split(","), rest)

    def __getitem__(self, name: str) -> type[Model]:
        if name not in self._made:
            fields = dict(map(self._field, self._lines[name][1].split()))
            space = {"__slots__": (), "_fields": fields, "_kinds": self, "_name": name}
            base = self._bases.get(name, Model)
            self._made[name] = type(name.partition("_")[0], (base,), space)
        return self._made[name]

    def union(self, name: str) -> Union:
        """The kinds of a line that is a union."""
        return Union(self, self._lines[name][1].split("|"))

    def tags(self, name: str) -> list[str]:
        """The values of `type` that stand for a kind."""
        return self._lines[name][0]

    def _field(self, text: str) -> tuple[str, tuple[str, Wrap | None]]:
        name, _, kinds = text.partition("=")
        name, _, key = name.partition("<")
        wrap: Wrap | None = None
        if kinds:
            wrap = _time if kinds == "@" else Union(self, kinds.split("|"))
        return name, (key or name, wrap)

    def __reduce__(self) -> tuple[Any, ...]:
        return _kinds_of, (self._name,)


class Union:
    """Makes an object of one of some kinds, which its `type` tells; of an unknown one, the first.

    A list is made one of objects, and what is neither stays as it is.
    """

    __slots__ = ("_by_type", "_kinds", "_names")

    def __init__(self, kinds: Kinds, names: list[str]) -> None:
        self._kinds = kinds
        self._names = names
        self._by_type: dict[str, str] = {}
        if len(names) > 1:
            self._by_type = {tag: name for name in reversed(names) for tag in kinds.tags(name)}

    def of(self, tag: object) -> type[Model]:
        """The kind that a value of `type` stands for."""
        name = self._by_type.get(tag) if isinstance(tag, str) else None
        return self._kinds[name or self._names[0]]

    def __call__(self, value: Any) -> Any:
        if isinstance(value, dict):
            return self.of(value.get("type"))(value)
        if isinstance(value, list):
            return [self(each) for each in value]
        return value


_ALL: dict[str, Kinds] = {}


def _kinds_of(sdk: str) -> Kinds:
    importlib.import_module(f"millstream.compat.{sdk}")  # which makes them
    return _ALL[sdk]


def _again(kinds: Kinds, name: str, values: Json, more: Json) -> Model:
    """A copied or unpickled object."""
    made = kinds[name](values)
    made.__dict__.update(more)
    return made


def _time(value: Any) -> Any:
    try:
        return datetime.fromisoformat(value.replace("Z", "+00:00"))
    except (AttributeError, ValueError):
        return value
