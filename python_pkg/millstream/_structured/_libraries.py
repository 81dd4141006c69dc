"""Classes with fields, by whose they are: dataclasses, TypedDict, pydantic, msgspec.

For each a `Record`: how its fields are read, how an instance without values is made (no code of
the class runs for that: no `__init__`, no validator), where its fields are put, how it is copied.
`Pydantic` and `Msgspec` are the libraries by their own validators and schemas.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import operator
import re
import sys
import types
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, Union, cast, get_args, get_origin

from ._nodes import Definitions, Foreign, Misfit, Node, Record, Slot, inside, said

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ._nodes import Library, Path, Storage

    ReadType = Callable[[Any, Library | None], Slot]

_UNCHANGING = (type(None), bool, int, float, complex, str, bytes, tuple, frozenset)


class Blank:
    """The values of fields that have not come: their defaults, else None."""

    def __init__(self) -> None:
        self._fixed: dict[str, Any] = {}
        self._made: dict[str, Callable[[], Any]] = {}

    def add(self, name: str, default: Any = None) -> None:
        """A field and its default."""
        self._fixed[name] = default
        if not isinstance(default, _UNCHANGING):
            self._made[name] = functools.partial(copy.deepcopy, default)

    def add_factory(self, name: str, make: Callable[[], Any]) -> None:
        """A field whose default is made."""
        self._fixed[name] = None
        self._made[name] = make

    def values(self) -> dict[str, Any]:
        """A new dict of them."""
        return {**self._fixed, **{name: make() for name, make in self._made.items()}}


class _Attributes:
    """Puts what an object keeps in slots; past its own `__setattr__`, which may refuse."""

    __slots__ = ("_owner", "_put")

    def __init__(self, owner: Any, put: Callable[[Any, str, Any], None]) -> None:
        self._owner = owner
        self._put = put

    def __getitem__(self, name: str) -> Any:
        return getattr(self._owner, name)

    def __setitem__(self, name: str, value: Any) -> None:
        self._put(self._owner, name, value)


class ClassRecord(Record):
    """What they share. annotation: the class, or a generic one of certain types, `Page[Row]`.

    library: whose class it is, or is in; None: the Record itself checks.
    """

    __slots__ = ("annotation", "blank", "checker", "library", "read_type")

    def __init__(self, annotation: Any, read_type: ReadType, library: Library | None) -> None:
        super().__init__(get_origin(annotation) or annotation)
        self.annotation = annotation
        self.read_type = read_type
        self.library = library
        self.checker = None if library is None else Foreign(library, annotation)
        self.blank = Blank()

    def whole(self, value: Any) -> Any:
        """As the library says."""
        return self.own_whole(value) if self.checker is None else self.checker.whole(value)

    def own_whole(self, value: Any) -> Any:
        """Without a library."""
        raise NotImplementedError

    def schema(self, define: Definitions) -> dict[str, Any]:
        """As the library says."""
        if self.checker is not None:
            return self.checker.schema(define)
        return define.ref(self.annotation, lambda to: _object(self, self.required_names(), to))

    def required_names(self) -> list[str]:
        """Names of the fields that must be there."""
        raise NotImplementedError

    def _named(self, name: str, slot: Slot) -> Slot:
        slot.name = name
        return slot

    def _states(self, storage: Storage, of: Storage = None) -> Storage:
        """New `State`s, copies of those of a value that is copied."""
        from ._marks import State

        for name in self.states:
            state = State() if of is None else of[name]
            storage[name] = State(state.value, state.state)
        return storage


# ---- dataclasses ---------------------------------------------------------------------------------


class DataclassRecord(ClassRecord):
    """A dataclass; one of pydantic's is validated by it."""

    __slots__ = ("required",)

    def read_fields(self) -> dict[str, Slot]:
        """Those that `__init__` takes."""
        hints = hints_of(self.annotation)
        fields, self.required = {}, []
        for field in dataclasses.fields(self.cls):
            if field.default_factory is not dataclasses.MISSING:
                self.blank.add_factory(field.name, field.default_factory)
            elif field.default is not dataclasses.MISSING:
                self.blank.add(field.name, field.default)
            else:
                self.blank.add(field.name)
                self.required += [field.name] if field.init else []
            if field.init:
                slot = self.read_type(hints[field.name], self.library)
                fields[field.name] = self._named(field.name, slot)
        return fields

    def make(self) -> tuple[Any, Storage]:
        """An instance that nothing of its own has seen."""
        made = object.__new__(self.cls)
        storage = self._storage(made)
        for name, value in self.blank.values().items():
            storage[name] = value
        return made, self._states(storage)

    def _storage(self, made: Any) -> Storage:
        own = getattr(made, "__dict__", None)
        slotted = own is None or any("__slots__" in vars(each) for each in type(made).__mro__[:-1])
        return _Attributes(made, object.__setattr__) if slotted else own

    def copy(self, typed: Any) -> tuple[Any, Storage]:
        """Field by field."""
        made = object.__new__(self.cls)
        source, storage = self._storage(typed), self._storage(made)
        for field in dataclasses.fields(self.cls):
            storage[field.name] = source[field.name]
        return made, self._states(storage, source)

    def own_whole(self, value: Any) -> Any:
        """An instance, by `__init__`."""
        values = _values(self, value, self.required_names())
        return inside(None, lambda given: self.cls(**given), values)

    def required_names(self) -> list[str]:
        """Fields without a default."""
        return self.required if self.fields else []


# ---- TypedDict -----------------------------------------------------------------------------------


class TypedDictRecord(ClassRecord):
    """A TypedDict: keys that have not come are not there."""

    __slots__ = ()

    def read_fields(self) -> dict[str, Slot]:
        """Those annotated."""
        hints = hints_of(self.annotation)
        return {n: self._named(n, self.read_type(hints[n], self.library)) for n in hints}

    def make(self) -> tuple[Any, Storage]:
        """A dict twice."""
        made: dict[str, Any] = {}
        return made, self._states(made)

    def copy(self, typed: Any) -> tuple[Any, Storage]:
        """A dict twice."""
        made = dict(typed)
        return made, self._states(made, typed)

    def own_whole(self, value: Any) -> Any:
        """A dict of the keys that it knows."""
        return _values(self, value, self.required_names())

    def required_names(self) -> list[str]:
        """The keys that must be there.

        What the class itself says is wrong where its annotations are strings (PEP 563).
        """
        words = {name: _field_word(hint) for name, hint in hints_of(self.annotation).items()}
        own = self.cls.__required_keys__
        return [n for n in words if (words[n] or ("Required" if n in own else "")) == "Required"]


def _field_word(hint: Any) -> str:
    """ "Required" or "NotRequired", where a TypedDict's field is so marked."""
    while hint is not None:
        word = getattr(getattr(hint, "__origin__", None), "_name", None)
        if word in ("Required", "NotRequired"):
            return cast("str", word)
        hint = getattr(hint, "__origin__", None)  # of Annotated, ReadOnly
    return ""


# ---- pydantic ------------------------------------------------------------------------------------


class Pydantic:
    """Pydantic's validators and schemas."""

    @staticmethod
    def reader(annotation: Any) -> Callable[[Any], Any]:
        """Reads JSON text: of Python values pydantic takes others."""
        import json

        from pydantic import TypeAdapter, ValidationError
        from pydantic.errors import PydanticSchemaGenerationError

        try:
            adapter = TypeAdapter(annotation)
        except PydanticSchemaGenerationError as error:  # its class alone, as a whole, knows how
            return Misfit.raiser("cannot be read by itself", error)

        def read(value: Any) -> Any:
            try:
                return adapter.validate_json(json.dumps(value))
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                raise Misfit(first["msg"], tuple(first["loc"]), error) from None

        return read

    @staticmethod
    def schema(annotation: Any) -> dict[str, Any]:
        """With `$defs` of its own."""
        from pydantic import TypeAdapter

        return TypeAdapter(annotation).json_schema()


def _add_default(blank: Blank, name: str, field: Any) -> bool:
    """The default of a field or private attribute, where it has one that needs no other values."""
    from pydantic_core import PydanticUndefined

    if field.default is not PydanticUndefined:
        blank.add(name, field.default)
    elif field.default_factory and not getattr(
        field, "default_factory_takes_validated_data", False
    ):
        blank.add_factory(name, field.default_factory)
    else:
        return False
    return True


class PydanticRecord(ClassRecord):
    """A pydantic model."""

    __slots__ = ("private",)

    def __init__(self, annotation: Any, read_type: ReadType) -> None:
        super().__init__(annotation, read_type, Pydantic)
        self.private = Blank()

    def read_fields(self) -> dict[str, Slot]:
        """By each name that pydantic takes."""
        for name, private in self.cls.__private_attributes__.items():
            _add_default(self.private, name, private)
        fields = {}
        for name, field in self.cls.model_fields.items():
            if not _add_default(self.blank, name, field):
                self.blank.add(name)
            annotation = self._without_recursion(field.annotation)
            if field.metadata:
                annotation = operator.getitem(Annotated, (annotation, *field.metadata))
            slot = self._named(name, self.read_type(annotation, Pydantic))
            fields.update(dict.fromkeys(self._keys(name, field), slot))
        return fields

    def _without_recursion(self, hint: Any) -> Any:
        """Where a generic model holds itself, pydantic's fields have a mark in its place."""
        if type(hint).__name__ == "PydanticRecursiveRef":
            origin = self.cls.__pydantic_generic_metadata__["origin"]
            mine = f"{origin.__module__}.{origin.__qualname__}:" if origin else None
            return self.cls if mine and hint.type_ref.startswith(mine) else Any
        inner = get_args(hint)
        replaced = tuple(map(self._without_recursion, inner))
        if all(new is old for new, old in zip(replaced, inner, strict=True)):
            return hint
        return operator.getitem(Union if is_union(hint) else get_origin(hint), replaced)

    def _keys(self, name: str, field: Any) -> list[str]:
        alias = field.validation_alias or field.alias
        choices = getattr(alias, "choices", [alias])
        keys = [choice for choice in choices if isinstance(choice, str)]
        config = self.cls.model_config
        by_name = config.get("populate_by_name") or config.get("validate_by_name")
        return [*keys, name] if by_name or alias is None else keys

    def make(self) -> tuple[Any, Storage]:
        """An instance that no validator has seen."""
        made = self.cls.__new__(self.cls)
        private = self.private.values() if self.cls.__private_attributes__ else None
        return made, self._states(self._fill(made, self.blank.values(), set(), private))

    def _fill(self, made: Any, values: Any, fields_set: set[str], private: Any) -> Storage:
        put = object.__setattr__
        put(made, "__dict__", values)
        put(made, "__pydantic_fields_set__", fields_set)
        put(
            made,
            "__pydantic_extra__",
            {} if self.cls.model_config.get("extra") == "allow" else None,
        )
        put(made, "__pydantic_private__", private)
        return values

    def copy(self, typed: Any) -> tuple[Any, Storage]:
        """Without the validators again."""
        made = self.cls.__new__(self.cls)
        values = dict(vars(typed))
        fields_set = set(typed.__pydantic_fields_set__)
        private = typed.__pydantic_private__
        storage = self._fill(made, values, fields_set, None if private is None else dict(private))
        return made, self._states(storage, vars(typed))

    def came(self, typed: Any, name: Any) -> None:
        """`model_fields_set` says which have come."""
        typed.__pydantic_fields_set__.add(name)


# ---- msgspec -------------------------------------------------------------------------------------


class Msgspec:
    """msgspec's converters and schemas."""

    _AT = re.compile(r" - at `(?:key in )?\$(.*)`$")
    _STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")

    @staticmethod
    def reader(annotation: Any) -> Callable[[Any], Any]:
        """As of JSON, where keys are strings."""
        import msgspec

        def read(value: Any) -> Any:
            try:
                return msgspec.convert(value, type=annotation, str_keys=True)
            except msgspec.ValidationError as error:
                text = str(error)
                at = Msgspec._AT.search(text)
                steps = Msgspec._STEP.findall(at[1]) if at else []
                path: Path = tuple(name or (int(i) if i.isdigit() else i) for name, i in steps)
                raise Misfit(text[: at.start()] if at else text, path, error) from None

        return read

    @staticmethod
    def schema(annotation: Any) -> dict[str, Any]:
        """With `$defs` of its own."""
        import msgspec

        return msgspec.json.schema(annotation)


class StructRecord(ClassRecord):
    """A msgspec Struct."""

    __slots__ = ("_force", "_made_of", "tag")

    def __init__(self, annotation: Any, read_type: ReadType) -> None:
        import msgspec

        super().__init__(annotation, read_type, Msgspec)
        self._force = msgspec.structs.force_setattr
        config = self.cls.__struct_config__
        self.tag = (config.tag_field, config.tag) if config.tag_field else None
        self._made_of = _without_post_init(self.cls)

    def read_fields(self) -> dict[str, Slot]:
        """By their names in JSON."""
        import msgspec

        fields = {}
        for field in msgspec.structs.fields(self.annotation):
            if field.default_factory is not msgspec.NODEFAULT:
                self.blank.add_factory(field.name, field.default_factory)
            elif field.default is not msgspec.NODEFAULT:
                self.blank.add(field.name, field.default)
            else:
                self.blank.add(field.name)
            slot = self.read_type(field.type, Msgspec)
            fields[field.encode_name] = self._named(field.name, slot)
        return fields

    def make(self) -> tuple[Any, Storage]:
        """msgspec's own `__init__` checks nothing."""
        made = self._made_of(**self.blank.values())
        return made, self._states(_Attributes(made, self._force))

    def copy(self, typed: Any) -> tuple[Any, Storage]:
        """As `copy.copy`, which runs nothing of the class."""
        made = copy.copy(typed)
        storage = _Attributes(made, self._force)
        return made, self._states(storage, _Attributes(typed, self._force))


def _without_post_init(cls: Any) -> Any:
    """The class, or a subclass of it without the `__post_init__` that wants all values."""
    if not hasattr(cls, "__post_init__"):
        return cls
    members = {"__post_init__": lambda self: None, "__module__": cls.__module__}
    return type(cls)(cls.__name__, (cls,), members, frozen=cls.__struct_config__.frozen)


# ---- what the two without a library share --------------------------------------------------------


def _values(record: Record, value: Any, required: list[str]) -> dict[str, Any]:
    """The fields' values by their names."""
    if not isinstance(value, dict):
        raise Misfit(f"must be an object, not {said(value)}")
    for name in required:
        if name not in value:
            raise Misfit("is missing", (name,))
    fields = record.fields
    return {
        key: inside(key, fields[key].whole, each) for key, each in value.items() if key in fields
    }


def _object(record: Record, required: list[str], define: Definitions) -> dict[str, Any]:
    """The schema of an object; a docstring that somebody wrote is its description."""
    described = (record.cls.__doc__ or "").strip()
    if not described or described.startswith(f"{record.cls.__name__}(") or described in _STANDARD:
        about = {}
    else:
        about = {"description": described}
    properties = {key: slot.schema(define) for key, slot in record.fields.items()}
    return {
        "type": "object",
        **about,
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


_STANDARD = {(dict.__doc__ or "").strip()}  # a TypedDict inherits it


def hints_of(annotation: Any) -> dict[str, Any]:
    """The annotations of a class, in full. TypeError where a name in them means nothing.

    Of a generic class with what it was given: `Page[Row]` has a `list[Row]` where `Page` has a
    `list[T]`. So has what is inherited from `Page[Row]`.
    """
    cls = get_origin(annotation) or annotation
    given = dict(zip(getattr(cls, "__parameters__", ()), get_args(annotation), strict=False))
    own = _own_hints(cls)
    hints = {name: _given(hint, given) for name, hint in own.items()}
    for base in reversed(vars(cls).get("__orig_bases__", cls.__bases__)):
        parent = get_origin(base) or base
        if not isinstance(parent, type) or not hasattr(parent, "__annotations__"):
            continue
        theirs = _own_hints(parent)
        for name, hint in hints_of(base).items():
            if own.get(name) == theirs[name]:  # not another one of this class
                hints[name] = _given(hint, given)
    return hints


def _own_hints(cls: Any) -> dict[str, Any]:
    from typing import get_type_hints

    try:
        return get_type_hints(cls, include_extras=True)
    except NameError as error:
        raise TypeError(f"into: an annotation of {cls.__name__} cannot be read: {error}") from None


def _given(hint: Any, given: Mapping[Any, Any]) -> Any:
    """A hint with the types that were given for its type variables."""
    if isinstance(hint, TypeVar):
        return given.get(hint, hint)
    wanted = getattr(hint, "__parameters__", ())
    if not given or isinstance(hint, type) or not any(each in given for each in wanted):
        return hint
    return hint[tuple(given.get(each, each) for each in wanted)]


def library_of(cls: type) -> Library | None:
    """The library whose class it is. Imports none: a class of theirs has done that."""
    pydantic, msgspec = sys.modules.get("pydantic"), sys.modules.get("msgspec")
    if pydantic and (issubclass(cls, pydantic.BaseModel) or "__pydantic_validator__" in vars(cls)):
        return Pydantic
    if msgspec and issubclass(cls, msgspec.Struct):
        return Msgspec
    return None


def is_union(hint: Any) -> bool:
    """Written with `|` or as `Union`."""
    return get_origin(hint) in (Union, types.UnionType)


def node_of(annotation: Any, read_type: ReadType, library: Library | None) -> Node | None:
    """The node of a class; None where it has no fields. library: whose class it is in."""
    cls: type = get_origin(annotation) or annotation
    own = library_of(cls)
    if dataclasses.is_dataclass(cls):
        return DataclassRecord(annotation, read_type, own or library)
    if own is Pydantic:
        is_root = issubclass(cls, sys.modules["pydantic"].RootModel)
        return Foreign(Pydantic, cls) if is_root else PydanticRecord(cls, read_type)
    if own is Msgspec:
        is_array = cls.__struct_config__.array_like  # type: ignore[attr-defined]
        return Foreign(Msgspec, annotation) if is_array else StructRecord(annotation, read_type)
    if hasattr(cls, "__required_keys__"):
        return TypedDictRecord(annotation, read_type, library)
    return None
