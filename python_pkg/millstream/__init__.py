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
from ._core import Choice, Chunk, Event, Message, Timing, ToolCall, Usage, metrics
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
)
from ._stream import Stream
from ._types import Headers, Limits, Response

__version__ = _core.version

__all__ = [
    "AuthenticationError",
    "BadRequest",
    "Cancelled",
    "Choice",
    "Chunk",
    "Client",
    "ConnectError",
    "Error",
    "Event",
    "ForkedError",
    "Headers",
    "LimitExceeded",
    "Limits",
    "Message",
    "NotFound",
    "PermissionDenied",
    "ProtocolError",
    "ProviderError",
    "RateLimited",
    "Response",
    "ServerError",
    "StatusError",
    "Stream",
    "StreamInterrupted",
    "Timeout",
    "Timing",
    "ToolCall",
    "Usage",
    "metrics",
]

# The engine's thread ends before the interpreter does, and stays the parent's in a forked child.
atexit.register(_core.shutdown)
os.register_at_fork(after_in_child=_core.after_fork_child)
