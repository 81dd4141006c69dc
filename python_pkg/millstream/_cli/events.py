"""`millstream events URL`: the events of a server, printed as they come."""

from __future__ import annotations

import json
import sys
from typing import Protocol

import click

from .. import Client, Comment, Error, Event, Timeout
from ._commands import complain, dimmed, plain, put

# A client that belongs nowhere: keys of the environment go to their own server's address only.
_NOWHERE = "http://millstream.invalid"


class _Printer(Protocol):
    def __call__(self, item: Event | Comment) -> str: ...


class AsText:
    """Events in the form in which they are sent: fields, then a blank line."""

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._id = ""

    def __call__(self, item: Event | Comment) -> str:
        """The text of one event or comment."""
        if isinstance(item, Comment):
            return dimmed(f":{self._plain(item.text)}", sys.stdout) + "\n"
        lines = []
        if item.id != self._id:
            self._id = item.id
            lines.append(self._field("id", item.id))
        if item.type != "message":
            lines.append(self._field("event", item.type))
        lines += [self._field("data", line) for line in item.data.split("\n")]
        return "".join(f"{line}\n" for line in [*lines, ""])

    def _field(self, name: str, value: str) -> str:
        return f"{dimmed(name + ':', sys.stdout)} {self._plain(value)}"

    def _plain(self, text: str) -> str:
        return plain(text) if self._terminal else text


def _as_json(item: Event | Comment) -> str:
    if isinstance(item, Comment):
        value = {"comment": item.text}
    else:
        value = {"type": item.type, "id": item.id, "data": item.data}
    return json.dumps(value, ensure_ascii=False) + "\n"


def _url(context: click.Context, parameter: click.Parameter, given: str) -> str:
    if "://" not in given:  # the client would take it for a path of its own server's
        raise click.BadParameter(f"{given!r} does not begin with http:// or https://")
    return given


def _header(context: click.Context, parameter: click.Parameter, lines: tuple[str, ...]) -> object:
    pairs = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise click.BadParameter(f"{line!r} is not of the form 'Name: value'")
        pairs[name.strip()] = value.strip()
    return pairs


def _data(context: click.Context, parameter: click.Parameter, given: str | None) -> bytes | None:
    if given is None or not given.startswith("@"):
        return None if given is None else given.encode(errors="surrogateescape")
    try:
        with click.open_file(given[1:], "rb") as file:
            content: bytes = file.read()
            return content
    except OSError as error:
        raise click.BadParameter(str(error)) from None


def _tell(state: str, error: Error | None) -> None:
    if state == "connecting" and error is not None:
        complain(f"{error}; connecting again")


@click.command("events")
@click.argument("url", callback=_url)
@click.option("--json", "as_json", is_flag=True, help="A line of JSON for each event.")
@click.option(
    "-H",
    "--header",
    "headers",
    multiple=True,
    metavar="'NAME: VALUE'",
    callback=_header,
    help="A header to send; may be repeated.",
)
@click.option(
    "-X", "--request", "method", metavar="METHOD", help="Default: GET, or POST where there is data."
)
@click.option(
    "-d",
    "--data",
    "body",
    metavar="TEXT",
    callback=_data,
    help="The request's body; @FILE reads a file, @- standard input.",
)
@click.option("--last-event-id", metavar="ID", default="", help="Go on behind this event.")
@click.option("--no-reconnect", is_flag=True, help="End with the first connection.")
@click.option("--comments", is_flag=True, help="Print comments too.")
def command(
    url: str,
    as_json: bool,
    headers: dict[str, str],
    method: str | None,
    body: bytes | None,
    last_event_id: str,
    no_reconnect: bool,
    comments: bool,
) -> None:
    """Print the server-sent events of URL as they come.

    A lost connection is made again, with the id of the last event; that is told on standard error.
    It ends when the server says that there is no more (status 204), or refuses. Without --json an
    event is printed as it is sent: its fields, then a blank line.
    """
    show: _Printer = _as_json if as_json else AsText()
    client = Client(base_url=_NOWHERE, timeout=Timeout(idle=None))
    try:
        stream = client.events(
            url,
            method=method or ("GET" if body is None else "POST"),
            headers=headers,
            body=body,
            last_event_id=last_event_id,
            reconnect=not no_reconnect,
            comments=comments,
            on_state=_tell,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    with stream:
        for item in stream:
            put(show(item))
