"""The group of all commands, and what they share: each way to end has its exit code."""

from __future__ import annotations

import os
import sys
from importlib import import_module

import click

from .. import Error, __version__

ERROR = 1
INTERRUPTED = 128 + 2  # as a shell shows a program that SIGINT ended
PIPE_CLOSED = 128 + 13  # the same of SIGPIPE

_COMMANDS = {
    "demo": "stream an answer of the built-in mock server, or serve a chat page",
    "events": "print the events of a server as they come",
}
"""Each is the `command` of a file of its name, imported when it is asked for."""


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
    epilog="Exit codes: 0 done, 1 an error, 2 wrong arguments, 130 Ctrl-C, 141 nobody reads the "
    "output any more.",
)
@click.version_option(__version__, prog_name="millstream")
def commands() -> None:
    """Streams of server-sent events and language-model answers."""


def run() -> int:
    """Run what sys.argv says; return the exit code."""
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]  # what streams hold
    try:
        code = commands.main(prog_name="millstream", standalone_mode=False)
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:  # click's word for KeyboardInterrupt
        return INTERRUPTED
    except PipeClosed:
        # Python writes out what is left at its end: let that go where it does no harm.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED
    except (Error, ValueError, OSError) as error:
        complain(str(error))
        return ERROR
    return code or 0


class PipeClosed(Exception):
    """Whoever read the output has gone. Not an OSError: click would take that for its own."""


def put(text: str) -> None:
    """Write to standard output, at once."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        raise PipeClosed from None


def complain(text: str) -> None:
    """Say it on standard error, in the command's name."""
    click.echo(f"millstream: {text}", err=True)
