"""An answer streamed into the terminal, and what it cost.

The embedded mock model server runs in a process of its own; a Python thread computes beside the
stream all the time, and the line under the answer tells how much of its speed it kept.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time

from .. import Client, Error, metrics

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from .. import Stream


class BusyThread(threading.Thread):
    """A thread that computes without a pause, and tells how fast it was."""

    def __init__(self) -> None:
        super().__init__(name="busy", daemon=True)
        self._rounds = 0
        self._stopped = False

    def run(self) -> None:
        """Count rounds of a fixed piece of work."""
        while not self._stopped:
            sum(range(100))
            self._rounds += 1

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._stopped = True
        self.join()

    def rounds(self) -> int:
        """How many rounds it has done."""
        return self._rounds


class Measurement:
    """What a stretch of time cost: CPU of this thread and of the engine's, and the busy thread."""

    def __init__(self, busy: BusyThread) -> None:
        self._busy = busy
        self._begin = self._sample()

    def _sample(self) -> tuple[float, float, int]:
        cpu = time.thread_time() + metrics()["engine_cpu_total"]
        return time.perf_counter(), cpu, self._busy.rounds()

    def end(self) -> tuple[float, float]:
        """(CPU seconds of the stream, rounds a second of the busy thread)."""
        wall, cpu, rounds = (
            now - then for now, then in zip(self._sample(), self._begin, strict=True)
        )
        return cpu, rounds / wall


@contextlib.contextmanager
def mock_server(pace: float) -> Iterator[str]:
    """The mock model server in a process of its own; gives its URL."""
    command = [sys.executable, "-m", "millstream.mock", "--until-stdin-closes"]
    command += ["--pace", str(pace), "--first", "0.2"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        try:
            if not url:
                raise SystemExit(
                    f"demo: the mock server did not start (exit code {process.wait()})"
                )
            yield url
        finally:
            process.stdin.close()
            process.wait()


def _print(stream: Stream) -> None:
    for text in stream.texts():
        print(text, end="", flush=True)
    print()


def _run(prompt: str, pace: float) -> None:
    busy = BusyThread()
    with mock_server(pace) as url:
        client = Client(base_url=url, api_key="demo")
        messages = [{"role": "user", "content": prompt}]
        client.stream(model="mock", messages=messages).result()  # warm: engine and connection
        busy.start()
        alone = Measurement(busy)
        time.sleep(0.5)
        _, alone_speed = alone.end()

        beside = Measurement(busy)
        stream = client.stream(model="mock", messages=messages)
        _print(stream)
        cpu, beside_speed = beside.end()
        busy.stop()

    timing = stream.timing
    assert timing.first_chunk is not None
    print(
        f"\n{timing.chunks} chunks · first after {timing.first_chunk * 1000:.0f} ms · "
        f"{cpu / timing.chunks * 1e6:.0f} µs of CPU a chunk · "
        f"a busy thread beside it kept {beside_speed / alone_speed:.0%} of its speed"
    )


def show(prompt: str, pace: float) -> int:
    """Stream one answer beside a busy thread and print what it cost; 0, or 1 with what failed."""
    try:
        _run(prompt, pace)
    except Error as error:
        print(f"demo: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0
