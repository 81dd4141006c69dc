"""The chat page's server: the page itself, questions, answers as events, tools, figures.

Thread: the event loop's.
Limits: a request's body, the answers kept.
"""

from __future__ import annotations

import json
import secrets
import time
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from .. import Error, LimitExceeded, ui
from ._tools import TOOLS, run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from .. import AsyncClient, AsyncStream

_STATIC = Path(__file__).parent / "static"
_BODY_LIMIT = 4 * 1024 * 1024
_ANSWERS_KEPT = 256
_GRACE_S = 30  # for a reload; then an answer that nobody reads is cancelled

_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    # no string becomes HTML, a script or a script's address, by whatever fault of the page
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",  # modules of two releases do not go together
}
_RAW_HEADERS = [(name.lower().encode(), value.encode()) for name, value in _HEADERS.items()]


class About(NamedTuple):
    """What the page tells of itself: the model, a line, and what might be asked."""

    model: str
    intro: str
    suggestions: Sequence[dict[str, str]]


class _Guard:
    """Safe headers on every response, and no answer to a page of another site.

    A name that was made to lead to this machine (DNS rebinding) is refused by the Host header, a
    form or script of another site by the content type, which a browser asks about first.
    """

    def __init__(self, app: ASGIApp, hosts: Sequence[str] | None) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = {name for name, _ in message["headers"]}
                own = [pair for pair in _RAW_HEADERS if pair[0] not in given]
                message = {**message, "headers": [*message["headers"], *own]}
            await send(message)

        if self._hosts is not None and _host_of(scope) not in self._hosts:
            refusal = _problem(421, "Wrong host", "this server has another name")
            await refusal(scope, receive, send_with_headers)
            return
        await self._app(scope, receive, send_with_headers)


def _host_of(scope: Scope) -> str:
    """The Host header without its port."""
    given = next((v for n, v in scope["headers"] if n == b"host"), b"").decode("latin-1")
    name, colon, port = given.rpartition(":")
    return name if colon and port.isdigit() else given


class _Chat:
    def __init__(
        self, connect: Callable[[], AsyncClient], model: str, tools: bool, about: About
    ) -> None:
        self._connect = connect
        self._model = model
        self._tools = TOOLS if tools else None
        self._about = about
        self.replays = ui.Replays(max_streams=_ANSWERS_KEPT, grace=_GRACE_S)
        self._measured: OrderedDict[str, tuple[AsyncClient, AsyncStream, float]] = OrderedDict()

    async def page(self, request: Request) -> Response:
        return FileResponse(_STATIC / "index.html")

    async def about(self, request: Request) -> Response:
        return JSONResponse(self._about._asdict())

    async def ask(self, request: Request) -> Response:
        """Start an answer; it is read on whether somebody listens or not."""
        given = await _json_of(request)
        began = time.monotonic()
        client = self._connect()  # one an answer: its counters are this answer's alone
        try:
            stream = client.stream(model=self._model, messages=given["messages"], tools=self._tools)
        except (KeyError, TypeError, ValueError, Error) as error:
            return _problem(400, type(error).__name__, str(error))
        answer = secrets.token_urlsafe(12)
        try:
            self.replays.add(answer, ui.sse(stream, on_error=str)).close()
        except LimitExceeded:
            stream.close()
            return _problem(503, "Too busy", "too many answers are being read; try again later")
        self._measured[answer] = (client, stream, began)
        if len(self._measured) > _ANSWERS_KEPT:
            self._measured.popitem(last=False)
        return JSONResponse({"id": answer}, status_code=201)

    async def read(self, request: Request) -> Response:
        """The events of an answer, from the one after `Last-Event-ID` on."""
        last = request.headers.get("last-event-id")
        return ui.starlette_response(self.replays.resume(request.path_params["id"], last))

    async def stop(self, request: Request) -> Response:
        self.replays.cancel(request.path_params["id"])
        return Response(status_code=204)

    async def figures(self, request: Request) -> Response:
        """What the answer costs so far, in seconds."""
        found = self._measured.get(request.path_params["id"])
        if found is None:
            return _problem(404, "Not found", "that answer is not here any more")
        client, stream, began = found
        timing = stream.timing
        return JSONResponse(
            {
                "first_chunk": timing.first_chunk,
                "total": timing.total,
                "elapsed": time.monotonic() - began,
                "chunks": timing.chunks,
                "gil_held": client.metrics()["gil_hold_total"],
            }
        )

    async def tool(self, request: Request) -> Response:
        given = await _json_of(request)
        result = run(str(given.get("name")), str(given.get("arguments", "")))
        return JSONResponse(result._asdict())


async def _json_of(request: Request) -> dict[str, Any]:
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "the body must be application/json")
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _BODY_LIMIT:
            raise HTTPException(413, "the conversation is too long")
    try:
        value = json.loads(body)
    except ValueError as error:
        raise HTTPException(400, f"the body is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise HTTPException(400, "the body must be a JSON object")
    return value


def _problem(status: int, error: str, message: str) -> Response:
    return JSONResponse({"error": error, "message": message}, status_code=status)


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _problem(error.status_code, "Not accepted", error.detail)


def create_app(
    connect: Callable[[], AsyncClient],
    *,
    model: str,
    tools: bool,
    about: About,
    hosts: Sequence[str] | None = None,
) -> tuple[Starlette, Callable[[], None]]:
    """The application, and what ends all its answers.

    connect: makes the client of one answer.
    tools: offer the model those of `_tools`.
    hosts: the names under which the page may be asked for; None: any.
    """
    chat = _Chat(connect, model, tools, about)
    answer = "/api/answers/{id}"
    app = Starlette(
        routes=[
            Route("/", chat.page),
            Mount("/static", StaticFiles(directory=_STATIC)),
            Route("/api/about", chat.about),
            Route("/api/answers", chat.ask, methods=["POST"]),
            Route(answer, chat.read),
            Route(answer, chat.stop, methods=["DELETE"]),
            Route(f"{answer}/figures", chat.figures),
            Route("/api/tools", chat.tool, methods=["POST"]),
        ],
        middleware=[Middleware(_Guard, hosts=hosts)],
        exception_handlers={HTTPException: _refuse},
    )
    return app, chat.replays.close
