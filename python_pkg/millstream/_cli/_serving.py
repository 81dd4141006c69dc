"""What the commands share that are servers: they run until they are stopped."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import Any

import click

from ..mock.__main__ import wait
from ._commands import put


def server_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options of every server."""
    for option in (
        click.option(
            "--until-stdin-closes",
            is_flag=True,
            help="Stop when standard input ends: a parent that dies leaves no server behind.",
        ),
        click.option("--port", type=click.IntRange(0, 65535), default=0, help="0: a free one."),
        click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen."),
    ):
        command = option(command)
    return command


def serve(url: str, until_stdin_closes: bool) -> None:
    """Print the URL and wait: for Ctrl-C, SIGTERM, or the end of standard input."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    put(url + "\n")
    wait(until_stdin_closes)
