"""An answer handed on to a browser: server-sent events, or what the AI SDK's `useChat` reads.

    return ui.flask_response(ui.sse(client.stream(model=..., messages=...)))

No framework is needed to import this; each `..._response` imports its own.
docs/howto/chat-ui.md has the whole story, docs/reference/ui.md every name.
"""

from __future__ import annotations

from ._events import Events, ai_sdk, sse
from ._frames import describe
from ._messages import messages
from ._page import page
from ._replays import Replays
from ._responses import asgi, django_response, flask_response, starlette_response, wsgi

__all__ = [
    "Events",
    "Replays",
    "ai_sdk",
    "asgi",
    "describe",
    "django_response",
    "flask_response",
    "messages",
    "page",
    "sse",
    "starlette_response",
    "wsgi",
]
