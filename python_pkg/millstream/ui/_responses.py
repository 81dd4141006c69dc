"""Events as the response of a framework, which is imported by its own function only."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from functools import cache
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import django.http
    import flask
    import starlette.responses

    from ._events import Events

Scope: TypeAlias = "MutableMapping[str, Any]"
Receive: TypeAlias = "Callable[[], Awaitable[MutableMapping[str, Any]]]"
Send: TypeAlias = "Callable[[MutableMapping[str, Any]], Awaitable[None]]"


def flask_response(events: Events, headers: Mapping[str, str] | None = None) -> flask.Response:
    """The response of a Flask view. headers: further ones, or others in place of ours."""
    import flask

    if flask.has_request_context():
        events.watch(flask.request.environ)
    return flask.Response(events, events.status, _headers(events, headers), direct_passthrough=True)


def django_response(
    events: Events,
    request: django.http.HttpRequest | None = None,
    headers: Mapping[str, str] | None = None,
) -> django.http.HttpResponseBase:
    """The response of a Django view, sync for a `Stream`, async for an `AsyncStream`.

    request: the view's, so that under gunicorn a browser that leaves in silence is noticed at once.
    """
    from django.http import HttpResponse, StreamingHttpResponse

    if request is not None:
        events.watch(request.META)
    given = _headers(events, headers)
    if events.status == HTTPStatus.NO_CONTENT:
        return HttpResponse(status=events.status)
    return StreamingHttpResponse(events, status=events.status, headers=given)


def starlette_response(
    events: Events, headers: Mapping[str, str] | None = None
) -> starlette.responses.Response:
    """The response of a Starlette or FastAPI endpoint."""
    return _events_response()(events, events.status, _headers(events, headers))


@cache
def _events_response() -> Callable[..., starlette.responses.Response]:
    from starlette.responses import StreamingResponse

    class EventsResponse(StreamingResponse):
        def __init__(self, events: Events, status: int, headers: dict[str, str]) -> None:
            super().__init__(events, status, headers)
            self._events = events

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await _serve(self._events, self.raw_headers, receive, send)
            if self.background is not None:
                await self.background()

    return EventsResponse


def wsgi(
    events: Events, headers: Mapping[str, str] | None = None
) -> Callable[..., Iterable[bytes]]:
    """The events as a WSGI application, for any other framework."""

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        events.watch(environ)
        status = HTTPStatus(events.status)
        start_response(f"{status} {status.phrase}", list(_headers(events, headers).items()))
        return events

    return application


def asgi(
    events: Events, headers: Mapping[str, str] | None = None
) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """The events as an ASGI application, for any other framework on asyncio."""
    raw = [(name.encode(), value.encode()) for name, value in _headers(events, headers).items()]

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        await _serve(events, raw, receive, send)

    return application


def _headers(events: Events, more: Mapping[str, str] | None) -> dict[str, str]:
    given = {name.lower(): value for name, value in (more or {}).items()}
    ours = {} if events.status == HTTPStatus.NO_CONTENT else events.headers
    return {**ours, **given}


async def _serve(
    events: Events, headers: list[tuple[bytes, bytes]], receive: Receive, send: Send
) -> None:
    """Send all; end at once when the browser goes away, also while there is nothing to send."""
    sending = asyncio.ensure_future(_send_all(events, headers, send))
    leaving = asyncio.ensure_future(_disconnected(receive))
    try:
        await asyncio.wait([sending, leaving], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (sending, leaving):
            task.cancel()
        await asyncio.gather(sending, leaving, return_exceptions=True)
        events.close()
    error = None if sending.cancelled() else sending.exception()
    if error is not None and not isinstance(error, OSError):  # that one: the browser has gone
        raise error


async def _send_all(events: Events, headers: list[tuple[bytes, bytes]], send: Send) -> None:
    await send({"type": "http.response.start", "status": events.status, "headers": headers})
    async for piece in events:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
