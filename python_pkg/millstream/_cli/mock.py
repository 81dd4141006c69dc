"""`millstream mock`: what `python -m millstream.mock` is, under the name of the command line."""

from __future__ import annotations

import click

from ..mock.__main__ import main
from ._commands import INTERRUPTED


@click.command("mock", add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> int:
    """A model server for tests."""
    return main(arguments, "millstream mock", INTERRUPTED)
