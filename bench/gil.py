"""What streams cost the other threads: the share of its speed that a computing thread keeps.

    python bench/gil.py [seconds]

For 1, 10 and 50 streams of 20 chunks a second, each read by a thread of its own, beside a thread
that computes; the server is a process of its own. Each round measures the computing thread alone
and beside the streams, one after the other, so that the machine's own noise is in both; the medians
of the rounds are printed. A stop is a pause of the computing thread between two steps of about
20 microseconds. What is held by us is counted by the extension itself (`client.metrics()`).
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass

import millstream

STREAMS = (1, 10, 50)
CHUNKS_A_SECOND = 20
ROUNDS = 5
MESSAGES = [{"role": "user", "content": "Hi"}]

SERVER = """
import sys
from millstream import mock

words = [f"{n} " for n in range(int(sys.argv[1]))]
with mock.Server(mock.Answer(words, pace=float(sys.argv[2]))) as url:
    print(url, flush=True)
    sys.stdin.read()
"""


@dataclass
class Computing:
    """How fast the computing thread was, and its longest stop in seconds."""

    speed: float
    longest_stop: float


def compute(seconds: float) -> Computing:
    """Small steps of pure Python until the time is over."""
    begin = last = time.perf_counter()
    steps, longest = 0, 0.0
    while last < begin + seconds:
        sum(range(1000))
        now = time.perf_counter()
        longest = max(longest, now - last)
        last = now
        steps += 1
    return Computing(steps / (last - begin), longest)


def read(stream: millstream.Stream) -> None:
    """Up to the end."""
    for _ in stream:
        pass


def beside(client: millstream.Client, n: int, seconds: float) -> Computing:
    """Compute while n streams are read."""
    streams = [client.stream(model="m", messages=MESSAGES) for _ in range(n)]
    readers = [threading.Thread(target=read, args=[stream]) for stream in streams]
    for reader in readers:
        reader.start()
    for stream in streams:
        stream.response  # noqa: B018 - all are under way now
    computing = compute(seconds)
    for stream in streams:
        stream.cancel()
    for reader in readers:
        reader.join()
    return computing


def main() -> None:
    """Measure and print the table."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 3.0
    chunks = round((seconds + 60) * CHUNKS_A_SECOND)
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(chunks), str(1 / CHUNKS_A_SECOND)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    url = server.stdout.readline().strip()
    threading.excepthook = lambda _: None  # the readers end with Cancelled
    print(f"CPython {sys.version.split()[0]}, {ROUNDS} rounds of {seconds:g} s each")
    print("streams  speed kept  longest stop alone  beside    held at most  takes a chunk")
    for n in STREAMS:
        alone, with_streams = [], []
        client = millstream.Client(base_url=url, api_key="k")
        for _ in range(ROUNDS):
            alone.append(compute(seconds))
            with_streams.append(beside(client, n, seconds))
        metrics = client.metrics()
        kept = statistics.median(
            b.speed / a.speed for a, b in zip(alone, with_streams, strict=True)
        )
        print(
            f"{n:7}  {kept:9.1%}  {1e3 * statistics.median(a.longest_stop for a in alone):15.1f} ms"
            f"  {1e3 * statistics.median(b.longest_stop for b in with_streams):5.1f} ms"
            f"  {1e6 * max(metrics['gil_hold_seconds']):8.1f} µs"
            f"  {metrics['gil_takes'] / metrics['chunks']:13.2f}"
        )
    server.communicate("")


if __name__ == "__main__":
    main()
