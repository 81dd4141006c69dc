"""AsyncClient on asyncio: the surface of the sync client, one descriptor a loop, cancellation."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import millstream
from answers import GIVE_UP_S, MESSAGES, eventually
from conftest import API_KEY, Serve, timeout
from millstream import _core, _hub, mock

WORDS = ["One", " two", " three", " four", " five"]


def client_of(server: mock.Server, **options: Any) -> millstream.AsyncClient:
    given = {"api_key": API_KEY, "max_retries": 0, "timeout": timeout(), **options}
    return millstream.AsyncClient(base_url=server.url, **given)


def ask(server: mock.Server, **options: Any) -> millstream.AsyncStream:
    return client_of(server, **options).stream(model="m", messages=MESSAGES)


def run(function: Callable[[], Awaitable[Any]]) -> Any:
    """Run a coroutine function in a loop of its own that may not hang."""

    async def bounded() -> Any:
        return await asyncio.wait_for(function(), GIVE_UP_S)

    return asyncio.run(bounded())


def test_async_for_gives_every_chunk(serve: Serve) -> None:
    server = serve(mock.Answer(WORDS))

    async def main() -> None:
        stream = ask(server)
        chunks = [chunk async for chunk in stream]
        assert [chunk.text for chunk in chunks if chunk.text] == WORDS
        assert [chunk async for chunk in stream] == []
        assert stream.message.text == "".join(WORDS)

    run(main)


def test_chunks_come_one_by_one(serve: Serve) -> None:
    gates = [mock.Gate() for _ in WORDS]
    server = serve(mock.Answer([part for pair in zip(WORDS, gates, strict=True) for part in pair]))

    async def main() -> None:
        texts = ask(server).texts()
        for word, gate in zip(WORDS, gates, strict=True):
            assert await anext(texts) == word
            gate.open()
        assert [text async for text in texts] == []

    run(main)


def test_the_other_iterators_and_facts(serve: Serve) -> None:
    server = serve(mock.Answer(WORDS))

    async def main() -> None:
        async with client_of(server) as client:
            batches = [b async for b in client.stream(model="m", messages=MESSAGES).batches()]
            assert all(batches)
            assert [c.text for b in batches for c in b if c.text] == WORDS
            events = [e async for e in client.stream(model="m", messages=MESSAGES).events()]
            assert events[-1].data == "[DONE]"
            async with client.stream(model="m", messages=MESSAGES) as stream:
                assert (await stream.response).status == 200
                assert (await stream.result()).text == "".join(WORDS)
                assert (await stream.result()).finish_reason == "stop"
            assert stream.timing.total is not None
            assert client.metrics()["streams_ok"] == 3

    run(main)


def test_errors_come_after_the_chunks(serve: Serve) -> None:
    server = serve(mock.Answer(WORDS, cut_after=4))

    async def main() -> None:
        stream, texts = ask(server), []

        async def collect() -> None:
            async for text in stream.texts():
                texts.append(text)

        with pytest.raises(millstream.StreamInterrupted) as caught:
            await collect()
        assert texts == WORDS[:3]
        assert caught.value.message is not None
        assert caught.value.message.text == "".join(WORDS[:3])
        assert [chunk async for chunk in stream] == []
        with pytest.raises(millstream.StreamInterrupted):
            await stream.result()

    run(main)


def test_response_of_an_error_and_of_none(serve: Serve) -> None:
    server = serve(mock.Error(401))

    async def main() -> None:
        assert (await ask(server).response).status == 401
        server.close()
        with pytest.raises(millstream.ConnectError):
            await ask(server).response

    run(main)


def test_a_cancelled_task_cancels_the_transfer(serve: Serve) -> None:
    gate = mock.Gate()
    server = serve(mock.Answer(["One", gate]))

    async def main() -> None:
        stream = ask(server)
        task = asyncio.create_task(stream.result())
        while not stream.timing.chunks:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await asyncio.to_thread(server.wait_disconnected, timeout=GIVE_UP_S)
        with pytest.raises(millstream.Cancelled):
            await anext(stream)

    run(main)


@pytest.mark.parametrize("how", ["cancel", "close"])
def test_another_task_ends_a_waiting_one(serve: Serve, how: str) -> None:
    server = serve(mock.Answer(["One", mock.Gate()]))

    async def main() -> None:
        stream = ask(server)
        reader = asyncio.create_task(collect(stream))
        while stream.message.text != "One":
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        await getattr(stream, how)()
        if how == "close":
            assert await reader == ["One"]
        else:
            with pytest.raises(millstream.Cancelled):
                await reader

    async def collect(stream: millstream.AsyncStream) -> list[str]:
        return [text async for text in stream.texts()]

    run(main)


def test_dropping_the_last_reference_cancels(serve: Serve) -> None:
    server = serve(mock.Answer(["One", mock.Gate()]))

    async def main() -> None:
        stream = ask(server)
        await anext(stream)
        del stream
        gc.collect()
        assert await asyncio.to_thread(server.wait_disconnected, timeout=GIVE_UP_S)

    run(main)


def test_two_tasks_share_a_stream(serve: Serve) -> None:
    server = serve(mock.Answer(WORDS * 50, pace=0.0005))

    async def main() -> None:
        stream = ask(server)

        async def collect() -> list[str]:
            return [text async for text in stream.texts()]

        parts = await asyncio.gather(*(collect() for _ in range(8)))
        assert sorted(word for part in parts for word in part) == sorted(WORDS * 50)

    run(main)


def test_another_loop_cannot_wait_for_the_same_stream(serve: Serve) -> None:
    """The loop that waits would not wake again: the other is told, and the stream goes on."""
    gate = mock.Gate()
    server = serve(mock.Answer([gate, "One", " two"]))

    async def main() -> None:
        stream = ask(server)
        assert (await anext(stream)).type == "other"
        waiting = asyncio.create_task(anext(stream))
        await asyncio.sleep(0)

        async def wait_here() -> None:
            with pytest.raises(RuntimeError, match="read a stream in one loop"):
                await anext(stream)
            with pytest.raises(RuntimeError, match="read a stream in one loop"):
                await asyncio.gather(stream.result(), anext(stream))

        await asyncio.to_thread(run, wait_here)
        assert not waiting.done()
        gate.open()
        assert (await waiting).text == "One"
        message = await asyncio.to_thread(run, stream.result)  # nobody waits for it here any more
        assert message.text == "One two"

    run(main)


def test_a_stream_goes_on_in_another_loop_when_its_own_is_gone(serve: Serve) -> None:
    """Where trio is imported too: then it is not asked first which loop of asyncio's runs."""
    pytest.importorskip("trio", reason="skipped: no trio")
    gate = mock.Gate()
    server = serve(mock.Answer(["One", gate, " two"]))
    streams: list[millstream.AsyncStream] = []

    async def begin() -> None:
        streams.append(ask(server))
        while (await anext(streams[0])).text != "One":
            pass
        await _hub.wait(streams[0], 0)

    async def end() -> str:
        task = asyncio.create_task(streams[0].result())
        await asyncio.sleep(0)
        gate.open()
        message = await task
        return message.text

    run(begin)
    gc.collect()
    assert run(end) == "One two"


def test_a_loop_that_need_not_wait_does_not_keep_the_stream(serve: Serve) -> None:
    server = serve(mock.Answer(WORDS))

    async def main() -> None:
        stream = ask(server)
        await stream.response
        first, second = _core.Waiter(), _core.Waiter()
        while first.arm(stream, False):  # until there is a chunk
            first.disarm(stream)
            await asyncio.sleep(0)
        assert not second.arm(stream, False)
        assert (await stream.result()).text == "".join(WORDS)

    run(main)


def test_a_wait_that_only_looks_ends_with_its_time(serve: Serve) -> None:
    """And leaves the stream to who reads it, when it is cancelled too."""
    gate = mock.Gate()
    server = serve(mock.Answer(["One", gate, " two"]))

    async def main() -> None:
        stream = ask(server)
        while (await anext(stream)).text != "One":
            pass
        await _hub.wait(stream, 0.01)
        reading = asyncio.create_task(anext(stream))
        looking = [asyncio.create_task(_hub.wait(stream, s)) for s in (float("inf"), 600)]
        await asyncio.sleep(0)
        looking.pop().cancel()
        await asyncio.sleep(0)
        assert not reading.done()
        gate.open()
        await looking.pop()
        assert (await reading).text == " two"

    run(main)


def test_what_is_awaited_may_be_a_task(serve: Serve) -> None:
    gate = mock.Gate()
    server = serve(mock.Answer(["One", gate, " two"]))

    async def main() -> None:
        stream = ask(server)
        while (await anext(stream)).text != "One":
            pass
        task = asyncio.create_task(anext(stream))  # a coroutine is demanded here
        done, _ = await asyncio.wait([task], timeout=0)
        assert not done
        gate.open()
        assert (await task).text == " two"

    run(main)


def test_it_is_awaited_once(serve: Serve) -> None:
    server = serve(mock.Answer(WORDS))

    async def main() -> None:
        stream = ask(server)
        taken = stream.__anext__()
        await taken
        with pytest.raises(RuntimeError, match="awaited already"):
            await taken
        assert (await stream.result()).text == "".join(WORDS)
        with pytest.raises(StopAsyncIteration):
            await stream.__anext__()

    run(main)


def test_one_that_is_dropped_leaves_the_others_waiting(serve: Serve) -> None:
    gate = mock.Gate()
    server = serve(mock.Answer(["One", gate, " two"]))

    async def main() -> None:
        stream = ask(server)
        while (await anext(stream)).text != "One":
            pass
        dropped = stream.__anext__()
        dropped.send(None)  # it waits
        task = asyncio.create_task(anext(stream))
        await asyncio.sleep(0)
        del dropped
        gc.collect()
        gate.open()
        assert (await task).text == " two"

    run(main)


def test_the_head_and_a_chunk_are_waited_for_at_once(serve: Serve) -> None:
    head, body = mock.Gate(), mock.Gate()
    line = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    server = serve(mock.Raw([head, line, body]))

    async def main() -> None:
        stream = ask(server)
        response = asyncio.create_task(response_of(stream))
        chunk = asyncio.create_task(anext(stream))
        await asyncio.sleep(0)  # both wait
        head.open()
        assert (await response).status == 200
        assert not chunk.done()
        body.open()
        with pytest.raises(millstream.StreamInterrupted):
            await chunk

    async def response_of(stream: millstream.AsyncStream) -> millstream.Response:
        return await stream.response

    run(main)


@pytest.mark.parametrize("kind", ["Task", "_PyTask"])
def test_a_task_keeps_its_context_and_the_words_of_its_cancellation(
    serve: Serve, kind: str
) -> None:
    """In the interpreter's own tasks and in those written in Python, which debuggers use."""
    task_type = getattr(asyncio.tasks, kind)
    gate, never = mock.Gate(), mock.Gate()
    server = serve(mock.Answer(["One", gate, " two", never, " three"]))
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="loop")

    async def main() -> None:
        stream = ask(server)
        while (await anext(stream)).text != "One":
            pass

        async def read() -> tuple[str, str]:
            variable.set("task")
            return (await anext(stream)).text, variable.get()

        task = task_type(read())
        await asyncio.sleep(0)
        gate.open()
        assert await task == (" two", "task")
        assert variable.get() == "loop"
        task = task_type(read())
        await asyncio.sleep(0)
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await task
        with pytest.raises(millstream.Cancelled):
            await anext(stream)

    run(main)


def test_a_task_that_ends_the_loop_keeps_no_other_from_its_wake_up(serve: Serve) -> None:
    gate = mock.Gate()
    server = serve(mock.Answer(["One", gate, " two"]))

    async def begin() -> tuple[asyncio.Task[None], asyncio.Task[str]]:
        streams = [ask(server), ask(server)]
        for stream in streams:
            while (await anext(stream)).text != "One":
                pass

        async def leave() -> None:
            await anext(streams[0])
            raise SystemExit(7)

        async def read() -> str:
            return (await anext(streams[1])).text

        tasks = asyncio.create_task(leave()), asyncio.create_task(read())
        await asyncio.sleep(0)
        return tasks

    loop = asyncio.new_event_loop()
    try:
        left, read = loop.run_until_complete(begin())
        gate.open()
        with pytest.raises(SystemExit):
            loop.run_until_complete(left)
        assert loop.run_until_complete(asyncio.wait_for(read, GIVE_UP_S)) == " two"
    finally:
        loop.close()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_many_streams_wait_on_one_descriptor(serve: Serve) -> None:
    gate = mock.Gate()
    server = serve(mock.Answer(["One", gate, " two"]))

    async def main() -> None:
        client = client_of(server)
        at_first = descriptors()
        streams = [client.stream(model="m", messages=MESSAGES) for _ in range(200)]
        tasks = [asyncio.create_task(stream.result()) for stream in streams]
        while client.metrics()["chunks"] < 400:  # a role and a word each
            await asyncio.sleep(0.001)
        connections = client.metrics()["connections"]
        added = descriptors() - at_first
        gate.open()
        assert {message.text for message in await asyncio.gather(*tasks)} == {"One two"}
        # Each connection has two ends in this process; what is the engine's and the loop's is few.
        assert added < 2 * connections + 20

    run(main)


def test_loops_come_and_go(serve: Serve) -> None:
    server = serve(mock.Answer(WORDS))

    async def main() -> str:
        return (await ask(server).result()).text

    run(main)
    gc.collect()
    before = descriptors()
    for _ in range(5):
        assert run(main) == "".join(WORDS)
        gc.collect()
    assert eventually(lambda: descriptors() <= before + 1)


def test_a_loop_may_end_with_live_streams(serve: Serve) -> None:
    server = serve(mock.Answer(["One", mock.Gate()]))

    async def main() -> millstream.AsyncStream:
        stream = ask(server)
        assert (await anext(stream)).type == "other"
        pending = asyncio.create_task(stream.result())
        await asyncio.sleep(0)
        assert not pending.done()
        return stream

    stream = run(main)
    del stream
    assert server.wait_disconnected(timeout=GIVE_UP_S)


def test_trio(serve: Serve) -> None:
    trio = pytest.importorskip("trio")
    server = serve(mock.Answer(WORDS, pace=0.001))

    async def main() -> None:
        with trio.fail_after(GIVE_UP_S):
            stream = ask(server)
            assert [text async for text in stream.texts()] == WORDS
            streams = [ask(server) for _ in range(20)]
            assert {(await stream.result()).text for stream in streams} == {"".join(WORDS)}
        hanging = ask(serve(mock.Answer(["One", mock.Gate()])))
        with trio.move_on_after(0.05) as scope:
            await hanging.result()
        assert scope.cancelled_caught
        with pytest.raises(millstream.Cancelled):
            await anext(hanging)

    trio.run(main)


def test_uvloop(serve: Serve) -> None:
    uvloop = pytest.importorskip("uvloop")
    server = serve(mock.Answer(WORDS, pace=0.001))

    async def main() -> str:
        return (await ask(server).result()).text

    loop = uvloop.new_event_loop()
    try:
        assert loop.run_until_complete(main()) == "".join(WORDS)
    finally:
        loop.close()
