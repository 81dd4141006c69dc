"""The group of all commands, and what they share: each way to end has its exit code."""

from __future__ import annotations

import os
import re
import sys
from importlib import import_module
from typing import TextIO

import click

from .. import (
    AuthenticationError,
    ConnectError,
    Error,
    PermissionDenied,
    RateLimited,
    Timeout,
    __version__,
)

NAME, COMPLETION_VARIABLE = "millstream", "_MILLSTREAM_COMPLETE"
ERROR, NO_CONNECTION, NOT_LET_IN, RATE_LIMITED, TIMED_OUT = 1, 3, 4, 5, 6
INTERRUPTED = 128 + 2  # as a shell shows a program that SIGINT ended
PIPE_CLOSED = 128 + 13  # the same of SIGPIPE
TERMINATED = 128 + 15

_EXIT_CODES = """\
\b
Exit codes:
    0  done
    1  an error: of the answer, of the server, of a file
    2  wrong arguments, or the extra [cli] is missing
    3  no connection: name, refused, TLS, proxy, time to connect
    4  not let in: no key, a wrong one (401), or not for this (403)
    5  too many requests (429)
    6  a time limit ran out
  130  Ctrl-C
  141  nobody reads the output any more
  143  SIGTERM; of the servers 0"""

_COMMANDS = {
    "chat": "ask a model, once or in a conversation",
    "bulk": "from a file of requests to a file of answers",
    "events": "print the events of a server as they come",
    "mock": "a model server for tests",
    "record": "write down what a server really answers",
    "replay": "answer as it was written down",
    "bench": "how fast this machine reads streams",
    "doctor": "what is here, what is missing, and how to get it",
    "demo": "stream an answer of the built-in mock server, or serve a chat page",
    "completion": "the script that lets a shell complete all this",
}
"""Each is the `command` of a file of its name, imported when it is asked for."""

# What a terminal takes for a command. (In a pipe the bytes are left as they came.)
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = import_module(f"millstream._cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=_EXIT_CODES,
)
@click.version_option(__version__, prog_name=NAME)
def commands() -> None:
    """Streams of server-sent events and language-model answers."""


def run() -> int:
    """Run what sys.argv says; return the exit code."""
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]  # what streams hold
    code = _exit_code()
    try:
        sys.stdout.flush()
    except OSError:  # was told; Python writes what is left at its end: where that does no harm
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return code


def _exit_code() -> int:
    try:
        code = _run_command()
        sys.stdout.flush()
    except click.exceptions.Exit as end:  # of --help and --version
        return end.exit_code
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except KeyboardInterrupt:
        note("")
        return INTERRUPTED
    except BrokenPipeError:
        return PIPE_CLOSED
    except (Error, ValueError, OSError) as error:
        complain(str(error))
        return code_of(error)
    return code


def _run_command() -> int:
    """Not by `commands.main()`, whose exit code of a closed pipe is 1."""
    shell = os.environ.get(COMPLETION_VARIABLE)
    if shell:
        from click.shell_completion import shell_complete

        return shell_complete(commands, {}, NAME, COMPLETION_VARIABLE, shell)
    with commands.make_context(NAME, sys.argv[1:]) as context:
        return commands.invoke(context) or 0


def code_of(error: BaseException) -> int:
    """The exit code of what went wrong."""
    if isinstance(error, (AuthenticationError, PermissionDenied)):
        return NOT_LET_IN
    if isinstance(error, RateLimited):
        return RATE_LIMITED
    if isinstance(error, Timeout):
        return NO_CONNECTION if error.phase == "connect" else TIMED_OUT
    return NO_CONNECTION if isinstance(error, ConnectError) else ERROR


def put(text: str) -> None:
    """Write to standard output, at once."""
    sys.stdout.write(text)
    sys.stdout.flush()


def complain(text: str) -> None:
    """Say it on standard error, in the command's name."""
    note(f"millstream: {text}")


def note(text: str, dim: bool = False) -> None:
    """Say it on standard error, where it is in nobody's way."""
    try:
        shown = plain(text) if sys.stderr.isatty() else text
        click.echo(dimmed(shown, sys.stderr) if dim else shown, err=True)
    except OSError:
        pass  # nobody listens


def styled(stream: TextIO) -> bool:
    """Whether text there may be dim, bold or coloured: not in a pipe, nor where NO_COLOR is set."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def dimmed(text: str, stream: TextIO) -> str:
    """Text that is less important than what stands beside it."""
    return click.style(text, dim=True) if styled(stream) else text


def plain(text: str) -> str:
    """Text of a server's without what a terminal would obey."""
    return _CONTROLS.sub(lambda match: f"\\x{ord(match[0]):02x}", text)
