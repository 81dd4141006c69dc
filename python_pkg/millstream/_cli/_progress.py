"""How far a bulk job is: a bar that moves on a terminal, else a line now and then."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from ._commands import note, styled

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from .. import BulkResult

_LINE_EVERY_S = 10.0
_RATE_SPAN_S = 10.0
_SAMPLES = 2_000  # the last first chunks that the quantiles are of


class Progress:
    """A context manager. `share` tells how much of the requests was read, 0 to 1, or None."""

    def __init__(self, share: Callable[[], float | None], quiet: bool) -> None:
        self._share = share
        self._quiet = quiet
        self._began = self._told = time.monotonic()
        self._began_at: float | None = None
        self.done = self.failed = self.chunks = self.tokens = 0
        self.cost = 0.0
        self._first_chunks: list[float] = []
        self._marks = [(self._began, 0, 0)]

    def add(self, result: BulkResult) -> None:
        """Another request is done."""
        if self._began_at is None:
            self._began_at = self._share() or 0.0
        self.done += 1
        self.failed += result.error is not None
        self.chunks += result.chunks
        if result.usage is not None:
            self.tokens += result.usage.output_tokens or 0
        self.cost += result.cost or 0.0
        if result.first_chunk is not None:
            if len(self._first_chunks) < _SAMPLES:
                self._first_chunks.append(result.first_chunk)
            else:
                self._first_chunks[self.done % _SAMPLES] = result.first_chunk
        self._show()

    def _show(self) -> None:
        now = time.monotonic()
        if now - self._told >= _LINE_EVERY_S:
            self._told = now
            self._line(self.line())

    def _line(self, text: str) -> None:
        if not self._quiet:
            note(text, dim=True)

    def line(self) -> str:
        """How it stands."""
        chunks_s, tokens_s = self._rates()
        parts = [f"{self.done:,} done", f"{self.failed:,} failed"]
        parts += [f"{chunks_s:,.0f} chunks/s", f"{tokens_s:,.0f} tokens/s"]
        if self._first_chunks:
            firsts = sorted(self._first_chunks)
            parts.append(f"first chunk {_at(firsts, 0.5):.2f}/{_at(firsts, 0.99):.2f} s")
        left = self._seconds_left()
        if left is not None:
            parts.append(f"{_clock(left)} left")
        return " · ".join(parts)

    def summary(self, skipped: int) -> str:
        """How it was."""
        seconds = time.monotonic() - self._began
        parts = [f"{self.done:,} done", f"{self.failed:,} failed"]
        if skipped:
            parts.append(f"{skipped:,} were there")
        parts += [f"{self.chunks:,} chunks", f"{self.tokens:,} tokens out", f"{seconds:.1f} s"]
        if self._first_chunks:
            firsts = sorted(self._first_chunks)
            parts.append(f"first chunk {_at(firsts, 0.5):.2f}/{_at(firsts, 0.99):.2f} s (p50/p99)")
        if self.cost:
            parts.append(f"cost {self.cost:,.4f}")
        return " · ".join(parts)

    def _rates(self) -> tuple[float, float]:
        """Chunks and tokens a second, of late."""
        now = time.monotonic()
        self._marks.append((now, self.chunks, self.tokens))
        while len(self._marks) > 2 and self._marks[1][0] < now - _RATE_SPAN_S:
            del self._marks[0]
        then, chunks, tokens = self._marks[0]
        seconds = max(now - then, 1e-3)
        return (self.chunks - chunks) / seconds, (self.tokens - tokens) / seconds

    def _seconds_left(self) -> float | None:
        share, began_at = self._share(), self._began_at
        if share is None or began_at is None or share <= began_at:
            return None
        return (time.monotonic() - self._began) * (1 - share) / (share - began_at)

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing is left of it."""


class Bar(Progress):
    """By rich, in one line at the terminal's foot."""

    def __init__(self, share: Callable[[], float | None]) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Display

        super().__init__(share, quiet=False)
        console = Console(
            stderr=True, highlight=False, color_system="auto" if styled(sys.stderr) else None
        )
        self._display = Display(
            BarColumn(bar_width=20), TextColumn("{task.description}"),
            console=console, transient=True, refresh_per_second=5,
        )  # fmt: skip
        self._task = self._display.add_task("", total=None)
        self._drawn = 0.0

    def _show(self) -> None:
        now = time.monotonic()
        if now - self._drawn < 0.2:
            return
        self._drawn = now
        share = self._share()
        self._display.update(
            self._task, description=self.line(), total=None if share is None else 1.0,
            completed=share or 0.0,
        )  # fmt: skip

    def __enter__(self) -> Progress:
        self._display.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._display.stop()


def progress_for(share: Callable[[], float | None], quiet: bool) -> Progress:
    """As standard error can show it."""
    return Bar(share) if sys.stderr.isatty() and not quiet else Progress(share, quiet)


def _at(values: list[float], share: float) -> float:
    return values[min(len(values) - 1, int(len(values) * share))]


def _clock(seconds: float) -> str:
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"
