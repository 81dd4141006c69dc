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
    from .hooks import HookEvent

logger = logging.getLogger("millstream")


def log(event: HookEvent) -> None:
    """The hook."""
    level = logging.INFO if event.type == "retry" else logging.DEBUG
    if event.type == "end" and event.outcome == "failed":
        level = logging.WARNING
    if logger.isEnabledFor(level):
        known = {"millstream_call": event.call.id, "request_id": _request_id(event)}
        logger.log(level, "#%d %s", event.call.id, _one_line(_text(event)), extra=known)


def hook_failed(hook: object) -> None:
    """What a hook raised, which is being handled, is told here and goes no further."""
    name = getattr(hook, "__qualname__", type(hook).__qualname__)  # a repr may hold its arguments
    logger.exception("an on_event hook raised: %s", name)


def _one_line(text: str) -> str:
    """A server's code or request id makes no line of its own, and commands no terminal."""
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _text(event: HookEvent) -> str:
    if event.type == "request":
        call = event.call
        return f"{call.method} {call.url} model={call.model} headers={dict(event.headers)}"
    after = f"after {event.at:.3f} s"
    if event.type == "headers":
        response = event.response
        return (
            f"{response.status} HTTP/{response.http_version} {after}, "
            f"request id {response.request_id}, headers={masked_headers(response.headers.items())}"
        )
    if event.type == "first_chunk":
        return f"first chunk {after}"
    if event.type == "retry":
        words = (event.error or "failed", str(event.status or ""), after)
        return f"retry {event.number} in {event.delay:.3f} s: {' '.join(filter(None, words))}"
    chunks = f", {event.timing.chunks} chunks" if event.timing else ""
    why = f": {_facts(event.error)}" if event.outcome == "failed" else ""
    return f"{event.outcome} {after}{chunks}, request id {_request_id(event)}{why}"


def _facts(error: BaseException | None) -> str:
    """Of an exception what nobody else has worded."""
    facts: list[object] = [type(error).__name__]
    if isinstance(error, Error):
        facts += [getattr(error, "phase", None), error.status, error.code]
    return " ".join(str(fact) for fact in facts if fact is not None)


def _request_id(event: HookEvent) -> str | None:
    response = event.response if event.type in ("headers", "end") else None
    if response is not None and response.request_id is not None:
        return response.request_id
    return getattr(event.error, "request_id", None) if event.type == "end" else None
