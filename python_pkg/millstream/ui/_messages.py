"""What `useChat` posts, as the messages that `client.stream` takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    Json = dict[str, Any]


def messages(body: Mapping[str, Any], *, system: bool = False) -> list[dict[str, Any]]:
    """The messages of a `useChat` request, `{"id": ..., "messages": [...]}`, for any provider.

    system: whether the browser may give system messages; else they are a ValueError, since the
        place of instructions is the server: `client.stream(system=...)`.

    Texts, pictures and finished tool calls with their results are taken. Reasoning, sources, data
    parts and calls without a result are left out, as no provider takes them back. What cannot be
    taken is a ValueError that names it: `messages[0].parts[1]`.
    """
    given = body.get("messages") if isinstance(body, Mapping) else None
    if not isinstance(given, list):
        raise ValueError('messages: the body must be an object with a list "messages"')
    found: list[Json] = []
    for at, message in enumerate(given):
        where = f"messages[{at}]"
        role = _of(where, message, "role", str)
        parts = [_checked(f"{where}.parts[{i}]", part)
                 for i, part in enumerate(_of(where, message, "parts", list))]  # fmt: skip
        if role == "assistant":
            found += _assistant(parts)
        elif role == "user" or (role == "system" and system):
            content = _content(parts)
            found += [{"role": role, "content": content}] if content else []
        else:
            raise ValueError(f"{where}: role {role!r} is not taken from a browser")
    return found


class _Part:
    """A part of a message, and its name in errors."""

    def __init__(self, where: str, fields: Json) -> None:
        self.where = where
        self.fields = fields
        self.type: str = _of(where, fields, "type", str)

    def text(self, name: str) -> str:
        value: str = _of(self.where, self.fields, name, str)
        return value

    @property
    def tool(self) -> str | None:
        """The name of the tool that it is a call of."""
        if self.type == "dynamic-tool":
            return self.text("toolName")
        return self.type[len("tool-") :] if self.type.startswith("tool-") else None


def _checked(where: str, part: Any) -> _Part:
    if not isinstance(part, dict):
        raise ValueError(f"{where}: must be an object")
    return _Part(where, part)


def _of(where: str, fields: Any, name: str, kind: type) -> Any:
    value = fields.get(name) if isinstance(fields, dict) else None
    if not isinstance(value, kind):
        raise ValueError(f'{where}: "{name}" is missing or is no {kind.__name__}')
    return value


def _content(parts: list[_Part]) -> str | list[Json]:
    """A plain text where there is nothing else."""
    content = [part for part in map(_content_part, parts) if part]
    if all(part["type"] == "text" for part in content):
        return "\n".join(part["text"] for part in content)
    return content


def _content_part(part: _Part) -> Json | None:
    if part.type == "text":
        text = part.text("text")
        return {"type": "text", "text": text} if text else None
    if part.type != "file":
        return None
    media_type, url = part.text("mediaType"), part.text("url")
    if media_type.partition("/")[0] != "image" or not url.startswith(("data:", "https://")):
        raise ValueError(f"{part.where}: a file must be an image, by a data or https URL")
    return {"type": "image", "url": url}


def _assistant(parts: list[_Part]) -> list[Json]:
    """The assistant's turns: a step each, and behind it the results of its calls."""
    found: list[Json] = []
    step: list[_Part] = []
    for part in parts:
        if part.type == "step-start":
            found += _step(step)
            step = []
        else:
            step.append(part)
    return found + _step(step)


def _step(parts: list[_Part]) -> list[Json]:
    turn: Json = {"role": "assistant"}
    text = "".join(part.text("text") for part in parts if part.type == "text")
    results = [result for part in parts if part.tool is not None for result in _result(part)]
    if text:
        turn["content"] = text
    if results:
        turn["tool_calls"] = [call for call, _ in results]
    return [turn, *(result for _, result in results)] if text or results else []


def _result(part: _Part) -> list[tuple[Json, Json]]:
    """The call and its result, where the part has both."""
    state = part.fields.get("state")
    if state not in ("output-available", "output-error"):
        return []
    id, input = part.text("toolCallId"), part.fields.get("input")
    call = {"id": id, "name": part.tool, "arguments": input if isinstance(input, dict) else {}}
    result: Json = {"role": "tool", "tool_call_id": id, "name": part.tool}
    if state == "output-error":
        return [(call, {**result, "content": part.text("errorText"), "is_error": True})]
    output = part.fields.get("output")
    return [(call, {**result, "content": output if isinstance(output, str) else _json(output)})]


def _json(value: object) -> str:
    import json

    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
