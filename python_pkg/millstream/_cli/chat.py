"""`millstream chat`: ask any provider's model, once or in a conversation."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Sequence
from typing import Any

import click

from .. import Chunk, Client, Error, Stream
from ._clients import client_of, of_client
from ._commands import TERMINATED, code_of, complain, note, put
from ._show import Show, show_for
from .events import AsText

_END = "Ctrl-D ends the conversation, Ctrl-C the answer."


# ---- arguments -----------------------------------------------------------------------------------


def _text(given: str) -> str:
    """What was typed or given as an argument; bytes that are no UTF-8 as in a pipe."""
    return given.encode(errors="surrogateescape").decode(errors="replace")


def _prompt_of(words: Sequence[str]) -> str | None:
    """The question; None: ask for it on the terminal."""
    if not words:
        if not sys.stdin.isatty():
            return _piped()
        if not sys.stdout.isatty():
            raise click.UsageError("Missing argument 'PROMPT'.")
        return None
    return " ".join(_piped() if word == "-" else _text(word) for word in words)


def _piped() -> str:
    return sys.stdin.buffer.read().decode(errors="replace").rstrip("\n")


# ---- one answer ----------------------------------------------------------------------------------


def as_json(chunk: Chunk) -> str:
    """A chunk as a line of JSON, with the fields that its type has."""
    value: dict[str, Any] = {"type": chunk.type}
    for name in ("text", "reasoning", "refusal", "signature"):
        if getattr(chunk, name):
            value[name] = getattr(chunk, name)
    if chunk.tool_call is not None:
        value["tool_call"] = dict(zip(chunk.tool_call.__match_args__, chunk.tool_call, strict=True))
    if chunk.usage is not None:
        value["usage"] = dict(zip(chunk.usage.__match_args__, chunk.usage, strict=True))
    if chunk.finish_reason is not None:
        value["finish_reason"] = chunk.finish_reason
        value["finish_reason_raw"] = chunk.finish_reason_raw
    if chunk.choice:
        value["choice"] = chunk.choice
    return json.dumps(value, ensure_ascii=False) + "\n"


def _print_raw(stream: Stream) -> None:
    show = AsText()
    for event in stream.events():
        put(show(event))


def _print_json(stream: Stream) -> None:
    for chunk in stream:
        put(as_json(chunk))


def _print_answer(stream: Stream, show: Show) -> None:
    with show:
        for chunk in stream:
            if chunk.choice == 0:
                show.reasoning(chunk.reasoning)
                show.text(chunk.text or chunk.refusal)
    for call in stream.message.tool_calls:
        note(f"calls {call.name}({call.arguments})")


def _summary(stream: Stream) -> str:
    message, timing = stream.message, stream.timing
    parts = [message.model, message.finish_reason]
    if message.usage is not None:
        usage = message.usage
        parts.append(f"{_count(usage.input_tokens)} tokens in, {_count(usage.output_tokens)} out")
    if timing.first_chunk is not None:
        parts.append(f"first chunk after {timing.first_chunk:.2f} s")
    if timing.total is not None:
        parts.append(f"{timing.total:.2f} s")
    if timing.retries:
        parts.append(f"{timing.retries} retries")
    return " · ".join(part for part in parts if part)


def _count(tokens: int | None) -> str:
    return "?" if tokens is None else str(tokens)


class _Asker:
    """Asks with the settings of the command line, and prints what comes."""

    def __init__(
        self,
        client: Client,
        question: dict[str, Any],
        form: str | None,
        reasoning: bool,
        quiet: bool,
    ) -> None:
        self._client = client
        self._question = question
        self._form = form
        self._reasoning = reasoning
        self._quiet = quiet

    def ask(self, messages: list[Any]) -> Stream:
        """Print the answer; return its stream, which has ended or was stopped."""
        try:
            stream = self._client.stream(messages=messages, **self._question)
        except (ValueError, TypeError) as error:
            if isinstance(error, Error):
                raise
            raise click.UsageError(str(error)) from None
        with stream:
            if self._form == "raw":
                _print_raw(stream)
            elif self._form == "json":
                _print_json(stream)
            else:
                _print_answer(stream, show_for(self._form == "plain", self._reasoning))
        if not self._quiet:
            note(_summary(stream), dim=True)
        return stream


# ---- a conversation ------------------------------------------------------------------------------


def _converse(asker: _Asker) -> int:
    """Until the end of input. Returns the exit code of the last question."""
    try:
        import readline  # noqa: F401  # lines can be edited, and come back
    except ImportError:
        pass
    sys.stdin.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]
    note(_END, dim=True)
    messages: list[Any] = []
    code = 0
    while True:
        try:
            text = _text(input("> "))
        except EOFError:
            put("\n")
            return code
        if text.strip():
            code = _turn(asker, messages, text)


def _turn(asker: _Asker, messages: list[Any], text: str) -> int:
    """One question and its answer, which both stay in the conversation where they were whole."""
    asked = [*messages, {"role": "user", "content": text}]
    try:
        stream = asker.ask(asked)
    except KeyboardInterrupt:
        note("stopped", dim=True)
        return 0
    except Error as error:
        complain(str(error))
        return code_of(error)
    messages[:] = [*asked, stream.message]
    return 0


@click.command("chat")
@click.argument("prompt", nargs=-1)
@of_client("-o", "--option", model_required=True)
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS",
              help="For the whole answer.")  # fmt: skip
@click.option("--json", "form", flag_value="json", help="A line of JSON for each chunk.")
@click.option("--raw", "form", flag_value="raw", help="The events as they came.")
@click.option("--plain", "form", flag_value="plain", help="Never Markdown, on a terminal too.")
@click.option(
    "--reasoning",
    is_flag=True,
    help="The model's reasoning too: dim, in a pipe on standard error. Without it a terminal shows "
    "how long it is.",
)
@click.option("-q", "--quiet", is_flag=True, help="No summary on standard error.")
def command(
    prompt: tuple[str, ...],
    provider: str,
    base_url: str | None,
    model: str,
    api_key: str | None,
    system: str | None,
    params: dict[str, Any],
    options: dict[str, str],
    timeout: float | None,
    form: str | None,
    reasoning: bool,
    quiet: bool,
) -> int:
    """Ask a model, and print its answer as it comes.

    PROMPT is the question; - in it stands for standard input, and so does none at all in a pipe.
    On a terminal, none begins a conversation. The answer goes to standard output, a line about it
    to standard error.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(TERMINATED))  # a hidden cursor comes back
    text = _prompt_of(prompt)
    client = client_of(provider, base_url, api_key, options, timeout)
    question = {"model": model, "system": system and _text(system), **params}
    asker = _Asker(client, question, form, reasoning, quiet)
    if text is None:
        return _converse(asker)
    asker.ask([{"role": "user", "content": text}])
    return 0
