"""How an answer grows on standard output: as text, or on a terminal as Markdown.

rich is imported for Markdown only: it costs more than the rest of the command.
"""

from __future__ import annotations

import os
import re
import sys
import time
from abc import ABC, abstractmethod
from types import TracebackType
from typing import TYPE_CHECKING

import click

from ._commands import dimmed, plain, put, styled

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderResult

_REFRESHES_A_SECOND = 12
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
# What belongs to the lines above an empty line: a further item of a list, what is indented.
_GOES_ON = re.compile(r"\s|[-*+] |\d{1,9}[.)] ")


class Show(ABC):
    """Where an answer's pieces go; a context manager that ends the last line."""

    @abstractmethod
    def text(self, piece: str) -> None:
        """The next piece of the answer; "" says nothing."""

    @abstractmethod
    def reasoning(self, piece: str) -> None:
        """The next piece of the model's reasoning."""

    def __enter__(self) -> Show:
        return self

    @abstractmethod
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


def show_for(as_text: bool, reasoning: bool) -> Show:
    """Markdown on a terminal that can move its cursor, unless `as_text`."""
    if as_text or not sys.stdout.isatty() or os.environ.get("TERM") in (None, "dumb", "unknown"):
        return _Text(reasoning)
    return _Markdown(reasoning)


class _Text(Show):
    """The text as it is. Reasoning: dim on a terminal; in a pipe, where it would be taken for the
    answer, on standard error."""

    def __init__(self, reasoning: bool) -> None:
        self._reasons = reasoning
        self._terminal = sys.stdout.isatty()
        self._last = ""
        self._thinks = False

    def text(self, piece: str) -> None:
        if piece:
            self._end_thoughts()
            put(plain(piece) if self._terminal else piece)
            self._last = piece[-1]

    def reasoning(self, piece: str) -> None:
        if not (piece and self._reasons):
            return
        self._thinks = True
        if self._terminal:
            put(dimmed(plain(piece), sys.stdout))
        else:
            click.echo(piece, err=True, nl=False)

    def _end_thoughts(self) -> None:
        if self._thinks:
            self._thinks = False
            if self._terminal:
                put("\n\n")
            else:
                click.echo(err=True)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, BrokenPipeError):
            return
        self._end_thoughts()
        if self._last and self._last != "\n":
            put("\n")


class _Markdown(Show):
    """Markdown by rich. What can grow no more is printed for good; the rest is drawn again and
    again, at most as many lines as the terminal has."""

    def __init__(self, reasoning: bool) -> None:
        from rich.console import Console
        from rich.live import Live

        color = "auto" if styled(sys.stdout) else None
        self._console = Console(color_system=color, highlight=False)  # type: ignore[arg-type]
        self._live = Live(
            console=self._console,
            refresh_per_second=_REFRESHES_A_SECOND,
            transient=True,
            vertical_overflow="crop",
        )
        self._reasons = reasoning
        self._thoughts = ""
        self._began = 0.0
        self._tail = ""
        self._printed = False

    def __enter__(self) -> Show:
        self._live.start()
        return self

    def text(self, piece: str) -> None:
        if not piece:
            return
        self._end_thoughts()
        self._tail += plain(piece)
        whole, self._tail = whole_blocks(self._tail)
        self._live.update(_LastLines(self._tail), refresh=bool(whole))
        if whole:  # over what is drawn again and again
            self._print(whole)

    def reasoning(self, piece: str) -> None:
        if not piece:
            return
        self._began = self._began or time.monotonic()
        self._thoughts += plain(piece)
        shown = self._thoughts if self._reasons else self._thought_for()
        self._live.update(_LastLines(shown, dim=True))

    def _end_thoughts(self) -> None:
        if self._thoughts:
            self._live.update("", refresh=True)
            self._console.print(
                self._thoughts if self._reasons else self._thought_for(), style="dim", markup=False
            )
            self._console.print()
            self._thoughts = ""

    def _thought_for(self) -> str:
        seconds = time.monotonic() - self._began
        return f"thought for {seconds:.1f} s, {len(self._thoughts.split())} words"

    def _print(self, text: str) -> None:
        from rich.markdown import Markdown

        if self._printed:
            self._console.print()
        self._printed = True
        self._console.print(Markdown(text))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._live.update("")
        self._live.stop()
        self._end_thoughts()
        if self._tail.strip():
            self._print(self._tail)


class _LastLines:
    """As much of a text's end as the terminal has lines for."""

    def __init__(self, text: str, dim: bool = False) -> None:
        self._text = text
        self._dim = dim

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        from rich.markdown import Markdown
        from rich.segment import Segment
        from rich.text import Text

        shown = Text(self._text, style="dim") if self._dim else Markdown(self._text)
        lines = console.render_lines(shown, options.update(height=None), pad=False)
        for line in lines[1 - max(2, console.height) :]:
            yield from line
            yield Segment.line()


def whole_blocks(text: str) -> tuple[str, str]:
    """The blocks of Markdown that nothing can change any more, and the rest."""
    fence, at, split = "", 0, 0
    blank = False
    for line in text.splitlines(keepends=True):
        if not fence and blank and line.strip() and not _GOES_ON.match(line):
            split = at
        mark = _FENCE.match(line)
        if fence and mark and mark[1].startswith(fence) and not line[mark.end() :].strip():
            fence = ""
        elif not fence and mark:
            fence = mark[1]
        blank = not fence and not line.strip()
        at += len(line)
    return text[:split].strip("\n"), text[split:]
