"""Streams that many threads use at once: nothing lost, nothing twice, no call that must not fail.

It means most on a free-threaded CPython, and most of all there under ThreadSanitizer, where a data
race of ours fails the run (`./dev matrix tsan`). What each thread does is drawn from a seed of its
own, and is an amount of work, not of time.
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import sysconfig
import threading
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

import millstream
from answers import GIVE_UP_S, MESSAGES, Task, eventually
from conftest import API_KEY, Connect, Serve, timeout
from millstream import mock
from processes import Run

THREADS = 8
BURST = 500
WORDS = ["One", " two", " three", " four", " five"]
TEXT = "".join(WORDS)

free_threaded = pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="skipped: this CPython has a GIL"
)


def together(function: Callable[[int], object]) -> list[object]:
    """What `function(0)`, `function(1)`, … gave, run at once on a thread each."""
    start = threading.Barrier(THREADS)

    def task(number: int) -> Task:
        def run() -> object:
            start.wait(GIVE_UP_S)
            return function(number)

        return Task(run)

    return [task.result() for task in [task(number) for number in range(THREADS)]]


# ---- the GIL -------------------------------------------------------------------------------------


@free_threaded
def test_the_import_leaves_the_gil_off() -> None:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHON_GIL"}
    program = "import sys, millstream; millstream.AsyncClient; print(sys._is_gil_enabled())"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=GIVE_UP_S,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("False\n", "")


@free_threaded
def test_no_package_of_the_tests_has_turned_the_gil_on() -> None:
    """Else nothing here would run at the same time."""
    assert not sys._is_gil_enabled()  # type: ignore[attr-defined]


# ---- one stream ----------------------------------------------------------------------------------


def by_chunks(stream: millstream.Stream) -> Iterator[str]:
    return (chunk.text for chunk in stream)


def by_batches(stream: millstream.Stream) -> Iterator[str]:
    return (chunk.text for batch in stream.batches() for chunk in batch)


def by_waiting(stream: millstream.Stream) -> Iterator[str]:
    while stream.wait() and (chunk := next(stream, None)):
        yield chunk.text


def by_waiting_for_any(stream: millstream.Stream) -> Iterator[str]:
    while millstream.wait([stream]) and (chunk := next(stream, None)):
        yield chunk.text


WAYS = [by_chunks, by_batches, by_waiting, by_waiting_for_any]


def test_eight_threads_see_each_chunk_of_a_stream_once(serve: Serve, connect: Connect) -> None:
    """They come in bursts: the threads wait together, and then take at the same time."""
    numbers = [f"{n} " for n in range(BURST * 20)]
    parts: list[str | float | mock.Gate] = list(numbers)
    for place in range(len(parts), 0, -BURST):
        parts.insert(place, 0.002)
    client = connect(serve(mock.Answer(parts)))
    stream = client.stream(model="m", messages=MESSAGES)
    taken = together(lambda n: [text for text in WAYS[n % len(WAYS)](stream) if text])
    seen = [[int(text) for text in part] for part in taken]  # type: ignore[attr-defined]
    assert sorted(number for part in seen for number in part) == list(range(len(numbers)))
    for part in seen:
        assert part == sorted(part)
    assert stream.message.text == "".join(numbers)


def test_what_a_stream_tells_while_others_read_it(serve: Serve, connect: Connect) -> None:
    """Half of the threads read; the other half ask for its facts until its end is told."""
    text = "".join(f"{n} " for n in range(1000))
    client = connect(serve(mock.Answer(text, pace=0.0001)))
    stream = client.stream(model="m", messages=MESSAGES)

    def ask_for_facts() -> int:
        longest = ""
        while stream.message.finish_reason is None:
            message = stream.message.text
            assert text.startswith(message)
            assert message.startswith(longest)  # it only grows
            longest = message
            assert stream.response.status == 200
            assert stream.timing.retries == 0
            assert client.metrics()["streams_started"] == 1
            assert millstream.metrics()["streams_open"] >= 0
        return len(stream.message.text)

    def work(number: int) -> int:
        return ask_for_facts() if number % 2 else len(list(stream))

    lengths = together(work)[1::2]
    assert lengths == [len(text)] * (THREADS // 2)


# ---- all that can be done ------------------------------------------------------------------------


class Pool:
    """Streams that all the threads use, end and replace, and the chunk that was taken last."""

    SIZE = 4

    def __init__(self, client: millstream.Client) -> None:
        self.client = client
        self.streams = [self.ask() for _ in range(self.SIZE)]
        self.chunk = next(self.streams[0])

    def ask(self) -> millstream.Stream:
        return self.client.stream(model="m", messages=MESSAGES)

    def replace(self, place: int) -> None:
        self.streams[place] = self.ask()  # the other is dropped by whoever uses it last

    def take(self, place: int) -> None:
        self.chunk = next(self.streams[place], self.chunk)

    def take_batch(self, place: int) -> None:
        for batch in self.streams[place].batches():
            assert batch
            self.chunk = batch[-1]
            break

    def take_event(self, place: int) -> None:
        for event in self.streams[place].events():
            assert event.raw
            break

    def take_all(self, place: int) -> None:
        assert TEXT.startswith(self.streams[place].result().text)

    def look_at_the_chunk(self, place: int) -> None:
        chunk = self.chunk
        assert chunk.text in ("", *WORDS)
        assert chunk.event.json() == chunk.json()
        assert chunk.type in repr(chunk)

    def cancel(self, place: int) -> None:
        self.streams[place].cancel()

    def close(self, place: int) -> None:
        self.streams[place].close()

    def wait(self, place: int) -> None:
        self.streams[place].wait(0.001 * place)

    def wait_for_any(self, place: int) -> None:
        streams = list(self.streams)
        assert all(stream in streams for stream in millstream.wait(streams, 0.001 * place))

    def message(self, place: int) -> None:
        assert TEXT.startswith(self.streams[place].message.text)

    def response(self, place: int) -> None:
        assert self.streams[place].response.status == 200

    def timing(self, place: int) -> None:
        assert self.streams[place].timing.chunks <= len(WORDS) + 3

    def metrics(self, place: int) -> None:
        assert self.client.metrics()["streams_failed"] == 0
        assert millstream.metrics()["streams_started"] >= self.SIZE


STEPS = [step for name, step in vars(Pool).items() if name not in ("__init__", "ask")
         and callable(step)]  # fmt: skip


def test_everything_at_once(serve: Serve, connect: Connect) -> None:
    client = connect(serve(mock.Answer(WORDS, pace=0.0002)))
    pool = Pool(client)
    refused: Counter[str] = Counter()

    def work(number: int) -> None:
        draw = random.Random(number)
        for _ in range(1000):
            step = draw.choice([Pool.replace, *STEPS])
            try:
                step(pool, draw.randrange(Pool.SIZE))
            except millstream.Cancelled:  # another thread, or this one, has cancelled it
                refused[step.__name__] += 1

    together(work)
    assert not refused.keys() & {"replace", "cancel", "close", "message", "timing", "metrics"}
    pool.streams.clear()
    assert eventually(lambda: client.metrics()["streams_open"] == 0)
    metrics = client.metrics()
    assert metrics["streams_started"] == metrics["streams_ok"] + metrics["streams_cancelled"]


# ---- event loops ---------------------------------------------------------------------------------


def test_an_event_loop_on_each_thread(serve: Serve) -> None:
    """Each reads its own streams, and cancels some of those of the next thread."""
    server = serve(mock.Answer(WORDS, pace=0.001))
    client = millstream.AsyncClient(
        base_url=server.url, api_key=API_KEY, max_retries=0, timeout=timeout()
    )
    streams: list[list[millstream.AsyncStream]] = [[] for _ in range(THREADS)]

    async def read(number: int, place: int) -> str:
        stream = streams[number][place]
        try:
            return "".join([chunk.text async for chunk in stream])
        except millstream.Cancelled:
            return "cancelled"

    async def meddle(number: int) -> None:
        draw = random.Random(number)
        for _ in range(30):
            neighbours = streams[(number + 1) % THREADS]
            neighbours[draw.randrange(5)].cancel()
            await asyncio.sleep(0)

    async def main(number: int) -> list[str]:
        reading = [read(number, place) for place in range(20)]
        given = await asyncio.gather(*reading, meddle(number))
        return given[:-1]  # type: ignore[return-value]

    def start(number: int) -> list[str]:
        streams[number].extend(client.stream(model="m", messages=MESSAGES) for _ in range(20))
        started.wait(GIVE_UP_S)
        return asyncio.run(asyncio.wait_for(main(number), GIVE_UP_S))

    started = threading.Barrier(THREADS)
    for texts in together(start):
        assert set(texts[:5]) <= {TEXT, "cancelled"}  # type: ignore[index]
        assert set(texts[5:]) == {TEXT}  # type: ignore[index]


# ---- the first and the last of a process ---------------------------------------------------------


def test_eight_threads_start_the_first_streams_of_a_process(serve: Serve, run: Run) -> None:
    process = run(
        serve(mock.Answer(WORDS)),
        """
        start = threading.Barrier(8)
        given = []
        def work():
            start.wait()
            given.append(texts(millstream.Client(base_url=sys.argv[1], api_key="k").stream(
                model="m", messages=[])))
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        say(*sorted(set(given)), len(given))
        """,
    )
    assert process.end() == (0, f"{TEXT} 8", "")


def test_a_process_ends_while_eight_threads_start_streams(serve: Serve, run: Run) -> None:
    process = run(
        serve(mock.Answer(WORDS)),
        """
        running = threading.Barrier(9)
        def work():
            texts(ask())
            running.wait()
            try:
                while True:
                    ask()
            except millstream.Cancelled:
                pass
        for _ in range(8): threading.Thread(target=work).start()
        running.wait()
        """,
    )
    assert process.end() == (0, "", "")
