"""`millstream record`: a server in between that writes down what the real one answers."""

from __future__ import annotations

import click

from ..testing import Exchange, record
from ._commands import note
from ._serving import serve, server_options


def _tell(exchange: Exchange) -> None:
    request = exchange.request
    note(
        f"{request['method']} {request['path']} {exchange.status}, {len(exchange.pieces)} pieces, "
        f"{len(exchange.body)} bytes in {exchange.end_at:.2f} s, {exchange.end}",
        dim=True,
    )


@click.command("record")
@click.option(
    "--to", "path", required=True, type=click.Path(dir_okay=False), help="The cassette to write."
)
@click.option(
    "--upstream",
    required=True,
    metavar="URL",
    help="The real server, with its version path; or a provider's name.",
)
@click.option("--append", is_flag=True, help="Keep what the cassette holds.")
@click.option(
    "--verify", metavar="FILE", type=click.Path(exists=True), help="CA file or folder to trust."
)
@server_options
def command(
    path: str,
    upstream: str,
    append: bool,
    verify: str | None,
    host: str,
    port: int,
    until_stdin_closes: bool,
) -> None:
    """Write down what a server really answers: its bytes, and when they came.

    Prints the base URL to give to a client in the real one's place, and tells each answer on
    standard error. Keys go on to the real server, and are masked in the cassette. It runs until
    Ctrl-C.
    """
    try:
        recorder = record(
            path, upstream=upstream, append=append, verify=verify or True, host=host, port=port,
            on_exchange=_tell,
        )  # fmt: skip
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    with recorder:
        serve(recorder.base_url, until_stdin_closes)
