"""The JSON schema of a type, as providers take it."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from ._nodes import Definitions
from ._read_types import slot_of

if TYPE_CHECKING:
    Json = dict[str, Any]

_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_NAME_CHARACTERS = 64
_LISTS_OF_SCHEMAS = ("anyOf", "allOf", "oneOf", "prefixItems")
_DICTS_OF_SCHEMAS = ("properties", "$defs")
_SCHEMAS = ("items", "additionalProperties")

_SHAPE = {
    "$defs", "$ref", "additionalProperties", "anyOf", "description", "enum", "format", "items",
    "properties", "required", "title", "type",
}  # fmt: skip
# What says nothing of the value is not told where it cannot be sent.
_MUTE = {"default", "deprecated", "discriminator", "examples", "readOnly", "writeOnly"}
_FORMATS = {
    "date", "date-time", "duration", "email", "hostname", "ipv4", "ipv6", "time", "uuid",
}  # fmt: skip


class Form(NamedTuple):
    """The part of JSON schema that a provider takes. The rest is put into descriptions.

    values: what a keyword's value must be, where not all will do.
    """

    keywords: set[str]
    values: dict[str, Callable[[Any], bool]]

    def takes(self, keyword: str, value: Any) -> bool:
        """Whether it may be sent."""
        return keyword in self.keywords and self.values.get(keyword, lambda _: True)(value)


# Source: https://platform.openai.com/docs/guides/structured-outputs
STRICT = Form(
    _SHAPE | {
        "const", "exclusiveMaximum", "exclusiveMinimum", "maxItems", "maximum", "minItems",
        "minimum", "multipleOf", "pattern",
    },
    {"format": _FORMATS.__contains__, "pattern": lambda pattern: "(?" not in pattern},
)  # fmt: skip
# Source: https://platform.claude.com/docs/en/build-with-claude/structured-outputs
WORDED = Form(
    _SHAPE | {"const", "allOf", "minItems"},
    {"format": {*_FORMATS, "uri"}.__contains__, "minItems": lambda least: least < 2},
)
# Source: https://ai.google.dev/api/generate-content#FIELDS.response_json_schema
SUBSET = Form(
    _SHAPE | {"maxItems", "maximum", "minItems", "minimum", "prefixItems"},
    {"enum": lambda values: all(type(each) in (str, int, float) for each in values)},
)


class Schema:
    """A type's schema. `json` is as its library writes it, an object at the root.

    name: the type's, as providers take names.
    """

    def __init__(self, into: Any) -> None:
        self.json = _at_root(_written(into))
        self.name = _NAME.sub("_", getattr(into, "__name__", "answer"))[:_NAME_CHARACTERS]
        self._check()

    @classmethod
    def of_json(cls, schema: Json) -> Schema:
        """A schema that is written already: `into=` takes it too. Answers are read as a dict."""
        self = cls.__new__(cls)
        self.json = _at_root(schema)
        self.name = _NAME.sub("_", str(schema.get("title", "answer")))[:_NAME_CHARACTERS]
        self._check()
        return self

    def _check(self) -> None:
        if self.json.get("type") != "object":
            raise ValueError(
                "into: the answer must be an object; put the value into a field of a class"
            )

    def strict(self) -> Json | None:
        """With all fields required and no others, as OpenAI's strict mode wants it.

        None where there are objects of any keys, values of any type, or tuples, which that mode
        does not know.
        """
        closed = closed_objects(self.json)
        if closed is None or _any_is_open(closed):
            return None
        return _each(_in_form(closed, STRICT), _required)

    def worded(self) -> Json:
        """No other fields, and in words what a grammar cannot hold: Anthropic's form."""
        return _in_form(closed_objects(self.json) or self.json, WORDED)

    def subset(self) -> Json:
        """Gemini's form."""
        return _in_form(self.json, SUBSET)


def _written(into: Any) -> Json:
    define = Definitions()
    schema = slot_of(into).schema(define)
    return {**schema, **({"$defs": define.schemas} if define.schemas else {})}


def _at_root(schema: Json) -> Json:
    """A reference at the root is resolved: providers want to see an object there."""
    name = schema.get("$ref", "").rpartition("/")[2]
    if not name:
        return schema
    rest = {key: value for key, value in schema.items() if key != "$ref"}
    resolved = {**schema["$defs"][name], **rest}
    others = {key: value for key, value in schema["$defs"].items() if key != name}
    if f"#/$defs/{name}" not in str({**resolved, "$defs": others}):
        resolved["$defs"] = others
    if not resolved["$defs"]:
        del resolved["$defs"]
    return resolved


def _each(schema: Json, change: Callable[[Json], Json]) -> Json:
    """A copy with each schema in it changed, from the innermost outwards."""
    copied = dict(schema)
    for key in _LISTS_OF_SCHEMAS:
        if key in copied:
            copied[key] = [_each(each, change) for each in copied[key]]
    for key in _DICTS_OF_SCHEMAS:
        if key in copied:
            copied[key] = {name: _each(each, change) for name, each in copied[key].items()}
    for key in _SCHEMAS:
        if isinstance(copied.get(key), dict):
            copied[key] = _each(copied[key], change)
    return change(copied)


def closed_objects(schema: Json) -> Json | None:
    """No properties but those named; None where there are objects of any."""
    free = []

    def close(each: Json) -> Json:
        if each.get("type") != "object":
            return each
        if "properties" not in each and each.get("additionalProperties", True):
            free.append(each)
        return {**each, "additionalProperties": False}

    closed = _each(schema, close)
    return None if free else closed


def _any_is_open(schema: Json) -> bool:
    """Whether there is a value of any type, or an array of elements that differ by place."""
    found = []

    def look(each: Json) -> Json:
        is_open = not each.keys() & {"$ref", "anyOf", "const", "enum", "oneOf", "type"}
        if is_open or (each.get("type") == "array" and "items" not in each):
            found.append(each)
        return each

    _each(schema, look)
    return bool(found)


def _required(schema: Json) -> Json:
    if "properties" in schema:
        schema["required"] = list(schema["properties"])
    return schema


def _without_siblings(schema: Json, root: Json, inside: tuple[str, ...] = ()) -> Json:
    """A reference that has something beside it becomes what it refers to."""

    def resolve(each: Json) -> Json:
        ref = each.get("$ref")
        if ref is None or len(each) == 1:
            return each
        if ref in inside:  # it holds itself
            return {"$ref": ref}
        found = root["$defs"][ref.rpartition("/")[2]]
        beside = {key: value for key, value in each.items() if key != "$ref"}
        return {**_without_siblings(found, root, (*inside, ref)), **beside}

    return _each(schema, resolve)


def _in_form(schema: Json, form: Form) -> Json:
    return _each(_without_siblings(schema, schema), functools.partial(_fitted, form=form))


def _fitted(schema: Json, form: Form) -> Json:
    if "oneOf" in schema:
        schema["anyOf"] = schema.pop("oneOf")
    if "const" in schema and "const" not in form.keywords:
        schema["enum"] = [schema.pop("const")]
    values = schema.get("enum", [schema["const"]] if "const" in schema else [])
    if values:
        kinds = list(dict.fromkeys(_KINDS[type(each)] for each in values))
        schema.setdefault("type", kinds if len(kinds) > 1 else kinds[0])
    left = {name: schema.pop(name) for name in [*schema] if not form.takes(name, schema[name])}
    told = ", ".join(f"{name}: {left[name]}" for name in sorted(left.keys() - _MUTE))
    if told:
        schema["description"] = " ".join(filter(None, [schema.get("description"), f"({told})"]))
    return schema


_KINDS = {
    str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null",
}  # fmt: skip
