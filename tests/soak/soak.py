"""Thousands of streams that end in all ways at random: each one's text is right, nothing is left.

soak.py [chunks [seed]]: a million chunks over 20,000 streams unless told; half of the streams in
threads, half in an event loop. Prints the seed, with which it goes the same way again.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import millstream
from plan import Plan, plan_of

READ = 50  # chunks of a stream, on the average and at least
AT_ONCE = 24  # streams, of each kind
PARTS = 10  # the first one warms up
QUIET_S = 60  # for what was used to be given back: kept connections are closed after five
STALLED_S = 0.5
MESSAGES = [{"role": "user", "content": "Hi"}]
MORE_RSS = 4 << 20  # bytes: what the allocators' own order may cost
MORE_HEAP = 256 << 10
MORE_BLOCKS = 2000  # Python's: interned strings, caches of the interpreter

NONE = type(None)
ENDS: dict[str, tuple[type, ...]] = {
    "whole": (NONE,),
    "retried": (NONE,),
    "cut": (millstream.StreamInterrupted,),
    "reset": (millstream.StreamInterrupted, millstream.ConnectError),  # it overtakes the head
    "stall": (millstream.Timeout,),
    "status": (millstream.StatusError,),
    "provider": (millstream.ProviderError,),
    "broken": (millstream.ProtocolError,),
    "mute": (millstream.ConnectError,),
}


# ---- one stream ----------------------------------------------------------------------------------


@dataclass
class Outcome:
    """What a client saw of one stream."""

    text: str = ""
    error: millstream.Error | None = None
    left: bool = False  # before its end
    timing: millstream.Timing | None = None


def check(plan: Plan, outcome: Outcome) -> str:
    """A word for the outcome; AssertionError where it is not what the plan means."""
    whole = "" if plan.ending in ("status", "mute") else plan.text
    assert whole.startswith(outcome.text), f"{plan}: {outcome}"
    if outcome.left:
        return f"left ({plan.leaving})"
    # Where a retry would come too late, the error that called for it stands.
    if plan.leaving == "timeout" and isinstance(
        outcome.error, (millstream.Timeout, millstream.ServerError)
    ):
        return "left (timeout)"
    assert isinstance(outcome.error, ENDS[plan.ending]), f"{plan}: {outcome}"
    assert outcome.text == whole or plan.ending in ("reset", "stall"), f"{plan}: {outcome}"
    return plan.ending


def options_of(plan: Plan) -> dict[str, Any]:
    """What its client gets beyond the address."""
    total = 0.02 if plan.leaving == "timeout" else None
    idle = STALLED_S if plan.ending == "stall" else 60.0
    limits = {"limits": millstream.Limits(buffered_bytes=2000)} if plan.small_queue else {}
    return {
        "api_key": "k",
        "max_retries": 2 if plan.ending == "retried" else 0,
        "timeout": millstream.Timeout(connect=60, first_chunk=60, idle=idle, total=total),
        **limits,
    }


def ways(stream: millstream.Stream, plan: Plan) -> Iterator[str]:
    """The texts, by each of the ways to iterate."""
    if plan.leaving != "never" or plan.leave_after % 3 == 0:
        return (chunk.text for chunk in stream)
    if plan.leave_after % 3 == 1:
        return stream.texts()
    return (chunk.text for batch in stream.batches() for chunk in batch)


def run(seed: int, number: int, port: int) -> str:
    """One stream in this thread."""
    plan = plan_of(seed, number)
    url = f"http://127.0.0.1:{port}/{seed}/{number}"
    outcome = Outcome()
    with millstream.Client(base_url=url, **options_of(plan)) as client:
        stream = client.stream(model="m", messages=MESSAGES)
        try:
            for count, text in enumerate(ways(stream, plan)):
                outcome.text += text
                if count >= plan.leave_after and plan.leaving in ("cancel", "close", "drop"):
                    outcome.left = True
                    leave(stream, plan)
                    break
        except millstream.Error as error:
            outcome.error = error.with_traceback(None)
        outcome.timing = stream.timing
    return check(plan, outcome)


def leave(stream: millstream.Stream | millstream.AsyncStream, plan: Plan) -> None:
    """End the stream before its time; dropping it is what its caller does anyhow."""
    if plan.leaving == "cancel":
        stream.cancel()
    elif plan.leaving == "close":
        stream.close()


def async_ways(stream: millstream.AsyncStream, plan: Plan) -> AsyncIterator[str]:
    """As `ways`."""
    if plan.leaving != "never" or plan.leave_after % 3 == 0:
        return (chunk.text async for chunk in stream)
    if plan.leave_after % 3 == 1:
        return stream.texts()
    return (chunk.text async for batch in stream.batches() for chunk in batch)


async def run_async(seed: int, number: int, port: int) -> str:
    """One stream in this task."""
    plan = plan_of(seed, number)
    url = f"http://127.0.0.1:{port}/{seed}/{number}"
    outcome = Outcome()
    async with millstream.AsyncClient(base_url=url, **options_of(plan)) as client:
        stream = client.stream(model="m", messages=MESSAGES)
        try:
            count = 0
            async for text in async_ways(stream, plan):
                outcome.text += text
                if count >= plan.leave_after and plan.leaving in ("cancel", "close", "drop"):
                    outcome.left = True
                    leave(stream, plan)
                    break
                count += 1
        except millstream.Error as error:
            outcome.error = error.with_traceback(None)
        outcome.timing = stream.timing
    return check(plan, outcome)


# ---- many ----------------------------------------------------------------------------------------


def run_in_threads(seed: int, numbers: range, port: int) -> Counter[str]:
    """All of them, AT_ONCE at a time."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return Counter(pool.map(lambda number: run(seed, number, port), numbers))


async def run_in_loop(seed: int, numbers: range, port: int) -> Counter[str]:
    """All of them, AT_ONCE at a time."""
    ways: Counter[str] = Counter()
    left = iter(numbers)

    async def work() -> None:
        for number in left:
            ways[await run_async(seed, number, port)] += 1

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    return ways


def run_part(seed: int, numbers: range, port: int) -> Counter[str]:
    """Half of them in threads, half in an event loop, at the same time."""
    with ThreadPoolExecutor(1) as pool:
        threads = pool.submit(run_in_threads, seed, numbers[::2], port)
        ways = asyncio.run(run_in_loop(seed, numbers[1::2], port))
        return ways + threads.result()


# ---- what is held --------------------------------------------------------------------------------


class MallInfo(ctypes.Structure):
    """glibc's struct mallinfo2."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd",
            "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]  # fmt: skip


@dataclass(frozen=True)
class Holdings:
    """What the process holds while nothing is going on."""

    fds: int
    threads: int
    rss: int
    heap: int
    blocks: int

    def __str__(self) -> str:
        return (
            f"{self.fds} fds, {self.threads} threads, RSS {self.rss >> 10} KiB, "
            f"heap {self.heap >> 10} KiB, {self.blocks} blocks"
        )


def holdings() -> Holdings:
    """Read it from the system and the allocators."""
    gc.collect()
    libc = ctypes.CDLL(None)
    libc.mallinfo2.restype = MallInfo
    info = libc.mallinfo2()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return Holdings(
        fds=len(os.listdir("/proc/self/fd")),
        threads=len(os.listdir("/proc/self/task")),
        rss=pages * os.sysconf("SC_PAGE_SIZE"),
        heap=info.uordblks + info.hblkhd,
        blocks=sys.getallocatedblocks(),
    )


def sockets() -> int:
    """How many are open: those of streams, of kept connections and of libcurl itself."""
    return sum(is_socket(path) for path in Path("/proc/self/fd").iterdir())


def is_socket(path: Path) -> bool:
    """Whether the descriptor is one; not where it is closed by now."""
    try:
        return os.readlink(path).startswith("socket:")
    except FileNotFoundError:
        return False


def quiet_holdings() -> Holdings:
    """Wait until all streams are over and the kept connections are closed."""
    end = time.monotonic() + QUIET_S
    while millstream.metrics()["streams_open"] or sockets():
        assert time.monotonic() < end, "streams or connections are left"
        time.sleep(0.05)
    return holdings()


def compare(before: Holdings, after: Holdings) -> None:
    """After the first tenth nothing grows any more."""
    assert after.fds == before.fds, "file descriptors are left open"
    assert after.threads == before.threads, "threads are left"
    assert after.blocks - before.blocks < MORE_BLOCKS, "Python objects are left"
    assert after.heap - before.heap < MORE_HEAP, "memory is left allocated"
    assert after.rss - before.rss < MORE_RSS, "the process has grown"


# ---- all of it -----------------------------------------------------------------------------------


def soak(chunks: int, seed: int, port: int) -> None:
    """Run all parts; compare what is held after the first with what is held in the end."""
    streams = max(PARTS, chunks // READ)
    ways: Counter[str] = Counter()
    for part in range(PARTS):
        numbers = range(streams * part // PARTS, streams * (part + 1) // PARTS)
        ways += run_part(seed, numbers, port)
        if part == 0:
            before = quiet_holdings()
            print(f"after the first tenth: {before}", flush=True)
        else:
            print(f"{numbers.stop} streams: {holdings()}", flush=True)
    after = quiet_holdings()
    print(f"in the end: {after}")
    print(", ".join(f"{count} {way}" for way, count in ways.most_common()))
    sent = sum(len(plan_of(seed, number).texts) for number in range(streams))
    print(f"{millstream.metrics()['chunks']} chunks read of {sent} planned, {streams} streams")
    compare(before, after)


def main() -> None:
    """Start the server, soak, stop it."""
    chunks = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else int.from_bytes(os.urandom(4), "big")
    print(f"seed {seed}", flush=True)
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("server.py"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert server.stdout is not None
    with server:
        try:
            soak(chunks, seed, int(server.stdout.readline()))
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
