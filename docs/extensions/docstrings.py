"""Docstrings in the project's form -> reStructuredText, as autodoc asks for it.

A paragraph of lines `name: text` lists arguments or attributes; an indented paragraph is code or a
drawing; `docs/….md` is a page of this site. All else is reStructuredText as it stands.
"""

import re
from collections.abc import Iterator

from sphinx.application import Sphinx

import millstream

ENTRY = re.compile(r"([a-z_]\w*(?:, [a-z_]\w*)*): (.+)")
PAGE = re.compile(r"docs/([\w/-]+)\.md")


def paragraphs(lines: list[str]) -> Iterator[list[str]]:
    """Runs of lines that are not blank."""
    paragraph: list[str] = []
    for line in [*lines, ""]:
        if line.strip():
            paragraph.append(line)
        elif paragraph:
            yield paragraph
            paragraph = []


def is_list(paragraph: list[str]) -> bool:
    """Each line begins an entry, or goes on with one."""
    return bool(ENTRY.fullmatch(paragraph[0])) and all(
        line.startswith("    ") or ENTRY.fullmatch(line) for line in paragraph
    )


def as_fields(paragraph: list[str], linked: bool) -> list[str]:
    """A definition for each entry."""
    lines: list[str] = []
    for line in paragraph:
        entry = ENTRY.fullmatch(line)
        if entry:
            lines += ["", f"``{entry[1]}``", f"    {inline(entry[2], linked)}"]
        else:
            lines.append(inline(line, linked))
    return lines


def sections(paragraph: list[str]) -> Iterator[tuple[str, list[str]]]:
    """Of a paragraph whose unindented lines are headings: each with its lines, not indented."""
    for line in paragraph:
        if not line.startswith(" "):
            heading, lines = line, list[str]()
            yield heading, lines
        else:
            lines.append(line[4:])


def inline(line: str, linked: bool = True) -> str:
    """A line of running text: pages and our names are linked, and nothing else is markup."""
    pieces = re.split(r"(``.*?``|`[^`]*`)", line)
    for i, piece in enumerate(pieces):
        if not i % 2:
            escaped = re.sub(r"(?<!\*)([*|`])(?!\*)", r"\\\1", piece)
            pieces[i] = PAGE.sub(r":doc:`/docs/\1`", escaped)
        elif not piece.startswith("``"):
            pieces[i] = name_in_code(piece.strip("`"), linked)
        if i % 2 and pieces[i + 1][:1].isalnum():
            pieces[i] += "\\ "  # `Chunk`s
    return "".join(pieces)


def name_in_code(name: str, linked: bool) -> str:
    """A link where it is a public name of the package, else code."""
    inner = name.removeprefix("millstream.").removesuffix("()")
    ours = inner.partition(".")[0] in millstream.__all__ and re.fullmatch(r"[\w.]+", inner)
    if linked and ours:
        return f":py:obj:`{name} <millstream.{inner}>`"
    return f"``{name}``"


def converted(lines: list[str], linked: bool) -> list[str]:
    """The whole docstring."""
    result: list[str] = []
    literal = False  # the paragraph before said `::`
    for paragraph in paragraphs(lines):
        indented = paragraph[0].startswith("    ")
        if paragraph[0].startswith("..") or set(paragraph[0]) <= set("= "):
            result += paragraph
        elif indented:
            result += [] if literal else ["::", ""]
            result += paragraph
        elif is_list(paragraph):
            result += as_fields(paragraph, linked)
        elif paragraph[0].endswith(":") and paragraph[-1].startswith(" "):
            for heading, lines in list(sections(paragraph)):
                result += [heading, "", *as_fields(lines, linked), ""]
        else:
            result += [inline(line, linked) for line in paragraph]
        literal = paragraph[-1].endswith("::") or (literal and indented)
        result.append("")
    return result


def process(
    app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]
) -> None:
    """What autodoc calls with each docstring; it may come here twice, and changes in place."""
    elsewhere = name.startswith(("millstream.compat", "millstream.mock"))  # has such names too
    lines[:] = converted(lines, linked=not elsewhere)


def setup(app: Sphinx) -> dict[str, bool]:
    """As Sphinx wants it."""
    app.connect("autodoc-process-docstring", process)
    return {"parallel_read_safe": True}
