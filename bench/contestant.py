"""One contestant in one row, in a process of its own.

    python bench/contestant.py SCENARIO ADAPTER BASE [SETTING...]

Prints what it measured as one line of JSON, with the names that the floor programs use too. CPU is
that of this whole process, user and system, in the time that is measured.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import statistics
import sys
import threading
import time
from array import array
from collections.abc import AsyncIterator, Callable
from typing import Any

import adapters

Result = dict[str, Any]

# Threads whose streams have not begun then are left behind: some clients let no more of them run.
PATIENCE_S = 10


def rss_kib() -> int:
    """This process's resident memory."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() // 1024


def percentiles(latencies_ns: array[int]) -> Result:
    """Median and 99th percentile, microseconds."""
    ordered = sorted(latencies_ns)
    return {f"p{percent}_us": ordered[len(ordered) * percent // 100] / 1e3 for percent in (50, 99)}


def leave(result: Result) -> None:
    """The streams that still run are not worth a wait."""
    print(json.dumps(result), flush=True)
    os._exit(0)


# ---- one stream ----------------------------------------------------------------------------------


def one(adapter: str, base: str) -> Result:
    """One stream from its request to its end."""
    texts = adapters.SYNC[adapter](base)
    chunks = 0
    begin, cpu = time.perf_counter(), time.process_time()
    for text in texts():
        if text:
            chunks += 1
    return {
        "chunks": chunks,
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - begin,
    }


def first(adapter: str, base: str, requests: str) -> Result:
    """From the call to the first text, on a connection that is kept."""
    texts = adapters.SYNC[adapter](base)
    for _ in texts():
        pass
    samples = []
    for _ in range(int(requests)):
        begin = time.perf_counter()
        stream = texts()
        while not next(stream):
            pass
        samples.append(time.perf_counter() - begin)
        for _ in stream:
            pass
    return {"first_chunk_us": statistics.median(samples) * 1e6}


# ---- threads -------------------------------------------------------------------------------------


class Threads:
    """Streams, each read by a thread of its own, counted."""

    def __init__(self, adapter: str, base: str, streams: int) -> None:
        texts = adapters.SYNC[adapter](base)
        self.counts = [0] * streams
        self.ended = False
        for i in range(streams):
            threading.Thread(target=self.read, args=[texts, i], daemon=True).start()
        patience = time.monotonic() + PATIENCE_S
        while not all(self.counts) and time.monotonic() < patience:
            time.sleep(0.01)

    def read(self, texts: adapters.Texts, i: int) -> None:
        """One thread's work."""
        try:
            for text in texts():
                if text:
                    self.counts[i] += 1
        finally:
            self.ended = True
            self.counts[i] += 1  # also where it failed: nobody has to wait for it

    def during(self, work: Callable[[], None]) -> Result:
        """The CPU and the chunks while `work` lasts."""
        begun = len(self.counts) - self.counts.count(0)
        chunks = sum(self.counts)
        begin, cpu = time.perf_counter(), time.process_time()
        work()
        result = {
            "cpu_s": time.process_time() - cpu,
            "wall_s": time.perf_counter() - begin,
            "chunks": sum(self.counts) - chunks,
            "begun": begun,
        }
        if self.ended:
            raise SystemExit("a stream ended while the others were measured")
        return result


def threads(adapter: str, base: str, streams: str, seconds: str) -> Result:
    """Many threads, and a main thread that sleeps."""
    readers = Threads(adapter, base, int(streams))
    return readers.during(lambda: time.sleep(float(seconds)))


def busy(adapter: str, base: str, streams: str, seconds: str) -> Result:
    """The share of a CPU that a thread gets which always has something to compute."""
    result: Result = {}

    def work() -> None:
        result["share"] = busy_share(float(seconds))

    if adapter == "nothing":
        work()
    else:
        result.update(Threads(adapter, base, int(streams)).during(work))
    return result


def busy_share(seconds: float) -> float:
    """Compute in pure Python that long."""
    begin, mine = time.perf_counter(), time.thread_time()
    while time.perf_counter() < begin + seconds:
        sum(range(1000))
    return (time.thread_time() - mine) / (time.perf_counter() - begin)


def steady(adapter: str, base: str, streams: str, seconds: str) -> Result:
    """What the extension counts itself, in the row of the threads."""
    import millstream

    readers = Threads(adapter, base, int(streams))
    before = millstream.metrics()
    readers.during(lambda: time.sleep(float(seconds)))
    after = millstream.metrics()
    holds = {
        bound: count - before["gil_hold_seconds"].get(bound, 0)
        for bound, count in after["gil_hold_seconds"].items()
    }
    wakeups = after["wakeups"] - before["wakeups"]
    return {
        "takes_a_wakeup": (after["gil_takes"] - before["gil_takes"]) / wakeups,
        "hold_us": median_of(holds) * 1e6,
    }


def median_of(histogram: dict[float, int]) -> float:
    """The median of a histogram whose buckets double, taken as evenly filled."""
    left = sum(histogram.values()) / 2
    for bound, count in sorted(histogram.items()):
        if count >= left:
            return bound / 2 * (1 + left / count)
        left -= count
    return 0.0


# ---- event loops ---------------------------------------------------------------------------------


class Tasks:
    """Streams, each read by a task of its own, with the latency of each chunk."""

    def __init__(self, adapter: str, base: str, streams: int) -> None:
        self.texts = adapters.ASYNC[adapter](base)
        self.streams = streams
        self.begun = asyncio.Event()
        self.n_begun = self.n_whole = 0
        self.measuring = False
        self.latencies_ns = array("q")

    async def read(self) -> None:
        """One task's work."""
        now, stream = time.monotonic_ns, self.texts()
        await self.begin(stream)
        async for text in stream:
            if self.measuring and text:
                self.latencies_ns.append(now() - int(text))
        self.n_whole += 1

    async def begin(self, stream: AsyncIterator[str]) -> None:
        """Up to the first text."""
        while not await anext(stream):
            pass
        self.n_begun += 1
        if self.n_begun == self.streams:
            self.begun.set()

    async def run(self, seconds: float, whole: bool) -> Result:
        """From the moment when all have begun."""
        before_kib = rss_kib()
        tasks = [asyncio.create_task(self.read()) for _ in range(self.streams)]
        await self.all_begun(tasks)
        self.measuring = True
        begin, cpu = time.perf_counter(), time.process_time()
        await asyncio.sleep(seconds)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - begin
        self.measuring = False
        kib = rss_kib() - before_kib
        if self.n_whole:
            raise SystemExit("a stream ended while the others were measured")
        if whole:
            await asyncio.gather(*tasks)
        return {
            "chunks": len(self.latencies_ns),
            "cpu_s": cpu,
            "wall_s": wall,
            "rss_kib_a_stream": kib / self.streams,
            "whole": self.n_whole,
            **percentiles(self.latencies_ns),
        }

    async def all_begun(self, tasks: list[asyncio.Task[None]]) -> None:
        """A stream that fails or ends before that makes the row worthless."""
        begun = asyncio.create_task(self.begun.wait())
        done, _ = await asyncio.wait([begun, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done - {begun}:
            task.result()
            raise SystemExit("a stream ended before all had begun")


def tasks(adapter: str, base: str, streams: str, seconds: str, whole: str = "") -> Result:
    """Many tasks of one event loop."""

    async def main() -> None:
        leave(await Tasks(adapter, base, int(streams)).run(float(seconds), whole == "whole"))

    asyncio.run(main())
    raise AssertionError("leave() does not return")


# ---- program -------------------------------------------------------------------------------------

SCENARIOS: dict[str, Callable[..., Result]] = {
    "one": one,
    "first": first,
    "threads": threads,
    "busy": busy,
    "steady": steady,
    "tasks": tasks,
}


def main() -> None:
    """Any number of connections, then the scenario."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    scenario, *arguments = sys.argv[1:]
    leave(SCENARIOS[scenario](*arguments))


if __name__ == "__main__":
    main()
