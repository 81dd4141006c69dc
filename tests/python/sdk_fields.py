"""The names of fields and objects that millstream.compat knows, read off the installed SDKs.

`python tests/python/sdk_fields.py` writes them into python_pkg/millstream/compat/; test_compat.py
says when an SDK has others. A line is an object, with the values of its `type` where that tells
it from others: `TextBlock(text): citations=CitationCharLocation|… text type`. Behind "=" stands
what a field's objects are, "@" is a time; "<" stands before the name in the JSON where it differs.
A line with "=" for its first mark is a union.
"""

from __future__ import annotations

import datetime
import textwrap
import types
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

PACKAGE = Path(__file__).parents[2] / "python_pkg" / "millstream" / "compat"

# Requests that are told back: their items are those of `input`, of which there are dozens.
PLAIN = {("Response", "instructions"), ("ResponsePrompt", "variables")}


def path_of(sdk: str) -> Path:
    """The module that holds an SDK's table."""
    return PACKAGE / f"_{sdk}_fields.py"


HEAD = '''"""Objects of the {sdk} SDK and the names of their fields; `_lazy` says how they are read.

Written by tests/python/sdk_fields.py from {sdk} {version}.
"""

FIELDS = """\\
{text}
"""
'''


def leaves(kind: Any) -> Iterator[Any]:
    """The types at the ends of an annotation."""
    if hasattr(kind, "__value__"):
        yield from leaves(kind.__value__)
    elif get_origin(kind) is Annotated:
        yield from leaves(get_args(kind)[0])
    elif get_origin(kind) in (Union, types.UnionType, list):
        for each in get_args(kind):
            yield from leaves(each)
    else:
        yield kind


def models(kind: Any) -> list[Any]:
    return list(dict.fromkeys(each for each in leaves(kind) if hasattr(each, "model_fields")))


class Table:
    """The lines of one SDK."""

    def __init__(self) -> None:
        self.names: dict[Any, str] = {}
        self.lines: dict[str, str] = {}

    def union(self, name: str, kind: Any) -> None:
        self.lines[name] = f"{name} = {self.named(models(kind))}"

    def named(self, kinds: Iterable[Any]) -> str:
        return "|".join(self.add(kind) for kind in kinds)

    def add(self, model: Any) -> str:
        """The name of an object, with its line and those of what it holds."""
        if model in self.names:
            return self.names[model]
        base: str = model.__name__
        name = base
        number = 1
        while name in self.names.values():
            number += 1
            name = f"{base}_{number}"
        self.names[model] = name
        self.lines[name] = ""  # its place, before those of what it holds
        tag = model.model_fields.get("type")
        values = get_args(tag.annotation) if tag and get_origin(tag.annotation) is Literal else ()
        fields = [self.field(model, *each) for each in model.model_fields.items()]
        self.lines[name] = f"{name}({','.join(values)}): {' '.join(fields)}".replace("()", "")
        return name

    def field(self, model: Any, name: str, field: Any) -> str:
        key = f"{name}<{field.alias}" if field.alias not in (None, name) else name
        inner = [] if (model.__name__, name) in PLAIN else models(field.annotation)
        if inner:
            return f"{key}={self.named(inner)}"
        return f"{key}=@" if datetime.datetime in leaves(field.annotation) else key

    def text(self, sdk: str, version: str) -> str:
        wrapped = (
            textwrap.fill(
                line, 98, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
            )
            for line in map(breakable, self.lines.values())
        )
        text = "\n".join(wrapped)
        return HEAD.format(sdk=sdk, version=version, text=text)


def breakable(line: str) -> str:
    """Long unions may go on in the next line, behind a "|", and so may the values of a type."""
    return line.replace("|", "| ").replace(",", ", ")


def openai_table() -> Table:
    from openai.types.chat import ChatCompletion, ChatCompletionChunk
    from openai.types.responses import Response, ResponseStreamEvent

    table = Table()
    for model in (ChatCompletionChunk, ChatCompletion, Response):
        table.add(model)
    table.union("ResponseStreamEvent", ResponseStreamEvent)
    return table


def anthropic_table() -> Table:
    from anthropic.types import Message, RawMessageStreamEvent

    table = Table()
    table.add(Message)
    table.union("RawMessageStreamEvent", RawMessageStreamEvent)
    return table


def tables() -> dict[str, str]:
    import anthropic
    import openai

    return {
        "openai": openai_table().text("openai", openai.__version__),
        "anthropic": anthropic_table().text("anthropic", anthropic.__version__),
    }


if __name__ == "__main__":
    for sdk, text in tables().items():
        path_of(sdk).write_text(text)
