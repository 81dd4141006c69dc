"""`millstream bench`: how fast this machine reads streams, from the package as it is installed."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import click

from .. import Client, Error, metrics
from ._commands import dimmed, put

_MOCK_MODEL = "mock-long"  # some 2,400 chunks
_SLICE_S = 0.1  # a signal that comes just before a wait does not end it
_MESSAGES = [{"role": "user", "content": "Tell me a long story about a mill beside a stream."}]


@contextlib.contextmanager
def _mock() -> Iterator[str]:
    """A model server in a process of its own, so that its work is not counted."""
    command = [sys.executable, "-m", "millstream.mock", "--until-stdin-closes"]
    # In a session of its own: Ctrl-C is for this process, which then ends that one.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            if not url:
                raise click.ClickException("the mock server did not start")
            yield url
        finally:
            process.stdin.close()


class _Run:
    """Streams at the same time, a thread each, until enough were read."""

    def __init__(self, client: Client, model: str, streams: int, rounds: int) -> None:
        self._client = client
        self._model = model
        self._rounds = rounds
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self.first_chunks: list[float] = []
        self.chunks = 0
        self.error: BaseException | None = None
        self._threads = [threading.Thread(target=self._read, daemon=True) for _ in range(streams)]

    def go(self) -> None:
        """Run to the end; raises what went wrong first."""
        for thread in self._threads:
            thread.start()
        try:
            for thread in self._threads:
                while thread.is_alive():
                    thread.join(_SLICE_S)
        finally:
            self._stopped.set()
        if self.error is not None:
            raise self.error

    def _read(self) -> None:
        try:
            for _ in range(self._rounds):
                with self._client.stream(model=self._model, messages=_MESSAGES) as stream:
                    count = 0
                    for _ in stream:
                        count += 1
                        if self._stopped.is_set():
                            return
                self._count(count, stream.timing.first_chunk)
        except BaseException as error:
            with self._lock:
                self.error = self.error or error
            self._stopped.set()

    def _count(self, chunks: int, first_chunk: float | None) -> None:
        with self._lock:
            self.chunks += chunks
            if first_chunk is not None:
                self.first_chunks.append(first_chunk)


def _measure(run: _Run) -> dict[str, Any]:
    """Run, and tell what it cost."""
    before, cpu, wall = metrics(), time.process_time(), time.perf_counter()
    run.go()
    wall, cpu, after = time.perf_counter() - wall, time.process_time() - cpu, metrics()
    chunks = run.chunks
    if not chunks:
        raise Error("the answers held no chunk")
    firsts = sorted(run.first_chunks)
    return {
        "chunks": chunks,
        "seconds": wall,
        "chunks_per_second": chunks / wall,
        "first_chunk_p50": _quantile(firsts, 0.5),
        "first_chunk_p99": _quantile(firsts, 0.99),
        "cpu_per_chunk": cpu / chunks,
        "engine_cpu_per_chunk": (after["engine_cpu_total"] - before["engine_cpu_total"]) / chunks,
        "gil_held_per_chunk": (after["gil_hold_total"] - before["gil_hold_total"]) / chunks,
        "gil_takes_per_chunk": (after["gil_takes"] - before["gil_takes"]) / chunks,
    }


def _quantile(values: list[float], share: float) -> float:
    return values[min(len(values) - 1, int(len(values) * share))] if values else 0.0


def _as_text(found: dict[str, Any]) -> str:
    lines = {
        "chunks": f"{found['chunks']:,} in {found['seconds']:.2f} s",
        "chunks a second": f"{found['chunks_per_second']:,.0f}",
        "first chunk": f"{found['first_chunk_p50'] * 1e3:.1f} ms half of them, "
        f"{found['first_chunk_p99'] * 1e3:.1f} ms 99 of 100",
        "CPU a chunk": f"{found['cpu_per_chunk'] * 1e6:.2f} µs, of that "
        f"{found['engine_cpu_per_chunk'] * 1e6:.2f} µs in the engine",
        "GIL a chunk": f"{found['gil_held_per_chunk'] * 1e6:.3f} µs held by millstream, "
        f"taken {found['gil_takes_per_chunk']:.3f} times",
    }
    return "".join(f"{dimmed(f'{name:16}', sys.stdout)}{text}\n" for name, text in lines.items())


@click.command("bench")
@click.option("-n", "--streams", type=click.IntRange(1, 10_000), default=20, show_default=True,
              help="Streams at a time, a thread each.")  # fmt: skip
@click.option("-r", "--rounds", type=click.IntRange(1), default=3, show_default=True,
              help="Answers of each, one after the other.")  # fmt: skip
@click.option("--base-url", metavar="URL", help="A server, with its version path.")
@click.option("-P", "--provider", default="openai", show_default=True, help="A provider's name.")
@click.option(
    "-m", "--model", help="Of that server. Without it the mock is asked, in a process of its own."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object; times are seconds.")
def command(
    streams: int, rounds: int, base_url: str | None, provider: str, model: str | None, as_json: bool
) -> None:
    """Measure how fast streams are read here, and what a chunk costs.

    The figures are this machine's, with what else runs on it; a server that is slow or far away
    measures itself. The key comes from the provider's own variable.
    """
    if base_url is not None and model is None:
        raise click.UsageError("--base-url needs --model")
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(_mock()) if model is None else base_url
        try:
            client = Client(provider, base_url=url)
        except ValueError as error:
            raise click.UsageError(str(error)) from None
        name = model or _MOCK_MODEL
        _Run(client, name, 1, 1).go()  # warm: engine, connection, and that it works at all
        found = _measure(_Run(client, name, streams, rounds))
    put(json.dumps(found) + "\n" if as_json else _as_text(found))
