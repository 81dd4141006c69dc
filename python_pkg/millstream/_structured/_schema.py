"""The JSON schema of a type, as providers take it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ._nodes import Definitions
from ._read_types import slot_of

if TYPE_CHECKING:
    from collections.abc import Callable

    Json = dict[str, Any]

_NAME = re.compile(r"[^A-Za-z0-9_-]+")
_NAME_CHARACTERS = 64
_LISTS_OF_SCHEMAS = ("anyOf", "allOf", "oneOf", "prefixItems")
_DICTS_OF_SCHEMAS = ("properties", "$defs")
_SCHEMAS = ("items", "additionalProperties")

# What Anthropic's grammar cannot hold the model to; each is put into the description instead.
# Source: https://platform.claude.com/docs/en/build-with-claude/structured-outputs
_WORDS = {
    "exclusiveMaximum", "exclusiveMinimum", "maxItems", "maxLength", "maximum", "minItems",
    "minLength", "minimum", "multipleOf", "pattern", "uniqueItems",
}  # fmt: skip


class Schema:
    """A type's schema. `json` is as its library writes it, an object at the root.

    name: the type's, as providers take names.
    """

    def __init__(self, into: Any) -> None:
        self.json = _at_root(_written(into))
        self.name = _NAME.sub("_", getattr(into, "__name__", "answer"))[:_NAME_CHARACTERS]
        if self.json.get("type") != "object":
            raise ValueError(
                "into: the answer must be an object; put the value into a field of a class"
            )

    def strict(self) -> Json | None:
        """With all fields required and no others, as OpenAI's strict mode wants it.

        None where there are objects of any keys, which that mode does not know.
        """
        closed = closed_objects(self.json)
        if closed is None:
            return None
        return _each(_without_siblings(closed, closed), _required)

    def worded(self) -> Json:
        """No other fields, and in words what a grammar cannot hold: Anthropic's form."""
        return _each(closed_objects(self.json) or self.json, _in_words)


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


def _required(schema: Json) -> Json:
    schema.pop("default", None)
    schema.pop("uniqueItems", None)
    if "oneOf" in schema:
        schema["anyOf"] = schema.pop("oneOf")
        schema.pop("discriminator", None)
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


def _in_words(schema: Json) -> Json:
    told = {name: schema.pop(name) for name in _WORDS & schema.keys()}
    if "oneOf" in schema:
        schema["anyOf"] = schema.pop("oneOf")
        schema.pop("discriminator", None)
    if told:
        text = ", ".join(f"{name}: {told[name]}" for name in sorted(told))
        schema["description"] = " ".join(filter(None, [schema.get("description"), f"({text})"]))
    return schema
