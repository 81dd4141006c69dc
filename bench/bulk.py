"""A bulk job: its memory, and its CPU a chunk beside 500 streams and beside the openai client.

    ./dev bench bulk [--requests N] [--at-once N] [--chunks N] [--rate N]

100,000 requests, 2,000 at once, of 40 chunks at 10 a second each by default, against the server of
`./dev bench`. In the same run: 500 tasks of an event loop, a stream each at the same rate, which is
the row `tasks` of that bench; and openai's AsyncOpenAI with a semaphore on a twentieth of the same
requests, as many at once. CPU is that of the whole client process from its first request to its
last result, the starting and ending of streams included, but for the 500 streams, which run when
they are measured. Prints what docs/bulk.md says.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import adapters
import contestant

HERE = Path(__file__).resolve().parent
OPENAI_SHARE = 20  # of the requests one in so many: it takes long
SAMPLE_S = 0.5
STEADY_STREAMS, STEADY_S = 500, 10


# ---- contestants, each in a process of its own ---------------------------------------------------


class Memory:
    """The resident memory of this process, looked at twice a second."""

    def __init__(self) -> None:
        self.mib: list[float] = []
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        while True:
            self.mib.append(contestant.rss_kib() / 1024)
            time.sleep(SAMPLE_S)

    def told(self) -> dict[str, float]:
        """At a quarter, at three quarters, and the most."""
        n = len(self.mib)
        return {
            "rss_quarter_mib": self.mib[n // 4],
            "rss_three_quarters_mib": self.mib[n * 3 // 4],
            "rss_most_mib": max(self.mib),
        }


def measured(chunks: int, results: int, begin: float, cpu: float, memory: Memory) -> dict[str, Any]:
    """One contestant's figures."""
    cpu_s = time.process_time() - cpu
    return {
        "chunks": chunks, "results": results, "cpu_s": cpu_s, "cpu_us": cpu_s / chunks * 1e6,
        "wall_s": time.perf_counter() - begin, **memory.told(),
    }  # fmt: skip


def bulk(base: str, requests: int, at_once: int) -> dict[str, Any]:
    """This project, in a thread."""
    import millstream

    client = millstream.Client(base_url=f"{base}/v1", api_key="k")
    questions = ({"model": "m", "messages": adapters.MESSAGES} for _ in range(requests))
    memory, chunks, results = Memory(), 0, 0
    begin, cpu = time.perf_counter(), time.process_time()
    for result in client.bulk(questions, concurrency=at_once):
        assert result.error is None, result.error
        chunks += result.chunks
        results += 1
    return measured(chunks, results, begin, cpu, memory)


def bulk_async(base: str, requests: int, at_once: int) -> dict[str, Any]:
    """This project, in an event loop."""
    import millstream

    async def main() -> dict[str, Any]:
        client = millstream.AsyncClient(base_url=f"{base}/v1", api_key="k")
        questions = ({"model": "m", "messages": adapters.MESSAGES} for _ in range(requests))
        memory, chunks, results = Memory(), 0, 0
        begin, cpu = time.perf_counter(), time.process_time()
        async for result in client.bulk(questions, concurrency=at_once):
            assert result.error is None, result.error
            chunks += result.chunks
            results += 1
        return measured(chunks, results, begin, cpu, memory)

    return asyncio.run(main())


def openai(base: str, requests: int, at_once: int) -> dict[str, Any]:
    """OpenAI's own client: a task a request, of which a semaphore lets so many run."""
    texts = adapters.openai_async(base)

    async def main() -> dict[str, Any]:
        semaphore = asyncio.Semaphore(at_once)

        async def ask() -> int:
            async with semaphore:
                return sum([1 async for _ in texts()])

        memory, begin, cpu = Memory(), time.perf_counter(), time.process_time()
        counts = await asyncio.gather(*(ask() for _ in range(requests)))
        return measured(sum(counts), len(counts), begin, cpu, memory)

    return asyncio.run(main())


CONTESTANTS = {"bulk": bulk, "bulk-async": bulk_async, "openai": openai}


# ---- the run -------------------------------------------------------------------------------------


def run_here(name: str, base: str, requests: int, at_once: int) -> None:
    """As a contestant's process."""
    import resource

    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    contestant.leave(CONTESTANTS[name](base, requests, at_once))


def compare(asked: argparse.Namespace) -> None:
    """Measure all, print a line each, and the ratios."""
    import run

    bench = run.Bench(asked.build.resolve())
    spec = f"n={asked.chunks},rate={asked.rate},spread=1" if asked.rate else f"n={asked.chunks}"

    def measure(python: str, *words: str, spec: str = spec) -> dict[str, Any]:
        figures: dict[str, Any] = {}
        with bench.serving(figures) as server:
            command = [python, *words]
            given = [word.replace("{base}", f"{server}/{spec}") for word in command]
            done = subprocess.run(
                given, check=True, stdout=subprocess.PIPE, text=True, env=bench.environment
            )
        return {**json.loads(done.stdout.splitlines()[-1]), **figures}

    def of(name: str, python: str, requests: int) -> dict[str, Any]:
        words = [str(HERE / "bulk.py"), "--contestant", name, "{base}"]
        figures = measure(python, *words, str(requests), str(asked.at_once))
        print(
            f"{name:10} {figures['results']:7,} requests, {figures['wall_s']:6.1f} s, "
            f"{figures['cpu_us']:7.2f} µs CPU a chunk, RSS {figures['rss_quarter_mib']:.0f} MiB at "
            f"a quarter, {figures['rss_three_quarters_mib']:.0f} at three, "
            f"{figures['rss_most_mib']:.0f} at most",
            flush=True,
        )
        return figures

    print(
        f"{asked.requests:,} requests, {asked.at_once:,} at once, {asked.chunks} chunks each, "
        + (f"{asked.rate} a second" if asked.rate else "as fast as they are read"),
        flush=True,
    )
    rate = asked.rate or 10
    words = ["tasks", "millstream", "{base}", str(STEADY_STREAMS), str(STEADY_S)]
    whole = f"n={(STEADY_S + 20) * rate},rate={rate},spread=1"
    steady = measure(sys.executable, str(HERE / "contestant.py"), *words, spec=whole)
    steady_us = steady["cpu_s"] / steady["chunks"] * 1e6
    print(f"{'500 tasks':10} {steady_us:.2f} µs CPU a chunk", flush=True)
    ours = of("bulk", sys.executable, asked.requests)
    in_loop = of("bulk-async", sys.executable, asked.requests)
    theirs = of("openai", str(bench.peers.python), asked.requests // OPENAI_SHARE)
    for name, figures in (("bulk", ours), ("bulk-async", in_loop)):
        print(
            f"{name}: {figures['cpu_us'] / steady_us:.2f} × the 500 streams (goal 1.5 at most), "
            f"openai takes {theirs['cpu_us'] / figures['cpu_us']:.1f} × as much (goal 5 at least)"
        )


def main() -> None:
    """What was asked for."""
    if sys.argv[1:2] == ["--contestant"]:
        name, base, requests, at_once = sys.argv[2:]
        run_here(name, base, int(requests), int(at_once))
    parser = argparse.ArgumentParser(prog="./dev bench bulk", description=__doc__.split("\n", 1)[0])
    parser.add_argument("build", type=Path, help=argparse.SUPPRESS)
    for name, default in (("requests", 100_000), ("at-once", 2_000), ("chunks", 40), ("rate", 10)):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N")
    compare(parser.parse_args())


if __name__ == "__main__":
    main()
