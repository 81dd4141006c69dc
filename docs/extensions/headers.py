"""`c-header`: a public header as reference, from its declarations and the comments before them.

It knows the form that include/millstream/ has (clang-format holds it): a comment belongs to the
declaration directly below; `/* ---- name ---- */` begins a section; a struct, enum or list macro is
shown as it stands, with the comments of its members.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

INCLUDE = Path(__file__).resolve().parents[2] / "include"
SECTION = re.compile(r"/\* -{4} (.*?) -+ \*/")
ONE_LINE = re.compile(r"(.*?;)\s*/\* (.*) \*/")
OURS = re.compile(r"\bmill_[a-z_0-9]+\b")


class Item(NamedTuple):
    """One declaration: its kind and signature in Sphinx's C domain, and what is said of it."""

    kind: str
    signature: str
    comment: list[str]
    body: list[str]


def text_of(comment: list[str]) -> list[str]:
    """The lines of a comment without its frame."""
    lines = [re.sub(r"^/\*+ ?|\s*\*/$|^ \* ?", "", line) for line in comment]
    return [line for line in lines if line or len(lines) > 2]


def is_whole(declaration: list[str]) -> bool:
    """Its last line is there: the one with the brace of the first, or else the semicolon."""
    if declaration[0].endswith("{"):
        return declaration[-1].startswith("}")
    return bool(re.search(r";( +/\*.*)?$", declaration[-1])) or declaration[-1].startswith("}")


def blocks(lines: list[str]) -> Iterator[list[str]]:
    """Comments and declarations, each whole, and "" where a blank line stands between them."""
    rest = iter(lines)
    for line in rest:
        block = [line]
        if line.startswith(("extern", "}")):
            continue
        if line.startswith("/*"):
            while "*/" not in block[-1]:
                block.append(next(rest))
        elif line.startswith("#"):
            while block[-1].endswith("\\"):
                block.append(next(rest))
        elif line.strip():
            while not is_whole(block):
                block.append(next(rest))
        yield block


def item_of(block: list[str], comment: list[str]) -> Item | None:
    """What a declaration is to Sphinx; None for what is no part of the reference."""
    first = block[0]
    if define := re.match(r"#define (MILL_(?!API)\w+(?:\(\w+\))?) +\S", first):
        return Item("macro", define[1], comment, block)
    if aggregate := re.match(r"(?:typedef )?(struct|enum) (\w+) \{", first):
        return Item(aggregate[1], aggregate[2], comment, block)
    if opaque := re.fullmatch(r"typedef struct (\w+) \1;", first):
        return Item("struct", opaque[1], comment, [])
    if first.startswith(("MILL_API", "typedef")):
        whole = " ".join(line.strip() for line in block)
        if match := ONE_LINE.fullmatch(whole):
            whole, comment = match[1], [*comment, match[2]]
        kind = "type" if whole.startswith("typedef") else "function"
        return Item(kind, re.sub(r"^(MILL_API|typedef) |;$", "", whole), comment, [])
    return None


def read(path: Path) -> tuple[list[str], list[str | Item]]:
    """What is said at the top of a header; its sections' names and items, in order."""
    top: list[str] = []
    found: list[str | Item] = []
    comment: list[str] = []
    for block in blocks(path.read_text().splitlines()):
        if section := SECTION.fullmatch(block[0]):
            found.append(section[1])
        elif block[0].startswith("/*") and not top:
            top = text_of(block)
        elif block[0].startswith("/*"):
            comment = text_of(block)
            continue
        elif item := item_of(block, comment):
            found.append(item)
        comment = []
    functions = sum(isinstance(item, Item) and item.kind == "function" for item in found)
    if functions != len(re.findall(r"^MILL_API", path.read_text(), re.M)):
        raise ValueError(f"{path}: a declaration is not in the form that is known here")
    return top, found


def escaped(lines: list[str]) -> list[str]:
    """A comment as reStructuredText: nothing in it is markup but lists, and our names link."""
    result: list[str] = []
    for line in lines:
        in_list = bool(result) and result[-1].startswith(("- ", "  "))
        if line.startswith("- ") or (in_list and not line.startswith(" ")):
            result.append("")
        text = re.sub(r"([*`|\\]|_(?=\W|$))", r"\\\1", line)
        result.append(OURS.sub(r":c:type:`\g<0>`\\ ", text))  # whatever stands behind
    return result


def markup(item: Item, indent: str = "   ") -> list[str]:
    """The item as a directive of the C domain."""
    lines = [f".. c:{item.kind}:: {item.signature}", ""]
    lines += [indent + line for line in escaped(item.comment)] + [""]
    if item.body:
        lines += [f"{indent}.. code-block:: c", ""]
        lines += [f"{indent}   {line}" for line in item.body] + [""]
    return lines


class CHeader(SphinxDirective):
    """`.. c-header:: millstream/error.h`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Sections, each with its declarations."""
        path = INCLUDE / self.arguments[0]
        self.env.note_dependency(str(path))
        top, found = read(path)
        lines = [*escaped(top), ""]
        for item in found:
            if isinstance(item, str):
                lines += [f".. rubric:: {item.capitalize()}", ""]
            else:
                lines += markup(item)
        return self.parse_text_to_nodes(StringList(lines, str(path)))


def setup(app: Sphinx) -> dict[str, bool]:
    """As Sphinx wants it."""
    app.add_directive("c-header", CHeader)
    return {"parallel_read_safe": True}
