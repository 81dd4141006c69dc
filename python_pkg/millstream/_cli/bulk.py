"""`millstream bulk`: from a file of requests to a file of answers, and on from where it stopped."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from .. import BulkResult, Client, Endpoint
from .._bulk._files import Requests, Results
from .._bulk._rows import DUPLICATE_ID, Ids, Placed
from ._clients import client_of, of_client
from ._commands import ERROR, code_of, complain, note, put
from ._progress import Progress, progress_for

_STANDARD = "-"


class _Printer:
    """Results on standard output, where nothing can be found again."""

    def __init__(self) -> None:
        self.done = Ids()
        self.cut_bytes = 0

    def add(self, row: dict[str, Any]) -> None:
        put(json.dumps(row, ensure_ascii=False) + "\n")


def _endpoint(text: str) -> Endpoint:
    """URL, or URL=WEIGHT."""
    url, equals, weight = text.rpartition("=")
    try:
        return Endpoint(base_url=url, weight=float(weight)) if equals else Endpoint(base_url=text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: {error}", param_hint="--endpoint") from None


def _schema(path: str | None) -> Any:
    from .._structured._schema import Schema

    if path is None:
        return None
    try:
        return Schema.of_json(json.loads(Path(path).read_bytes()))
    except (ValueError, AttributeError) as error:
        raise click.BadParameter(f"{path}: {error}", param_hint="--schema") from None


def _with_defaults(requests: Requests, defaults: dict[str, Any]) -> Iterator[Any]:
    """What a request does not say is that of the command line."""
    for placed in requests:
        item = placed.item
        if isinstance(item, str):
            item = {"prompt": item}
        if isinstance(item, dict):
            inner = item.get("body") if "custom_id" in item else None
            if isinstance(inner, dict):
                item = {**item, "body": {**defaults, **inner}}
            else:
                item = {**defaults, **item}
        yield Placed(placed.index, placed.id, item)


class _Work:
    """Takes results, and remembers what they say of how it went."""

    def __init__(self, out: Results | _Printer, progress: Progress) -> None:
        self._out = out
        self._progress = progress
        self._code: int | None = None

    def take(self, result: BulkResult) -> None:
        if result.error is not None and result.error.code == DUPLICATE_ID:
            complain(f"request {result.index + 1} is left out: {result.error}")
            self._code = ERROR
            return
        self._out.add(result.row())
        self._progress.add(result)
        if result.error is not None:
            code = code_of(result.error)
            self._code = code if self._code in (None, code) else ERROR

    @property
    def exit_code(self) -> int:
        """What all that failed have in common, where nothing else was asked; 1: some failed."""
        if self._code is None:
            return 0
        return self._code if self._progress.failed == self._progress.done else ERROR


def _run(
    client: Client, requests: Requests, out: Results | _Printer, defaults: dict[str, Any],
    quiet: bool, **settings: Any,
) -> int:  # fmt: skip
    with progress_for(lambda: requests.share, quiet) as progress:
        work = _Work(out, progress)
        items = _with_defaults(requests, defaults)
        with contextlib.closing(client.bulk(items, **settings)) as results:  # type: ignore[type-var]
            for result in results:
                work.take(result)
    if not quiet:
        note(progress.summary(requests.skipped), dim=True)
    return work.exit_code


@click.command("bulk")
@click.argument("source", metavar="IN")
@click.option("-o", "--output", "target", default=_STANDARD, metavar="OUT",
              help="Where the answers go; - is standard output, the default.")  # fmt: skip
@of_client("--option", model_required=False)
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
              help="For the whole of one answer.")  # fmt: skip
@click.option("-c", "--concurrency", type=click.IntRange(min=1), default=100, show_default=True,
              help="Streams at a time.")  # fmt: skip
@click.option("--ordered", is_flag=True, help="Answers in the order of the requests.")
@click.option("--schema", "schema_path", type=click.Path(exists=True, dir_okay=False),
              metavar="FILE", help="A JSON schema that the answers are to follow.")  # fmt: skip
@click.option("--rpm", type=click.FloatRange(min=0, min_open=True), help="Requests a minute.")
@click.option("--tpm", type=click.FloatRange(min=0, min_open=True), help="Tokens a minute.")
@click.option("--endpoint", "endpoints", multiple=True, metavar="URL[=WEIGHT]",
              help="A base URL beside others; may be given several times.")  # fmt: skip
@click.option("--max-retries", type=click.IntRange(0, 100), default=4, show_default=True,
              help="Of a request that failed for what may pass.")  # fmt: skip
@click.option("--price-in", type=click.FloatRange(min=0), metavar="PRICE",
              help="Of a million input tokens; each answer has its cost.")  # fmt: skip
@click.option("--price-out", type=click.FloatRange(min=0), metavar="PRICE",
              help="Of a million output tokens.")  # fmt: skip
@click.option("--retry-failed", is_flag=True, help="Ask again what failed in former runs.")
@click.option("-q", "--quiet", is_flag=True, help="No progress and no summary on standard error.")
def command(
    source: str,
    target: str,
    provider: str,
    base_url: str | None,
    model: str | None,
    api_key: str | None,
    system: str | None,
    params: dict[str, Any],
    options: dict[str, str],
    timeout: float | None,
    concurrency: int,
    ordered: bool,
    schema_path: str | None,
    rpm: float | None,
    tpm: float | None,
    endpoints: tuple[str, ...],
    max_retries: int,
    price_in: float | None,
    price_out: float | None,
    retry_failed: bool,
    quiet: bool,
) -> int:
    """Ask all the requests of a file, many at a time.

    IN holds one in each line, as JSON, or in each row, as Parquet: "prompt" or "messages", other
    arguments of a request, and an "id". - is standard input. An answer is appended to OUT when it
    is there; started again, the same command asks only what has no answer yet.
    """
    client = client_of(provider, base_url, api_key, options, timeout)
    defaults = {"model": model, "system": system, **params}
    settings = {
        "concurrency": concurrency,
        "ordered": ordered,
        "into": _schema(schema_path),
        "requests_per_minute": rpm,
        "tokens_per_minute": tpm,
        "endpoints": [_endpoint(each) for each in endpoints] or None,
        "max_retries": max_retries,
        "prices": None if price_in is price_out is None else (price_in or 0.0, price_out or 0.0),
    }
    opened: contextlib.AbstractContextManager[Results | _Printer] = (
        contextlib.nullcontext(_Printer())
        if target == _STANDARD
        else Results(target, retry_failed=retry_failed, ordered=ordered)
    )
    with opened as out:
        if out.cut_bytes:
            note(f"{target}: {out.cut_bytes} bytes of a torn line were cut off")
        given = {name: value for name, value in defaults.items() if value is not None}
        return _run(client, Requests(source, out.done), out, given, quiet, **settings)
