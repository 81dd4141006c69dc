"""Many streams at once: threads, tasks, worker pools; cancelled, dropped, shared, left behind.

Where sockets are counted the streams live in a process of their own: this one has the server's.
"""

from __future__ import annotations

import asyncio
import random
import resource
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import millstream
from answers import GIVE_UP_S, Task
from conftest import API_KEY, Connect, Serve, timeout
from millstream import mock
from processes import Run

WORDS = [" One", " two", " three", " four", " five"]
TEXT = "".join(WORDS)
DESCRIPTORS = 4096


@pytest.fixture
def gate() -> mock.Gate:
    return mock.Gate()


@pytest.fixture
def held(serve: Serve, gate: mock.Gate) -> mock.Server:
    """Repeats the question, says the words, and waits for the gate before the end."""
    return serve(
        lambda request: mock.Answer(
            [request.json()["messages"][-1]["content"], *WORDS, gate, " end"]
        )
    )


@pytest.fixture
def descriptors() -> Iterator[None]:
    """As many as a thousand connections need with both of their ends in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(soft, DESCRIPTORS)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"no more than {hard} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def ask(client: Any, question: str) -> Any:
    return client.stream(model="m", messages=[{"role": "user", "content": question}])


def async_client(server: mock.Server) -> millstream.AsyncClient:
    return millstream.AsyncClient(
        base_url=server.url, api_key=API_KEY, max_retries=0, timeout=timeout()
    )


def run_in_a_loop(main: Callable[[], Any]) -> Any:
    """Run a coroutine function in a loop of its own that may not hang."""

    async def bounded() -> Any:
        return await asyncio.wait_for(main(), GIVE_UP_S)

    return asyncio.run(bounded())


# ---- all at once ---------------------------------------------------------------------------------


def test_two_hundred_threads_with_a_stream_each(
    held: mock.Server, gate: mock.Gate, connect: Connect
) -> None:
    client = connect(held)
    questions = [f"q{n}" for n in range(200)]
    with ThreadPoolExecutor(200) as pool:
        texts = pool.map(lambda question: "".join(ask(client, question).texts()), questions)
        assert held.wait_requests(200, GIVE_UP_S)
        assert held.connections.open == 200
        gate.open()
        assert list(texts) == [f"{question}{TEXT} end" for question in questions]
    assert client.metrics()["streams_ok"] == 200


@pytest.mark.usefixtures("descriptors")
def test_a_thousand_async_streams_in_one_loop(held: mock.Server, gate: mock.Gate) -> None:
    questions = [f"q{n}" for n in range(1000)]

    async def main() -> list[str]:
        async with async_client(held) as client:
            streams = [ask(client, question) for question in questions]
            tasks = [asyncio.create_task(collect(stream)) for stream in streams]
            assert await asyncio.to_thread(held.wait_requests, 1000, GIVE_UP_S)
            assert held.connections.open == 1000
            gate.open()
            texts = await asyncio.gather(*tasks)
            assert client.metrics()["streams_ok"] == 1000
            return texts

    assert run_in_a_loop(main) == [f"{question}{TEXT} end" for question in questions]


async def collect(stream: millstream.AsyncStream) -> str:
    return "".join([text async for text in stream.texts()])


def test_eight_threads_share_one_stream(serve: Serve, connect: Connect) -> None:
    """Each chunk goes to exactly one of them, and to each in the order sent."""
    numbers = [f"{n} " for n in range(2000)]
    stream = ask(connect(serve(mock.Answer(numbers, pace=0.0002))), "q")
    all_have_one = threading.Barrier(8)

    def take() -> list[str]:
        first = next(stream).text
        all_have_one.wait(GIVE_UP_S)
        return [first, *(chunk.text for chunk in stream)]

    tasks = [Task(take) for _ in range(8)]
    parts = [[text for text in task.result() if text] for task in tasks]
    assert sorted((text for part in parts for text in part), key=int) == numbers
    assert all(part == sorted(part, key=int) for part in parts)


# ---- cancelled at random moments -----------------------------------------------------------------

DOOMED = 200
UNTOUCHED = 50
FOREVER = [f"{n} " for n in range(2000)]
BEGINNINGS = {"".join(FOREVER[:n]) for n in range(len(FOREVER))}


@pytest.fixture
def doomed(serve: Serve) -> mock.Server:
    """Fifty words a second, for longer than a test may take."""
    return serve(mock.Answer(FOREVER, pace=0.02))


def begin_doomed(client: Any, server: mock.Server) -> list[Any]:
    """Half of them are answered already; the other half may be at any point before that."""
    answered = [ask(client, "q") for _ in range(DOOMED // 2)]
    assert server.wait_requests(len(answered), GIVE_UP_S)
    return answered + [ask(client, "q") for _ in range(DOOMED - len(answered))]


def assert_all_left(server: mock.Server) -> None:
    """Every request that the server saw was left by its client, and no socket stayed."""
    assert server.wait_until(lambda: server.connections.open == 0, GIVE_UP_S)
    assert server.connections.disconnected == len(server.requests) >= DOOMED // 2


@pytest.mark.parametrize("seed", [1, 2])
def test_threads_cancelled_at_random_moments(
    doomed: mock.Server, held: mock.Server, gate: mock.Gate, connect: Connect, seed: int
) -> None:
    chance = random.Random(seed)
    streams = begin_doomed(connect(doomed), doomed)
    others = [ask(connect(held), f"q{n}") for n in range(UNTOUCHED)]

    def read(stream: millstream.Stream) -> str:
        texts: list[str] = []
        with pytest.raises(millstream.Cancelled):
            texts.extend(iter(lambda: next(stream).text, None))
        return "".join(texts)

    with ThreadPoolExecutor(DOOMED + UNTOUCHED) as pool:
        cut = [pool.submit(read, stream) for stream in streams]
        whole = [pool.submit(stream.result) for stream in others]
        for stream in chance.sample(streams, DOOMED):
            time.sleep(chance.expovariate(500))  # the random moment that this is about
            stream.cancel()
        assert {future.result(GIVE_UP_S) for future in cut} <= BEGINNINGS
        assert_all_left(doomed)
        assert held.connections.disconnected == 0
        gate.open()
        texts = [future.result(GIVE_UP_S).text for future in whole]
    assert texts == [f"q{n}{TEXT} end" for n in range(UNTOUCHED)]


@pytest.mark.parametrize("seed", [1, 2])
def test_tasks_cancelled_at_random_moments(
    doomed: mock.Server, held: mock.Server, gate: mock.Gate, seed: int
) -> None:
    """Some by the task that waits, some by the stream itself."""
    chance = random.Random(seed)

    async def read(stream: millstream.AsyncStream, texts: list[str]) -> None:
        async for text in stream.texts():
            texts.append(text)

    async def read_to_the_cut(stream: millstream.AsyncStream) -> str:
        texts: list[str] = []
        with pytest.raises((millstream.Cancelled, asyncio.CancelledError)):
            await read(stream, texts)
        return "".join(texts)

    async def main() -> list[str]:
        streams = await asyncio.to_thread(begin_doomed, async_client(doomed), doomed)
        tasks = [asyncio.create_task(read_to_the_cut(stream)) for stream in streams]
        other = async_client(held)
        others = [asyncio.create_task(collect(ask(other, f"q{n}"))) for n in range(UNTOUCHED)]
        await asyncio.sleep(0)  # a task that has not begun would not run at all
        for which in chance.sample(range(DOOMED), DOOMED):
            await asyncio.sleep(chance.expovariate(500))  # the random moment
            chance.choice([streams[which].cancel, tasks[which].cancel])()
        assert set(await asyncio.gather(*tasks)) <= BEGINNINGS
        await asyncio.to_thread(assert_all_left, doomed)
        assert held.connections.disconnected == 0
        gate.open()
        return await asyncio.gather(*others)

    assert run_in_a_loop(main) == [f"q{n}{TEXT} end" for n in range(UNTOUCHED)]


# ---- dropped -------------------------------------------------------------------------------------

SOCKETS = """
import gc

def sockets():
    count = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink("/proc/self/fd/" + name).startswith("socket:")
        except FileNotFoundError:
            pass  # of the listing itself
    return count

def begin(stream):
    until_five(stream)
    return stream
"""

DROPS = {
    "del": """
        streams = [begin(ask()) for _ in range(40)]
        say(sockets() - before)
        del streams
        """,
    "break": """
        def first_of_each():
            iterators = [begin(ask()).texts() for _ in range(40)]
            say(sockets() - before)

        first_of_each()
        """,
    "cycle": """
        class Session:
            pass

        gc.disable()
        for _ in range(40):
            session = Session()
            session.self, session.stream = session, begin(ask())
        say(sockets() - before)
        del session
        gc.collect()
        """,
    "exception": """
        def fail():
            streams = [begin(ask()) for _ in range(40)]
            say(sockets() - before)
            raise ValueError

        say(name_of(fail))
        """,
    "thread": """
        def read():
            streams = [begin(ask()) for _ in range(40)]
            say(sockets() - before)

        thread = threading.Thread(target=read)
        thread.start()
        thread.join()
        """,
    "loop": """
        import asyncio

        async def main():
            client = millstream.AsyncClient(base_url=sys.argv[1], api_key="k", max_retries=0)
            streams = [ask(client) for _ in range(40)]
            waiting = [asyncio.ensure_future(stream.result()) for stream in streams[:20]]
            for stream in streams:
                while not stream.message.text.endswith("five"):
                    await asyncio.sleep(0) if stream in streams[:20] else await anext(stream)
            say(sockets() - before - 2)  # the loop has a pair of its own

        asyncio.run(main())
        """,
}


@pytest.mark.parametrize("how", DROPS)
def test_streams_dropped_without_close_give_their_sockets_back(
    run: Run, held: mock.Server, how: str
) -> None:
    """The server sees each go, and then none is left in /proc/self/fd."""
    process = run(
        held,
        SOCKETS
        + dedent("""
        begin(ask()).close()  # what the engine has for itself is there from now on
        sys.stdin.readline()
        before = sockets()
        """)
        + dedent(DROPS[how])
        + dedent("""
        sys.stdin.readline()
        say(sockets() - before)
        """),
    )
    assert held.wait_disconnected(1, GIVE_UP_S)
    process.tell("the first is over")
    assert process.line() == "40"
    if how == "exception":
        assert process.line() == "ValueError"
    assert held.wait_disconnected(41, GIVE_UP_S)
    assert held.connections.open == 0
    process.tell("count")
    assert process.line() == "0"
    assert process.end() == (0, "", "")


# ---- loops ---------------------------------------------------------------------------------------


def test_a_client_and_its_streams_outlive_their_loop(held: mock.Server, gate: mock.Gate) -> None:
    """A loop is closed while a task waits; a second one uses the same client and streams."""
    client = async_client(held)

    async def first() -> list[millstream.AsyncStream]:
        streams = [ask(client, f"q{n}") for n in range(3)]
        for stream in streams:
            while not stream.message.text.endswith(" five"):
                await anext(stream)
        waiting = asyncio.create_task(streams[0].result())
        await asyncio.sleep(0)
        assert not waiting.done()  # asyncio.run() cancels it, and so its stream
        return streams

    async def second(streams: list[millstream.AsyncStream]) -> list[str]:
        with pytest.raises(millstream.Cancelled):
            await streams[0].result()
        kept = [asyncio.create_task(stream.result()) for stream in streams[1:]]
        new = [asyncio.create_task(ask(client, f"q{n}").result()) for n in (3, 4)]
        assert await asyncio.to_thread(held.wait_requests, 5, GIVE_UP_S)
        gate.open()
        return [message.text for message in await asyncio.gather(*kept, *new)]

    streams = run_in_a_loop(first)
    assert held.wait_disconnected(1, GIVE_UP_S)
    texts = run_in_a_loop(lambda: second(streams))
    assert texts == [f"q{n}{TEXT} end" for n in range(1, 5)]
    assert held.connections.disconnected == 1


def test_two_loops_in_two_threads_share_a_client(held: mock.Server, gate: mock.Gate) -> None:
    client = async_client(held)

    async def main(first: int) -> list[str]:
        tasks = [collect(ask(client, f"q{n}")) for n in range(first, first + 50)]
        return await asyncio.gather(*tasks)

    loops = [Task(partial(run_in_a_loop, partial(main, first))) for first in (0, 50)]
    assert held.wait_requests(100, GIVE_UP_S)
    gate.open()
    texts = [text for loop in loops for text in loop.result()]
    assert texts == [f"q{n}{TEXT} end" for n in range(100)]


# ---- worker pools --------------------------------------------------------------------------------

WORKER = """
import os
import millstream

def read(url, question):
    client = millstream.Client(base_url=url, api_key="k", max_retries=0)
    messages = [{"role": "user", "content": question}]
    return client.stream(model="m", messages=messages).result().text, os.getpid()
"""


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_pool_that_replaces_its_workers(
    run: Run, serve: Serve, method: str, tmp_path: Path
) -> None:
    """As Celery's does after some tasks: it forks from a thread, beside one that waits."""
    (tmp_path / "worker.py").write_text(WORKER)
    gate = mock.Gate()

    def script(request: mock.Request) -> mock.Answer:
        question = request.json()["messages"][-1]["content"]
        return mock.Answer([question, *WORDS] if question != "Hi" else [*WORDS, gate, " end"])

    process = run(
        serve(script),
        f"""
        sys.path.insert(0, {str(tmp_path)!r})
        import multiprocessing, worker
        stream = ask()
        text = until_five(stream)
        reader = threading.Thread(target=lambda: say(text + texts(stream)))
        reader.start()
        tasks = [(sys.argv[1], "q" + str(n)) for n in range(12)]
        with multiprocessing.get_context({method!r}).Pool(2, maxtasksperchild=3) as pool:
            answers = pool.starmap(worker.read, tasks, chunksize=1)
            pool.close()
            pool.join()
        for answer, pid in answers:
            say(answer)
        pids = set(pid for _, pid in answers)
        say(len(pids) >= 4, os.getpid() in pids)
        reader.join()  # the end of the main thread would cancel its stream
        """,
    )
    assert [process.line() for _ in range(12)] == [f"q{n}{TEXT}" for n in range(12)]
    assert process.line() == "True False"
    gate.open()
    assert process.end() == (0, TEXT + " end", "")


def test_a_pool_whose_workers_are_killed(run: Run, held: mock.Server, gate: mock.Gate) -> None:
    """In the middle of their streams, which the server sees go; the parent's goes on."""
    process = run(
        held,
        """
        import multiprocessing
        stream = ask()
        text = until_five(stream)
        context = multiprocessing.get_context("fork")
        workers = [context.Process(target=lambda: texts(ask())) for _ in range(4)]
        for worker in workers:
            worker.start()
        sys.stdin.readline()
        for worker in workers:
            worker.kill()
            worker.join()
        say(*(worker.exitcode for worker in workers))
        say(text + texts(stream))
        """,
    )
    assert held.wait_requests(5, GIVE_UP_S)
    process.tell("kill them")
    assert process.line() == "-9 -9 -9 -9"
    assert held.wait_disconnected(4, GIVE_UP_S)
    gate.open()
    assert process.end() == (0, f"Hi{TEXT} end", "")
    assert held.connections.disconnected == 4


def test_workers_keep_no_socket_of_their_parents(run: Run, held: mock.Server) -> None:
    """They live on and have done nothing yet: what the parent gives back is gone all the same."""
    process = run(
        held,
        """
        import multiprocessing
        streams = [ask() for _ in range(5)]
        for stream in streams:
            until_five(stream)
        context = multiprocessing.get_context("fork")
        ready, over = context.Barrier(5), context.Event()

        def idle():
            ready.wait()
            over.wait()

        workers = [context.Process(target=idle) for _ in range(4)]
        for worker in workers:
            worker.start()
        ready.wait()
        del streams, stream
        sys.stdin.readline()
        say(*(worker.is_alive() for worker in workers))
        over.set()
        for worker in workers:
            worker.join()
        """,
    )
    assert held.wait_disconnected(5, GIVE_UP_S)
    process.tell("they are gone")
    assert process.end() == (0, "True True True True", "")
