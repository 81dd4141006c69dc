"""`millstream demo`: handed on to millstream.demo, which works without click too."""

from __future__ import annotations

import click

from ..demo import main


@click.command(
    "demo",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(arguments: tuple[str, ...]) -> int:
    """Stream an answer from the mock server, or (--web) serve a chat page."""
    return main(arguments)
