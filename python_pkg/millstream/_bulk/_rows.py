"""What goes into a bulk job and what comes out: requests in their forms, results, endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from .._errors import BadRequest, Error
from .._types import without_password

if TYPE_CHECKING:
    from .._client import BaseClient
    from .._core import Message, ToolCall, Usage


@dataclass(frozen=True, kw_only=True)
class Endpoint:
    """One of several places that a bulk job's requests go to.

    base_url, api_key: in place of the client's; None: the client's.
    client: a client of its own in place of both, of any provider.
    weight: its share of the requests, beside the others'.
    model: in place of what the requests say.
    requests_per_minute, tokens_per_minute: never more than these go there.
    """

    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    client: BaseClient[Any, Any] | None = None
    weight: float = 1.0
    model: str | None = None
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None

    def __post_init__(self) -> None:
        if not self.weight > 0:
            raise ValueError(f"Endpoint.weight: must be above 0, not {self.weight!r}")
        if self.client is not None and (self.base_url is not None or self.api_key is not None):
            raise ValueError("Endpoint.client: it has its own base_url and api_key")

    def __repr__(self) -> str:
        place = self.client or without_password(self.base_url or "the client's own")
        return f"Endpoint({place!r}, weight={self.weight})"


DUPLICATE_ID = "duplicate_id"
"""The `code` of a request whose id was given before in the same job."""


@dataclass(frozen=True, slots=True)
class BulkResult:
    """What became of one request of a bulk job."""

    id: str
    index: int
    """Its place among the requests, from 0."""
    message: Message | None
    """The answer, or what of it had come before the error; None: nothing was asked."""
    parsed: Any
    """The answer as a T of `into=`; None without, or behind an error."""
    error: Error | None
    """Why there is no whole answer."""
    attempts: int
    """How often it was sent, those that a rate limit (429) refused left out."""
    endpoint: str | None
    """The base URL that was asked last."""
    first_chunk: float | None
    """Seconds from the last sending to the first chunk."""
    duration: float | None
    """Seconds from the last sending to the end."""
    chunks: int
    """Of the answer."""
    cost: float | None
    """By the job's `prices`; None without, or where the answer tells no usage."""

    @property
    def text(self) -> str:
        """The answer's text; behind an error, what had come."""
        return "" if self.message is None else self.message.text

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The answer's tool calls."""
        return () if self.message is None else self.message.tool_calls

    @property
    def usage(self) -> Usage | None:
        """The tokens, where the answer tells them."""
        return None if self.message is None else self.message.usage

    @property
    def finish_reason(self) -> str | None:
        """Why the model ended."""
        return None if self.message is None else self.message.finish_reason

    def row(self) -> dict[str, Any]:
        """All of it as a JSON object: the line that `millstream bulk` writes."""
        message, usage = self.message, self.usage
        return {
            "id": self.id,
            "index": self.index,
            "text": self.text,
            "reasoning": message.reasoning if message else "",
            "refusal": message.refusal if message else "",
            "tool_calls": [
                {"id": call.id, "name": call.name, "arguments": call.arguments}
                for call in self.tool_calls
            ],
            "parsed": plain(self.parsed),
            "finish_reason": self.finish_reason,
            "model": message.model if message else None,
            "usage": None if usage is None else _counts(usage),
            "cost": self.cost,
            "error": None if self.error is None else _error(self.error),
            "attempts": self.attempts,
            "endpoint": self.endpoint,
            "first_chunk": _rounded(self.first_chunk),
            "duration": _rounded(self.duration),
        }


def _counts(usage: Usage) -> dict[str, int | None]:
    return {
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "cached_tokens": usage.cached_tokens,
    }


def _error(error: Error) -> dict[str, Any]:
    return {
        "type": type(error).__name__,
        "message": str(error),
        "status": error.status,
        "code": error.code,
        "request_id": error.request_id,
    }


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 6)


def plain(value: Any) -> Any:
    """A value of `into=` as JSON has it, whatever library its type is of."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(each) for each in value]
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if hasattr(value, "model_dump"):  # pydantic
        return value.model_dump(mode="json")
    fields = getattr(value, "__dataclass_fields__", None) or getattr(
        value, "__struct_fields__", None
    )  # the latter: msgspec
    if fields is not None:
        return {name: plain(getattr(value, name)) for name in fields}
    return str(value)


# ---- requests ------------------------------------------------------------------------------------

_CHAT_PATHS = ("/chat/completions", "/messages")


@dataclass(frozen=True, slots=True)
class Placed:
    """A request of which a file says where it stands, and what its id is."""

    index: int
    id: str
    item: Any


class Ids:
    """Ids that were seen: 24 to 48 bytes each, whatever their length.

    Kept are 16 bytes of hash, in one open table; two ids of the same hash are not to be met.
    """

    _BYTES = 16

    def __init__(self) -> None:
        self._slots = 1 << 10
        self._table = bytearray(self._slots * self._BYTES)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, id_: str) -> bool:
        """Whether it is new."""
        key = self._key(id_)
        at = self._place(key)
        if self._table[at : at + self._BYTES] == key:
            return False
        self._table[at : at + self._BYTES] = key
        self._count += 1
        if 3 * self._count > 2 * self._slots:
            self._grow()
        return True

    def __contains__(self, id_: str) -> bool:
        key = self._key(id_)
        at = self._place(key)
        return self._table[at : at + self._BYTES] == key

    def _key(self, id_: str) -> bytes:
        return blake2b(id_.encode("utf-8", "surrogatepass"), digest_size=self._BYTES).digest()

    def _place(self, key: bytes) -> int:
        """Where it is, or would be."""
        slot = int.from_bytes(key[:8], "little")
        empty = bytes(self._BYTES)
        while True:
            slot &= self._slots - 1
            at = slot * self._BYTES
            if self._table[at : at + self._BYTES] in (key, empty):
                return at
            slot += 1

    def _grow(self) -> None:
        old, size = self._table, self._BYTES
        self._slots *= 2
        self._table = bytearray(self._slots * size)
        for at in range(0, len(old), size):
            key = bytes(old[at : at + size])
            if any(key):
                place = self._place(key)
                self._table[place : place + size] = key


class Asked:
    """A request, and how it stands with it."""

    __slots__ = (
        "arguments", "attempts", "error", "failed_at", "id", "index", "into", "parsed",
        "place", "sent", "shows_head", "started", "stream", "target", "tokens",
    )  # fmt: skip

    def __init__(self, place: int) -> None:
        self.place = self.index = place
        self.id = str(place)
        self.arguments: dict[str, Any] = {}
        self.into: Any = None
        self.parsed: Any = None
        self.attempts = 0
        self.failed_at: set[Any] = set()
        self.error: Error | None = None
        self.stream: Any = None
        self.target: Any = None
        self.tokens = 0.0
        self.sent: Any = None
        self.started = 0.0
        self.shows_head = False


def read_request(item: Any, place: int, into: Any) -> Asked:
    """A request of any form; what is wrong with it is its `error`.

    Forms: a mapping of the arguments of `stream()`, with "prompt" for one question of the user's
    and an optional "id"; a line of an OpenAI batch file ("custom_id", "body"); a str, the question.
    An exception is what was wrong where it was to be read from.
    """
    asked = Asked(place)
    asked.into = into
    if isinstance(item, Placed):
        asked.index, asked.id, item = item.index, item.id, item.item
    try:
        asked.arguments = _arguments_of(item, asked)
    except (TypeError, ValueError) as error:
        asked.error = refusal(error)
    return asked


def duplicate(id_: str) -> BadRequest:
    """The error of a request with an id that another has."""
    found = BadRequest(f"the id {id_!r} was given before")
    found.code = DUPLICATE_ID
    return found


def refusal(error: Exception) -> BadRequest:
    """The error of a request that cannot be sent as it is."""
    found = BadRequest(str(error))
    found.__cause__ = error
    return found


def _arguments_of(item: Any, asked: Asked) -> dict[str, Any]:
    if isinstance(item, Exception):
        raise item
    if isinstance(item, str):
        return {"messages": [{"role": "user", "content": item}]}
    if not isinstance(item, Mapping):
        raise TypeError(f"a request must be a mapping or a str, not {type(item).__name__}")
    given = dict(item)
    name = _name_of_id(given)
    asked.id = id_of(given, asked.id)
    given.pop(name, None)
    if name == "custom_id":
        given = _batch_body(given)
    if "prompt" in given and "messages" not in given:
        given["messages"] = [{"role": "user", "content": given.pop("prompt")}]
    asked.into = given.get("into", asked.into)
    return given


def _name_of_id(item: Mapping[str, Any]) -> str:
    return "custom_id" if "custom_id" in item and "body" in item else "id"


def id_of(item: Mapping[str, Any], default: str) -> str:
    """The id that a request gives itself."""
    name = _name_of_id(item)
    given = item.get(name)
    if given is None:
        return default
    if isinstance(given, bool) or not isinstance(given, (str, int)):
        raise TypeError(f"{name}: must be a str or an int, not {type(given).__name__}")
    return str(given)


def _batch_body(line: dict[str, Any]) -> dict[str, Any]:
    """Of a line of an OpenAI batch file."""
    url = line.get("url", _CHAT_PATHS[0])
    if not isinstance(url, str) or not url.endswith(_CHAT_PATHS):
        raise ValueError(f"url: only {' and '.join(_CHAT_PATHS)} are asked, not {url!r}")
    body = line["body"]
    if not isinstance(body, Mapping):
        raise TypeError(f"body: must be a mapping, not {type(body).__name__}")
    left_out = ("stream", "stream_options")  # all answers are streamed
    return {name: value for name, value in body.items() if name not in left_out}
