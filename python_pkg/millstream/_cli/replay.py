"""`millstream replay CASSETTE`: a server that answers as it was written down."""

from __future__ import annotations

import click

from ..testing import CassetteError, replay
from ._commands import complain
from ._serving import serve, server_options


@click.command("replay")
@click.argument("cassette", type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--speed",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="1: as recorded; 10: ten times as fast; 0: all at once.",
)
@click.option("--repeat", is_flag=True, help="Answer the last of equal requests again and again.")
@server_options
def command(
    cassette: str, speed: float, repeat: bool, host: str, port: int, until_stdin_closes: bool
) -> None:
    """Answer as CASSETTE says, to requests that are on it.

    Prints the base URL, and tells on standard error each request that is not there, with what
    differs; it is answered with status 404. It runs until Ctrl-C.
    """
    try:
        player = replay(
            cassette, speed=speed, repeat=repeat, host=host, port=port, on_miss=complain
        )
    except CassetteError:
        raise
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    with player:
        serve(player.base_url, until_stdin_closes)
