"""What PartialJSON's value is at a cut of a JSON text: slow, and as plain as can be.

It knows well-formed JSON only, cut anywhere; nothing around it but white space. What is there:

- a dict or list as soon as its bracket is, but a dict in a list with its first member or its end;
- a string as far as it is whole characters: no half of an escape, nor a half of a surrogate pair
  while the other may still come; a half that stays alone is U+FFFD;
- a number or literal with the character behind it; as the root, never before the end is told.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

Put = Callable[[Any], None]
"""Puts a value in its place, or the same value again, longer."""

_SPACE = " \t\r\n"
_UNIT = re.compile(r"\\u[0-9a-fA-F]{4}|\\[^u]|[^\\\"]")
_HALF = re.compile("[\ud800-\udfff]")
_ENDS_IN_HIGH = re.compile(r"(?:^|[^\\])(?:\\\\)*\\u[dD][89abAB][0-9a-fA-F]{2}$")


class _CutError(Exception):
    """The text is over."""


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def peek(self) -> str:
        """The next character that is no white space, not taken."""
        while self.at < len(self.text):
            if self.text[self.at] not in _SPACE:
                return self.text[self.at]
            self.at += 1
        raise _CutError

    def take(self) -> str:
        character = self.peek()
        self.at += 1
        return character

    def value(self, put: Put, *, in_list: bool = False) -> None:
        first = self.peek()
        if first == "{":
            self.object(put, waits=in_list)
        elif first == "[":
            self.array(put)
        elif first == '"':
            put(self.string(put))
        else:
            self.scalar(put)

    def object(self, put: Put, *, waits: bool) -> None:
        members: dict[str, Any] = {}
        if not waits:
            put(members)

        def put_member(value: Any) -> None:
            members[key] = value
            put(members)

        self.take()
        while self.peek() != "}":
            key = self.string(lambda _: None)
            assert self.take() == ":"
            self.value(put_member)
            if self.peek() == ",":
                self.take()
        self.take()
        put(members)

    def array(self, put: Put) -> None:
        elements: list[Any] = []
        put(elements)

        def put_element(value: Any) -> None:
            elements[index:] = [value]

        self.take()
        while self.peek() != "]":
            index = len(elements)
            self.value(put_element, in_list=True)
            if self.peek() == ",":
                self.take()
        self.take()

    def string(self, put: Put) -> str:
        """The string; `put` gets it where it is cut."""
        assert self.take() == '"'
        start = self.at
        while unit := _UNIT.match(self.text, self.at):
            self.at = unit.end()
        body = self.text[start : self.at]
        if self.text[self.at : self.at + 1] == '"':
            self.at += 1
            return _unescape(body)
        if _ENDS_IN_HIGH.search(body):
            body = body[:-6]
        put(_unescape(body))
        raise _CutError

    def scalar(self, put: Put) -> None:
        found = re.compile(r"[-+.0-9A-Za-z]+(?=.)", re.DOTALL).match(self.text, self.at)
        if not found or re.match("[-+.0-9A-Za-z]", self.text[found.end()]):
            raise _CutError
        self.at = found.end()
        put(json.loads(found[0]))


def _unescape(body: str) -> str:
    return _HALF.sub("\ufffd", json.loads(f'"{body}"'))


def value_at(text: str) -> Any:
    """The value of a beginning of a JSON text; None where there is none yet."""
    found: list[Any] = [None]

    def put(value: Any) -> None:
        found[0] = value

    reader = _Reader(text)
    try:
        if reader.peek() in '{["':
            reader.value(put)
    except _CutError:
        pass
    return found[0]
