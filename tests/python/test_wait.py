"""`millstream.wait`: which of many streams have something, so that one thread serves them all."""

from __future__ import annotations

import random
import signal
import threading
from typing import Any

import pytest

import millstream
from answers import GIVE_UP_S, MESSAGES, Task, eventually
from conftest import Connect, Serve
from millstream import mock
from processes import Run

LONG_AGO_S = 0  # a time-out that is over at once


def ask_many(client: millstream.Client, n: int) -> list[millstream.Stream]:
    return [client.stream(model="m", messages=MESSAGES) for _ in range(n)]


@pytest.fixture
def gates() -> list[mock.Gate]:
    return [mock.Gate() for _ in range(4)]


@pytest.fixture
def held(serve: Serve, connect: Connect, gates: list[mock.Gate]) -> list[millstream.Stream]:
    """Streams that have given their first word; the second waits for a gate each."""
    server = serve([mock.Answer(["first", gate, "second"]) for gate in gates])
    streams = []
    for gate in gates:
        stream = connect(server).stream(model="m", messages=MESSAGES)
        assert next(stream.texts()) == "first"
        assert gate.wait_reached()
        streams.append(stream)
    return streams


def test_the_ready_ones_in_the_order_given(
    held: list[millstream.Stream], gates: list[mock.Gate]
) -> None:
    assert millstream.wait(held, LONG_AGO_S) == []
    gates[2].open()
    assert millstream.wait(held) == [held[2]]
    gates[0].open()
    assert eventually(lambda: millstream.wait(held, LONG_AGO_S) == [held[0], held[2]])
    assert millstream.wait(reversed(held), LONG_AGO_S) == [held[2], held[0]]
    assert next(held[2].texts()) == "second"


def test_a_wait_ends_when_something_comes(
    held: list[millstream.Stream], gates: list[mock.Gate]
) -> None:
    task = Task(lambda: millstream.wait(held))
    gates[3].open()
    assert task.result() == [held[3]]


def test_a_wait_ends_with_its_time(held: list[millstream.Stream]) -> None:
    assert millstream.wait(held, 0.05) == []
    assert millstream.wait(held, timeout=0.05) == []


def test_the_same_stream_twice_is_one(
    held: list[millstream.Stream], gates: list[mock.Gate]
) -> None:
    gates[0].open()
    assert millstream.wait([held[0], held[0]]) == [held[0]]


def test_an_end_and_an_error_are_something(serve: Serve, connect: Connect) -> None:
    client = connect(serve([mock.Answer([]), mock.Error(401), mock.Raw([])]))
    for stream in ask_many(client, 3):
        assert eventually(lambda stream=stream: millstream.wait([stream]) == [stream])  # type: ignore[misc]
        assert millstream.wait([stream]) == [stream]  # and stays so
        try:
            list(stream)
        except millstream.Error:
            pass  # which of them has one depends on its answer
        assert millstream.wait([stream]) == [stream]


def test_cancel_ends_the_wait(held: list[millstream.Stream], gates: list[mock.Gate]) -> None:
    task = Task(lambda: millstream.wait(held))
    held[1].cancel()
    assert task.result() == [held[1]]
    with pytest.raises(millstream.Cancelled):
        next(held[1])


def test_nothing_to_wait_for() -> None:
    assert millstream.wait([]) == []
    assert millstream.wait(iter(())) == []


@pytest.mark.parametrize("timeout", [-1, float("nan")])
def test_a_wrong_time(held: list[millstream.Stream], timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout: must be None or not negative"):
        millstream.wait(held, timeout)


@pytest.mark.parametrize("streams", [["stream"], [1], [None]])
def test_what_is_no_stream(streams: list[Any]) -> None:
    with pytest.raises(TypeError, match="streams: must be of Stream"):
        millstream.wait(streams)


def test_one_thread_serves_many(serve: Serve, connect: Connect) -> None:
    words = [f"{n} " for n in range(20)]
    client = connect(serve(mock.Answer(words, pace=0.001)))
    texts = dict.fromkeys(ask_many(client, 50), "")
    live = list(texts)
    while live:
        for stream in millstream.wait(live):
            chunk = next(stream, None)  # at once: it is ready
            if chunk is None:
                live.remove(stream)
            else:
                texts[stream] += chunk.text
    assert list(texts.values()) == ["".join(words)] * 50
    metrics = client.metrics()
    assert metrics["gil_takes"] <= metrics["wakeups"] <= metrics["chunks"]


def test_a_stream_that_another_thread_reads(serve: Serve, connect: Connect) -> None:
    """Each chunk goes to one of them, and neither hangs."""
    words = [f"{n} " for n in range(400)]
    client = connect(serve(mock.Answer(words)))
    shared, own = ask_many(client, 2)
    reader = Task(lambda: [chunk.text for chunk in shared])
    mine: list[str] = []
    live = [shared, own]
    seen = {shared: mine, own: [""] * 0}
    while live:
        for stream in millstream.wait(live):
            chunk = next(stream, None)
            if chunk is None:
                live.remove(stream)
            else:
                seen[stream].append(chunk.text)
    assert sorted(filter(None, mine + reader.result())) == sorted(words)
    assert "".join(seen[own]) == "".join(words)


def test_two_threads_wait_for_the_same_streams(
    held: list[millstream.Stream], gates: list[mock.Gate]
) -> None:
    tasks = [Task(lambda: millstream.wait(held)) for _ in range(2)]
    tasks.append(Task(lambda: millstream.wait(reversed(held))))
    gates[1].open()
    assert [task.result() for task in tasks] == [[held[1]]] * 3


def test_a_waiting_thread_leaves_the_streams_usable(
    held: list[millstream.Stream], gates: list[mock.Gate]
) -> None:
    """A stream that is waited for can be read, dropped and waited for by others."""
    task = Task(lambda: millstream.wait(held[:3]))
    gates[3].open()
    assert [chunk.text for chunk in held[3] if chunk.text] == ["second"]
    assert task.running
    gates[0].open()
    assert task.result() == [held[0]]


def test_a_wait_for_many_takes_the_gil_once(
    held: list[millstream.Stream], gates: list[mock.Gate]
) -> None:
    before = millstream.metrics()["gil_takes"]
    task = Task(lambda: millstream.wait(held))
    gates[1].open()
    assert task.result() == [held[1]]
    assert millstream.metrics()["gil_takes"] <= before + 1  # none where it came before the wait


def test_signals_while_waiting_for_many(run: Run, serve: Serve) -> None:
    gate = mock.Gate()
    process = run(
        serve(mock.Answer(["first", gate, " second"])),
        """
        streams = [ask(), ask()]
        for stream in streams:
            next(stream.texts())
        signal.signal(signal.SIGUSR1, lambda *_: say("handled"))
        say("waiting")
        try:
            millstream.wait(streams)
        except KeyboardInterrupt:
            say("interrupted")
        while len(millstream.wait(streams)) < 2:
            pass
        say(*(texts(stream) for stream in streams))
        """,
    )
    assert process.line() == "waiting"
    assert eventually(process.asleep)
    process.kill(signal.SIGUSR1)
    assert process.line() == "handled"
    assert eventually(process.asleep)
    process.kill(signal.SIGINT)
    assert process.line() == "interrupted"
    gate.open()
    assert process.end() == (0, " second  second", "")


def test_many_threads_wait_for_random_sets(serve: Serve, connect: Connect) -> None:
    """However the sets overlap, nobody waits for ever and nothing is lost."""
    words = [f"{n} " for n in range(30)]
    client = connect(serve(mock.Answer(words, pace=0.002)))
    streams = ask_many(client, 12)
    taken: dict[millstream.Stream, list[str]] = {stream: [] for stream in streams}
    ended: set[millstream.Stream] = set()
    lock = threading.Lock()

    def serve_some(seed: int) -> None:
        order = random.Random(seed)
        while live := [stream for stream in streams if stream not in ended]:
            for stream in millstream.wait(order.sample(live, min(4, len(live))), GIVE_UP_S):
                with lock:
                    chunk = next(stream, None) if stream.wait(0) else None
                    if chunk is not None:
                        taken[stream].append(chunk.text)
                    elif stream.timing.total is not None:
                        ended.add(stream)

    for task in [Task(lambda seed=seed: serve_some(seed)) for seed in range(6)]:  # type: ignore[misc]
        task.result()
    assert ["".join(pieces) for pieces in taken.values()] == ["".join(words)] * 12


def test_a_waiter_that_had_nothing_to_wait_for_keeps_no_stream(
    held: list[millstream.Stream], gates: list[mock.Gate]
) -> None:
    """As where a thread waits for a stream with a new waiter each time, beside something else."""
    stream = held[0]
    gates[0].open()
    assert stream.wait(GIVE_UP_S)
    early, late = millstream._core.Waiter(), millstream._core.Waiter()
    assert not early.arm(stream, False)
    assert next(stream.texts()) == "second"
    assert "".join(stream.texts()) == ""  # to the end, where there is always something
    assert not late.arm(stream, False)
    assert late.arm(held[1], False)
    with pytest.raises(RuntimeError, match="another event loop"):
        early.arm(held[1], False)
    late.disarm(held[1])
    assert early.arm(held[1], False)
    early.disarm(held[1])
