"""A stream's whole life against a model of it: whatever is done, in whatever order."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, TypeVar

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import millstream
from answers import DONE, GIVE_UP_S, MESSAGES, chat, event, eventually, head
from conftest import timeout
from millstream import mock

Stream: TypeAlias = Any  # millstream.Stream or AsyncStream: the reader knows which
State: TypeAlias = Literal["open", "closed", "cancelled", "told"]
Taken: TypeAlias = "list[millstream.Chunk] | None"  # None: the end

AT_MOST = 5  # streams
FORKS = 2  # of a machine: they take longer than the rest
SHORT_S = 0.05  # of a clock that is to run out


@dataclass(frozen=True)
class Ending:
    """The exception that an answer comes to (None: none), by what the server sends last or a clock
    that runs out while it sends nothing."""

    raises: type[millstream.Error] | None
    last: bytes = b""
    clock: str | None = None


ENDINGS = {
    "done": Ending(None, chat(finish="stop") + DONE),
    "cut": Ending(millstream.StreamInterrupted),
    "error": Ending(millstream.ProviderError, event({"error": {"message": "m"}})),
    "broken": Ending(millstream.ProtocolError, b"data: {]\n\n"),
    "refused": Ending(millstream.ServerError),
    "first_chunk": Ending(millstream.Timeout, clock="first_chunk"),
    "idle": Ending(millstream.Timeout, clock="idle"),
    "total": Ending(millstream.Timeout, clock="total"),
}
WITHOUT_TEXT = ("refused", "first_chunk", "total")
REFUSED = mock.Raw(head("503 No", Content_Length="0", Connection="close"))


@dataclass
class Script:
    """What the server does for one stream; of `gates` each lets a text or the ending go."""

    name: str
    texts: list[str]
    gates: list[mock.Gate] = field(default_factory=list)

    @property
    def ending(self) -> Ending:
        return ENDINGS[self.name]

    def answer(self) -> mock.Raw:
        if self.name == "refused":
            return REFUSED
        texts = [chat(text) for text in self.texts]
        if self.ending.clock:  # at once: nothing that comes late is taken for silence
            return mock.Raw([head() + b"".join(texts)], then="hang")
        parts: list[bytes | mock.Gate] = [head()]
        for gate, piece in zip(self.gates, [*texts, self.ending.last], strict=True):
            parts += [gate, piece]
        return mock.Raw(parts)


@dataclass
class Life:
    """One stream, and what the model knows of it."""

    script: Script
    stream: Stream
    sent: int  # of the texts; all of them and the ending where it is one more
    taken: int = 0
    state: State = "open"

    def is_there(self) -> bool:
        return True

    def is_ready(self) -> bool:
        """Whether the next take ends by itself."""
        return self.state != "open" or self.taken < self.sent

    def is_waited_for(self) -> bool:
        return not self.is_ready()

    def has_more(self) -> bool:
        """Whether the server has something to send."""
        return self.sent < len(self.script.gates)

    @property
    def has_text(self) -> bool:
        return self.state == "open" and self.taken < len(self.script.texts)

    @property
    def raises(self) -> type[millstream.Error] | None:
        """What comes behind the texts; None: just the end."""
        if self.state == "open":
            return self.script.ending.raises
        return millstream.Cancelled if self.state == "cancelled" else None


# ---- how streams are read ------------------------------------------------------------------------


class Plain:
    """In the calling thread, or in another one that waits."""

    client = millstream.Client

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)

    def take(self, stream: Stream, batch: bool) -> Taken:
        """The next chunk, or all that are ready."""
        if batch:
            return next(stream.batches(), None)
        chunk = next(stream, None)
        return None if chunk is None else [chunk]

    def wait(self, stream: Stream, batch: bool) -> Future[Taken]:
        return self._pool.submit(self.take, stream, batch)

    def end(self) -> None:
        self._pool.shutdown()

    def take_in_child(self, stream: Stream) -> Taken:
        return self.take(stream, batch=False)


class Loop:
    """In an event loop on a thread of its own."""

    client = millstream.AsyncClient

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def take(self, stream: Stream, batch: bool) -> Taken:
        return self.wait(stream, batch).result(GIVE_UP_S)

    def wait(self, stream: Stream, batch: bool) -> Future[Taken]:
        return asyncio.run_coroutine_threadsafe(self._take(stream, batch), self._loop)

    async def _take(self, stream: Stream, batch: bool) -> Taken:
        if batch:
            batches = stream.batches()
            async with contextlib.aclosing(batches):
                taken: Taken = await anext(batches, None)
                return taken
        chunk = await anext(stream, None)
        return None if chunk is None else [chunk]

    def interrupt(self, stream: Stream) -> None:
        """A task waits for the stream and is cancelled."""
        asyncio.run_coroutine_threadsafe(self._interrupt(stream), self._loop).result(GIVE_UP_S)

    async def _interrupt(self, stream: Stream) -> None:
        task = asyncio.ensure_future(self._take(stream, batch=False))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def take_in_child(self, stream: Stream) -> Taken:
        return asyncio.run(self._take(stream, batch=False))


# ---- the machine ---------------------------------------------------------------------------------


class Streams:
    """The server of all machines, and what it does for each stream by the name of its model."""

    def __init__(self) -> None:
        self.scripts = {"forked": Script("refused", [])}
        self.server = mock.Server(lambda request: self.scripts[request.json()["model"]].answer())
        self.server.start()


names = itertools.count()
batch_or_not = st.booleans()
Fits: TypeAlias = Callable[[Life], bool]
Rule = TypeVar("Rule", bound=Callable[..., None])


def when_one(fits: Fits) -> Callable[[Rule], Rule]:
    """A rule for one of the streams of which this holds."""
    return precondition(lambda self: any(map(fits, self.lives)))


class Machine(RuleBasedStateMachine):
    """Up to five streams of one client, and all that can be done with them."""

    def __init__(self, streams: Streams, reader: Plain | Loop) -> None:
        super().__init__()
        self.streams = streams
        self.reader = reader
        self.client = self.connect()
        self.lives: list[Life] = []
        self.forks = 0

    def connect(self, **clocks: float) -> Any:
        """A client whose chunks and ends all come from the server, but for those clocks."""
        return self.reader.client(
            base_url=self.streams.server.url,
            api_key="k",
            max_retries=0,
            timeout=timeout(**clocks),
        )

    def pick(self, data: st.DataObject, fits: Fits = Life.is_there) -> Life:
        """One of the streams of which this holds."""
        return data.draw(st.sampled_from(list(filter(fits, self.lives))))

    # ---- beginning, and what the server does -----------------------------------------------------

    @precondition(lambda self: len(self.lives) < AT_MOST)
    @rule(count=st.integers(0, 4), ending=st.sampled_from(list(ENDINGS)))
    def start(self, count: int, ending: str) -> None:
        count = 0 if ending in WITHOUT_TEXT else max(count, 1) if ending == "idle" else count
        script = Script(ending, [f"{i};" for i in range(count)])
        clock = script.ending.clock
        all_at_once = clock is not None or ending == "refused"
        if not all_at_once:
            script.gates = [mock.Gate() for _ in range(count + 1)]
        name = str(next(names))
        self.streams.scripts[name] = script
        client = self.connect(**{clock: SHORT_S}) if clock else self.client
        stream = client.stream(model=name, messages=MESSAGES)
        self.lives.append(Life(script, stream, sent=count + 1 if all_at_once else 0))

    @when_one(Life.has_more)
    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        self.send_to(self.pick(data, Life.has_more))

    def send_to(self, life: Life) -> None:
        life.script.gates[life.sent].open()
        life.sent += 1

    # ---- reading ---------------------------------------------------------------------------------

    @when_one(Life.is_ready)
    @rule(data=st.data(), batch=batch_or_not)
    def take(self, data: st.DataObject, batch: bool) -> None:
        life = self.pick(data, Life.is_ready)
        self.check(life, lambda: self.reader.take(life.stream, batch))

    def check(self, life: Life, take: Callable[[], Taken]) -> None:
        """What is taken is what the model has next."""
        if life.has_text:
            chunks = take()
            assert chunks
            # The last text's batch may have what follows it, as far as it is no exception.
            texts = [chunk.text for chunk in chunks if chunk.type == "text"]
            assert 1 <= len(texts) <= life.sent - life.taken
            assert texts == life.script.texts[life.taken : life.taken + len(texts)]
            life.taken += len(texts)
        else:
            self.check_end(life, take)
            life.state = "told"

    def check_end(self, life: Life, take: Callable[[], Taken]) -> None:
        if life.raises is None:
            chunks = take()
            if chunks is not None:  # of the answer's last event
                assert [chunk.type for chunk in chunks] == ["finish"]
                chunks = self.reader.take(life.stream, batch=False)
            assert chunks is None
            return
        with pytest.raises(millstream.Error) as caught:
            take()
        error = caught.value
        assert type(error) is life.raises
        assert error.message == life.stream.message
        if isinstance(error, millstream.Timeout):
            assert error.phase == life.script.ending.clock

    @when_one(Life.is_waited_for)
    @rule(data=st.data(), how=st.sampled_from(["send", "cancel", "close"]), batch=batch_or_not)
    def wait_in_take(self, data: st.DataObject, how: str, batch: bool) -> None:
        """Who waits wakes up by what another does."""
        life = self.pick(data, Life.is_waited_for)
        waiting = self.reader.wait(life.stream, batch)
        if how == "send":
            self.send_to(life)
        else:
            self.leave(life, how)
        self.check(life, lambda: waiting.result(GIVE_UP_S))

    # ---- leaving ---------------------------------------------------------------------------------

    @when_one(Life.is_there)
    @rule(data=st.data(), how=st.sampled_from(["cancel", "close"]))
    def end(self, data: st.DataObject, how: str) -> None:
        self.leave(self.pick(data), how)

    def leave(self, life: Life, how: str) -> None:
        getattr(life.stream, how)()
        if life.state == "open":
            life.state = "cancelled" if how == "cancel" else "closed"
        elif life.state == "cancelled" and how == "close":
            life.state = "closed"

    @when_one(Life.is_there)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        self.lives.remove(self.pick(data))

    @precondition(lambda self: self.forks < FORKS and self.lives)
    @rule()
    def fork(self) -> None:
        """The child has none of the streams and can begin its own; the parent's go on."""
        self.forks += 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: of threads and fork
            pid = os.fork()
        if pid == 0:
            os._exit(self.child())
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0

    def child(self) -> int:
        """0 where all is right."""
        try:
            for life in self.lives:
                if life.state != "told":
                    with pytest.raises(millstream.ForkedError):
                        self.reader.take_in_child(life.stream)
            with pytest.raises(millstream.ServerError):
                self.reader.take_in_child(self.client.stream(model="forked", messages=MESSAGES))
        except BaseException:
            return 1
        return 0

    # ---- what always holds -----------------------------------------------------------------------

    @invariant()
    def messages_are_what_was_taken(self) -> None:
        for life in self.lives:
            assert life.stream.message.text == "".join(life.script.texts[: life.taken])

    def teardown(self) -> None:
        """None is open once those left are cancelled: the dropped ones ended by themselves."""
        for life in self.lives:
            life.stream.cancel()
        assert eventually(self.is_over)
        self.reader.end()

    def is_over(self) -> bool:
        if self.client.metrics()["streams_open"]:
            gc.collect()  # what pytest.raises keeps
            return False
        return True


class PlainMachine(Machine):
    """Of a Client."""

    def __init__(self, streams: Streams) -> None:
        super().__init__(streams, Plain())

    @when_one(Life.is_there)
    @rule(data=st.data())
    def wait(self, data: st.DataObject) -> None:
        life = self.pick(data)
        ready = life.is_ready()
        assert life.stream.wait(GIVE_UP_S if ready else 0.0) == ready

    @rule()
    def wait_for_any(self) -> None:
        ready = [life.stream for life in self.lives if life.is_ready()]
        waited = millstream.wait([life.stream for life in self.lives], GIVE_UP_S if ready else 0.0)
        assert set(waited) <= set(ready)
        assert bool(waited) == bool(ready)


class LoopMachine(Machine):
    """Of an AsyncClient."""

    reader: Loop

    def __init__(self, streams: Streams) -> None:
        super().__init__(streams, Loop())

    @when_one(Life.is_waited_for)
    @rule(data=st.data())
    def cancel_the_task(self, data: st.DataObject) -> None:
        life = self.pick(data, Life.is_waited_for)
        self.reader.interrupt(life.stream)
        life.state = "cancelled"


@pytest.fixture
def streams() -> Iterator[Streams]:
    streams = Streams()
    yield streams
    streams.server.close()


def run(streams: Streams, machine: Any, how: settings) -> None:
    factory: Any = lambda: machine(streams)  # noqa: E731 - its annotation asks for a class
    run_state_machine_as_test(factory, settings=how)


machines = pytest.mark.parametrize("machine", [PlainMachine, LoopMachine], ids=["sync", "async"])
each = settings(
    stateful_step_count=40,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],  # a machine that has other work is no fault
)


@machines
def test_streams_behave_as_their_model(streams: Streams, machine: Any) -> None:
    """The same ways each time. One that fails is shown as it is: a shorter one takes minutes."""
    same = settings(each, max_examples=40, derandomize=True, phases=[Phase.generate])
    run(streams, machine, same)


@pytest.mark.soak
@machines
def test_streams_behave_as_their_model_at_random(streams: Streams, machine: Any) -> None:
    run(streams, machine, settings(each, max_examples=500))
