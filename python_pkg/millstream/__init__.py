"""Streams of language-model answers and server-sent events, read by a C engine without the GIL.

    client = millstream.Client("openai")
    with client.stream(model="gpt-5-mini", messages=[{"role": "user", "content": "Hi"}]) as stream:
        for chunk in stream:
            print(chunk.text, end="", flush=True)
    print(stream.message.usage)

Errors are one tree under `Error`; see `millstream._errors`.
"""

from __future__ import annotations

import atexit
import os

from . import _core
from ._client import Client
from ._core import Choice, Chunk, Comment, Event, Message, Timing, ToolCall, Usage, metrics
from ._errors import (
    AuthenticationError,
    BadRequest,
    Cancelled,
    ConnectError,
    Error,
    ForkedError,
    LimitExceeded,
    NotFound,
    PermissionDenied,
    ProtocolError,
    ProviderError,
    RateLimited,
    ServerError,
    StatusError,
    StreamInterrupted,
    Timeout,
    ValidationError,
)
from ._events import EventStream
from ._stream import Stream, wait
from ._types import Headers, Limits, Request, Response

__version__ = _core.version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._async_client import AsyncClient
    from ._async_stream import AsyncEventStream, AsyncStream
    from ._bulk._rows import BulkResult, Endpoint
    from ._partial import Change, PartialJSON, Repair
    from ._structured._marks import Done, NotNull, State, WithState
    from ._structured._nodes import Coercion
    from ._structured._readers import PartialCall

__all__ = [
    "AsyncClient",
    "AsyncEventStream",
    "AsyncStream",
    "AuthenticationError",
    "BadRequest",
    "BulkResult",
    "Cancelled",
    "Change",
    "Choice",
    "Chunk",
    "Client",
    "Coercion",
    "Comment",
    "ConnectError",
    "Done",
    "Endpoint",
    "Error",
    "Event",
    "EventStream",
    "ForkedError",
    "Headers",
    "LimitExceeded",
    "Limits",
    "Message",
    "NotFound",
    "NotNull",
    "PartialCall",
    "PartialJSON",
    "PermissionDenied",
    "ProtocolError",
    "ProviderError",
    "RateLimited",
    "Repair",
    "Request",
    "Response",
    "ServerError",
    "State",
    "StatusError",
    "Stream",
    "StreamInterrupted",
    "Timeout",
    "Timing",
    "ToolCall",
    "Usage",
    "ValidationError",
    "WithState",
    "metrics",
    "wait",
]


def __getattr__(name: str) -> object:
    # asyncio, which the first need, costs several times what the rest of the package does.
    if name in ("AsyncClient", "AsyncEventStream", "AsyncStream"):
        from . import _async_client as module
    elif name in ("BulkResult", "Endpoint"):
        from ._bulk import _rows as module  # type: ignore[no-redef]
    elif name in ("Change", "PartialJSON", "Repair"):
        from . import _partial as module  # type: ignore[no-redef]
    elif name in ("Done", "NotNull", "State", "WithState"):
        from ._structured import _marks as module  # type: ignore[no-redef]
    elif name == "Coercion":
        from ._structured import _nodes as module  # type: ignore[no-redef]
    elif name == "PartialCall":
        from ._structured import _readers as module  # type: ignore[no-redef]
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(module, name)
    return value


def _stop() -> None:
    """Stop the engine for good, when the main thread has ended and before others are waited for.

    A server that hangs must not keep the process: all streams are cancelled, and threads that read
    one, or start one later, raise `Cancelled`. A program that wants their answers joins them, which
    a `with` block of an executor does. Daemon threads stand still, as at the end of Python itself.
    """
    _core.shutdown()


# The first stream also registers it with `threading`, which comes earlier and is slow to import.
atexit.register(_stop)
os.register_at_fork(
    before=_core.before_fork,
    after_in_parent=_core.after_fork_parent,
    after_in_child=_core.after_fork_child,
)
