"""Typed answers while they stream.

_marks: what an annotation may say about a field. _nodes: a type as a tree that JSON is put into.
_read_types: annotations -> that tree. _libraries: pydantic, msgspec, dataclasses, TypedDict.
_typed: the value that grows. _readers: answers and tool calls -> values. _schema: type -> JSON
schema.

Nothing here is imported before it is needed; pydantic and msgspec only where a type is theirs.
"""
