"""Serves the chat page by uvicorn until Ctrl-C.

Owns: the listening socket, the mock server where one answers.
Blocks: until SIGINT or SIGTERM; answers that are still coming end with it.
"""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import sys
import webbrowser
from typing import TYPE_CHECKING

import uvicorn

from .. import AsyncClient, Error, mock
from ._app import About, create_app
from ._scenarios import FIRST_S, SCENARIOS, script

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

_GRACE_S = 2  # for connections to end once their answers have
_BACKLOG = 128

_OF_THE_MOCK = "The built-in mock server answers. Ask it one of these:"
_OF_A_PROVIDER = "Ask anything. The key stays on the server, the conversation in this tab."


class _Server(uvicorn.Server):
    """Ends the answers first: uvicorn waits for its connections, and those wait for the answers."""

    def __init__(self, config: uvicorn.Config, end_answers: Callable[[], None]) -> None:
        super().__init__(config)
        self._end_answers = end_answers

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._end_answers()
        await super().shutdown(sockets)


def serve(options: argparse.Namespace) -> int:
    """Serve the page; return the exit code, 1 with a line that says what failed."""
    with contextlib.ExitStack() as stack:
        try:
            connect, about = _upstream(options, stack)
            connect()  # what is wrong with the settings is told now, not with the first question
            listener = stack.enter_context(_listen(options.host, options.port))
        except (Error, ValueError, OSError) as error:
            print(f"demo: {error}", file=sys.stderr)
            return 1
        url = _url(options.host, listener)
        print(f"The chat page is at {url} (Ctrl-C ends it)", flush=True)
        if options.open:
            webbrowser.open(url)
        _run(listener, connect, about, options)
    return 0


def _upstream(
    options: argparse.Namespace, stack: contextlib.ExitStack
) -> tuple[Callable[[], AsyncClient], About]:
    """Who answers: a provider, or the mock server, which lives as long as `stack`."""
    if options.provider or options.base_url:
        provider = options.provider or "openai"
        about = About(f"{provider} · {options.model}", _OF_A_PROVIDER, [])
        return lambda: AsyncClient(provider, base_url=options.base_url), about
    server = stack.enter_context(mock.Server(script, pace=options.pace, first=FIRST_S))
    suggestions = [{"text": scenario.example, "shows": scenario.shows} for scenario in SCENARIOS]
    about = About("mock server", _OF_THE_MOCK, suggestions)
    return lambda: AsyncClient(base_url=server, api_key="demo"), about


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise OSError(f"cannot listen on {host} port {port}: {error}; try --port 0") from None


def _url(host: str, listener: socket.socket) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{listener.getsockname()[1]}/"


def _hosts(host: str) -> list[str] | None:
    """The names that lead here; None, any, where the address is not this machine's alone."""
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    return ["localhost", "127.0.0.1", "[::1]", host] if local else None


def _run(
    listener: socket.socket,
    connect: Callable[[], AsyncClient],
    about: About,
    options: argparse.Namespace,
) -> None:
    mocked = not (options.provider or options.base_url)
    app, end_answers = create_app(
        connect,
        model=options.model or "mock",
        tools=mocked or options.tools,
        about=about,
        hosts=_hosts(options.host),
    )
    config = uvicorn.Config(
        app, log_level="warning", lifespan="off", timeout_graceful_shutdown=_GRACE_S
    )
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn hands the signal on when all is ended
        _Server(config, end_answers).run(sockets=[listener])
