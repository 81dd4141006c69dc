"""The neutral shape of a question, taken apart for the families. `millstream.params` defines it.

Each function checks what it reads and names it in what it raises. What it does not know is a
provider's own form: then it says so (None) and leaves it alone.
"""

from __future__ import annotations

from .._core import Message, ToolCall

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from .._structured._schema import Schema
    from . import Provider

    Json = dict[str, Any]

ANSWER_TOOL = "structured_answer"
"""The tool whose arguments are the answer, for a provider that is asked for a type in that way."""

_TOOL_KEYS = {"name", "description", "parameters", "strict"}
_CHOICES = ("auto", "none", "required")


class Turn(dict[str, "Any"]):
    """The assistant's turn that a `Message` is, in the neutral shape; `message` is itself."""

    __slots__ = ("message",)

    def __init__(self, message: Message) -> None:
        super().__init__(role="assistant", content=message.text or message.refusal or None)
        if message.tool_calls:
            self["tool_calls"] = list(message.tool_calls)
        self.message = message


class Ask:
    """A question: the arguments of `Client.stream`, each of the right type; None: not given."""

    __slots__ = (
        "max_tokens", "messages", "model", "params", "schema", "stop", "system", "temperature",
        "tool_choice", "tools", "top_p",
    )  # fmt: skip

    def __init__(
        self,
        *,
        model: str,
        messages: Sequence[Any],
        system: str | Sequence[Any] | None,
        tools: Sequence[Any] | None,
        tool_choice: str | Mapping[str, Any] | None,
        max_tokens: int | None,
        temperature: float | None,
        top_p: float | None,
        stop: str | Sequence[str] | None,
        into: Any,
        params: Mapping[str, Any],
    ) -> None:
        if not isinstance(model, str):
            raise TypeError(f"model: must be a str, not {type(model).__name__}")
        if params.get("stream", True) is not True:
            raise ValueError("stream: cannot be turned off here; use result() for a whole answer")
        self.model = model
        self.messages = [_message(at, each) for at, each in enumerate(_messages(messages))]
        self.system = _text_or_list("system", system)
        self.tools = None if tools is None else _list("tools", tools)
        self.tool_choice = tool_choice
        self.max_tokens = _number("max_tokens", max_tokens, int)
        self.temperature = _number("temperature", temperature, float)
        self.top_p = _number("top_p", top_p, float)
        self.stop = _text_or_list("stop", stop)
        self.schema = None if into is None else _schema(into)
        self.params = {name: value for name, value in params.items() if name != "stream"}
        if tool_choice is not None and not isinstance(tool_choice, (str, dict)):
            raise TypeError(f"tool_choice: must be a str or a dict, not {tool_choice!r}")
        if not all(isinstance(each, str) for each in self.stops() or []):
            raise TypeError("stop: must be a str or a list of str")

    def numbered(self) -> Iterator[tuple[str, Json]]:
        """("messages[0]", message), …: what to call a message in an error, and the message."""
        return ((f"messages[{at}]", message) for at, message in enumerate(self.messages))

    def stops(self) -> list[Any] | None:
        """`stop` as a list."""
        return [self.stop] if isinstance(self.stop, str) else self.stop


class Call:
    """A tool call of an assistant's message."""

    __slots__ = ("_arguments", "_where", "id", "name")

    def __init__(self, where: str, id: str, name: str, arguments: str | Json) -> None:
        self._where = where
        self.id = id
        self.name = name
        self._arguments = arguments

    def text(self) -> str:
        """The arguments as JSON text, as it came where it was text."""
        if isinstance(self._arguments, str):
            return self._arguments or "{}"
        return compact(self._arguments)

    def object(self) -> Json:
        """The arguments as an object."""
        if not isinstance(self._arguments, str):
            return self._arguments
        import json

        try:
            value = json.loads(self._arguments or "{}")
        except ValueError as error:
            raise ValueError(f"{self._where}: arguments are not JSON: {error}") from None
        if not isinstance(value, dict):
            raise ValueError(f"{self._where}: arguments are no JSON object: {self._arguments!r}")
        return value


class Image:
    """An image: at a `url`, or its bytes in base64 (`data`) with their media type."""

    __slots__ = ("data", "media_type", "url")

    def __init__(self, url: str, media_type: str | None, data: str) -> None:
        self.url = url
        self.media_type = media_type
        self.data = data

    def any_url(self) -> str:
        """The URL, or a data URL of the bytes."""
        return self.url or f"data:{self.media_type};base64,{self.data}"


class Tool:
    """A function that the model may call."""

    __slots__ = ("description", "name", "parameters", "strict")

    def __init__(self, where: str, spec: Mapping[str, Any]) -> None:
        self.name = _str(f'{where}: "name"', spec.get("name"))
        self.description: str | None = spec.get("description")
        self.parameters: Json = spec.get("parameters") or {"type": "object", "properties": {}}
        self.strict: Any = spec.get("strict")

    def fields(self) -> Json:
        """Name, description where there is one, parameters, strict where given: OpenAI's names."""
        fields: Json = {"name": self.name, "parameters": self.parameters}
        if self.description:
            fields["description"] = self.description
        if self.strict is not None:
            fields["strict"] = self.strict
        return fields


# ---- messages ------------------------------------------------------------------------------------


def _messages(messages: Any) -> Sequence[Any]:
    if isinstance(messages, (str, bytes, dict, Message)) or not hasattr(messages, "__iter__"):
        raise TypeError(
            'messages: must be a list of messages like {"role": "user", "content": "Hi"}, '
            f"not {type(messages).__name__}"
        )
    return messages if isinstance(messages, list) else list(messages)


def _message(at: int, message: Any) -> Json:
    if isinstance(message, Message):
        if not (message.text or message.refusal or message.tool_calls):
            raise ValueError(f"messages[{at}]: the Message is empty; leave it out")
        return Turn(message)
    if not isinstance(message, dict):
        raise TypeError(
            f"messages[{at}]: must be a dict or a Message, not {type(message).__name__}"
        )
    return message


def is_system(message: Json) -> bool:
    """OpenAI calls it "developer" for some models."""
    return message.get("role") in ("system", "developer")


def signed_by(provider: Provider, turn: Json) -> Message | None:
    """The `Message` of a turn, where this provider signed its reasoning and so wants it back.

    A signature is good in the wire format that it came in: a conversation may go on elsewhere.
    """
    message = turn.message if isinstance(turn, Turn) else None
    return message if message and message.signature and message.format == provider.format else None


def bad_role(where: str, message: Json) -> ValueError:
    """To raise where no role fits."""
    return ValueError(
        f'{where}: role must be "system", "user", "assistant" or "tool", '
        f"not {message.get('role')!r}"
    )


def calls_of(where: str, message: Json) -> list[Call]:
    """The tool calls of an assistant's message."""
    calls = message.get("tool_calls") or []
    return [call_of(f"{where}.tool_calls[{at}]", call) for at, call in enumerate(calls)]


def call_of(where: str, call: Any) -> Call:
    """A `ToolCall`, {"id", "name", "arguments"}, or OpenAI's form with "function"."""
    if isinstance(call, ToolCall):
        return Call(where, call.id, call.name, call.arguments)
    if not isinstance(call, dict):
        raise TypeError(f"{where}: must be a dict or a ToolCall, not {type(call).__name__}")
    spec = call["function"] if isinstance(call.get("function"), dict) else call
    arguments = spec.get("arguments", {})
    if not isinstance(arguments, (str, dict)):
        raise TypeError(f"{where}: arguments must be a str or a dict, not {arguments!r}")
    return Call(where, call.get("id") or "", _str(f'{where}: "name"', spec.get("name")), arguments)


class ToolNames:
    """The names of the tools called so far, for providers whose results go by name."""

    __slots__ = ("_names",)

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def add(self, calls: list[Call]) -> None:
        """Remember these calls; those without an id can only be answered by name."""
        self._names.update({call.id: call.name for call in calls if call.id})

    def of(self, where: str, message: Json) -> str:
        """The name of the tool whose result this is."""
        id = message.get("tool_call_id")
        name = message.get("name") or self._names.get(id or "")
        if not name:
            raise ValueError(f'{where}: no call {id!r} before it; give the tool\'s "name"')
        return str(name)


# ---- parts ---------------------------------------------------------------------------------------


def parts_of(where: str, content: Any) -> list[tuple[str, Json]]:
    """(name in errors, part) of a content; a str is one text part, None and "" are none."""
    if content is None or content == "":
        return []
    what = where if where == "system" else f"{where}.content"
    if isinstance(content, str):
        return [(what, {"type": "text", "text": content})]
    parts = enumerate(_list(what, content))
    return [(f"{what}[{at}]", _part(f"{what}[{at}]", part)) for at, part in parts]


def _part(where: str, part: Any) -> Json:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if not isinstance(part, dict):
        raise TypeError(f"{where}: must be a str or a dict, not {type(part).__name__}")
    return part


def text_of(where: str, part: Json) -> str | None:
    """The text of a text part; None for others."""
    return _str(f'{where}: "text"', part.get("text")) if part.get("type") == "text" else None


def image_of(where: str, part: Json) -> Image | None:
    """The image of a neutral part or of OpenAI's "image_url"; None for others."""
    if part.get("type") == "image_url":
        given = part.get("image_url")
        return _image_at(where, given.get("url") if isinstance(given, dict) else given, None)
    if part.get("type") != "image" or not ("url" in part or "data" in part):
        return None
    media_type = part.get("media_type")
    if "url" in part:
        return _image_at(where, part["url"], media_type)
    if not isinstance(media_type, str):
        raise ValueError(f'{where}: "data" needs a "media_type" such as "image/png"')
    return Image("", media_type, _base64(where, part["data"]))


def _image_at(where: str, url: Any, media_type: str | None) -> Image:
    url = _str(f'{where}: "url"', url)
    if url[:5].lower() != "data:":
        return Image(url, media_type, "")
    head, comma, data = url[5:].partition(",")
    media_type, *marks = head.split(";")
    if not comma or "base64" not in marks:
        raise ValueError(f"{where}: the data URL is not in base64")
    return Image("", media_type, data)


def _base64(where: str, data: Any) -> str:
    if isinstance(data, str):
        return data
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(f'{where}: "data" must be bytes or a base64 str, not {type(data).__name__}')
    from binascii import b2a_base64

    return b2a_base64(data, newline=False).decode()


def bad_part(where: str, part: Json, provider: str) -> ValueError:
    """To raise for a part that the provider cannot take."""
    return ValueError(f"{where}: {provider} takes no part of type {part.get('type')!r}")


def plain_text(where: str, content: Any, provider: str) -> str:
    """The text of a content that may hold nothing else."""
    texts = []
    for name, part in parts_of(where, content):
        text = text_of(name, part)
        if text is None:
            raise bad_part(name, part, provider)
        texts.append(text)
    return "".join(texts)


# ---- tools ---------------------------------------------------------------------------------------


def tools_of(ask: Ask) -> list[Tool | Json]:
    """The tools: a `Tool`, or the dict of one in the provider's own form."""
    return [tool_of(f"tools[{at}]", tool) for at, tool in enumerate(ask.tools or [])]


def tool_of(where: str, tool: Any) -> Tool | Json:
    """{"name", "description", "parameters"} or OpenAI's {"type": "function", …} as a `Tool`."""
    if not isinstance(tool, dict):
        raise TypeError(f"{where}: must be a dict, not {type(tool).__name__}")
    if tool.get("type") == "function":
        return Tool(where, tool["function"] if isinstance(tool.get("function"), dict) else tool)
    if "name" in tool and tool.keys() <= _TOOL_KEYS:
        return Tool(where, tool)
    return tool


def choice_of(choice: str | Mapping[str, Any]) -> tuple[str, str] | None:
    """("auto" | "none" | "required" | "name", name); None for a provider's own form."""
    if isinstance(choice, str):
        if choice not in _CHOICES:
            raise ValueError(
                f'tool_choice: must be "auto", "none", "required" or {{"name": …}}, not {choice!r}'
            )
        return choice, ""
    if choice.keys() == {"name"}:
        return "name", _str('tool_choice: "name"', choice["name"])
    if choice.get("type") == "function":
        spec = choice["function"] if isinstance(choice.get("function"), dict) else choice
        return "name", _str('tool_choice: "name"', spec.get("name"))
    return None


# ---- bodies --------------------------------------------------------------------------------------


def given(**fields: Any) -> Json:
    """The fields that are not None."""
    return {name: value for name, value in fields.items() if value is not None}


def merged(body: Json, params: Mapping[str, Any]) -> Json:
    """`params` over `body`: theirs wins, and an object goes into ours key by key."""
    for name, value in params.items():
        ours = body.get(name)
        both = isinstance(ours, dict) and isinstance(value, dict)
        body[name] = {**ours, **value} if both else value  # type: ignore[dict-item]
    return body


def compact(value: object) -> str:
    """JSON text without blanks."""
    import json

    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _schema(into: Any) -> Schema:
    from .._structured._schema import Schema

    return into if isinstance(into, Schema) else Schema(into)


# ---- types ---------------------------------------------------------------------------------------


def _str(what: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError(f"{what} must be a str that is not empty, not {value!r}")
    return value


def _list(what: str, value: Any) -> list[Any]:
    if isinstance(value, (str, bytes, dict)) or not hasattr(value, "__iter__"):
        raise TypeError(f"{what}: must be a list, not {type(value).__name__}")
    return list(value)


def _text_or_list(what: str, value: Any) -> str | list[Any] | None:
    return value if value is None or isinstance(value, str) else _list(what, value)


def _number(what: str, value: Any, kind: type) -> Any:
    right = isinstance(value, (int, kind)) and not isinstance(value, bool)
    if value is not None and not right:
        raise TypeError(f"{what}: must be {'an int' if kind is int else 'a number'}, not {value!r}")
    return value
