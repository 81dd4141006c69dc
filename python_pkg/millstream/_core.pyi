"""Types of the C extension. The names without an underscore are re-exported by the package."""

from collections.abc import Callable
from typing import Any, Final, Literal, TypeAlias, final

from _typeshed import ReadableBuffer, structseq
from typing_extensions import Self, disjoint_base

version: str
curl_version: str

_ChunkType: TypeAlias = Literal[
    "text", "reasoning", "refusal", "tool_call", "usage", "finish", "other"
]
_FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter", "other"]

@final
class ToolCall(structseq[Any], tuple[int, str, str, str]):
    __match_args__: Final = ("index", "id", "name", "arguments")
    @property
    def index(self) -> int: ...  # type: ignore[override]
    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def arguments(self) -> str: ...

@final
class Usage(structseq[Any], tuple[int | None, int | None, int | None, int | None, dict[str, Any]]):
    __match_args__: Final = (
        "input_tokens",
        "output_tokens",
        "reasoning_tokens",
        "cached_tokens",
        "raw",
    )
    @property
    def input_tokens(self) -> int | None: ...
    @property
    def output_tokens(self) -> int | None: ...
    @property
    def reasoning_tokens(self) -> int | None: ...
    @property
    def cached_tokens(self) -> int | None: ...
    @property
    def raw(self) -> dict[str, Any]: ...

@final
class Choice(
    structseq[Any],
    tuple[int, str, str, str, tuple[ToolCall, ...], _FinishReason | None, str | None],
):
    __match_args__: Final = (
        "index",
        "text",
        "reasoning",
        "refusal",
        "tool_calls",
        "finish_reason",
        "finish_reason_raw",
    )
    @property
    def index(self) -> int: ...  # type: ignore[override]
    @property
    def text(self) -> str: ...
    @property
    def reasoning(self) -> str: ...
    @property
    def refusal(self) -> str: ...
    @property
    def tool_calls(self) -> tuple[ToolCall, ...]: ...
    @property
    def finish_reason(self) -> _FinishReason | None: ...
    @property
    def finish_reason_raw(self) -> str | None: ...

@final
class Message(
    structseq[Any],
    tuple[
        str | None,
        str | None,
        str,
        str,
        str,
        str,
        tuple[ToolCall, ...],
        _FinishReason | None,
        str | None,
        Usage | None,
        tuple[Choice, ...],
    ],
):
    __match_args__: Final = (
        "id",
        "model",
        "role",
        "text",
        "reasoning",
        "refusal",
        "tool_calls",
        "finish_reason",
        "finish_reason_raw",
        "usage",
        "choices",
    )
    @property
    def id(self) -> str | None: ...
    @property
    def model(self) -> str | None: ...
    @property
    def role(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def reasoning(self) -> str: ...
    @property
    def refusal(self) -> str: ...
    @property
    def tool_calls(self) -> tuple[ToolCall, ...]: ...
    @property
    def finish_reason(self) -> _FinishReason | None: ...
    @property
    def finish_reason_raw(self) -> str | None: ...
    @property
    def usage(self) -> Usage | None: ...
    @property
    def choices(self) -> tuple[Choice, ...]: ...

@final
class Timing(
    structseq[Any], tuple[float | None, float | None, float | None, float | None, int, int]
):
    __match_args__: Final = (
        "connect",
        "first_byte",
        "first_chunk",
        "total",
        "chunks",
        "retries",
    )
    @property
    def connect(self) -> float | None: ...
    @property
    def first_byte(self) -> float | None: ...
    @property
    def first_chunk(self) -> float | None: ...
    @property
    def total(self) -> float | None: ...
    @property
    def chunks(self) -> int: ...
    @property
    def retries(self) -> int: ...

@final
class Event:
    def __new__(cls, type: str = "message", data: str = "", id: str = "") -> Self: ...
    @property
    def type(self) -> str: ...
    @property
    def data(self) -> str: ...
    @property
    def raw(self) -> bytes: ...
    @property
    def id(self) -> str: ...
    def json(self) -> Any: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

@final
class Chunk:
    @property
    def type(self) -> _ChunkType: ...
    @property
    def text(self) -> str: ...
    @property
    def reasoning(self) -> str: ...
    @property
    def refusal(self) -> str: ...
    @property
    def tool_call(self) -> ToolCall | None: ...
    @property
    def choice(self) -> int: ...
    @property
    def finish_reason(self) -> _FinishReason | None: ...
    @property
    def finish_reason_raw(self) -> str | None: ...
    @property
    def usage(self) -> Usage | None: ...
    @property
    def event(self) -> Event: ...
    @property
    def raw(self) -> bytes: ...
    def json(self) -> Any: ...

@final
class Stats:
    def __new__(cls) -> Self: ...
    def read(self) -> dict[str, Any]: ...

@disjoint_base
class Stream:
    def __new__(
        cls,
        *,
        url: str,
        method: str,
        headers: tuple[tuple[str, str], ...],
        body: ReadableBuffer | str | None,
        format: str,
        timeouts: tuple[int, int, int, int, bool],
        limits: tuple[int, int, int, int],
        max_retries: int,
        proxy: str | None,
        no_proxy: str | None,
        unix_socket: str | None,
        ca_file: str | None,
        ca_dir: str | None,
        insecure: bool,
        cert_file: str | None,
        key_file: str | None,
        http2: int,
        compression: bool,
        stats: Stats,
    ) -> Self: ...
    @property
    def message(self) -> Message: ...
    @property
    def timing(self) -> Timing: ...
    def cancel(self) -> None: ...
    def close(self) -> None: ...
    def wait(self, timeout: float | None = None) -> bool: ...
    def __iter__(self) -> Self: ...
    def __next__(self) -> Chunk: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *exc: object) -> None: ...
    def _next_event(self) -> Event | None: ...
    def _next_batch(self) -> list[Chunk] | None: ...
    def _drain(self) -> None: ...
    def _head(self) -> tuple[int, int, bytes]: ...

def metrics() -> dict[str, Any]: ...
def formats() -> tuple[str, ...]: ...
def set_error_factory(factory: Callable[..., BaseException], /) -> None: ...
def shutdown() -> None: ...
def after_fork_child() -> None: ...
