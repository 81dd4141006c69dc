"""The log: a hook that writes what happens to the logger "millstream".

DEBUG: requests, heads of answers, first chunks, ends. INFO: retries. WARNING: failures. No line has
a key, a password, or any text of a prompt or an answer; a server's own words are left out too, for
they may quote both.
"""

from __future__ import annotations

import logging

from ._errors import Error
from ._types import masked_headers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .hooks import EndEvent, HookEvent

logger = logging.getLogger("millstream")


def log(event: HookEvent) -> None:
    """The hook."""
    call = event.call
    known: dict[str, object] = {"millstream_call": call.id}
    level = logging.DEBUG
    if event.type == "request":
        text = f"{call.method} {call.url} model={call.model} headers={dict(event.headers)}"
    elif event.type == "headers":
        response = event.response
        known["request_id"] = response.request_id
        text = (
            f"{response.status} HTTP/{response.http_version} after {event.at:.3f} s, "
            f"request id {response.request_id}, headers={masked_headers(response.headers.items())}"
        )
    elif event.type == "first_chunk":
        text = f"first chunk after {event.at:.3f} s"
    elif event.type == "retry":
        level = logging.INFO
        status = f" {event.status}" if event.status else ""
        text = (
            f"retry {event.number} in {event.delay:.3f} s: {event.error or 'failed'}{status} "
            f"after {event.at:.3f} s"
        )
    else:
        level = logging.WARNING if event.outcome == "failed" else logging.DEBUG
        known["request_id"] = _request_id(event)
        text = _end(event)
    logger.log(level, "#%d %s", call.id, text, extra=known)


def hook_failed(hook: object) -> None:
    """What a hook raised, which is being handled, is told here and goes no further."""
    logger.exception("an on_event hook raised: %r", hook)


def _end(event: EndEvent) -> str:
    chunks = f", {event.timing.chunks} chunks" if event.timing else ""
    words = [f"{event.outcome} after {event.at:.3f} s{chunks}, request id {_request_id(event)}"]
    error = event.error
    if error is not None and event.outcome == "failed":
        facts: list[object] = [type(error).__name__]
        if isinstance(error, Error):
            facts += [getattr(error, "phase", None), error.status, error.code]
        words.append(" ".join(str(fact) for fact in facts if fact is not None))
    return ": ".join(words)


def _request_id(event: EndEvent) -> str | None:
    found = event.response.request_id if event.response else None
    return found or getattr(event.error, "request_id", None)
